package org.emrkeys.bench;

import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Objects through the SDK v1's V2 client, and its V1 client in EncryptionOnly mode, to and from a server in
 * another process: {@code ObjectsBench RESULT.json ROUNDS}. Each measurement has a JVM of its own.
 */
public final class ObjectsBench {
  private static final long MIB = 1 << 20;
  private static final long[] SIZES = {64 * MIB, 256 * MIB};

  /** Ours, the client as it comes (Bouncy Castle), and no encryption: the most that the client and server here do. */
  private static final String[] PROVIDERS = {"emrkeys", "stock", "plain"};

  /** The same in EMRFS's default mode, EncryptionOnly, whose AES-CBC is the JDK's with ours installed or not. */
  private static final String[] CBC_PROVIDERS = {"emrkeys-cbc", "stock-cbc"};

  private static final String[] UNITS = {"GB/s", "s", "s", "bytes", "bytes"};
  private static final String[] SUFFIXES = {"", "-wall", "-cpu", "-peak-heap", "-peak-resident"};

  private ObjectsBench() {}

  public static void main(String[] args) throws Exception {
    int rounds = Integer.parseInt(args[1]);
    Map<String, List<double[]>> samples = new LinkedHashMap<>();
    try (Tools server = new Tools("serve")) {
      String port = server.read();
      for (int round = 0; round < rounds; round++) {
        for (long size : SIZES) {
          for (String provider : PROVIDERS) {
            for (String operation : new String[] {"put", "get"}) {
              measure(samples, operation, size, provider, "1g", port);
            }
          }
        }
        for (String provider : CBC_PROVIDERS) {
          for (String operation : new String[] {"put", "get"}) {
            measure(samples, operation, 256 * MIB, provider, "1g", port);
          }
        }
        // The heap of a small container: larger ones grow while an object passes, and that costs more than our cipher.
        for (String provider : PROVIDERS) {
          measure(samples, "get", 256 * MIB, provider, "96m", port);
        }
        System.out.printf("    round %d of %d%n", round + 1, rounds);
      }
    }
    Results results = new Results();
    Map<String, Double> rates = new HashMap<>();
    samples.forEach((key, runs) -> rates.put(key, add(results, key.split("/"), runs)));
    compare(rates);
    results.write(Paths.get(args[0]));
  }

  private static void measure(
      Map<String, List<double[]>> samples,
      String operation,
      long size,
      String provider,
      String heap,
      String port)
      throws Exception {
    String[] fields =
        FreshJvm.run(
                ObjectsProbe.class,
                "-Xmx" + heap,
                "-Daws.java.v1.disableDeprecationAnnouncement=true",
                // The server would have to compute it too. TLS to the real one makes up for it.
                "-Dcom.amazonaws.services.s3.disablePutObjectMD5Validation=true",
                operation,
                "" + size,
                provider,
                port)
            .split(" ");
    double[] run = new double[fields.length];
    for (int i = 0; i < fields.length; i++) {
      run[i] = Double.parseDouble(fields[i]);
    }
    String name = "object-" + operation + (heap.equals("1g") ? "" : "-" + heap);
    samples.computeIfAbsent(name + "/" + size + "/" + provider, key -> new ArrayList<>()).add(run);
  }

  /**
   * Prints the ratio that the project promises. A cipher that costs nothing would be as fast as no
   * encryption, so that the rate without encryption limits the ratio.
   */
  private static void compare(Map<String, Double> rates) {
    String key = "object-get-96m/" + 256 * MIB + "/";
    double ours = rates.get(key + "emrkeys");
    double ratio = ours / rates.get(key + "stock");
    System.out.printf(
        Locale.ROOT,
        "    get of 256 MiB, 96 MiB of heap: %.1f x stock, at least 10  %s; %.2f x plain%n",
        ratio, ratio >= 10 ? "met" : "MISSED", ours / rates.get(key + "plain"));
    for (String operation : new String[] {"put", "get"}) {
      String object = "object-" + operation + "/" + 256 * MIB + "/";
      System.out.printf(
          Locale.ROOT,
          "    %s of 256 MiB in EncryptionOnly mode: %.2f x stock%n",
          operation, rates.get(object + "emrkeys-cbc") / rates.get(object + "stock-cbc"));
    }
  }

  /** {@code runs}: wall and CPU seconds, peak heap and peak resident bytes. Returns the rate. */
  private static double add(Results results, String[] key, List<double[]> runs) {
    long size = Long.parseLong(key[1]);
    StringBuilder line =
        new StringBuilder(String.format("    %-16s %4d MiB %-8s", key[0], size / MIB, key[2]));
    double rate = 0;
    for (int i = 0; i < SUFFIXES.length; i++) {
      int column = Math.max(0, i - 1);
      boolean isRate = i == 0;
      double[] values =
          runs.stream().mapToDouble(run -> isRate ? size / 1e9 / run[0] : run[column]).toArray();
      double median =
          results.addSilently(key[0] + SUFFIXES[i], size, 1, key[2], UNITS[i], values);
      rate = isRate ? median : rate;
      line.append(
          UNITS[i].equals("bytes")
              ? String.format(Locale.ROOT, " %7.0f MiB", median / MIB)
              : String.format(Locale.ROOT, " %7.3f %s", median, UNITS[i]));
    }
    System.out.println(line + " (rate, wall, CPU, peak heap, peak resident)");
    return rate;
  }
}
