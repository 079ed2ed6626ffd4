package org.emrkeys.provider;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.Conf;
import org.emrkeys.EmrKeysException;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.emrkeys.bridge.Log;
import org.emrkeys.bridge.NativeOwner;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Threads that are interrupted while a key service or S3 does not answer. */
class InterruptTest {
  private static final String KMS_KEY =
      "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
  private static final Map<String, String> WRITE = Collections.singletonMap("Path", "s3://bucket/object");
  private static final Map<String, String> READ = read();

  /** A key service that takes connections and says nothing. */
  private final ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());

  private final List<Socket> requests = new ArrayList<>();
  private final S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
  private final Configuration conf;

  InterruptTest() throws IOException {
    String endpoint = "http://127.0.0.1:" + silent.getLocalPort();
    conf =
        Conf.of(
            "emrkeys.jce.install", "off",
            "emrkeys.key.remote.type", "kms-cached",
            "emrkeys.key.remote.kms-key-id", KMS_KEY,
            "emrkeys.key.remote.endpoint", endpoint,
            "emrkeys.s3.endpoint", endpoint,
            "emrkeys.s3.region", "eu-west-1",
            "emrkeys.kms.deadline", "60s",
            "emrkeys.default.key", "remote");
    provider.setConf(conf);
  }

  /** The configuration with a key in S3, which does not answer. */
  private Configuration withKeyInS3() {
    conf.set("emrkeys.key.stored.type", "aes");
    conf.set("emrkeys.key.stored.file", "s3://bucket/key");
    conf.set("emrkeys.default.key", "stored");
    return conf;
  }

  private static Map<String, String> read() {
    Map<String, String> stored = new HashMap<>();
    stored.put("emrkeys.key", "remote");
    stored.put("emrkeys.kms-key", KMS_KEY);
    stored.put("emrkeys.wrapped", "AAAA");
    return stored;
  }

  private void awaitRequest() throws IOException {
    silent.setSoTimeout(60_000);
    requests.add(silent.accept());
  }

  @AfterEach
  void close() throws IOException {
    provider.close();
    for (Socket request : requests) {
      request.close();
    }
    silent.close();
  }

  /** A thread that makes a call which has to wait, and how that ended. */
  private final class Asking extends Thread {
    final AtomicReference<Throwable> thrown = new AtomicReference<>();
    final AtomicBoolean interrupted = new AtomicBoolean();
    private final Executable call;

    Asking(Map<String, String> description) {
      this(() -> provider.getEncryptionMaterials(description));
    }

    Asking(Executable call) {
      this.call = call;
      start();
    }

    @Override
    public void run() {
      try {
        call.execute();
      } catch (Throwable e) {
        thrown.set(e);
      }
      interrupted.set(isInterrupted());
    }

    void assertInterrupted() throws InterruptedException {
      interrupt();
      join(30_000); // half of the deadline
      assertFalse(isAlive(), "still waits");
      assertEquals("INTERRUPTED", ((EmrKeysException) thrown.get()).code());
      assertTrue(interrupted.get(), "the thread forgot that it was interrupted");
    }
  }

  @Test
  void aWriteThatWaitsForTheKeyServiceEnds() throws Exception {
    Asking first = new Asking(WRITE);
    awaitRequest();
    first.assertInterrupted();
  }

  @Test
  void aReadThatWaitsForTheKeyServiceEnds() throws Exception {
    Asking first = new Asking(READ);
    awaitRequest();
    first.assertInterrupted();
  }

  @Test
  void aThreadThatWaitsForAnotherThreadsRequestEnds() throws Exception {
    for (Map<String, String> description : Arrays.asList(WRITE, READ)) {
      Asking first = new Asking(description);
      awaitRequest();
      Asking second = new Asking(description);
      second.assertInterrupted();
      assertTrue(first.isAlive(), "the other thread waits on");
      first.assertInterrupted();
    }
  }

  private void assertEnds(Executable call) throws Exception {
    Asking asking = new Asking(call);
    awaitRequest();
    asking.assertInterrupted();
  }

  @Test
  void aStartThatWaitsForAKeyInS3Ends() throws Exception {
    int open = NativeOwner.open();
    S3EncryptionMaterialsProvider other = new S3EncryptionMaterialsProvider();
    Configuration stored = withKeyInS3();
    assertEnds(() -> other.setConf(stored));
    // Ciphers of other tests may be freed meanwhile.
    assertTrue(NativeOwner.open() <= open, open + " before, " + NativeOwner.open());
  }

  @Test
  void aRefreshThatWaitsForAKeyInS3EndsAndTheKeysStay() throws Exception {
    withKeyInS3();
    assertEnds(provider::refresh);
    Asking still = new Asking(WRITE);
    awaitRequest();
    still.assertInterrupted();
  }

  @Test
  void workOnObjectsThatWaitsForS3Ends() throws Exception {
    try (ProviderHandle handle = ProviderHandle.open(Client.S3, new HadoopSettings(conf))) {
      assertEnds(() -> handle.list("s3://bucket/", "s3://bucket/manifest.json", ""));
      ObjectOrder order =
          new ObjectOrder(new RewrapWork("", Collections.emptyList(), false), false, 1, "bucket")
              .of(Arrays.asList("a", "b"));
      assertEnds(() -> handle.run(order));
      assertEnds(() -> handle.target(order));
      try (ObjectListing listing = handle.list("s3://bucket/", "", "")) {
        assertEnds(() -> listing.next(10));
        // Otherwise the objects that nobody got would be skipped.
        assertEquals(
            "CLOSED", assertThrows(EmrKeysException.class, () -> listing.next(10)).code());
      }
    }
  }

  @Test
  void aContentKeyThatWaitsForTheKeyServiceEnds() throws Exception {
    Map<String, String> metadata = new HashMap<>();
    metadata.put("x-amz-key-v2", Base64.getEncoder().encodeToString(new byte[60]));
    metadata.put("x-amz-iv", Base64.getEncoder().encodeToString(new byte[12]));
    metadata.put("x-amz-cek-alg", "AES/GCM/NoPadding");
    metadata.put("x-amz-wrap-alg", "AES/GCM");
    metadata.put("x-amz-tag-len", "128");
    metadata.put(
        "x-amz-matdesc",
        "{\"emrkeys.key\":\"remote\",\"emrkeys.kms-key\":\"" + KMS_KEY + "\",\"emrkeys.wrapped\":\"AAAA\"}");
    try (ProviderHandle handle = ProviderHandle.open(Client.S3A, new HadoopSettings(conf))) {
      assertEnds(() -> handle.contentKey("bucket", "object", metadata, null, in -> in));
    }
  }

  @Test
  void aTableKeyThatWaitsForTheKeyServiceEnds() throws Exception {
    try (ProviderHandle handle = ProviderHandle.open(Client.TABLES, new HadoopSettings(conf))) {
      assertEnds(() -> handle.wrapTableKey("parquet", "remote", new byte[16]));
    }
  }

  private static ConfiguredProvider share(Configuration conf) {
    return ConfiguredProvider.shared(
        Client.S3A, new HadoopSettings(conf), Log.of(InterruptTest.class));
  }

  @Test
  void aStartDoesNotWaitForThatOfAnotherConfiguration() throws Exception {
    Configuration local = new Configuration(conf);
    Configuration stored = withKeyInS3();
    Asking slow = new Asking(() -> share(stored).close());
    awaitRequest();
    share(local).close();
    assertTrue(slow.isAlive(), "still waits for S3");
    slow.assertInterrupted();
  }

  @Test
  void aStartThatWaitsForThatOfTheSameConfigurationEndsOrTakesOver() throws Exception {
    Configuration stored = withKeyInS3();
    Asking first = new Asking(() -> share(stored).close());
    awaitRequest();
    Asking second = new Asking(() -> share(stored).close());
    second.assertInterrupted();
    assertTrue(first.isAlive(), "the other thread waits on");
    Asking third = new Asking(() -> share(stored).close());
    first.assertInterrupted();
    awaitRequest();
    third.assertInterrupted();
  }

  @Test
  void aThreadThatIsInterruptedAlreadyStartsWhereNothingHasToWait() {
    Thread.currentThread().interrupt();
    try {
      provider.setConf(conf);
      provider.refresh();
    } finally {
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void aThreadThatIsInterruptedAlreadyDoesNotWait() throws Exception {
    Thread.currentThread().interrupt();
    try {
      provider.getEncryptionMaterials(WRITE);
      fail("got a key from a service that says nothing");
    } catch (EmrKeysException e) {
      assertEquals("INTERRUPTED", e.code());
    } finally {
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void anInterruptDoesNotDisturbWhatNeedsNoWaiting() {
    Thread.currentThread().interrupt();
    try {
      provider.getEncryptionMaterials((Map<String, String>) null);
    } finally {
      assertTrue(Thread.interrupted());
    }
  }
}
