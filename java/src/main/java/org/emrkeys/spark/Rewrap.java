package org.emrkeys.spark;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.ObjectListing;
import org.emrkeys.provider.RewrapOrder;

/**
 * Moves every object below a prefix, or of an S3 Inventory, to another key, or to the newest version of its key, on all
 * executors of a Spark application. Contents stay where they are; objects are readable at every
 * moment.
 *
 * <p>The driver lists keys, or reads the inventory, and hands them out in rounds. After each round the
 * report has a file more and the checkpoint says how far everything is done, so that the same command goes on from
 * there; at the end it is removed. Without a checkpoint it goes on as well, only slower: what is done
 * is found done, and what failed is tried again.
 *
 * <p>S3 is spoken by the native library, with the AWS credentials of the node and {@code
 * emrkeys.s3.*}; neither EMRFS nor S3A is asked for the objects.
 */
public final class Rewrap {
  private static final String USAGE =
      String.join(
          System.lineSeparator(),
          "usage: spark-submit --class org.emrkeys.spark.Rewrap emrkeys.jar PREFIX --to KEY [OPTION]...",
          "",
          "  PREFIX               s3://bucket/prefix/: all objects whose keys begin so",
          "  --recursive          the prefix need not end in a slash",
          "  --inventory URI      take the objects from an S3 Inventory in CSV, instead of listing the prefix:",
          "                       the URI of its manifest.json",
          "  --to KEY             the name of the key that is to wrap, as in emrkeys.key.KEY.type",
          "  --to-rules           in place of --to: the keys that the rules give to new objects",
          "  --from KEY,...       move objects under these keys too, though the rules give others at their place:",
          "                       holders of the new key can read them then",
          "  --for s3|s3a         whose configuration it is; s3a where fs.s3a.encryption.algorithm is",
          "                       CSE-CUSTOM, else s3",
          "  --report DIR         a folder, in any file system of Hadoop's, that gets a line of JSON for",
          "                       each object",
          "  --checkpoint FILE    remembers how far the work got; the same command goes on from there. Removed at",
          "                       the end, so that the next run tries again what failed",
          "  --batch N            objects in a task (500)",
          "  --threads N          objects at work at once in a task (8)",
          "  --upgrade-wrap       replace the wraps of the SDK v1's first client by those of its second",
          "  --dry-run            work everything out and change nothing",
          "",
          "Properties are those of the cluster and spark.hadoop.*. Exit codes: 0 done, 1 failed, also where",
          "single objects did or were left under keys of other places, 2 the command line is wrong, 7 there",
          "are no objects.");

  /** Rounds have as many tasks for each core, so that slow ones do not keep the others waiting. */
  private static final int TASKS_PER_CORE = 4;

  /** Of a checkpoint that is being written. */
  private static final String NEW = ".new";

  private final Options options;
  private final Configuration conf;

  /** Outcomes of this run, and of those before it that it goes on from. */
  private final Map<String, Long> counts = new TreeMap<>();

  private final Map<String, Long> earlier = new TreeMap<>();
  private final long started = System.currentTimeMillis();
  private String after = "";
  private int round;

  private Rewrap(Options options, Configuration conf) {
    this.options = options;
    this.conf = conf;
  }

  /**
   * Runs the application.
   *
   * @param args as {@code --help} says
   * @throws IOException if the report or the checkpoint cannot be written
   */
  public static void main(String[] args) throws IOException {
    if (Arrays.asList(args).contains("--help")) {
      System.out.println(USAGE);
      return;
    }
    Options options;
    try {
      options = new Options(args);
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println(USAGE);
      System.exit(2);
      return;
    }
    int status = 1;
    SparkConf spark = new SparkConf().setIfMissing("spark.app.name", "emrkeys rewrap " + options.prefix);
    try (JavaSparkContext context = new JavaSparkContext(spark)) {
      status = new Rewrap(options, context.hadoopConfiguration()).run(context, System.out);
    } catch (EmrKeysException e) {
      System.err.println("error: " + e.getMessage());
    }
    if (status != 0) {
      System.exit(status);
    }
  }

