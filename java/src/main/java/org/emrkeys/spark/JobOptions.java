package org.emrkeys.spark;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ObjectOrder;
import org.emrkeys.provider.ObjectWork;

/** The command line of a job on objects: the options that all jobs have. A subclass has those of its job. */
abstract class JobOptions {
  /** Failures in a hundred objects above which a job stops, unless the command line says otherwise. */
  private static final double MAX_FAILURES = 1;

  private static final String OBJECTS =
      String.join(
          System.lineSeparator(),
          "  PREFIX               s3://bucket/prefix/: all objects whose keys begin so",
          "  --recursive          the prefix need not end in a slash",
          "  --inventory URI      take the objects from an S3 Inventory in CSV, instead of listing the prefix:",
          "                       the URI of its manifest.json",
          "");

  private static final String REST =
      String.join(
          System.lineSeparator(),
          "  --report DIR         a folder in a file system that driver and executors share. It gets a line of JSON",
          "                       for each object",
          "  --checkpoint FILE    remembers how far the work got; the same command goes on from there. Removed at",
          "                       the end, so that the next run tries again what failed, unless it remembers",
          "                       objects of which nothing shows that they are what was sent",
          "  --max-failures P     stop if more than this share of the objects fails (1%); looked at after each",
          "                       round, from the hundredth object on",
          "  --batch N            objects in a task, at most (500)",
          "  --threads N          objects at work at once in a task (8)",
          "  --dry-run            work everything out and change nothing",
          "",
          "Properties are those of the cluster and spark.hadoop.*. Exit codes: 0 done, 1 failed, also where",
          "single objects did or were left under keys of other places, 2 the command line is wrong, 7 there",
          "are no objects.");

  private String prefix;
  private String bucket;
  private String inventory = "";
  private String to = "";
  private final TreeSet<String> from = new TreeSet<>();
  private boolean recursive;
  private String client;
  private String report;
  private String checkpoint;
  private double maxFailures = MAX_FAILURES;
  private int batch = 500;
  private int threads = 8;
  private boolean dryRun;

  /** The job's name in a word. */
  abstract String name();

  /** The usage: a line of the command, and the lines of the job's own options. */
  abstract String[] usage();

  /** Takes an option of the job's own, with its value; false for one that it does not know. */
  abstract boolean take(String option, Iterator<String> rest);

  /** Refuses options that do not go together. */
  abstract void check();

  /** The work that the options ask for. */
  abstract ObjectWork work();

  /** The client whose configuration it is, unless {@code --for} says it. */
  abstract Client usualClient(Configuration conf);

  /** The options of the job's own that two runs must share to go on from each other's checkpoints. */
  abstract String identity();

  /** The most bytes of objects that make a task, for work that takes longer the larger an object is. */
  long taskBytes() {
    return Long.MAX_VALUE;
  }

  /** The text of {@code --help}. */
  final String help() {
    String[] own = usage();
    String rest = String.join(System.lineSeparator(), Arrays.asList(own).subList(1, own.length));
    return own[0]
        + System.lineSeparator()
        + System.lineSeparator()
        + OBJECTS
        + rest
        + System.lineSeparator()
        + REST;
  }

  /**
   * Reads a command line.
   *
   * @throws IllegalArgumentException with all that the user needs to know
   */
  final void parse(String... args) {
    Iterator<String> rest = Arrays.asList(args).iterator();
    while (rest.hasNext()) {
      String arg = rest.next();
      if (!takeCommon(arg, rest) && !take(arg, rest)) {
        if (arg.startsWith("-") || prefix != null) {
          throw new IllegalArgumentException("unexpected argument " + arg);
        }
        setPrefix(arg);
      }
    }
    if (prefix == null) {
      throw new IllegalArgumentException("PREFIX is needed");
    }
    check();
    if (!recursive && !prefix.endsWith("/") && !prefix.endsWith("/" + bucket)) {
      throw new IllegalArgumentException(
          prefix + " does not end in a slash: end it so, or add --recursive for all keys that begin so");
    }
    if (client != null && !client.equals("s3") && !client.equals("s3a")) {
      throw new IllegalArgumentException("--for " + client + ": write s3 or s3a");
    }
  }

  private boolean takeCommon(String option, Iterator<String> rest) {
    switch (option) {
      case "--to":
        to = value(option, rest);
        return true;
      case "--from":
        from.addAll(Arrays.asList(value(option, rest).split(",")));
        return true;
      case "--recursive":
        recursive = true;
        return true;
      case "--inventory":
        inventory = value(option, rest);
        return true;
      case "--for":
        client = value(option, rest);
        return true;
      case "--report":
        report = value(option, rest);
        return true;
      case "--checkpoint":
        checkpoint = value(option, rest);
        return true;
      case "--max-failures":
        maxFailures = share(option, rest);
        return true;
      case "--batch":
        batch = number(option, rest);
        return true;
      case "--threads":
        threads = number(option, rest);
        return true;
      case "--dry-run":
        dryRun = true;
        return true;
      default:
        return false;
    }
  }

  private void setPrefix(String uri) {
    String rest = uri.replaceFirst("^s3[an]?://", "");
    int slash = rest.indexOf('/');
    if (rest.equals(uri) || slash == 0 || rest.isEmpty()) {
      throw new IllegalArgumentException(uri + ": write s3://bucket/prefix");
    }
    prefix = uri;
    bucket = slash < 0 ? rest : rest.substring(0, slash);
  }

  static String value(String option, Iterator<String> rest) {
    if (!rest.hasNext()) {
      throw new IllegalArgumentException(option + " needs a value");
    }
    return rest.next();
  }

  private static int number(String option, Iterator<String> rest) {
    String text = value(option, rest);
    try {
      int number = Integer.parseInt(text);
      if (number > 0 && number <= 100_000) {
        return number;
      }
    } catch (NumberFormatException e) {
      // The exception below reports it, as it does other wrong numbers.
    }
    throw new IllegalArgumentException(option + " " + text + ": write a number from 1 to 100000");
  }

  private static double share(String option, Iterator<String> rest) {
    String text = value(option, rest);
    try {
      double share = Double.parseDouble(text.endsWith("%") ? text.substring(0, text.length() - 1) : text);
      if (share >= 0 && share <= 100) {
        return share;
      }
    } catch (NumberFormatException e) {
      // As above.
    }
    throw new IllegalArgumentException(option + " " + text + ": write a share from 0% to 100%");
  }

  final String prefix() {
    return prefix;
  }

  final String inventory() {
    return inventory;
  }

  /** The key to write under; empty if none is named. */
  final String to() {
    return to;
  }

  /** The keys to take objects from though the rules do not give them there. */
  final List<String> from() {
    return new ArrayList<>(from);
  }

  /** A folder, or null. */
  final String report() {
    return report;
  }

  /** A file, or null; a dry run has none. */
  final String checkpoint() {
    return dryRun ? null : checkpoint;
  }

  /** Per cent. */
  final double maxFailures() {
    return maxFailures;
  }

  final int batch() {
    return batch;
  }

  final boolean dryRun() {
    return dryRun;
  }

  final Client client(Configuration conf) {
    if (client == null) {
      return usualClient(conf);
    }
    return client.equals("s3a") ? Client.S3A : Client.S3;
  }

  /** The order of a new job, without objects. */
  final ObjectOrder order() {
    return new ObjectOrder(work(), dryRun, threads, bucket);
  }

  /** The options that two runs must share to go on from each other's checkpoints. */
  final String wholeIdentity() {
    String objects = inventory.isEmpty() ? prefix : prefix + " of " + inventory;
    return objects + " -> " + identity();
  }
}
