package org.emrkeys.iceberg;

import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.Settings;

/**
 * The settings of a client of Iceberg where Hadoop is on the class path: those of the catalog above
 * Hadoop's, which Iceberg does not hand over. The only class here that loads Hadoop's.
 */
final class HadoopConfiguration {
  private HadoopConfiguration() {}

  /** The properties of Hadoop's configuration whose names begin with {@code prefix}. */
  static TreeMap<String, String> properties(String prefix) {
    TreeMap<String, String> own = new TreeMap<>();
    Configuration conf = current();
    for (Map.Entry<String, String> entry : conf) {
      if (entry.getKey().startsWith(prefix)) {
        own.put(entry.getKey(), conf.get(entry.getKey()));
      }
    }
    return own;
  }

  /** These properties above those of Hadoop's configuration. */
  static Settings settings(Map<String, String> own) {
    Configuration conf = new Configuration(current());
    own.forEach(conf::set);
    return new HadoopSettings(conf);
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
