package org.emrkeys.spark;

import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.ObjectListing;
import org.emrkeys.provider.ObjectListing.Listed;
import org.emrkeys.provider.ObjectOrder;
import org.emrkeys.provider.ObjectResult;

/**
 * The driver's side of a job on objects: it lists them, or reads an inventory, and hands them out in rounds. After each
 * round the report has a file more and the checkpoint says how far everything is done, so that the same command goes on
 * from there; at the end it is removed, unless it remembers objects in doubt. Without a checkpoint it goes on as well,
 * only slower: what is done is found done, and what failed is tried again.
 *
 * <p>S3 is spoken by the native library, with the AWS credentials of the node and {@code emrkeys.s3.*}; neither EMRFS
 * nor S3A is asked for the objects.
 */
final class ObjectsJob {
  /** The outcome of an object for which the work failed. */
  static final String FAILED = "failed";

  /** So many objects are looked at before the share of those that failed means anything. */
  static final int ENOUGH = 100;

  private static final String DESCRIPTION_ENABLED = "fs.s3.cse.materialsDescription.enabled";
  private static final String OTHER_KEY = "other-key";

  /** Rounds have as many tasks for each core, so that slow ones do not keep the others waiting. */
  private static final int TASKS_PER_CORE = 4;

  /** Objects in a task of the first round; twice as many in each that follows. So a job that fails does so soon. */
  private static final int FIRST_BATCH = 25;

  private final JobOptions options;
  private final JavaSparkContext context;
  private final Configuration conf;
  private final PrintStream out;
  private final Client client;
  private final ConfiguredProvider provider;
  private final Checkpoint checkpoint;
  private final JobReport report;
  private final JobMetrics metrics;

  /** Without objects. */
  private final ObjectOrder order;

  /** Outcomes of this run. */
  private final Map<String, Long> counts = new TreeMap<>();

  private int batch;
  private boolean stopped;

  private ObjectsJob(JobOptions options, JavaSparkContext context, PrintStream out) {
    this.options = options;
    this.context = context;
    this.conf = new Configuration(context.hadoopConfiguration());
    this.out = out;
    client = options.client(conf);
    if (client == Client.S3) {
      // EMRFS hands over the place of an object only with this property; the job itself always does.
      conf.set(DESCRIPTION_ENABLED, "true");
    }
    provider = ObjectsTask.provider(client, conf);
    checkpoint = new Checkpoint(options.checkpoint(), options.wholeIdentity(), conf);
    report = options.report() == null ? null : new JobReport(options.report());
    metrics = new JobMetrics(context, options.work().done());
    order = options.order();
    batch = Math.min(options.batch(), FIRST_BATCH);
  }

  /** Runs an application to its end, and ends the JVM unless all is well. */
  static void main(JobOptions options, String[] args) throws IOException {
    if (Arrays.asList(args).contains("--help")) {
      System.out.println(options.help());
      return;
    }
    int status = 1;
    try {
      options.parse(args);
      SparkConf spark =
          new SparkConf().setIfMissing("spark.app.name", "emrkeys " + options.name() + " " + options.prefix());
      try (JavaSparkContext context = new JavaSparkContext(spark)) {
        status = new ObjectsJob(options, context, System.out).run();
      }
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println(options.help());
      status = 2;
    } catch (EmrKeysException e) {
      System.err.println("error: " + e.getMessage());
    }
    if (status != 0) {
      System.exit(status);
    }
  }

  /** Does the work of a command line in an application that is there, and returns the exit code. */
  static int run(JobOptions options, JavaSparkContext context, PrintStream out, String[] args)
      throws IOException {
    options.parse(args);
    return new ObjectsJob(options, context, out).run();
  }

  private int run() throws IOException {
    String target = target();
    checkpoint.read(target, out);
    while (true) {
      pass(target);
      String now = target();
      if (stopped || options.dryRun() || now.equals(target)) {
        break;
      }
      out.println(now + " wraps by now, since the work began: looks at every object again");
      target = now;
      checkpoint.restart();
    }
    if (!stopped) {
      checkpoint.end(target);
      if (report != null) {
        report.finish(conf);
      }
    }
    return summary();
  }

  private String target() {
    return provider.ask(handle -> handle.target(order));
  }