  private int run(JavaSparkContext context, PrintStream out) throws IOException {
    Client client = options.client(conf);
    ConfiguredProvider provider = RewrapTask.provider(client, conf);
    RewrapTask task = new RewrapTask(client, conf);
    RewrapOrder nothing = options.order(new ArrayList<>());
    String target = provider.ask(handle -> handle.rewrapTarget(nothing));
    readCheckpoint(target, out);
    while (true) {
      pass(provider, task, context, target);
      String now = provider.ask(handle -> handle.rewrapTarget(nothing));
      if (options.dryRun || now.equals(target)) {
        break;
      }
      out.println(now + " wraps by now, since the work began: looks at every object again");
      target = now;
      after = "";
      earlier.clear();
    }
    removeCheckpoint();
    return summary(out);
  }

  /** Every object behind the mark. */
  private void pass(
      ConfiguredProvider provider, RewrapTask task, JavaSparkContext context, String target)
      throws IOException {
    String from = after;
    try (ObjectListing listing =
        provider.ask(handle -> handle.list(options.prefix, options.inventory, from))) {
      for (List<RewrapOrder> orders = round(listing, context);
          !orders.isEmpty();
          orders = round(listing, context)) {
        List<String[]> results = context.parallelize(orders, orders.size()).flatMap(task).collect();
        for (String[] result : results) {
          counts.merge(result[0], 1L, Long::sum);
        }
        report(results);
        after = listing.mark();
        writeCheckpoint(target);
      }
    }
  }

  /** The exit code. */
  private int summary(PrintStream out) {
    out.println(options.identity() + (options.dryRun ? " (a dry run: nothing was written)" : ""));
    counts.forEach((outcome, count) -> out.printf("  %10d  %s%n", count, outcome));
    if (!earlier.isEmpty()) {
      out.println("The earlier runs that it went on from:");
      earlier.forEach((outcome, count) -> out.printf("  %10d  of them %s%n", count, outcome));
    }
    if (counts.isEmpty() && earlier.isEmpty()) {
      out.println("No object's key begins so.");
      return 7;
    }
    long others = counts.getOrDefault("other-key", 0L) + earlier.getOrDefault("other-key", 0L);
    if (others > 0) {
      out.println(
          others
              + " objects were left alone, under keys that the rules do not give at their place: they may"
              + " have been copied there so that holders of another key can read them. Where that is meant,"
              + " name the keys in --from.");
    }
    boolean failed = counts.containsKey("failed") || earlier.containsKey("failed");
    return failed || others > 0 ? 1 : 0;
  }

  /** All is done or was tried: the next run looks at everything, and so at what failed. */
  private void removeCheckpoint() throws IOException {
    if (options.checkpoint == null || options.dryRun) {
      return;
    }
    Path file = new Path(options.checkpoint);
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    fs.delete(file, false);
    fs.delete(file.suffix(NEW), false);
  }

  /** As much as keeps the executors busy that are there by now. */
  private List<RewrapOrder> round(ObjectListing listing, JavaSparkContext context) {
    int tasks = Math.max(1, context.defaultParallelism()) * TASKS_PER_CORE;
    List<RewrapOrder> orders = new ArrayList<>(tasks);
    while (orders.size() < tasks) {
      List<String> keys = listing.next(options.batch);
      if (keys.isEmpty()) {
        break;
      }
      orders.add(options.order(keys));
    }
    return orders;
  }

