package org.emrkeys.bench;

import com.amazonaws.AmazonServiceException;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.File;
import java.io.IOException;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;

/**
 * The calls of KMS that a job makes: {@code KmsBench RESULT.json OBJECTS}. The local KMS takes 10 ms for an
 * answer and no more than 100 requests a second.
 */
public final class KmsBench {
  private static final int THREADS = 16;
  private static final int COLD_THREADS = 1000;
  private static final int CALLS = 200_000;
  private static final byte[] CONTENT = new byte[1024];

  /** Requests on KMS cost that much, in US dollars. Source: AWS KMS pricing, of most regions. */
  private static final double PRICE = 0.03 / 10_000;

  private final LocalAws aws;
  private final String kmsKey;
  private final Results results = new Results();

  private KmsBench(LocalAws aws) {
    this.aws = aws;
    this.kmsKey = aws.createKmsKey();
  }

  public static void main(String[] args) throws Exception {
    int objects = Integer.parseInt(args[1]);
    try (LocalAws aws = LocalAws.start()) {
      KmsBench bench = new KmsBench(aws);
      aws.s3().createBucket("bench");
      bench.makeKeyring();
      for (String mode : new String[] {"kms-cached", "keyring", "kms"}) {
        bench.job(mode, objects);
      }
      for (String mode : new String[] {"kms-cached", "keyring"}) {
        bench.resolve(mode);
        bench.coldThreads(mode);
      }
      bench.fleet();
      bench.results.write(Paths.get(args[0]));
    }
  }

  private void makeKeyring() throws Exception {
    Process process =
        new ProcessBuilder(
                System.getProperty("emrkeys.test.cli"),
                "keyring",
                "create",
                "s3://bench/keyring",
                "--name",
                "k",
                "--kms-key-id",
                kmsKey,
                "--endpoint-url",
                aws.endpoint())
            .redirectOutput(new File("/dev/null"))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    if (process.waitFor() != 0) {
      throw new IOException("emrkeys keyring create failed");
    }
  }

  /** A site whose cache no other shares, since no other has this deadline. */
  private Site site(String mode, int deadlineSeconds) {
    Site site = Site.plain().defaultKey("k").set("emrkeys.kms.deadline", deadlineSeconds + "s");
    switch (mode) {
      case "kms":
        return site.kms("k", kmsKey);
      case "kms-cached":
        return site.kmsCached("k", kmsKey, aws);
      default:
        return site.keyring("k", "s3://bench/keyring", kmsKey, aws);
    }
  }

  /** Writes and reads objects through the SDK client, and counts the calls of KMS. */
  private void job(String mode, int objects) throws Exception {
    try (EmrfsStandIn cluster = site(mode, 21).start(aws, Mode.V1_AUTHENTICATED)) {
      limitKms();
      final int before = calls();
      long start = System.nanoTime();
      each(
          objects,
          i -> patiently(() -> cluster.put("s3://bench/" + mode + "/" + i, CONTENT)));
      each(
          objects,
          i ->
              patiently(
                  () -> {
                    byte[] read = cluster.get("s3://bench/" + mode + "/" + i);
                    if (!Arrays.equals(CONTENT, read)) {
                      throw new IOException("not what was written");
                    }
                  }));
      double seconds = (System.nanoTime() - start) / 1e9;
      int calls = calls() - before;
      row("kms-calls", objects, THREADS, mode, "calls", calls);
      row("kms-job", objects, THREADS, mode, "s", seconds);
    } finally {
      aws.control("DELETE", "faults", null);
    }
  }

  private interface Work {
    void run() throws Exception;
  }

  /** Tries again what KMS throttled even after the SDK's own retries, as a job's next attempt would. */
  private static void patiently(Work work) throws Exception {
    while (true) {
      try {
        work.run();
        return;
      } catch (AmazonServiceException e) {
        if (!e.getErrorCode().equals("ThrottlingException")) {
          throw e;
        }
      }
    }
  }