  /** The objects in doubt, then every other one behind the mark, unless too many fail. */
  private void pass(String target) throws IOException {
    Set<String> doubted = checkpoint.doubted();
    if (!doubted.isEmpty()) {
      out.println(doubted.size() + " objects are in doubt since an earlier run: reads each of them whole");
      List<Listed> objects = doubted.stream().map(key -> new Listed(key, 0)).collect(Collectors.toList());
      work(orders(objects, order.doubted()));
      done(checkpoint.after(), target);
    }
    try (ObjectListing listing =
        provider.ask(handle -> handle.list(options.prefix(), options.inventory(), checkpoint.after()))) {
      List<ObjectOrder> orders = round(listing, doubted);
      while (!orders.isEmpty()) {
        String mark = listing.mark();
        work(orders);
        orders = round(listing, doubted);
        if (failsTooOften() && !orders.isEmpty()) {
          // The checkpoint stays before this round, whose failures are tried again when the cause is removed.
          stopped = true;
          checkpoint.stop(target);
          return;
        }
        done(mark, target);
      }
    }
  }

  private void done(String mark, String target) throws IOException {
    checkpoint.done(mark, target, counts);
    if (report != null) {
      report.forget(checkpoint.round(), conf);
    }
  }

  private void work(List<ObjectOrder> orders) throws IOException {
    int round = checkpoint.round() + 1;
    ObjectsTask task = new ObjectsTask(client, conf, metrics, report, round);
    List<ObjectResult> results = context.parallelize(orders, orders.size()).flatMap(task).collect();
    if (report != null) {
      results = report.resolve(round, results, conf);
      report.write(checkpoint.run(), round, results, conf);
    }
    for (ObjectResult result : results) {
      counts.merge(result.outcome(), 1L, Long::sum);
      checkpoint.note(result);
    }
  }

  private boolean failsTooOften() {
    long failed = counts.getOrDefault(FAILED, 0L);
    return objects() >= ENOUGH && failed * 100 > options.maxFailures() * objects();
  }

  private long objects() {
    return counts.values().stream().mapToLong(Long::longValue).sum();
  }

  /** As much as keeps the executors busy that are there by now, without objects that were looked at before. */
  private List<ObjectOrder> round(ObjectListing listing, Set<String> before) {
    int tasks = Math.max(1, context.defaultParallelism()) * TASKS_PER_CORE;
    List<Listed> objects = new ArrayList<>();
    while (objects.size() < tasks * batch) {
      List<Listed> some = listing.next(Math.min(1000, tasks * batch - objects.size()));
      if (some.isEmpty()) {
        break;
      }
      some.stream().filter(listed -> !before.contains(listed.key())).forEach(objects::add);
    }
    List<ObjectOrder> orders = orders(objects, order);
    batch = Math.min(options.batch(), 2 * batch);
    return orders;
  }

  /** The largest objects first. */
  private List<ObjectOrder> orders(List<Listed> objects, ObjectOrder like) {
    return Slices.of(objects, batch, options.taskBytes()).stream().map(like::of).collect(Collectors.toList());
  }

  /** Prints the outcome, and gives the exit code. */
  private int summary() {
    out.println(options.wholeIdentity() + (options.dryRun() ? " (a dry run: nothing was written)" : ""));
    counts.forEach((outcome, count) -> out.printf("  %10d  %s%n", count, outcome));
    Map<String, Long> earlier = checkpoint.earlier();
    if (!earlier.isEmpty()) {
      out.println("The earlier runs that it went on from:");
      earlier.forEach((outcome, count) -> out.printf("  %10d  of them %s%n", count, outcome));
    }
    if (counts.isEmpty() && earlier.isEmpty()) {
      out.println("No object's key begins so.");
      return 7;
    }
    if (stopped) {
      out.printf(
          "Stopped: %d of %d objects failed, more than %s %% (--max-failures) [OBJECTS_FAILED]. Once the cause is"
              + " removed, the same command tries the last of them again and goes on.%n",
          counts.get(FAILED),
          objects(),
          options.maxFailures());
      return 1;
    }
    long others = counts.getOrDefault(OTHER_KEY, 0L) + earlier.getOrDefault(OTHER_KEY, 0L);
    if (others > 0) {
      out.println(
          others
              + " objects were left alone, under keys that the rules do not give at their place: they may"
              + " have been copied there so that holders of another key can read them. Where that is meant,"
              + " name the keys in --from.");
    }
    boolean failed = counts.containsKey(FAILED) || earlier.containsKey(FAILED);
    return failed || others > 0 ? 1 : 0;
  }
}
