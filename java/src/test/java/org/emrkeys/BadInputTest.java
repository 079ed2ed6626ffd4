package org.emrkeys;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

/** Whatever is wrong gets its own code, all the way from the core to whoever called Java. */
class BadInputTest {
  private final KeyFiles files = KeyFiles.create();

  BadInputTest() throws IOException {}

  private static S3EncryptionMaterialsProvider configured(Configuration conf) {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(conf);
    return provider;
  }

  /** Checks that the configuration is refused, by a message that names the property at fault. */
  private static void assertRefused(String code, String property, Configuration conf) {
    EmrKeysException refusal = assertCode(code, () -> configured(conf));
    assertTrue(refusal.getMessage().contains(property), refusal.getMessage());
  }

  private static byte[] pem(String type, byte[] der) {
    String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return ("-----BEGIN " + type + "-----\n" + body + "\n-----END " + type + "-----\n")
        .getBytes(US_ASCII);
  }

  @Nested
  class AesKeyFile {
    private final Path file = files.aes("k", 256).file;

    AesKeyFile() throws IOException {}

    private void assertFileRefused(String code) {
      assertRefused(code, "emrkeys.key.k.file", Conf.aes(file));
    }

    @Test
    void missing() throws IOException {
      Files.delete(file);
      assertFileRefused("KEY_FILE_NOT_FOUND");
    }

    @Test
    void empty() throws IOException {
      Files.write(file, new byte[0]);
      assertFileRefused("KEY_FILE_EMPTY");
    }

    @Test
    void unreadable() {
      // By a name longer than file systems have, since root may read whatever has a name.
      char[] name = new char[300];
      Arrays.fill(name, 'n');
      assertRefused(
          "KEY_FILE_UNREADABLE",
          "emrkeys.key.k.file",
          Conf.aes(files.folder().resolve(new String(name))));
    }