  private void limitKms() throws IOException {
    aws.control("POST", "faults", "{\"service\": \"kms\", \"count\": null, \"delay\": 0.01}");
    aws.control("POST", "faults", "{\"service\": \"kms\", \"rate\": 100, \"burst\": 100}");
  }

  /** How long a warm key takes through JNI, to encrypt and to decrypt. */
  private void resolve(String mode) throws Exception {
    try (EmrfsStandIn cluster = site(mode, 22).start(aws, Mode.V1_AUTHENTICATED)) {
      EncryptionMaterialsProvider provider = cluster.provider();
      Map<String, String> stored = provider.getEncryptionMaterials().getMaterialsDescription();
      row(
          "resolve-encrypt",
          CALLS, 1, mode, "us", medianMicros(() -> provider.getEncryptionMaterials()));
      row(
          "resolve-decrypt",
          CALLS, 1, mode, "us", medianMicros(() -> provider.getEncryptionMaterials(stored)));
    }
  }

  private static double medianMicros(Callable<Object> call) throws Exception {
    long[] nanos = new long[CALLS];
    for (int round = 0; round < 2; round++) {
      for (int i = 0; i < CALLS; i++) {
        long start = System.nanoTime();
        call.call();
        nanos[i] = System.nanoTime() - start;
      }
    }
    Arrays.sort(nanos);
    return nanos[CALLS / 2] / 1e3;
  }

  /** A thousand threads that want their first key at the same moment. */
  private void coldThreads(String mode) throws Exception {
    try (EmrfsStandIn cluster = site(mode, 23).start(aws, Mode.V1_AUTHENTICATED)) {
      final int before = calls();
      CountDownLatch go = new CountDownLatch(1);
      ExecutorService threads = Executors.newFixedThreadPool(COLD_THREADS);
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < COLD_THREADS; i++) {
        all.add(
            threads.submit(
                () -> {
                  go.await();
                  return cluster.provider().getEncryptionMaterials();
                }));
      }
      go.countDown();
      for (Future<?> one : all) {
        one.get();
      }
      threads.shutdown();
      row("cold-threads", COLD_THREADS, COLD_THREADS, mode, "calls", calls() - before);
    }
  }

  /** The simulation of rust/bench. */
  private void fleet() throws IOException {
    try (Tools tools = new Tools("fleet")) {
      String[] fill = tools.read().split(" ");
      row("cache-entries", 1_000_000, 1, "kms-cached", "keys", Double.parseDouble(fill[1]));
      row("cache-memory", 1_000_000, 1, "kms-cached", "bytes", Double.parseDouble(fill[2]));
      for (int i = 0; i < 3; i++) {
        String[] load = tools.read().split(" ");
        double calls = Double.parseDouble(load[1]);
        row("fleet-calls", 2_000_000, 1000, load[0], "calls", calls);
        row("fleet-peak", 2_000_000, 1000, load[0], "calls/s", Double.parseDouble(load[2]));
        row("fleet-cost", 2_000_000, 1000, load[0], "USD", calls * PRICE);
      }
    }
  }

  private void row(String name, long size, int threads, String mode, String unit, double value) {
    results.addSilently(name, size, threads, mode, unit, value);
    System.out.printf(
        Locale.ROOT, "    %-16s %-10s %8d objects: %14.3f %s%n", name, mode, size, value, unit);
  }

  /** Calls of KMS so far that make or open a key. */
  private int calls() throws IOException {
    Matcher counts =
        Pattern.compile("\"kms\\.(?:GenerateDataKey|Decrypt)\": (\\d+)")
            .matcher(aws.control("GET", "calls", null));
    int sum = 0;
    while (counts.find()) {
      sum += Integer.parseInt(counts.group(1));
    }
    return sum;
  }

  private interface Step {
    void run(int number) throws Exception;
  }

  private static void each(int count, Step step) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    try {
      List<Future<?>> all = new ArrayList<>();
      for (int thread = 0; thread < THREADS; thread++) {
        int first = thread;
        all.add(
            threads.submit(
                () -> {
                  for (int i = first; i < count; i += THREADS) {
                    step.run(i);
                  }
                  return null;
                }));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } finally {
      threads.shutdownNow();
    }
  }
}
