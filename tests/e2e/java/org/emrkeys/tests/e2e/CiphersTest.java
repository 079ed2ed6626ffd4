package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.amazonaws.services.s3.model.ObjectMetadata;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.security.GeneralSecurityException;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.jce.EmrKeysProvider;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * The S3 clients on our ciphers: what they write is what they wrote without them, and the content
 * really goes through ours. With an SDK that asks Bouncy Castle by name, through the stand-in for
 * it.
 */
class CiphersTest {
  private static final int[] SIZES = {0, 1, 16, 17, 70_000, (1 << 20) + 5};

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes aes = files.aes("aes", 256);
  private final KeyFiles.Rsa rsa = files.rsa("rsa", 2048);
  private final String kms = Stack.aws().createKmsKey();
  private final String bucket = Stack.bucket();

  CiphersTest() throws IOException, GeneralSecurityException {}

  @AfterEach
  void uninstall() {
    EmrKeysProvider.uninstall();
  }

  private Site site(String material) {
    Site site = Site.plain();
    switch (material) {
      case "aes":
        site.aes("mine", aes);
        break;
      case "rsa":
        site.rsa("mine", rsa);
        break;
      default:
        site.kms("mine", kms);
    }
    return site.defaultKey("mine");
  }

  @TestFactory
  Stream<DynamicTest> eachReadsWhatTheOtherWrote() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Mode mode : Mode.values()) {
      for (String material : new String[] {"aes", "rsa", "kms"}) {
        if (mode.isAvailable()) {
          tests.add(dynamicTest(mode + " " + material, () -> bothWays(mode, material)));
        }
      }
    }
    return tests.stream();
  }

  private void bothWays(Mode mode, String material) throws IOException {
    String folder = "s3://" + bucket + "/" + mode + "-" + material + "/";
    try (EmrfsStandIn cluster = Ciphers.stock(site(material), mode)) {
      write(cluster, folder + "stock-");
    }
    try (EmrfsStandIn cluster = Ciphers.ours(site(material), mode)) {
      read(cluster, folder + "stock-", mode);
      write(cluster, folder + "ours-");
      read(cluster, folder + "ours-", mode);
    }
    try (EmrfsStandIn cluster = Ciphers.stock(site(material), mode)) {
      read(cluster, folder + "ours-", mode);
    }
  }

  private static void write(EmrfsStandIn cluster, String prefix) {
    for (int size : SIZES) {
      cluster.put(prefix + size, Stack.content(size));
    }
    cluster.putMultipart(prefix + "parts", Stack.content(EmrfsStandIn.PART_SIZE + 17));
  }

  private static void read(EmrfsStandIn cluster, String prefix, Mode mode) throws IOException {
    for (int size : SIZES) {
      assertArrayEquals(Stack.content(size), cluster.get(prefix + size), prefix + size);
    }
    byte[] content = Stack.content(EmrfsStandIn.PART_SIZE + 17);
    assertArrayEquals(content, cluster.get(prefix + "parts"));
    if (!mode.isStrict()) {
      assertArrayEquals(
          Arrays.copyOfRange(content, 1000, 3000), cluster.getRange(prefix + "parts", 1000, 2999));
    }
  }

  @TestFactory
  Stream<DynamicTest> theContentCipherIsOurs() {
    List<DynamicTest> tests = new ArrayList<>();
    for (Mode mode : Mode.values()) {
      for (String material : new String[] {"aes", "rsa", "kms"}) {
        if (mode.isAvailable() && mode != Mode.V1_ENCRYPTION_ONLY) {
          tests.add(
              dynamicTest(mode + " " + material, () -> theContentCipherIsOurs(mode, material)));
        }
      }
    }
    return tests.stream();
  }

  /**
   * Bouncy Castle's GCM is broken here, and SunJCE's refuses the parameters that the SDK gives:
   * only ours can have done it.
   */
  private void theContentCipherIsOurs(Mode mode, String material) throws Exception {
    String uri = "s3://" + bucket + "/broken/" + mode + "-" + material;
    byte[] content = Stack.content(100_000);
    Ciphers.withBouncyCastle(
        new Ciphers.BrokenBouncyCastle(),
        () -> {
          try (EmrfsStandIn cluster = Ciphers.ours(site(material), mode)) {
            cluster.put(uri, content);
            assertArrayEquals(content, cluster.get(uri));
          }
          try (EmrfsStandIn cluster = Ciphers.stock(site(material), mode)) {
            RuntimeException e =
                assertThrows(RuntimeException.class, () -> cluster.put(uri, content));
            assertTrue(
                e.toString().contains(Ciphers.BrokenBouncyCastle.MESSAGE),
                "without ours the content is Bouncy Castle's: " + e);
          }
        });
  }

  /**
   * How much of an object whose last bit is flipped a reader gets before the exception: nearly all by
   * default, as with Bouncy Castle, and nothing with {@code never}.
   */
  @Test
  void releaseOfUnverifiedPlaintextIsAsConfigured() throws Exception {
    String uri = "s3://" + bucket + "/unverified";
    // An SDK of 2019 gives up after 1,000 times 2 KiB for which it got no plaintext.
    byte[] content = Stack.content(Ciphers.sdkHeedsOrder() ? 9 << 20 : 1 << 20);
    Site never = site("aes").set("emrkeys.jce.release-unverified-plaintext", "never");
    try (EmrfsStandIn cluster = Ciphers.ours(never, Mode.V1_AUTHENTICATED)) {
      cluster.put(uri, content);
      assertArrayEquals(content, cluster.get(uri));
      byte[] stored = Stack.storedBytes(uri);
      stored[stored.length - 1] ^= 1;
      ObjectMetadata metadata = new ObjectMetadata();
      metadata.setContentLength(stored.length);
      metadata.setUserMetadata(Stack.stored(uri).userMetadata());
      Stack.aws().s3().putObject(bucket, "unverified", new ByteArrayInputStream(stored), metadata);
      assertEquals(0, readableBytes(cluster, uri));
    }
    never.set("emrkeys.jce.max-buffered-bytes", "1000000");
    try (EmrfsStandIn cluster = Ciphers.ours(never, Mode.V1_AUTHENTICATED)) {
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> readableBytes(cluster, uri));
      assertTrue(e.getMessage().contains("emrkeys.jce.max-buffered-bytes"), e.getMessage());
    }
    try (EmrfsStandIn cluster = Ciphers.ours(site("aes"), Mode.V1_AUTHENTICATED)) {
      int read = readableBytes(cluster, uri);
      assertTrue(read > content.length - 4096, "read " + read);
    }
  }

  private static int readableBytes(EmrfsStandIn cluster, String uri) throws IOException {
    int read = 0;
    try (InputStream in = cluster.open(uri)) {
      byte[] buffer = new byte[1000];
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        read += n;
      }
    } catch (SecurityException expected) {
      return read;
    }
    throw new AssertionError("the flipped bit was not noticed");
  }

  /** Where Bouncy Castle is first, V1 wraps with its MGF1-SHA256 under SunJCE's name. */
  @Test
  void whatBouncyCastleWrappedFirstInTheOrderIsReadable() throws Exception {
    String uri = "s3://" + bucket + "/mgf1";
    byte[] content = Stack.content(1000);
    BouncyCastleProvider first = new BouncyCastleProvider();
    EmrKeysProvider.uninstall();
    Security.removeProvider("BC");
    Security.insertProviderAt(first, 1);
    try (EmrfsStandIn cluster = Ciphers.stock(site("rsa"), Mode.V1_AUTHENTICATED)) {
      cluster.put(uri, content);
    } finally {
      Security.removeProvider("BC");
      Security.addProvider(first);
    }
    try (EmrfsStandIn cluster = Ciphers.ours(site("rsa"), Mode.V1_AUTHENTICATED)) {
      assertThrows(RuntimeException.class, () -> cluster.get(uri), "MGF1-SHA1 read it");
    }
    Site both = site("rsa").set("emrkeys.jce.oaep-mgf1", "both");
    try (EmrfsStandIn cluster = Ciphers.ours(both, Mode.V1_AUTHENTICATED)) {
      assertArrayEquals(content, cluster.get(uri));
    }
  }

  @Test
  void onlyAnSdkThatAsksBouncyCastleByNameIsAWarning() throws Exception {
    List<String> warnings = new ArrayList<>();
    Logger logger = Logger.getLogger(Site.PROVIDER);
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            if (record.getLevel().getName().equals("WARNING")) {
              warnings.add(record.getMessage());
            }
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    EmrKeysProvider.uninstall();
    logger.addHandler(handler);
    try {
      site("aes").start(Stack.aws(), Mode.V1_AUTHENTICATED).close();
      if (Ciphers.sdkHeedsOrder()) {
        assertEquals(Collections.emptyList(), warnings);
      } else {
        assertEquals(1, warnings.size(), warnings.toString());
        assertTrue(warnings.get(0).contains("emrkeys.jce.stand-in-for-bc"), warnings.get(0));
      }
    } finally {
      logger.removeHandler(handler);
    }
  }
}
