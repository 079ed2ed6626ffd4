package org.emrkeys.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.ObjectOrder;
import org.emrkeys.provider.ObjectResult;

/** The task of an executor: the objects of one order, with the provider that its JVM shares. */
final class ObjectsTask implements FlatMapFunction<ObjectOrder, ObjectResult> {
  private static final long serialVersionUID = 1L;

  /** The last task's, so that the keys live from one task of a JVM to the next. */
  private static volatile ConfiguredProvider held;

  private final Client client;

  /** Those of the driver: what an executor finds on its own class path may be another cluster's. */
  private final HashMap<String, String> properties = new HashMap<>();

  private final JobMetrics metrics;
  private final JobReport report;
  private final int round;

  /** A task of a round; {@code report} is null for a job without one. */
  ObjectsTask(Client client, Configuration conf, JobMetrics metrics, JobReport report, int round) {
    this.client = client;
    this.metrics = metrics;
    this.report = report;
    this.round = round;
    for (Map.Entry<String, String> property : conf) {
      properties.put(property.getKey(), property.getValue());
    }
  }

  @Override
  public Iterator<ObjectResult> call(ObjectOrder order) throws IOException {
    Configuration conf = new Configuration(false);
    properties.forEach(conf::set);
    ConfiguredProvider provider = provider(client, conf);
    held = provider;
    List<ObjectResult> results = new ArrayList<>();
    ObjectOrder rest = order;
    if (report != null && !order.isDry()) {
      rest = order.of(planned(provider, order, conf, results));
    }
    provider.run(
        rest,
        some -> {
          metrics.add(some);
          results.addAll(some);
        });
    return results.iterator();
  }

  /**
   * The keys of the objects to change, which is written down, and of those to read; {@code results} gets those of all
   * others.
   */
  private List<String> planned(
      ConfiguredProvider provider, ObjectOrder order, Configuration conf, List<ObjectResult> results)
      throws IOException {
    List<ObjectResult> planned = new ArrayList<>();
    List<ObjectResult> others = new ArrayList<>();
    provider.run(
        order.dry(),
        some -> {
          for (ObjectResult result : some) {
            (result.outcome().startsWith(JobReport.WOULD_BE) ? planned : others).add(result);
          }
        });
    if (!planned.isEmpty()) {
      report.intend(round, TaskContext.getPartitionId(), planned, conf);
    }
    if (order.isDoubted()) {
      // A dry run reads no content: of objects in doubt it has no verdict.
      planned.addAll(others);
    } else {
      metrics.add(others);
      results.addAll(others);
    }
    return planned.stream().map(ObjectResult::key).collect(Collectors.toList());
  }

  static ConfiguredProvider provider(Client client, Configuration conf) {
    return ConfiguredProvider.shared(client, new HadoopSettings(conf), Log.of(ObjectsJob.class));
  }
}
