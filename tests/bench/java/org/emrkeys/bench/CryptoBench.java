package org.emrkeys.bench;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.Provider;
import java.security.Security;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.Cipher;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.bench.CryptoMessage.Kind;
import org.emrkeys.jce.EmrKeysProvider;

/**
 * Ciphers of all providers, of raw aws-lc and memcpy in turns: {@code CryptoBench RESULT.json
 * ROUNDS}. JMH would measure one after the other, in minutes that differ; here every round measures
 * everything, briefly, and the medians of the rounds are compared.
 */
public final class CryptoBench {
  private static final int[] SIZES = {256, 16 << 10, 1 << 20, 64 << 20};
  private static final int THREADS = 2;
  private static final int MILLIS = 90;

  private static final String[] KIND_NAMES = {
    "aes-gcm-encrypt",
    "aes-gcm-decrypt-streaming",
    "aes-gcm-decrypt-verified",
    "aes-ctr",
    "aes-cbc-encrypt",
    "aes-cbc-decrypt",
    "rsa-oaep-unwrap"
  };

  /** Something that is measured: one kind of message, of one provider, of one size, by so many threads. */
  private static final class Point {
    final Kind kind;
    final String peer;
    final int size;
    final int threads;
    final double[] samples;

    Point(Kind kind, String peer, int size, int threads, int rounds) {
      this.kind = kind;
      this.peer = peer;
      this.size = size;
      this.threads = threads;
      samples = new double[rounds];
    }
  }

