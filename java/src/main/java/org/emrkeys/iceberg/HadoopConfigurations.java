package org.emrkeys.iceberg;

import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/** Finds Hadoop's configuration, which Iceberg does not hand over. */
final class HadoopConfigurations {
  private HadoopConfigurations() {}

  /** That of the Spark application, with {@code spark.hadoop.*}; else that of the class path. */
  static Configuration current() {
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
