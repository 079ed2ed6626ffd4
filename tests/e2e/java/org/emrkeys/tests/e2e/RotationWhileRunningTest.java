package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.kms.model.CreateAliasRequest;
import com.amazonaws.services.kms.model.UpdateAliasRequest;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The procedures of docs/rotation.md for keys that are not keyrings, with writers and readers at
 * work: no read fails, and after the time that is documented no object is under the old key.
 */
@Tag("once") // waits for refreshes, which are the library's
class RotationWhileRunningTest {
  private static final Mode MODE = Mode.V1_AUTHENTICATED;

  private final LocalAws aws = Stack.aws();
  private final KeyFiles files = KeyFiles.create();
  private final String bucket = Stack.bucket();

  RotationWhileRunningTest() throws IOException {}

  /** A writer and a reader in threads of their own, until it is closed. */
  private final class Job implements Closeable {
    private final EmrfsStandIn writer;
    private final EmrfsStandIn reader;
    private final String versionField;
    private final byte[] content = Stack.content(300);
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicBoolean allWritten = new AtomicBoolean();
    private final AtomicInteger written = new AtomicInteger();
    private final AtomicInteger read = new AtomicInteger();
    private final ConcurrentLinkedQueue<String> toRead = new ConcurrentLinkedQueue<>();
    private final ExecutorService threads = Executors.newFixedThreadPool(2);
    private final List<Future<?>> running = new ArrayList<>();

    Job(Site writing, Site reading, String versionField) {
      this.writer = writing.start(aws, MODE);
      this.reader = reading.start(aws, MODE);
      this.versionField = versionField;
      running.add(threads.submit(this::write));
      running.add(threads.submit(this::read));
    }

    private Void write() {
      while (!stop.get()) {
        String uri = "s3://" + bucket + "/" + written.get();
        writer.put(uri, content);
        toRead.add(uri);
        written.incrementAndGet();
      }
      allWritten.set(true);
      return null;
    }

    private Void read() throws Exception {
      while (true) {
        boolean last = allWritten.get();
        String uri = toRead.poll();
        if (uri != null) {
          assertArrayEquals(content, reader.get(uri), uri);
          read.incrementAndGet();
        } else if (last) {
          return null;
        } else {
          Thread.sleep(2);
        }
      }
    }

    /** Lets some more objects be written, and gives the version of the last one. */
    String version() throws Exception {
      int enough = written.get() + 5;
      while (written.get() < enough && !running.get(0).isDone()) {
        Thread.sleep(5);
      }
      String uri = "s3://" + bucket + "/" + (written.get() - 1);
      return Stack.stored(uri).description().get(versionField);
    }

    /** Stops, and fails with whatever failed. Then every object is read once more. */
    void end() throws Exception {
      stop.set(true);
      for (Future<?> one : running) {
        one.get();
      }
      assertEquals(written.get(), read.get());
      assertTrue(written.get() > 10, "only " + written + " objects");
      for (int i = 0; i < written.get(); i++) {
        assertArrayEquals(content, reader.get("s3://" + bucket + "/" + i));
      }
    }

    @Override
    public void close() throws IOException {
      stop.set(true);
      threads.shutdownNow();
      writer.close();
      reader.close();
    }
  }

  @Test
  void anAliasThatPointsElsewhereIsFollowedAtTheAgeOfTheKey() throws Exception {
    String alias = "alias/" + bucket;
    String first = aws.createKmsKey();
    String second = aws.createKmsKey();
    aws.kms().createAlias(new CreateAliasRequest().withAliasName(alias).withTargetKeyId(first));
    Site site =
        Site.plain()
            .kmsCached("lake", alias, aws)
            .set("emrkeys.key.lake.previous-kms-key-ids", first)
            .defaultKey("lake")
            .set("emrkeys.cache.max-age", "1s");
    try (Job job = new Job(site, site, "emrkeys.kms-key")) {
      assertEquals(first, job.version());
      aws.kms().updateAlias(new UpdateAliasRequest().withAliasName(alias).withTargetKeyId(second));
      Thread.sleep(1200);
      assertEquals(second, job.version());
      job.end();
    }
  }

  @Test
  void anotherKmsKeyIsConfiguredForReadersAndThenForWriters() throws Exception {
    String first = aws.createKmsKey();
    String second = aws.createKmsKey();
    Site site =
        Site.plain()
            .kmsCached("lake", first, aws)
            .kmsCached("other", second, aws)
            .set("emrkeys.key.lake.previous", "other")
            .defaultKey("lake");
    try (Job job = new Job(site, site, "emrkeys.kms-key")) {
      assertEquals(first, job.version());
      Configuration conf = configuration(job.writer);
      conf.set("emrkeys.key.lake.kms-key-id", second);
      conf.set("emrkeys.key.other.kms-key-id", first);
      job.writer.provider().refresh();
      assertEquals(second, job.version());
      job.end();
    }
  }

  @Test
  void anAesKeyIsRetired() throws Exception {
    KeyFiles.Aes first = files.aes("first", 256);
    KeyFiles.Aes second = files.aes("second", 256);
    Site before =
        Site.plain()
            .aes("lake", first)
            .aes("other", second)
            .set("emrkeys.key.lake.previous", "other")
            .defaultKey("lake");
    try (Job job = new Job(before, before, "emrkeys.version")) {
      final String old = job.version();
      Configuration conf = configuration(job.writer);
      conf.set("emrkeys.key.lake.file", second.file.toUri().toString());
      conf.set("emrkeys.key.other.file", first.file.toUri().toString());
      job.writer.provider().refresh();
      String current = job.version();
      assertTrue(!current.equals(old), current);
      job.end();
      // Taken out of service, it is missed with its own code and nothing else is used in its place.
      Site after = Site.plain().aes("lake", second).defaultKey("lake");
      EncryptionMaterialsProvider last = after.start(aws, MODE).provider();
      Codes.assertCode(
          "KEY_VERSION_UNKNOWN",
          () ->
              last.getEncryptionMaterials(
                  Stack.stored("s3://" + bucket + "/0").description()));
    }
  }

  private static Configuration configuration(EmrfsStandIn cluster) {
    return ((Configurable) cluster.provider()).getConf();
  }
}