  private final Tools raw = new Tools("raw");
  private final ExecutorService workers =
      Executors.newFixedThreadPool(
          THREADS,
          task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
          });

  /**
   * Room for a message and what encryption adds, by thread and size. No longer than it has to be:
   * there is a peer that copies whole arrays.
   */
  private final Map<Integer, byte[][]> in = new HashMap<>();

  private final Map<Integer, byte[][]> out = new HashMap<>();

  /** In the order of the tables. Null: the order of the JVM, with ours first. */
  private final Map<String, Provider> providers = new LinkedHashMap<>();

  private final Results results = new Results();
  private final Map<String, Double> medians = new HashMap<>();
  private final int rounds;

  private CryptoBench(int rounds) throws IOException {
    this.rounds = rounds;
    for (int size : SIZES) {
      in.put(size, new byte[THREADS][size + 16]);
      out.put(size, new byte[THREADS][size + 16]);
    }
    in.put(0, new byte[THREADS][1024]); // a wrapped key
    out.put(0, new byte[THREADS][0]);
  }

  public static void main(String[] args) throws Exception {
    CryptoBench bench = new CryptoBench(Integer.parseInt(args[1]));
    bench.findProviders();
    bench.measure(bench.points());
    bench.raw.close();
    bench.table();
    bench.bars();
    bench.results.write(Paths.get(args[0]));
  }

  private void findProviders() throws Exception {
    Security.insertProviderAt(new EmrKeysProvider(), 1);
    providers.put("emrkeys", null);
    providers.put("sunjce", Security.getProvider("SunJCE"));
    providers.put("bc", new BouncyCastleProvider());
    addPeer("accp", "com.amazon.corretto.crypto.provider.AmazonCorrettoCryptoProvider");
    addPeer("conscrypt", "org.conscrypt.OpenSSLProvider");
    // Ours where it is not registered because the JDK's is better: to see that it still is.
    Constructor<EmrKeysProvider> all =
        EmrKeysProvider.class.getDeclaredConstructor(boolean.class);
    all.setAccessible(true);
    providers.put("emrkeys-native", all.newInstance(true));
  }

  private void addPeer(String name, String className) {
    try {
      providers.put(
          name, (Provider) Class.forName(className).getDeclaredConstructor().newInstance());
    } catch (ReflectiveOperationException | LinkageError e) {
      System.out.println("    without " + name + ": " + e);
    }
  }

  private List<Point> points() {
    List<Point> points = new ArrayList<>();
    for (Kind kind : Kind.values()) {
      List<String> peers = new ArrayList<>();
      for (String peer : providers.keySet()) {
        if (has(kind, peer)) {
          peers.add(peer);
        }
      }
      if (kind != Kind.GCM_DECRYPT_BY_IV) {
        peers.add("aws-lc");
      }
      if (kind == Kind.GCM_ENCRYPT) {
        peers.add("memcpy");
      }
      for (int size : kind == Kind.RSA_UNWRAP ? new int[] {0} : SIZES) {
        for (int threads = 1; threads <= THREADS; threads++) {
          for (String peer : peers) {
            points.add(new Point(kind, peer, size, threads, rounds));
          }
        }
      }
    }
    return points;
  }

  private boolean has(Kind kind, String peer) {
    if (kind == Kind.GCM_DECRYPT_BY_IV && !peer.equals("emrkeys")) {
      return false; // other providers know one kind of release
    }
    try {
      if (peer.equals("emrkeys-native")) {
        Provider first = Cipher.getInstance(kind.transformation).getProvider();
        if (first instanceof EmrKeysProvider) {
          return false;
        }
      }
      message(kind, peer, kind == Kind.RSA_UNWRAP ? 0 : 256, 0).check();
      return true;
    } catch (Exception | LinkageError e) {
      System.out.println("    " + peer + " without " + kind.transformation + ": " + e);
      return false;
    }
  }

  private CryptoMessage message(Kind kind, String peer, int size, int thread)
      throws GeneralSecurityException {
    return new CryptoMessage(
        kind,
        providers.get(peer),
        size,
        in.get(size)[thread],
        out.get(size)[thread]);
  }

  private void measure(List<Point> points) throws Exception {
    long start = System.nanoTime();
    for (int round = -1; round < rounds; round++) {
      for (Point point : points) {
        double rate = rate(point, round < 0);
        if (round >= 0) {
          point.samples[round] = rate;
        }
      }
      System.out.printf(
          Locale.ROOT,
          "    %s after %.0f s%n",
          round < 0 ? "warm-up and check" : "round " + (round + 1) + " of " + rounds,
          (System.nanoTime() - start) / 1e9);
    }
    for (Point point : points) {
      boolean rsa = point.kind == Kind.RSA_UNWRAP;
      for (int i = 0; i < rounds; i++) {
        point.samples[i] /= rsa ? 1 : 1e9;
      }
      for (int name = 0; name < KIND_NAMES.length; name++) {
        if (counts(point, Kind.values()[name])) {
          double median =
              results.addSilently(
                  KIND_NAMES[name],
                  point.size,
                  point.threads,
                  point.peer,
                  rsa ? "ops/s" : "GB/s",
                  point.samples);
          medians.put(key(KIND_NAMES[name], point.size, point.threads, point.peer), median);
        }
      }
    }
  }

  /** Whether a measurement stands for a kind: memcpy for all of data, and a peer's one GCM decryption for both. */
  private static boolean counts(Point point, Kind kind) {
    if (point.peer.equals("memcpy")) {
      return kind != Kind.RSA_UNWRAP;
    }
    return point.kind == kind
        || kind == Kind.GCM_DECRYPT_BY_IV
            && point.kind == Kind.GCM_DECRYPT
            && !point.peer.equals("emrkeys");
  }

  private double rate(Point point, boolean check) throws Exception {
    if (point.size >= 1 << 20) {
      System.gc(); // nobody pays for what others left behind
    }
    if (point.peer.equals("aws-lc") || point.peer.equals("memcpy")) {
      String name = KIND_NAMES[point.kind.ordinal()].replaceAll("-(verified|streaming)", "");
      name = point.peer.equals("memcpy") ? "memcpy" : name;
      raw.write(name + " " + point.size + " " + point.threads + " " + MILLIS);
      return Double.parseDouble(raw.read());
    }
    CyclicBarrier barrier = new CyclicBarrier(point.threads);
    List<Future<Double>> running = new ArrayList<>();
    for (int i = 0; i < point.threads; i++) {
      int thread = i;
      running.add(workers.submit(() -> oneThread(point, thread, barrier, check)));
    }
    double sum = 0;
    for (Future<Double> rate : running) {
      sum += rate.get();
    }
    return sum;
  }

  private double oneThread(Point point, int thread, CyclicBarrier barrier, boolean check)
      throws Exception {
    CryptoMessage message = message(point.kind, point.peer, point.size, thread);
    if (check) {
      message.check();
    }
    // Asking for the time takes as long as a tenth of a short message.
    int batch = point.size == 0 ? 1 : Math.max(1, Math.min(256, (64 << 10) / point.size));
    barrier.await();
    long done = 0;
    long start = System.nanoTime();
    long elapsed;
    do {
      for (int i = 0; i < batch; i++) {
        message.run();
      }
      done += batch;
      elapsed = System.nanoTime() - start;
    } while (elapsed < MILLIS * 1_000_000L);
    return done * Math.max(1.0, point.size) / (elapsed / 1e9);
  }

  // ---- what was found ----

  private static String key(String name, int size, int threads, String peer) {
    return name + "/" + size + "/" + threads + "/" + peer;
  }

  private double median(String name, int size, int threads, String peer) {
    return medians.getOrDefault(key(name, size, threads, peer), Double.NaN);
  }

  private void table() {
    List<String> peers = new ArrayList<>(providers.keySet());
    Collections.addAll(peers, "aws-lc", "memcpy");
    StringBuilder head = new StringBuilder(String.format("%-44s", "GB/s (RSA: operations/s)"));
    for (String peer : peers) {
      head.append(String.format("%15s", peer));
    }
    System.out.println(head);
    for (String name : KIND_NAMES) {
      for (int size : name.startsWith("rsa") ? new int[] {0} : SIZES) {
        for (int threads = 1; threads <= THREADS; threads++) {
          StringBuilder line =
              new StringBuilder(
                  String.format("%-26s %9d, %d thread%s", name, size, threads, threads == 1 ? " " : "s"));
          while (line.length() < 44) {
            line.append(' ');
          }
          for (String peer : peers) {
            double value = median(name, size, threads, peer);
            line.append(
                Double.isNaN(value)
                    ? String.format("%15s", "-")
                    : String.format(Locale.ROOT, size == 0 ? "%15.0f" : "%15.3f", value));
          }
          System.out.println(line);
        }
      }
    }
  }

  /** Prints the rates that the project promises, on a machine with VAES; one thread. */
  private void bars() throws IOException {
    String version = System.getProperty("java.specification.version");
    String machine = Results.hasVaes() ? "" : ", on a machine without VAES: not for it";
    System.out.println("Bars, on Java " + version + machine);
    int mib = 1 << 20;
    for (String name : new String[] {"aes-gcm-encrypt", "aes-gcm-decrypt-streaming"}) {
      boolean encrypt = name.endsWith("encrypt");
      bar(name, mib, "aws-lc", 0.93);
      bar(name, mib, "bc", 100);
      if (version.equals("17")) {
        bar(name, mib, "sunjce", encrypt ? 2 : 10);
        bar(name, 256, "sunjce", 1.3);
      } else if (version.equals("1.8")) {
        bar(name, mib, "sunjce", 20);
      }
      bar(name, mib, "accp", encrypt ? 1 : 5);
      bar(name, 256, "accp", 1.4);
    }
    String verified = "aes-gcm-decrypt-verified";
    bar(verified, mib, "aws-lc", 0.55);
    bar(verified, mib, "accp", 3);
    if (version.equals("17")) {
      bar(verified, mib, "sunjce", 6);
      bar(verified, 256, "sunjce", 1.3);
    }
    bar(verified, 256, "accp", 1.4);
    for (int size : SIZES) {
      // The same code where ours is not registered: less than a few per cent is noise.
      bar("aes-ctr", size, "sunjce", 0.97);
      bar("aes-ctr", size, "emrkeys-native", 0.97);
    }
    bar("rsa-oaep-unwrap", 0, "sunjce", 2);
  }

  private void bar(String name, int size, String peer, double least) {
    double ratio = median(name, size, 1, "emrkeys") / median(name, size, 1, peer);
    if (!Double.isNaN(ratio)) {
      System.out.printf(
          Locale.ROOT,
          "    %-26s %9d: %7.2f x %-15s at least %6.2f  %s%n",
          name, size, ratio, peer, least, ratio >= least ? "met" : "MISSED");
    }
  }
}
