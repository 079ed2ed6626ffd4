package org.emrkeys;

import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.support.KeyFiles;

/** Hadoop configurations for tests: nothing in them but what a test puts there. */
public final class Conf {
  private Conf() {}

  /** One with these properties: name, value, name, value, … */
  public static Configuration of(String... namesAndValues) {
    return with(new Configuration(false), namesAndValues);
  }

  /** A copy of {@code base} with more properties; a null takes one away. */
  public static Configuration with(Configuration base, String... namesAndValues) {
    Configuration conf = new Configuration(base);
    for (int i = 0; i < namesAndValues.length; i += 2) {
      if (namesAndValues[i + 1] == null) {
        conf.unset(namesAndValues[i]);
      } else {
        conf.set(namesAndValues[i], namesAndValues[i + 1]);
      }
    }
    return conf;
  }

  /** One whose default key, for S3 and for disks, is {@code k}, from an AES key file. */
  public static Configuration aes(KeyFiles.Aes key) {
    return aes(key.file);
  }

  /** One whose default key, for S3 and for disks, is {@code k}, from raw bytes in a file. */
  public static Configuration aes(Path file) {
    return of(
        "emrkeys.key.k.type", "aes",
        "emrkeys.key.k.file", file.toUri().toString(),
        "emrkeys.default.key", "k",
        "emrkeys.local-disk.key", "k");
  }

  /** One whose default key is {@code k}, an RSA pair. */
  public static Configuration rsa(Path publicFile, Path privateFile) {
    return of(
        "emrkeys.key.k.type", "rsa",
        "emrkeys.key.k.public", publicFile.toUri().toString(),
        "emrkeys.key.k.private", privateFile.toUri().toString(),
        "emrkeys.default.key", "k");
  }
}
