package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A key with older versions: the newest encrypts, all decrypt, the stored fingerprint decides. */
class RotationTest {
  private final KeyFiles files = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final byte[] content = Stack.content(100);

  RotationTest() throws IOException {}

  static Stream<Mode> modes() {
    return Stream.of(Mode.values()).filter(Mode::isAvailable);
  }

  private interface Material {
    /** Configures a key of this material. */
    Site in(Site site, String name);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anAesKeyRotatesTwice(Mode mode) throws IOException {
    KeyFiles.Aes first = files.aes("first", 128);
    KeyFiles.Aes second = files.aes("second", 256);
    KeyFiles.Aes third = files.aes("third", 256);
    rotate(mode, (s, n) -> s.aes(n, first), (s, n) -> s.aes(n, second), (s, n) -> s.aes(n, third));
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anRsaKeyRotatesTwice(Mode mode) throws IOException, GeneralSecurityException {
    KeyFiles.Rsa first = files.rsa("first", 2048);
    KeyFiles.Rsa second = files.rsa("second", 2048);
    KeyFiles.Rsa third = files.rsa("third", 2048);
    rotate(mode, (s, n) -> s.rsa(n, first), (s, n) -> s.rsa(n, second), (s, n) -> s.rsa(n, third));
  }

  private void rotate(Mode mode, Material first, Material second, Material third)
      throws IOException {
    String a = "s3://" + bucket + "/a";
    String b = "s3://" + bucket + "/b";
    String c = "s3://" + bucket + "/c";
    Site one = first.in(Site.plain(), "k").defaultKey("k");
    Site two =
        first
            .in(second.in(Site.plain(), "k").defaultKey("k"), "k-1")
            .set("emrkeys.key.k.previous", "k-1");
    Site three =
        first
            .in(second.in(third.in(Site.plain(), "k").defaultKey("k"), "k-2"), "k-1")
            .set("emrkeys.key.k.previous", "k-2, k-1");
    try (EmrfsStandIn before = one.start(Stack.aws(), mode);
        EmrfsStandIn between = two.start(Stack.aws(), mode);
        EmrfsStandIn after = three.start(Stack.aws(), mode)) {
      before.put(a, content);
      between.put(b, content);
      after.put(c, content);
      assertArrayEquals(content, before.get(a));
      assertArrayEquals(content, between.get(a));
      assertArrayEquals(content, between.get(b));
      for (String uri : new String[] {a, b, c}) {
        assertArrayEquals(content, after.get(uri), uri);
      }
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> before.get(b));
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> between.get(c));
    }
    assertNotEquals(version(a), version(b));
    assertNotEquals(version(b), version(c));
  }

  private static String version(String uri) throws IOException {
    return Stack.stored(uri).description().get("emrkeys.version");
  }
}