  private void report(List<String[]> results) throws IOException {
    round++;
    if (options.report == null) {
      return;
    }
    // A run that goes on from an older checkpoint does a round again, and does not replace its report.
    Path file = new Path(options.report, String.format("%d-%06d.jsonl", started, round));
    try (OutputStream out = FileSystem.get(file.toUri(), conf).create(file, true)) {
      for (String[] result : results) {
        out.write((result[1] + "\n").getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  /** Goes on from the checkpoint, if the same keys and versions wrap that wrapped when it began; else begins anew. */
  private void readCheckpoint(String target, PrintStream out) throws IOException {
    if (options.checkpoint == null || options.dryRun) {
      return;
    }
    Path file = new Path(options.checkpoint);
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    if (!fs.exists(file)) {
      // A run was killed between the two steps of writeCheckpoint, or no run has written one.
      file = file.suffix(NEW);
      if (!fs.exists(file)) {
        return;
      }
    }
    Properties found = new Properties();
    try (InputStream in = fs.open(file)) {
      found.load(in);
    }
    if (!options.identity().equals(found.getProperty("of"))) {
      throw EmrKeysException.of(
          "INVALID_VALUE",
          "the checkpoint " + file + " is of another run: " + found.getProperty("of"),
          "Name another file, or remove it to begin anew.",
          null);
    }
    if (!target.equals(found.getProperty("target"))) {
      // Of an older release, or of before a rotation.
      out.println(
          "The checkpoint is of a run to "
              + found.getProperty("target", "versions of keys that it does not say")
              + ", and "
              + target
              + " wraps by now: begins anew");
      return;
    }
    after = found.getProperty("after", "");
    round = Integer.parseInt(found.getProperty("round", "0"));
    for (String name : found.stringPropertyNames()) {
      if (name.startsWith("count.")) {
        earlier.put(name.substring("count.".length()), Long.valueOf(found.getProperty(name)));
      }
    }
  }

  /** To a file beside it first: where the file system can, one takes the other's place in a step. */
  private void writeCheckpoint(String target) throws IOException {
    if (options.checkpoint == null || options.dryRun) {
      return;
    }
    Properties state = new Properties();
    state.setProperty("of", options.identity());
    state.setProperty("target", target);
    state.setProperty("after", after);
    state.setProperty("round", Integer.toString(round));
    Map<String, Long> all = new TreeMap<>(earlier);
    counts.forEach((outcome, count) -> all.merge(outcome, count, Long::sum));
    all.forEach((outcome, count) -> state.setProperty("count." + outcome, count.toString()));
    Path file = new Path(options.checkpoint);
    Path fresh = file.suffix(NEW);
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    try (OutputStream out = fs.create(fresh, true)) {
      state.store(out, null);
    }
    fs.delete(file, false);
    if (!fs.rename(fresh, file)) {
      throw new IOException(fresh + " could not be renamed to " + file);
    }
  }

  private static final class Options {
    private String prefix;
    private String bucket;
    private String inventory = "";
    private String to = "";
    private List<String> from = new ArrayList<>();
    private boolean toRules;
    private boolean recursive;
    private String client;
    private String report;
    private String checkpoint;
    private int batch = 500;
    private int threads = 8;
    private boolean upgradeWrap;
    private boolean dryRun;

    Options(String[] args) {
      Iterator<String> rest = Arrays.asList(args).iterator();
      while (rest.hasNext()) {
        String arg = rest.next();
        switch (arg) {
          case "--to":
            to = value(arg, rest);
            break;
          case "--to-rules":
            toRules = true;
            break;
          case "--from":
            from.addAll(Arrays.asList(value(arg, rest).split(",")));
            break;
          case "--recursive":
            recursive = true;
            break;
          case "--inventory":
            inventory = value(arg, rest);
            break;
          case "--for":
            client = value(arg, rest);
            break;
          case "--report":
            report = value(arg, rest);
            break;
          case "--checkpoint":
            checkpoint = value(arg, rest);
            break;
          case "--batch":
            batch = number(arg, rest);
            break;
          case "--threads":
            threads = number(arg, rest);
            break;
          case "--upgrade-wrap":
            upgradeWrap = true;
            break;
          case "--dry-run":
            dryRun = true;
            break;
          default:
            if (arg.startsWith("-") || prefix != null) {
              throw new IllegalArgumentException("unexpected argument " + arg);
            }
            setPrefix(arg);
        }
      }
      if (prefix == null || to.isEmpty() != toRules) {
        throw new IllegalArgumentException("PREFIX and one of --to KEY and --to-rules are needed");
      }
      if (!recursive && !prefix.endsWith("/") && !prefix.endsWith("/" + bucket)) {
        throw new IllegalArgumentException(
            prefix + " does not end in a slash: end it so, or add --recursive for all keys that begin so");
      }
      if (client != null && !client.equals("s3") && !client.equals("s3a")) {
        throw new IllegalArgumentException("--for " + client + ": write s3 or s3a");
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

    private static String value(String option, Iterator<String> rest) {
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

    Client client(Configuration conf) {
      String known =
          "CSE-CUSTOM".equalsIgnoreCase(conf.get("fs.s3a.encryption.algorithm")) ? "s3a" : "s3";
      return "s3a".equals(client == null ? known : client) ? Client.S3A : Client.S3;
    }

    RewrapOrder order(List<String> keys) {
      return new RewrapOrder(to, from, upgradeWrap, dryRun, threads, bucket, keys);
    }

    /** The options that two runs must share to go on from each other's checkpoints. */
    String identity() {
      String objects = inventory.isEmpty() ? prefix : prefix + " of " + inventory;
      return objects
          + " -> "
          + (toRules ? "the keys of the rules" : to)
          + (from.isEmpty() ? "" : " from " + String.join(", ", new TreeSet<>(from)))
          + (upgradeWrap ? " (wraps upgraded)" : "");
    }
  }
}