    @Test
    void readableByOthers() throws IOException {
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));
      assertFileRefused("KEY_FILE_PERMISSIONS");
    }

    @Test
    void aSymbolicLink() throws IOException {
      Path link = files.folder().resolve("link");
      Files.createSymbolicLink(link, file);
      assertRefused("KEY_FILE_NOT_REGULAR", "emrkeys.key.k.file", Conf.aes(link));
    }

    @Test
    void aFolder() {
      assertRefused("KEY_FILE_NOT_REGULAR", "emrkeys.key.k.file", Conf.aes(files.folder()));
    }

    @Test
    void anEndlessDevice() {
      Configuration conf =
          Conf.with(Conf.aes(file), "emrkeys.key.k.file", "file:///dev/zero");
      assertRefused("KEY_FILE_NOT_REGULAR", "emrkeys.key.k.file", conf);
    }

    @Test
    void largerThanAnyKey() throws IOException {
      Files.write(file, new byte[70_000]);
      assertFileRefused("KEY_FILE_TOO_LARGE");
    }

    @Test
    void truncated() throws IOException {
      Files.write(file, Arrays.copyOf(Files.readAllBytes(file), 31));
      assertRefused(
          "KEY_SIZE",
          "emrkeys.key.k.file",
          Conf.with(Conf.aes(file), "emrkeys.key.k.encoding", "raw"));
    }

    @Test
    void badBase64() throws IOException {
      Files.write(file, "c2VjcmV0IGtleSE*bm90IGJhc2U2NA==".getBytes(US_ASCII));
      assertRefused(
          "KEY_MATERIAL_INVALID",
          "emrkeys.key.k.file",
          Conf.with(Conf.aes(file), "emrkeys.key.k.encoding", "base64"));
    }

    @Test
    void thatCanBeReadInTwoWays() throws IOException {
      // 32 characters: a key of 256 bits as they stand, one of 128 in hex.
      Files.write(file, "00112233445566778899aabbccddeeff".getBytes(US_ASCII));
      assertFileRefused("KEY_MATERIAL_AMBIGUOUS");
    }
  }

  @Nested
  class RsaKeyFiles {
    private final KeyFiles.Rsa pair = files.rsa("pair", 2048);

    RsaKeyFiles() throws IOException, GeneralSecurityException {}

    @Test
    void wrongPemType() throws IOException {
      Path wrong = files.file("wrong", pem("CERTIFICATE REQUEST", pair.pair.getPublic().getEncoded()));
      assertRefused(
          "KEY_MATERIAL_INVALID", "emrkeys.key.k.public", Conf.rsa(wrong, pair.privateFile));
    }

    @Test
    void truncated() throws IOException {
      byte[] der = pair.pair.getPrivate().getEncoded();
      Path cut = files.file("cut", Arrays.copyOf(der, der.length - 1));
      assertRefused("KEY_MATERIAL_INVALID", "emrkeys.key.k.private", Conf.rsa(pair.publicFile, cut));
    }

    @Test
    void halvesOfTwoPairs() throws IOException, GeneralSecurityException {
      KeyFiles.Rsa other = files.rsa("other", 2048);
      assertRefused(
          "KEY_PAIR_MISMATCH", "emrkeys.key.k", Conf.rsa(pair.publicFile, other.privateFile));
    }

    @Test
    void aKeyOf1024Bits() throws IOException, GeneralSecurityException {
      KeyFiles.Rsa small = files.rsa("small", 1024);
      assertRefused("KEY_SIZE", "emrkeys.key.k", Conf.rsa(small.publicFile, small.privateFile));
    }

    @Test
    void aPrivateKeyThatOthersCanRead() throws IOException {
      Files.setPosixFilePermissions(
          pair.privateFile, PosixFilePermissions.fromString("rw-r-----"));
      assertRefused(
          "KEY_FILE_PERMISSIONS",
          "emrkeys.key.k.private",
          Conf.rsa(pair.publicFile, pair.privateFile));
    }

    @Test
    void aPublicKeyAloneEncryptsAndRefusesToDecrypt() {
      S3EncryptionMaterialsProvider provider =
          configured(
              Conf.with(
                  Conf.rsa(pair.publicFile, pair.privateFile), "emrkeys.key.k.private", null));
      Map<String, String> stored = provider.getEncryptionMaterials().getMaterialsDescription();
      assertCode("KEY_CANNOT_DECRYPT", () -> provider.getEncryptionMaterials(stored));
    }
  }

  @Nested
  class Rules {
    private final Configuration conf =
        Conf.with(
            Conf.aes(files.aes("k", 256)),
            "fs.s3.cse.materialsDescription.enabled", "true",
            "emrkeys.rule.r.key", "k",
            "emrkeys.rule.r.prefix", "s3://lake/r/");

    Rules() throws IOException {}

    private void assertRuleRefused(String code, String property, String... changes) {
      assertRefused(code, property, Conf.with(conf, changes));
    }

    @Test
    void forAnUnknownKey() {
      assertRuleRefused("UNKNOWN_KEY", "emrkeys.rule.r.key", "emrkeys.rule.r.key", "nobody");
    }

    @Test
    void twoWithOnePrefix() {
      assertRuleRefused(
          "DUPLICATE_RULE",
          "emrkeys.rule.s.prefix",
          "emrkeys.rule.s.key",
          "k",
          "emrkeys.rule.s.prefix",
          "s3a://lake/r/");
    }

    @Test
    void byPrefixWhileTheDescriptionIsSwitchedOff() {
      assertRuleRefused(
          "DESCRIPTION_DISABLED",
          "fs.s3.cse.materialsDescription.enabled",
          "fs.s3.cse.materialsDescription.enabled",
          "false");
    }

    @Test
    void aPrefixWithoutBucket() {
      assertRuleRefused(
          "INVALID_URI", "emrkeys.rule.r.prefix", "emrkeys.rule.r.prefix", "s3:///r/");
    }

    @Test
    void aPrefixWithABucketInUpperCase() {
      assertRuleRefused(
          "INVALID_URI", "emrkeys.rule.r.prefix", "emrkeys.rule.r.prefix", "s3://Lake/r/");
    }

    @Test
    void olderVersionsInACircle() {
      assertRuleRefused("CYCLE", "emrkeys.key.k.previous", "emrkeys.key.k.previous", "k");
    }

    @Test
    void anUnknownOlderVersion() {
      assertRuleRefused(
          "UNKNOWN_KEY", "emrkeys.key.k.previous", "emrkeys.key.k.previous", "nobody");
    }

    @Test
    void anUnknownPropertyIsAnsweredWithTheNearestKnownOne() {
      assertRuleRefused(
          "UNKNOWN_PROPERTY", "emrkeys.rule.r.job-flow", "emrkeys.rule.r.jobflow", "j-1");
    }

    @Test
    void aPropertyThatIsHalfACharacter() {
      assertRuleRefused(
          "INVALID_VALUE", "emrkeys.default.key", "emrkeys.default.key", "k\ud800");
    }

    @Test
    void aKmsKeyThatTheV2ClientCouldNotReadBack() {
      assertRuleRefused(
          "KMS_WITH_V2",
          "emrkeys.rule.cloud.key",
          "fs.s3.cse.encryptionV2.enabled",
          "true",
          "emrkeys.key.cloud.type",
          "kms",
          "emrkeys.key.cloud.kms-key-id",
          "alias/x",
          "emrkeys.rule.cloud.key",
          "cloud",
          "emrkeys.rule.cloud.prefix",
          "s3://lake/cloud/");
    }
  }

  @Nested
  class Descriptions {
    private final Configuration conf = Conf.aes(files.aes("k", 256));
    private final S3EncryptionMaterialsProvider provider = configured(conf);
    private final Map<String, String> stored =
        new HashMap<>(provider.getEncryptionMaterials().getMaterialsDescription());

    Descriptions() throws IOException {}

    private void assertDescriptionRefused(String code, Map<String, String> description) {
      assertCode(code, () -> provider.getEncryptionMaterials(description));
    }

    @Test
    void empty() {
      assertDescriptionRefused("DESCRIPTION_UNKNOWN", Collections.emptyMap());
    }

    @Test
    void ofSomethingElse() {
      assertDescriptionRefused("DESCRIPTION_UNKNOWN", Collections.singletonMap("owner", "x"));
    }

    @Test
    void withTenThousandEntries() {
      for (int i = 0; i < 10_000; i++) {
        stored.put("field" + i, "value");
      }
      assertDescriptionRefused("DESCRIPTION_TOO_LARGE", stored);
    }

    @Test
    void withAValueOfOneMebibyte() {
      stored.put("field", new String(new char[1 << 20]).replace('\0', 'v'));
      assertDescriptionRefused("DESCRIPTION_TOO_LARGE", stored);
    }

    @Test
    void withControlCharacters() {
      stored.put("field", "a\u0000b");
      assertDescriptionRefused("INVALID_DESCRIPTION", stored);
    }

    @Test
    void withHalfACharacter() {
      stored.put("emrkeys.key", "k\udc00");
      assertDescriptionRefused("INVALID_DESCRIPTION", stored);
    }

    @Test
    void withANullNameOrValue() {
      assertDescriptionRefused(
          "INVALID_DESCRIPTION", Collections.singletonMap("emrkeys.key", null));
      assertDescriptionRefused("INVALID_DESCRIPTION", Collections.singletonMap(null, "k"));
    }

    @Test
    void namingAnUnknownKey() {
      stored.put("emrkeys.key", "nobody");
      assertDescriptionRefused("KEY_NOT_CONFIGURED", stored);
    }

    @Test
    void namingAnUnknownVersion() {
      stored.put("emrkeys.version", "fp1-00000000000000000000000000000000");
      assertDescriptionRefused("KEY_VERSION_UNKNOWN", stored);
    }

    @Test
    void withATamperedFingerprint() {
      String version = stored.get("emrkeys.version");
      for (int i = 0; i < version.length(); i++) {
        char other = version.charAt(i) == '0' ? '1' : '0';
        stored.put(
            "emrkeys.version", version.substring(0, i) + other + version.substring(i + 1));
        assertDescriptionRefused("KEY_VERSION_UNKNOWN", stored);
      }
    }

    @Test
    void ofALocationThatIsNone() {
      for (String uri : new String[] {"", "lake/x", "s3://", "s3:///x", "s3://Lake/x", "http://a"}) {
        assertDescriptionRefused("INVALID_URI", Collections.singletonMap("Path", uri));
      }
    }

    @Test
    void ofALocationThatNothingCovers() {
      Configuration noDefault =
          Conf.with(
              conf,
              "emrkeys.default.key", null,
              "fs.s3.cse.materialsDescription.enabled", "true",
              "emrkeys.rule.r.prefix", "s3://lake/r/",
              "emrkeys.rule.r.key", "k");
      S3EncryptionMaterialsProvider strict = configured(noDefault);
      assertCode("NO_RULE", strict::getEncryptionMaterials);
      assertCode(
          "NO_RULE",
          () ->
              strict.getEncryptionMaterials(
                  Collections.singletonMap("Path", "s3://lake/other")));
    }
  }
}
