package org.emrkeys.spark;

import java.io.IOException;
import java.io.PrintStream;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.JavaSparkContext;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConvertWork;
import org.emrkeys.provider.ObjectWork;

/**
 * Encrypts every object below a prefix, or of an S3 Inventory, anew: from AES-CBC or plaintext to an authenticated
 * format, or out of client-side encryption, on all executors of a Spark application. Each object is read, verified and
 * replaced in place; it is readable at every moment.
 */
public final class Convert {
  private Convert() {}

  /**
   * Converts objects in an application that runs. Blocks.
   *
   * @param context of that application
   * @param summary gets the outcome in words
   * @param arguments as {@code --help} says
   * @return 0 done, 1 failed, 7 no objects
   * @throws IllegalArgumentException if the arguments are wrong
   * @throws org.emrkeys.EmrKeysException as {@link Rewrap#run}
   * @throws IOException likewise
   */
  public static int run(JavaSparkContext context, PrintStream summary, String... arguments)
      throws IOException {
    return ObjectsJob.run(new Options(), context, summary, arguments);
  }

  /**
   * The application of its own that {@code spark-submit} starts.
   *
   * @param args as {@code --help} says
   * @throws IOException if the report or the checkpoint cannot be written
   */
  public static void main(String[] args) throws IOException {
    ObjectsJob.main(new Options(), args);
  }

  private static final class Options extends JobOptions {
    /** Bytes of objects that make a task: some seconds of S3's time. */
    private static final long TASK_BYTES = 512L << 20;

    private static final String SUFFIX = ".instruction";

    private String format;
    private boolean fromPlaintext;
    private boolean renew;
    private boolean toPlaintext;
    private String confirm;
    private boolean secondRead;
    private String suffix = SUFFIX;

    @Override
    String name() {
      return "convert";
    }

    @Override
    String[] usage() {
      return new String[] {
        "usage: spark-submit --class org.emrkeys.spark.Convert emrkeys.jar PREFIX [OPTION]...",
        "  --format v2|v4       v2 (the default): EMRFS, with fs.s3.cse.encryptionV2.enabled, and S3A read it; v4:",
        "                       of the S3 Encryption Client 4, which commits to its key",
        "  --to KEY             the name of the key that is to wrap, as in emrkeys.key.KEY.type; without it, the keys",
        "                       that the rules give to new objects",
        "  --from KEY,...       convert objects under these keys too, though the rules give others at their place:",
        "                       holders of the new key can read them then",
        "  --for s3|s3a         whose configuration it is (s3); s3a reads only what S3A reads, so no AES-CBC",
        "  --from-plaintext     encrypt objects that no client encrypted, too",
        "  --renew              encrypt objects anew that have the format and the key already: each gets a fresh data",
        "                       key, as after a key was compromised",
        "  --to-plaintext       leave client-side encryption; with --confirm and the prefix once more",
        "  --second-read        read each new object and compare it, even if S3 confirms the checksum; read those",
        "                       whole, too, that are converted already",
        "  --instruction-suffix S  the end of the keys of instruction files (" + SUFFIX + ")"
      };
    }

    @Override
    boolean take(String option, Iterator<String> rest) {
      switch (option) {
        case "--format":
          format = value(option, rest);
          return true;
        case "--from-plaintext":
          fromPlaintext = true;
          return true;
        case "--renew":
          renew = true;
          return true;
        case "--to-plaintext":
          toPlaintext = true;
          return true;
        case "--confirm":
          confirm = value(option, rest);
          return true;
        case "--second-read":
          secondRead = true;
          return true;
        case "--instruction-suffix":
          suffix = value(option, rest);
          return true;
        default:
          return false;
      }
    }

    @Override
    void check() {
      if (format != null && !format.equals("v2") && !format.equals("v4")) {
        throw new IllegalArgumentException("--format " + format + ": write v2 or v4");
      }
      if (suffix.isEmpty()) {
        throw new IllegalArgumentException("the key of an instruction file is not that of its object");
      }
      if (!toPlaintext) {
        return;
      }
      if (format != null || !to().isEmpty() || fromPlaintext || renew) {
        throw new IllegalArgumentException(
            "--to-plaintext goes with none of --format, --to, --from-plaintext and --renew");
      }
      if (!dryRun() && !prefix().equals(confirm)) {
        throw new IllegalArgumentException(
            "--to-plaintext takes the client-side encryption of all of "
                + prefix()
                + " away: add --confirm "
                + prefix());
      }
    }

    /** The one that may read every format. */
    @Override
    Client usualClient(Configuration conf) {
      return Client.S3;
    }

    @Override
    ObjectWork work() {
      return new ConvertWork(form(), to(), from(), fromPlaintext, renew, secondRead, suffix);
    }

    private ConvertWork.Form form() {
      if (toPlaintext) {
        return ConvertWork.Form.PLAINTEXT;
      }
      return "v4".equals(format) ? ConvertWork.Form.V4 : ConvertWork.Form.V2;
    }

    @Override
    long taskBytes() {
      return TASK_BYTES;
    }

    @Override
    String identity() {
      return (toPlaintext
              ? "plaintext"
              : (format == null ? "v2" : format)
                  + " under "
                  + (to().isEmpty() ? "the keys of the rules" : to()))
          + (from().isEmpty() ? "" : " from " + String.join(", ", from()))
          + (fromPlaintext ? " (plaintext too)" : "")
          + (renew ? " (current ones too)" : "")
          + (suffix.equals(SUFFIX) ? "" : " (instruction files " + suffix + ")");
    }
  }
}
