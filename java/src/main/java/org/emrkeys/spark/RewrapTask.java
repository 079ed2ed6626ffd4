package org.emrkeys.spark;

import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import org.apache.commons.logging.LogFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.RewrapOrder;
import org.emrkeys.provider.Client;

/**
 * The task of an executor: it re-wraps the objects of one order, with the provider that its JVM
 * shares.
 */
final class RewrapTask implements FlatMapFunction<RewrapOrder, String[]> {
  private static final long serialVersionUID = 1L;

  /** The last task's, so that the keys live from one task of a JVM to the next. */
  private static volatile ConfiguredProvider held;

  private final Client client;

  /** Those of the driver: what an executor finds on its own class path may be another cluster's. */
  private final HashMap<String, String> properties = new HashMap<>();

  RewrapTask(Client client, Configuration conf) {
    this.client = client;
    for (Map.Entry<String, String> property : conf) {
      properties.put(property.getKey(), property.getValue());
    }
  }

  @Override
  public Iterator<String[]> call(RewrapOrder order) {
    Configuration conf = new Configuration(false);
    properties.forEach(conf::set);
    ConfiguredProvider provider = provider(client, conf);
    held = provider;
    return provider.rewrap(order).iterator();
  }

  static ConfiguredProvider provider(Client client, Configuration conf) {
    return ConfiguredProvider.shared(client, conf, LogFactory.getLog(Rewrap.class));
  }
}
