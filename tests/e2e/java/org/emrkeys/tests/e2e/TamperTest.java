package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.amazonaws.services.s3.model.ObjectMetadata;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
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
 * One bit of a stored object changed, anywhere in it: through our ciphers a GCM object is then
 * never read as if nothing had happened. 1,000 flips over all clients and wraps, the same in each
 * run.
 */
class TamperTest {
  private static final int FLIPS = 1000;
  private static final String[] PARTS = {
    "body", "tag", "x-amz-iv", "x-amz-key-v2", "x-amz-matdesc"
  };
  private static final int TAG = 16;

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes aes = files.aes("aes", 256);
  private final KeyFiles.Rsa rsa = files.rsa("rsa", 2048);
  private final String bucket = Stack.bucket();

  TamperTest() throws IOException, GeneralSecurityException {}

  @AfterEach
  void uninstall() {
    EmrKeysProvider.uninstall();
  }

  @TestFactory
  Stream<DynamicTest> aFlippedBitIsAnException() {
    List<Mode> modes = new ArrayList<>();
    for (Mode mode : Mode.values()) {
      if (mode.isAvailable() && mode != Mode.V1_ENCRYPTION_ONLY) {
        modes.add(mode);
      }
    }
    int flips = FLIPS / (2 * modes.size() * PARTS.length);
    return modes.stream()
        .flatMap(
            mode ->
                Stream.of(true, false)
                    .map(
                        symmetric ->
                            dynamicTest(
                                mode + (symmetric ? " aes" : " rsa"),
                                () -> flip(mode, symmetric, flips))));
  }

  private void flip(Mode mode, boolean symmetric, int flips) throws IOException {
    Site site = Site.plain();
    if (symmetric) {
      site.aes("mine", aes);
    } else {
      site.rsa("mine", rsa);
    }
    String name = mode + (symmetric ? "-aes" : "-rsa");
    String uri = "s3://" + bucket + "/" + name;
    byte[] content = Stack.content(3000);
    Random random = new Random(mode.ordinal());
    try (EmrfsStandIn cluster = Ciphers.ours(site.defaultKey("mine"), mode)) {
      cluster.put(uri, content);
      byte[] body = Stack.storedBytes(uri);
      Map<String, String> metadata = Stack.stored(uri).userMetadata();
      assertEquals(content.length + TAG, body.length);
      // An object that is put back unchanged is read: it is the flip that makes the difference.
      store(name + "-flipped", body, metadata);
      assertArrayEquals(content, cluster.get(uri + "-flipped"));
      for (String part : PARTS) {
        for (int i = 0; i < flips; i++) {
          byte[] otherBody = body.clone();
          Map<String, String> otherMetadata = new TreeMap<>(metadata);
          flipOne(part, random, otherBody, otherMetadata);
          store(name + "-flipped", otherBody, otherMetadata);
          String what = mode + " " + part + " " + i + " " + otherMetadata.get(part);
          byte[] read;
          try {
            read = cluster.get(uri + "-flipped");
          } catch (IOException | RuntimeException e) {
            continue;
          }
          throw new AssertionError(
              what + (Arrays.equals(content, read) ? ": read as it was" : ": READ AS OTHER DATA"));
        }
      }
    }
  }

  /**
   * By 16 known bytes of an object's plaintext a person knows 16 bytes of the cipher's stream, and so
   * a block of AES with its plaintext: enough for AES-CBC of their own. Nothing in the first client's
   * wrap says which cipher the data key is for.
   */
  @Test
  void gcmThatIsDeclaredToBeCbcIsReadByTheFirstClientAndRefusedByTheSecond() throws IOException {
    byte[] forged = "paid to Mallory".getBytes(StandardCharsets.US_ASCII);
    for (Mode mode : new Mode[] {Mode.V1_AUTHENTICATED, Mode.V2_AUTHENTICATED}) {
      if (!mode.isAvailable()) {
        continue;
      }
      String uri = "s3://" + bucket + "/" + mode + "-as-cbc";
      byte[] content = Stack.content(3000);
      Site site = Site.plain().aes("mine", aes).defaultKey("mine");
      try (EmrfsStandIn cluster = Ciphers.ours(site, mode)) {
        cluster.put(uri, content);
        declareCbc(uri, mode + "-as-cbc", content, forged);
        if (mode.isV2()) {
          assertThrows(Exception.class, () -> cluster.get(uri));
        } else {
          assertArrayEquals(forged, cluster.get(uri));
        }
      }
    }
  }

  /** Puts {@code forged}, of 15 bytes, in the place of an object whose content is known. */
  private void declareCbc(String uri, String key, byte[] content, byte[] forged)
      throws IOException {
    byte[] body = Stack.storedBytes(uri);
    Map<String, String> metadata = new TreeMap<>(Stack.stored(uri).userMetadata());
    // The block that the cipher encrypts first: the vector and a counter, NIST SP 800-38D.
    byte[] counter = Arrays.copyOf(Base64.getDecoder().decode(metadata.get("x-amz-iv")), 16);
    counter[15] = 2;
    byte[] block = new byte[16];
    byte[] vector = new byte[16];
    for (int i = 0; i < 16; i++) {
      block[i] = (byte) (body[i] ^ content[i]);
      vector[i] = (byte) (counter[i] ^ (i < 15 ? forged[i] : 1)); // padded by one byte
    }
    metadata.put("x-amz-iv", Base64.getEncoder().encodeToString(vector));
    metadata.put("x-amz-cek-alg", "AES/CBC/PKCS5Padding");
    metadata.put("x-amz-unencrypted-content-length", "15");
    metadata.remove("x-amz-tag-len");
    store(key, block, metadata);
  }

  private static void flipOne(
      String part, Random random, byte[] body, Map<String, String> metadata) {
    int end = body.length - TAG;
    switch (part) {
      case "body":
        flipBit(body, random.nextInt(end * 8));
        break;
      case "tag":
        flipBit(body, end * 8 + random.nextInt(TAG * 8));
        break;
      case "x-amz-matdesc":
        metadata.put(part, flipText(metadata.get(part), random));
        break;
      default:
        byte[] bytes = Base64.getDecoder().decode(metadata.get(part));
        flipBit(bytes, random.nextInt(bytes.length * 8));
        metadata.put(part, Base64.getEncoder().encodeToString(bytes));
    }
  }

  private static void flipBit(byte[] bytes, int bit) {
    bytes[bit / 8] ^= (byte) (1 << bit % 8);
  }

  /** A bit of a text, such that a header can still carry it. */
  private static String flipText(String text, Random random) {
    while (true) {
      char[] chars = text.toCharArray();
      chars[random.nextInt(chars.length)] ^= (char) (1 << random.nextInt(7));
      String flipped = new String(chars);
      if (flipped.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
        return flipped;
      }
    }
  }

  private void store(String key, byte[] body, Map<String, String> metadata) throws IOException {
    ObjectMetadata all = new ObjectMetadata();
    all.setContentLength(body.length);
    all.setUserMetadata(metadata);
    Stack.aws().s3().putObject(bucket, key, new ByteArrayInputStream(body), all);
  }
}
