package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Objects of other clients that S3A would read as something that they are not. */
class ForeignObjectsTest {
  private static final String V1_COMPATIBILITY =
      "fs.s3a.encryption.cse.v1.compatibility.enabled";

  private final KeyFiles keys = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final Site site =
      Site.plain()
          .aes("data", keys.aes("data", 256))
          .defaultKey("data")
          .set("emrkeys.s3a.allow-legacy", "true");

  ForeignObjectsTest() throws IOException {}

  private Path path(String key) {
    return new Path("s3a://" + bucket + "/" + key);
  }

  private void put(Mode mode, String key, byte[] content) throws IOException {
    try (EmrfsStandIn emrfs = site.start(Stack.aws(), mode)) {
      emrfs.put("s3://" + bucket + "/" + key, content);
    }
  }

  private FileSystem files(boolean v1Compatibility) throws IOException {
    Configuration conf = S3aSite.of(site);
    conf.setBoolean(V1_COMPATIBILITY, v1Compatibility);
    return S3aSite.fileSystem(conf, bucket);
  }

  private void assertRefused(String code, FileSystem files, String key) {
    String messages = messagesOfRefusal(files, key);
    assertTrue(messages.contains("[" + code + "]"), messages);
    assertTrue(messages.contains("java.nio.file.AccessDeniedException"), messages);
  }

  private String messagesOfRefusal(FileSystem files, String key) {
    return S3aSite.messages(
        assertThrows(Throwable.class, () -> S3aSite.read(files, path(key).toString())));
  }

  /** Without the interceptor all up to 15 bytes are empty, without an error. */
  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 1000})
  void contentInCbcHasItsLengthAndIsRefused(int length) throws IOException {
    put(Mode.V1_ENCRYPTION_ONLY, "cbc", Stack.content(length));
    FileSystem files = files(false);
    assertEquals(length, files.getFileStatus(path("cbc")).getLen());
    if (S3aSite.writesCommitment()) {
      // Release 4 refuses by its commitment policy, before it asks the keyring.
      String messages = messagesOfRefusal(files, "cbc");
      assertTrue(messages.contains("S3EncryptionClientException: Commitment policy"), messages);
    } else {
      assertRefused("CONTENT_UNSUPPORTED", files, "cbc");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 16, 1000})
  void contentInGcmHasItsLengthAndIsRead(int length) throws IOException {
    byte[] content = Stack.content(length);
    put(Mode.V2_AUTHENTICATED, "gcm", content);
    S3aSite.write(files(false), path("own").toString(), content);
    // Release 4 reads nothing that does not commit to the data key.
    String read = S3aSite.writesCommitment() ? "own" : "gcm";
    for (boolean v1Compatibility : new boolean[] {false, true}) {
      FileSystem files = files(v1Compatibility);
      assertEquals(length, files.getFileStatus(path("gcm")).getLen());
      if (!(v1Compatibility && S3aSite.writesCommitment())) {
        assertArrayEquals(content, S3aSite.read(files, path(read).toString()));
      }
    }
  }

  @Test
  void v1CompatibilityHandsOutNoCiphertextOfCbc() throws IOException {
    put(Mode.V1_ENCRYPTION_ONLY, "cbc", Stack.content(1000));
    assertRefused("CONTENT_UNSUPPORTED", files(true), "cbc");
  }

  @Test
  void v1CompatibilityHandsOutNoCiphertextOfRelease4() throws Exception {
    Cli.put(site, Stack.content(1000), "s3://" + bucket + "/v4", "--format", "v4");
    assertRefused("CONTENT_UNSUPPORTED", files(true), "v4");
  }

  @ParameterizedTest
  @EnumSource(names = {"V1_ENCRYPTION_ONLY", "V1_AUTHENTICATED"})
  void v1CompatibilityHandsOutNoCiphertextOfAnObjectWithAnInstructionFile(Mode mode)
      throws IOException {
    site.set(EmrfsStandIn.STORAGE_MODE, "InstructionFile");
    put(mode, "instructed", Stack.content(1000));
    assertRefused("CONTENT_UNSUPPORTED", files(true), "instructed");
  }

  @Test
  void plainObjectsAreReadWithV1Compatibility() throws IOException {
    byte[] content = Stack.content(1000);
    Stack.aws().s3().putObject(bucket, "plain", new String(content, "ISO-8859-1"));
    FileSystem files = files(true);
    assertEquals(
        Stack.storedBytes("s3://" + bucket + "/plain").length,
        S3aSite.read(files, path("plain").toString()).length);
  }

  /** Objects without a description, under an AES key and under a pair, in one bucket. */
  @Test
  void ofSeveralLegacyKeysTheWrapChoosesOne() throws Exception {
    KeyFiles.Aes aes = keys.aes("old", 256);
    KeyFiles.Rsa rsa = keys.rsa("old-pair", 2048);
    byte[] content = Stack.content(100);
    putWith(new EncryptionMaterials(aes.secretKey()), "aes", content);
    putWith(new EncryptionMaterials(rsa.pair), "rsa", content);
    site.aes("old", aes).rsa("old-pair", rsa).set("emrkeys.legacy.key", "old-pair,old");
    if (S3aSite.writesCommitment()) {
      return; // Release 4 reads nothing that does not commit to the data key.
    }
    for (String object : new String[] {"aes", "rsa"}) {
      assertArrayEquals(content, S3aSite.read(files(false), path(object).toString()), object);
    }
    site.set("emrkeys.legacy.key", "old");
    assertRefused("WRAPPED_KEY_INVALID", files(false), "rsa");
  }

  private void putWith(EncryptionMaterials materials, String key, byte[] content) throws IOException {
    Site plain = PlainProvider.install(Site.plain(), materials);
    try (EmrfsStandIn emrfs = plain.start(Stack.aws(), Mode.V2_AUTHENTICATED)) {
      emrfs.put("s3://" + bucket + "/" + key, content);
    }
  }

  @Test
  void aWrapThatDoesNotSuitTheKeyIsRefusedForGood() throws Exception {
    KeyFiles.Rsa rsa = keys.rsa("other", 2048);
    EncryptionMaterials pair =
        new EncryptionMaterials(rsa.pair).addDescription("owner", "other");
    site.set("emrkeys.key.data.match.owner", "other");
    putWith(pair, "wrapped", Stack.content(100));
    if (!S3aSite.writesCommitment()) {
      assertRefused("WRAPPED_KEY_INVALID", files(false), "wrapped");
    }
  }
}
