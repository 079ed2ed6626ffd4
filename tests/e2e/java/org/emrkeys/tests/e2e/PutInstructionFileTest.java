package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The SDK's own re-wrapping, {@code putInstructionFile}: which key it gets from emrkeys for which description, as
 * docs/rotation.md says. A provider of one fixed key gives that key for every description.
 */
class PutInstructionFileTest {
  private final KeyFiles files = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final String uri = "s3://" + bucket + "/old/object";
  private final byte[] content = Stack.content(1000);
  private final Site site =
      Site.described()
          .aes("old", files.aes("old", 256))
          .aes("new", files.aes("new", 256))
          .rule("old", "s3://" + bucket + "/old/", "old")
          .rule("new", "s3://" + bucket + "/new/", "new")
          .set(EmrfsStandIn.STORAGE_MODE, "InstructionFile");

  PutInstructionFileTest() throws IOException {}

  static Stream<Mode> modes() {
    return Stream.of(Mode.V1_ENCRYPTION_ONLY, Mode.V1_AUTHENTICATED, Mode.V2_AUTHENTICATED)
        .filter(Mode::isAvailable);
  }

  private EmrfsStandIn written(Mode mode) throws IOException {
    EmrfsStandIn emrfs = site.start(Stack.aws(), mode);
    emrfs.put(uri, content);
    return emrfs;
  }

  private void assertUnder(String key, EmrfsStandIn emrfs) throws IOException {
    assertEquals(key, Stack.stored(uri).description().get("emrkeys.key"));
    assertArrayEquals(content, emrfs.get(uri));
  }

  private static Map<String, String> path(String uri) {
    return Collections.singletonMap("Path", uri);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aLocationGivesTheKeyOfItsRule(Mode mode) throws IOException {
    try (EmrfsStandIn emrfs = written(mode)) {
      emrfs.putInstructionFile(uri, path("s3://" + bucket + "/new/object"));
      assertUnder("new", emrfs);
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void materialsOfTheProviderAreTaken(Mode mode) throws IOException {
    try (EmrfsStandIn emrfs = written(mode)) {
      emrfs.putInstructionFile(
          uri,
          emrfs.provider().getEncryptionMaterials(path("s3://" + bucket + "/new/object")));
      assertUnder("new", emrfs);
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aDescriptionThatNamesAKeyWithoutAVersionIsRefused(Mode mode) throws IOException {
    try (EmrfsStandIn emrfs = written(mode)) {
      Map<String, String> named = Collections.singletonMap("emrkeys.key", "new");
      Codes.assertCode("INVALID_DESCRIPTION", () -> emrfs.putInstructionFile(uri, named));
      assertUnder("old", emrfs);
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aDescriptionThatNamesNothingIsRefused(Mode mode) throws IOException {
    try (EmrfsStandIn emrfs = written(mode)) {
      Map<String, String> foreign = Collections.singletonMap("purpose", "rotation");
      Codes.assertCode("DESCRIPTION_UNKNOWN", () -> emrfs.putInstructionFile(uri, foreign));
      assertUnder("old", emrfs);
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void theKeyThatTheObjectHasIsRefusedByTheSdk(Mode mode) throws IOException {
    try (EmrfsStandIn emrfs = written(mode)) {
      assertThrows(SecurityException.class, () -> emrfs.putInstructionFile(uri, path(uri)));
      assertUnder("old", emrfs);
    }
  }
}
