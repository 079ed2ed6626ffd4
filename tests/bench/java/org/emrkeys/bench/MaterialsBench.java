package org.emrkeys.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs all measurements of key resolution: {@code MaterialsBench RESULT.json RELEASE.jar}. */
public final class MaterialsBench {
  private static final int FRESH_JVMS = 11;
  private static final int LOADS = 21;
  private static final int RULES = 10_000;
  private static final long RESIDENT_CALLS = 10_000_000;

  private final Results results = new Results();

  private MaterialsBench() {}

  public static void main(String[] args) throws Exception {
    MaterialsBench bench = new MaterialsBench();
    say("getEncryptionMaterials(Map)");
    bench.calls();
    say("setConf with native load, each in a fresh JVM");
    bench.firstSetConf();
    say("load of rules");
    bench.rulesLoad();
    say("resident memory over " + RESIDENT_CALLS + " calls");
    bench.residentMemory();
    bench.jarSize(Paths.get(args[1]));
    bench.results.write(Paths.get(args[0]));
  }

  private void calls() throws RunnerException {
    for (int threads : new int[] {1, 2}) {
      Collection<RunResult> runs =
          new Runner(
                  new OptionsBuilder()
                      .include(MaterialsBenchmark.class.getName())
                      .mode(Mode.SampleTime)
                      .mode(Mode.Throughput)
                      .threads(threads)
                      .forks(1)
                      .warmupIterations(3)
                      .warmupTime(TimeValue.seconds(1))
                      .measurementIterations(7)
                      .measurementTime(TimeValue.seconds(1))
                      .shouldFailOnError(true)
                      .verbosity(VerboseMode.SILENT)
                      .build())
              .run();
      for (RunResult run : runs) {
        add(run);
      }
    }
  }

  private void add(RunResult run) {
    BenchmarkParams params = run.getParams();
    String name = params.getBenchmark();
    name = "materials-aes-" + name.substring(name.lastIndexOf('.') + 1);
    boolean latency = params.getMode() == Mode.SampleTime;
    List<Double> iterations = new ArrayList<>();
    for (IterationResult iteration : run.getAggregatedResult().getIterationResults()) {
      iterations.add(
          latency
              ? iteration.getPrimaryResult().getStatistics().getPercentile(50)
              : iteration.getPrimaryResult().getScore() * 1e6);
    }
    double[] samples = iterations.stream().mapToDouble(Double::doubleValue).toArray();
    if (latency) {
      results.addMedian(name + "-latency-p50", 0, params.getThreads(), "us", samples);
    } else {
      results.addMedian(name + "-throughput", 0, params.getThreads(), "ops/s", samples);
    }
  }

  private void firstSetConf() throws IOException, InterruptedException {
    double[] millis = new double[FRESH_JVMS];
    for (int i = 0; i < millis.length; i++) {
      millis[i] = Double.parseDouble(FreshJvm.run(Probe.class, "-Xmx256m", "first-setconf")) / 1e6;
    }
    results.addMedian("setconf-with-native-load", 10, 1, "ms", millis);
  }

  private void rulesLoad() throws IOException {
    Configuration conf = new Site().configuration(RULES);
    double[] millis = new double[LOADS];
    for (int i = -LOADS; i < LOADS; i++) {
      S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
      long start = System.nanoTime();
      provider.setConf(conf);
      if (i >= 0) {
        millis[i] = (System.nanoTime() - start) / 1e6;
      }
    }
    results.addMedian("rules-load", RULES, 1, "ms", millis);
  }

  private void residentMemory() throws IOException, InterruptedException {
    // The heap is touched before and cannot grow, so that growth is native memory.
    double bytes =
        Double.parseDouble(
            FreshJvm.run(
                Probe.class, "-Xms128m", "-Xmx128m", "-XX:+AlwaysPreTouch", "resident", "" + RESIDENT_CALLS));
    results.add("resident-growth", RESIDENT_CALLS, 1, "bytes", bytes, bytes, bytes);
  }

  private void jarSize(Path jar) throws IOException {
    long libraries = 0;
    try (ZipFile zip = new ZipFile(jar.toFile())) {
      for (ZipEntry entry : java.util.Collections.list(zip.entries())) {
        if (entry.getName().endsWith(".so")) {
          libraries++;
          results.addMedian(
              String.format(Locale.ROOT, "library-%s", entry.getName().split("/")[1]),
              0, 1, "bytes", entry.getSize());
        }
      }
    }
    results.addMedian("jar", libraries, 1, "bytes", jar.toFile().length());
  }

  private static void say(String what) {
    System.out.println("==> " + what);
  }
}
