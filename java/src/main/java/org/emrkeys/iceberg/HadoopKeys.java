package org.emrkeys.iceberg;

import java.util.Map;
import java.util.TreeMap;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.emrkeys.provider.TableKeys;

/**
 * The keys of a client of Iceberg, by Hadoop's configuration, which Iceberg does not hand over.
 *
 * <p>The only class here that needs Hadoop: the others load without it, and say what is missing.
 */
final class HadoopKeys {
  private static final Log LOG = LogFactory.getLog(EmrKeysKeyManagementClient.class);
  private static final String PREFIX = "emrkeys.";

  private HadoopKeys() {}

  /** The {@code emrkeys.*} properties of Hadoop's configuration and of the catalog, which wins. */
  static TreeMap<String, String> properties(Map<String, String> catalog) {
    TreeMap<String, String> own = new TreeMap<>();
    Configuration conf = current();
    for (Map.Entry<String, String> entry : conf) {
      if (entry.getKey().startsWith(PREFIX)) {
        own.put(entry.getKey(), conf.get(entry.getKey()));
      }
    }
    catalog.forEach(
        (name, value) -> {
          if (name.startsWith(PREFIX)) {
            own.put(name, value);
          }
        });
    return own;
  }

  /** The keys of these properties, above those of Hadoop's configuration. */
  static TableKeys open(Map<String, String> own) {
    Configuration conf = new Configuration(current());
    own.forEach(conf::set);
    return TableKeys.of(conf, LOG);
  }

  /** That of the Spark application, with {@code spark.hadoop.*}; else that of the class path. */
  private static Configuration current() {
    try {
      Configuration ofSpark = OfSpark.current();
      if (ofSpark != null) {
        return ofSpark;
      }
    } catch (LinkageError e) {
      return new Configuration(); // no Spark here
    }
    return new Configuration();
  }

  /** Loads only where Spark is on the class path. */
  private static final class OfSpark {
    private OfSpark() {}

    /** Null where no application runs in this JVM. */
    static Configuration current() {
      SparkEnv running = SparkEnv.get();
      return running == null ? null : SparkHadoopUtil.get().newConfiguration(running.conf());
    }
  }
}
