package org.emrkeys;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

class ConcurrencyTest {
  private static final int THREADS = 24;
  private static final int CHANGES = 100;

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes first = files.aes("first", 256);
  private final KeyFiles.Aes second = files.aes("second", 256);

  ConcurrencyTest() throws IOException {}

  @Test
  void refreshesAndConfigurationsNeverDisturbWhoeverAsks() throws Exception {
    Configuration conf =
        Conf.with(
            Conf.aes(first),
            "fs.s3.cse.materialsDescription.enabled", "true",
            "emrkeys.rule.r.prefix", "s3://lake/r/",
            "emrkeys.rule.r.key", "k",
            "emrkeys.key.k.previous", "both",
            "emrkeys.key.both.type", "aes",
            "emrkeys.key.both.file", files.file("both", second.bytes()).toUri().toString());
    Configuration broken = Conf.with(conf, "emrkeys.default.key", "nobody");
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(conf);

    AtomicBoolean stop = new AtomicBoolean();
    AtomicLong asked = new AtomicLong();
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<?>> running = new ArrayList<>();
    for (int i = 0; i < THREADS; i++) {
      Map<String, String> path = Collections.singletonMap("Path", "s3://lake/r/" + i);
      running.add(
          threads.submit(
              () -> {
                while (!stop.get()) {
                  EncryptionMaterials written = provider.getEncryptionMaterials(path);
                  byte[] key = written.getSymmetricKey().getEncoded();
                  // One of the two, whole, and what is stored belongs to it.
                  assertTrue(
                      Arrays.equals(key, first.bytes()) || Arrays.equals(key, second.bytes()));
                  byte[] again =
                      provider
                          .getEncryptionMaterials(written.getMaterialsDescription())
                          .getSymmetricKey()
                          .getEncoded();
                  assertTrue(Arrays.equals(key, again));
                  asked.incrementAndGet();
                }
                return null;
              }));
    }
    for (int i = 0; i < CHANGES; i++) {
      // Swapped, never half written, for refresh() reads it meanwhile: by a rename.
      KeyFiles.Aes next = i % 2 == 0 ? second : first;
      KeyFiles.Aes before = i % 2 == 0 ? first : second;
      replace(files.folder().resolve("both"), before.bytes());
      replace(first.file, next.bytes());
      if (i % 3 == 0) {
        provider.setConf(conf);
      } else {
        provider.refresh();
      }
      try {
        provider.setConf(broken);
        throw new AssertionError("was not refused");
      } catch (EmrKeysException expected) {
        assertTrue(expected.code().equals("UNKNOWN_KEY"));
      }
    }
    stop.set(true);
    for (Future<?> thread : running) {
      thread.get(30, TimeUnit.SECONDS);
    }
    threads.shutdown();
    assertTrue(asked.get() > CHANGES, asked + " requests");
  }

  private void replace(Path file, byte[] bytes) throws IOException {
    Path fresh = files.file("fresh" + System.nanoTime(), bytes);
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
  }
}
