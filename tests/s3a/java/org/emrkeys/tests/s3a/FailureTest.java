package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.kms.model.DisableKeyRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.emrkeys.S3AKeyring;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.function.Executable;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;
import software.amazon.encryption.s3.materials.DecryptionMaterials;
import software.amazon.encryption.s3.materials.EncryptionMaterials;

/** Users of S3A see our message if something is wrong, with its code and remedy. */
class FailureTest {
  private final KeyFiles keys = KeyFiles.create();
  private final LocalAws aws = Stack.aws();
  private final String bucket = Stack.bucket();

  FailureTest() throws IOException {}

  @AfterEach
  void faultless() throws IOException {
    Stack.noFaults();
  }

  private Site aes() throws IOException {
    return Site.plain().aes("data", keys.aes("data-" + System.nanoTime(), 256)).defaultKey("data");
  }

  private String path(String key) {
    return "s3a://" + bucket + "/" + key;
  }

  private static void assertShows(String code, Executable action) {
    Throwable thrown = assertThrows(Throwable.class, action);
    String messages = S3aSite.messages(thrown);
    assertTrue(messages.contains("[" + code + "]"), messages);
  }

  private void useFileSystem(Configuration conf) throws IOException {
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    S3aSite.write(files, path("a"), Stack.content(10));
  }

  @Test
  void aMisspeltPropertyIsNamedToTheUser() throws IOException {
    Configuration conf = S3aSite.of(aes().set("emrkeys.defualt.key", "data"));
    assertShows("UNKNOWN_PROPERTY", () -> useFileSystem(conf));
  }

  @Test
  void aMissingKeyFileIsNamedToTheUser() throws IOException {
    Configuration conf = S3aSite.of(aes().set("emrkeys.key.data.file", "file:///nonexistent.key"));
    assertShows("KEY_FILE_NOT_FOUND", () -> useFileSystem(conf));
  }

  @Test
  void aKeyringClassThatDoesNotExistIsNamedToTheUser() throws IOException {
    Configuration conf = S3aSite.of(aes());
    conf.set(S3aSite.KEYRING, "org.emrkeys.S3aKeyring");
    Throwable thrown = assertThrows(Throwable.class, () -> useFileSystem(conf));
    assertTrue(S3aSite.messages(thrown).contains("org.emrkeys.S3aKeyring"));
  }

  @Test
  void aWriteThatNoRuleMatchesIsRefusedAndNothingIsStored() throws IOException {
    Site site =
        Site.plain()
            .aes("data", keys.aes("ruled", 256))
            .rule("r", "s3://" + bucket + "/ruled/", "data");
    assertShows("NO_RULE", () -> useFileSystem(S3aSite.of(site)));
    Stack.assertNothingStored(bucket);
  }

  @Test
  void aKeyThatIsDisabledAfterTheWriteIsRefusedOnceTheCacheHasForgottenIt() throws Exception {
    String kmsKey = aws.createKmsKey();
    Site site =
        Site.plain()
            .kmsCached("cached", kmsKey, aws)
            .set("emrkeys.cache.max-age", "1s")
            .defaultKey("cached");
    FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
    S3aSite.write(files, path("a"), Stack.content(100));
    aws.kms().disableKey(new DisableKeyRequest().withKeyId(kmsKey));
    Thread.sleep(1500);
    assertShows("KEY_UNUSABLE", () -> S3aSite.read(files, path("a")));
  }

  /** A minute of retries by default, and a call of KMS for each. */
  @Test
  void s3aDoesNotTryAgainWhatIsRefusedForGood() throws IOException {
    Site site = Site.plain().kmsCached("cached", aws.createKmsKey(), aws).defaultKey("cached");
    Configuration conf = S3aSite.of(site);
    conf.setInt("fs.s3a.retry.limit", 7);
    Stack.fault(
        "{\"service\": \"kms\", \"status\": 400, \"code\": \"AccessDeniedException\", \"count\": null}");
    int before = Stack.calls("kms.GenerateDataKey");
    assertShows("SOURCE_DENIED", () -> useFileSystem(conf));
    assertEquals(1, Stack.calls("kms.GenerateDataKey") - before);
  }

  @Test
  void throttlingInTheMiddleIsRiddenOut() throws IOException {
    Site site =
        Site.plain().kmsCached("cached", aws.createKmsKey(), aws).defaultKey("cached");
    Stack.fault("{\"service\": \"kms\", \"status\": 400, \"code\": \"ThrottlingException\", \"count\": 3}");
    FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
    S3aSite.write(files, path("a"), Stack.content(100));
    assertArrayEquals(Stack.content(100), S3aSite.read(files, path("a")));
  }

