package org.emrkeys.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.S3EncryptionMaterialsProvider;

/** The measurements that need a JVM of their own. Prints one number last. */
public final class Probe {
  private Probe() {}

  /** {@code first-setconf} prints nanoseconds, {@code resident CALLS} bytes. */
  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "first-setconf":
        System.out.println(firstSetConf());
        break;
      case "resident":
        System.out.println(residentGrowth(Long.parseLong(args[1])));
        break;
      default:
        throw new IllegalArgumentException(args[0]);
    }
  }

  /**
   * Class loading, unpacking and loading of the library, reading of the keys; Hadoop's own classes are
   * there before.
   */
  private static long firstSetConf() throws IOException {
    Configuration conf = new Site().configuration(10);
    conf.iterator();
    long start = System.nanoTime();
    new S3EncryptionMaterialsProvider().setConf(conf);
    return System.nanoTime() - start;
  }

  /** Growth of the process over {@code calls} writes; the first tenth as many warm it up and do not count. */
  private static long residentGrowth(long calls) throws IOException {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(new Site().configuration(10));
    call(provider, calls / 10);
    long before = residentBytes();
    call(provider, calls);
    return residentBytes() - before;
  }

  private static void call(S3EncryptionMaterialsProvider provider, long times) {
    Map<String, String> newObject = Site.newObject();
    for (long i = 0; i < times; i++) {
      if (provider.getEncryptionMaterials(newObject) == null) {
        throw new IllegalStateException("no materials");
      }
    }
  }

  private static long residentBytes() throws IOException {
    for (String line :
        Files.readAllLines(Paths.get("/proc/self/status"), StandardCharsets.UTF_8)) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    throw new IOException("/proc/self/status has no VmRSS");
  }
}
