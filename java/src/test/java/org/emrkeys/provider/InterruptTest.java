package org.emrkeys.provider;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.emrkeys.Conf;
import org.emrkeys.EmrKeysException;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Threads that are interrupted while a key service does not answer. */
class InterruptTest {
  private static final String KMS_KEY =
      "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
  private static final Map<String, String> WRITE = Collections.singletonMap("Path", "s3://bucket/object");
  private static final Map<String, String> READ = read();

  /** A key service that takes connections and says nothing. */
  private final ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());

  private final List<Socket> requests = new ArrayList<>();
  private final S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();

  InterruptTest() throws IOException {
    provider.setConf(
        Conf.of(
            "emrkeys.jce.install", "off",
            "emrkeys.key.remote.type", "kms-cached",
            "emrkeys.key.remote.kms-key-id", KMS_KEY,
            "emrkeys.key.remote.endpoint", "http://127.0.0.1:" + silent.getLocalPort(),
            "emrkeys.kms.deadline", "60s",
            "emrkeys.default.key", "remote"));
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

  /** A thread that asks for materials, and how that ended. */
  private final class Asking extends Thread {
    final AtomicReference<Throwable> thrown = new AtomicReference<>();
    final AtomicBoolean interrupted = new AtomicBoolean();
    private final Map<String, String> description;

    Asking(Map<String, String> description) {
      this.description = description;
      start();
    }

    @Override
    public void run() {
      try {
        provider.getEncryptionMaterials(description);
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