  @Test
  void throttlingThatDoesNotEndIsAnErrorAtTheDeadline() throws IOException {
    Site site =
        Site.plain()
            .kmsCached("cached", aws.createKmsKey(), aws)
            .set("emrkeys.kms.deadline", "1s")
            .defaultKey("cached");
    Stack.fault("{\"service\": \"kms\", \"status\": 400, \"code\": \"ThrottlingException\", \"count\": null}");
    assertShows("SOURCE_THROTTLED", () -> useFileSystem(S3aSite.of(site)));
    Stack.noFaults();
    Stack.assertNothingStored(bucket);
  }

  @Test
  void olderWrapsNeedOurOwnSwitchWhateverS3aHasOn() throws IOException {
    Site site = aes();
    try (EmrfsStandIn emrfs = site.start(aws, Mode.V1_AUTHENTICATED)) {
      emrfs.put("s3://" + bucket + "/old", Stack.content(100));
    }
    FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
    assertThrows(Exception.class, () -> S3aSite.read(files, path("old")));
  }

  @Test
  void theAuditLogNamesTheObjectOfEachWriteAndRead(@TempDir Path folder) throws Exception {
    Path log = folder.resolve("audit.json");
    Configuration conf = S3aSite.of(aes().set("emrkeys.audit", log.toUri().toString()));
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    S3aSite.write(files, path("a"), Stack.content(10));
    S3aSite.read(files, path("a"));
    List<String> lines = Files.readAllLines(log);
    for (String purpose : new String[] {"encrypt", "decrypt"}) {
      assertTrue(
          lines.stream()
              .anyMatch(
                  line ->
                      line.contains("\"" + purpose + "\"")
                          && line.contains("\"s3://" + bucket + "/a\"")),
          lines.toString());
    }
  }

  // S3A does not let some cases through to the keyring, and reports others in words of its own: the tests below ask the
  // keyring itself.

  @Test
  void aKeyringThatIsUsedBeforeItIsConfiguredSaysSo() {
    S3AKeyring keyring = new S3AKeyring();
    Codes.assertCode("NOT_CONFIGURED", () -> keyring.onEncrypt(write("a")));
    Codes.assertCode("NOT_CONFIGURED", () -> keyring.setConf(null));
    Codes.assertCode("NOT_CONFIGURED", () -> new S3AKeyring(null));
  }

  @Test
  void contentInCbcIsRefusedWithAWordOnHowToConvertIt() throws IOException {
    S3AKeyring keyring = new S3AKeyring(aes().set("emrkeys.s3a.allow-legacy", "true").configuration());
    EncryptionMaterials written = keyring.onEncrypt(write("a"));
    Codes.assertCode(
        "CONTENT_UNSUPPORTED",
        () ->
            keyring.onDecrypt(
                read(written, AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF),
                written.encryptedDataKeys()));
  }

  @Test
  void aReadIsNeverTakenForAWrite() throws IOException {
    S3AKeyring keyring = new S3AKeyring(aes().configuration());
    EncryptionMaterials written = keyring.onEncrypt(write("a"));
    DecryptionMaterials asked =
        DecryptionMaterials.builder()
            .s3Request(GetObjectRequest.builder().bucket(bucket).key("a").build())
            .algorithmSuite(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF)
            .encryptionContext(Collections.singletonMap("Path", path("a")))
            .build();
    Codes.assertCode(
        "DESCRIPTION_UNKNOWN", () -> keyring.onDecrypt(asked, written.encryptedDataKeys()));
  }

  @Test
  void keyringsThatAreConfiguredAlikeShareTheirKeys() throws IOException {
    Configuration conf = aes().configuration();
    S3AKeyring one = new S3AKeyring(conf);
    assertSame(one.getConf(), new S3AKeyring(new Configuration(conf)).getConf());
    assertNotSame(one.getConf(), new S3AKeyring(aes().configuration()).getConf());
  }

  private EncryptionMaterials write(String key) {
    return EncryptionMaterials.builder()
        .s3Request(PutObjectRequest.builder().bucket(bucket).key(key).build())
        .algorithmSuite(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF)
        .encryptionContext(Collections.emptyMap())
        .plaintextLength(10)
        .build();
  }

  private DecryptionMaterials read(EncryptionMaterials written, AlgorithmSuite content) {
    return DecryptionMaterials.builder()
        .s3Request(GetObjectRequest.builder().bucket(bucket).key("a").build())
        .algorithmSuite(content)
        .encryptionContext(written.encryptionContext())
        .build();
  }
}
