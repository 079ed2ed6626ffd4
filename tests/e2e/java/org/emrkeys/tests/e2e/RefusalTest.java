package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.stream.Stream;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The library refuses wrong requests, and a failed write stores nothing. */
@Tag("once") // the library decides what is refused
class RefusalTest {
  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes aes = files.aes("k", 256);
  private final String bucket = Stack.bucket();

  RefusalTest() throws IOException {}

  static Stream<Mode> modes() {
    return Stream.of(Mode.values()).filter(Mode::isAvailable);
  }

  private Site oneRule() {
    return Site.described().aes("k", aes).rule("only", "s3://" + bucket + "/covered/", "k");
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aWriteThatNoRuleMatchesIsRefusedAndStoresNothing(Mode mode) throws IOException {
    for (String storage : new String[] {"ObjectMetadata", "InstructionFile"}) {
      Site site = oneRule().set(EmrfsStandIn.STORAGE_MODE, storage);
      try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
        String uri = "s3://" + bucket + "/uncovered/object";
        Codes.assertCode("NO_RULE", () -> cluster.put(uri, Stack.content(10)));
        Codes.assertCode("NO_RULE", () -> cluster.putMultipart(uri, Stack.content(10)));
        Stack.assertNothingStored(bucket);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aCopyThroughTheClientToWhereNoRuleMatchesIsRefused(Mode mode) throws IOException {
    String from = "s3://" + bucket + "/covered/object";
    String to = "s3://" + bucket + "/uncovered/object";
    try (EmrfsStandIn cluster = oneRule().start(Stack.aws(), mode)) {
      cluster.put(from, Stack.content(10));
      Codes.assertCode("NO_RULE", () -> cluster.copyThroughClient(from, to));
      assertFalse(Stack.aws().s3().doesObjectExist(bucket, "uncovered/object"));
    }
  }

  @Test
  void rulesWithoutTheDescriptionAreRefusedAtConfiguration() {
    Site site = oneRule().set(EmrfsStandIn.DESCRIPTION, "false");
    Codes.assertCode(
        "DESCRIPTION_DISABLED", () -> site.start(Stack.aws(), Mode.V1_AUTHENTICATED));
  }

  @Test
  void aKmsKeyThatV2CouldNotReadIsRefusedAtConfiguration() throws IOException {
    Site site =
        oneRule()
            .kms("cloud", Stack.aws().createKmsKey())
            .rule("cloud", "s3://" + bucket + "/cloud/", "cloud");
    EmrKeysException refusal =
        Codes.assertCode("KMS_WITH_V2", () -> site.start(Stack.aws(), Mode.V2_AUTHENTICATED));
    assertTrue(refusal.getMessage().contains("cloud"), refusal.getMessage());
    // The same site is right for V1.
    site.start(Stack.aws(), Mode.V1_AUTHENTICATED).close();
  }

  @Test
  void aPublicKeyAloneWritesAndCannotRead() throws IOException, GeneralSecurityException {
    KeyFiles.Rsa pair = files.rsa("pair", 2048);
    String uri = "s3://" + bucket + "/object";
    Site writeOnly =
        Site.plain()
            .set("emrkeys.key.k.type", "rsa")
            .set("emrkeys.key.k.public", pair.publicFile.toUri().toString())
            .defaultKey("k");
    try (EmrfsStandIn writer = writeOnly.start(Stack.aws(), Mode.V1_AUTHENTICATED);
        EmrfsStandIn reader =
            Site.plain()
                .rsa("k", pair)
                .defaultKey("k")
                .start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      writer.put(uri, Stack.content(10));
      Codes.assertCode("KEY_CANNOT_DECRYPT", () -> writer.get(uri));
      assertArrayEquals(Stack.content(10), reader.get(uri));
    }
  }
}
