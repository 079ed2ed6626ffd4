package org.emrkeys.spark;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.JavaSparkContext;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ObjectWork;
import org.emrkeys.provider.RewrapWork;

/**
 * Moves every object below a prefix, or of an S3 Inventory, to another key, or to the newest version of its key, on all
 * executors of a Spark application. Contents stay where they are; objects are readable at every
 * moment.
 */
public final class Rewrap {
  private Rewrap() {}

  /**
   * Runs the application.
   *
   * @param args as {@code --help} says
   * @throws IOException if the report or the checkpoint cannot be written
   */
  public static void main(String[] args) throws IOException {
    ObjectsJob.main(new Options(), args);
  }

  /**
   * Does the same in an application that runs, such as a notebook's. Blocks.
   *
   * @param context of the application
   * @param out gets the summary
   * @param args as {@code --help} says
   * @return the exit code of {@link #main}
   * @throws IllegalArgumentException if the arguments are wrong
   * @throws org.emrkeys.EmrKeysException if the configuration is wrong, or objects cannot be listed
   * @throws IOException if the report or the checkpoint cannot be written
   */
  public static int run(JavaSparkContext context, PrintStream out, String... args) throws IOException {
    return ObjectsJob.run(new Options(), context, out, args);
  }

  private static final class Options extends JobOptions {
    private boolean toRules;
    private boolean upgradeWrap;

    @Override
    String name() {
      return "rewrap";
    }

    @Override
    String[] usage() {
      return new String[] {
        "usage: spark-submit --class org.emrkeys.spark.Rewrap emrkeys.jar PREFIX --to KEY [OPTION]...",
        "  --to KEY             the name of the key that is to wrap, as in emrkeys.key.KEY.type",
        "  --to-rules           in place of --to: the keys that the rules give to new objects",
        "  --from KEY,...       move objects under these keys too, though the rules give others at their place:",
        "                       holders of the new key can read them then",
        "  --for s3|s3a         whose configuration it is; s3a where fs.s3a.encryption.algorithm is",
        "                       CSE-CUSTOM, else s3",
        "  --upgrade-wrap       replace the wraps of the SDK v1's first client by those of its second"
      };
    }

    @Override
    boolean take(String option, Iterator<String> rest) {
      switch (option) {
        case "--to-rules":
          toRules = true;
          return true;
        case "--upgrade-wrap":
          upgradeWrap = true;
          return true;
        default:
          return false;
      }
    }

    @Override
    void check() {
      if (to().isEmpty() != toRules) {
        throw new IllegalArgumentException("PREFIX and one of --to KEY and --to-rules are needed");
      }
    }

    @Override
    Client usualClient(Configuration conf) {
      boolean s3a = "CSE-CUSTOM".equalsIgnoreCase(conf.get("fs.s3a.encryption.algorithm"));
      return s3a ? Client.S3A : Client.S3;
    }

    @Override
    ObjectWork work() {
      return new RewrapWork(to(), from(), upgradeWrap);
    }

    @Override
    String identity() {
      return (toRules ? "the keys of the rules" : to())
          + (from().isEmpty() ? "" : " from " + String.join(", ", from()))
          + (upgradeWrap ? " (wraps upgraded)" : "");
    }
  }
}
