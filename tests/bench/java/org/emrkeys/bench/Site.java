package org.emrkeys.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Collections;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/** The configuration that is measured: two AES-256 keys, chosen by prefix. */
final class Site {
  private final Path folder;

  private final byte[] key;

  Site() throws IOException {
    this(new byte[32]);
    new java.security.SecureRandom().nextBytes(key);
  }

  Site(byte[] key) throws IOException {
    this.key = key;
    folder = Files.createTempDirectory("emrkeys-bench");
    folder.toFile().deleteOnExit();
  }

  /** A configuration with {@code rules} rules of distinct prefixes; the last is {@code s3://bench/hot/}. */
  Configuration configuration(int rules) throws IOException {
    Configuration conf = new Configuration(false);
    conf.set("fs.s3.cse.materialsDescription.enabled", "true");
    for (String key : new String[] {"hot", "cold"}) {
      conf.set("emrkeys.key." + key + ".type", "aes");
      conf.set("emrkeys.key." + key + ".file", keyFile(key).toUri().toString());
    }
    conf.set("emrkeys.default.key", "cold");
    for (int i = 1; i < rules; i++) {
      conf.set("emrkeys.rule.r" + i + ".prefix", "s3://bench/table-" + i % 100 + "/day-" + i + "/");
      conf.set("emrkeys.rule.r" + i + ".key", i % 2 == 0 ? "hot" : "cold");
    }
    conf.set("emrkeys.rule.hot.prefix", "s3://bench/hot/");
    conf.set("emrkeys.rule.hot.key", "hot");
    return conf;
  }

  /** The description that EMRFS passes for a new object under the prefix of the rule {@code hot}. */
  static Map<String, String> newObject() {
    return Collections.singletonMap("Path", "s3://bench/hot/year=2024/part-00000.snappy.parquet");
  }

  private Path keyFile(String name) throws IOException {
    Path file = folder.resolve(name + ".key");
    if (!Files.exists(file)) {
      Files.createFile(
          file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
      Files.write(file, key);
      file.toFile().deleteOnExit();
    }
    return file;
  }
}
