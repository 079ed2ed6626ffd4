package org.emrkeys;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.util.ReflectionUtils;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

class S3EncryptionMaterialsProviderTest {
  private static final String KMS_KEY = "arn:aws:kms:eu-west-1:111122223333:alias/lake";

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes main = files.aes("main", 256);
  private final KeyFiles.Aes audit = files.aes("audit", 128);
  private final KeyFiles.Rsa pair = files.rsa("pair", 2048);

  S3EncryptionMaterialsProviderTest() throws IOException, GeneralSecurityException {}

  private static Map<String, String> path(String uri) {
    return Collections.singletonMap("Path", uri);
  }

  /** Three kinds of key under three prefixes, and a default. */
  private Configuration lake() {
    return Conf.with(
        Conf.aes(main),
        "emrkeys.local-disk.key", null,
        "fs.s3.cse.materialsDescription.enabled", "true",
        "emrkeys.key.audit.type", "aes",
        "emrkeys.key.audit.file", audit.file.toUri().toString(),
        "emrkeys.key.pair.type", "rsa",
        "emrkeys.key.pair.public", pair.publicFile.toUri().toString(),
        "emrkeys.key.pair.private", pair.privateFile.toUri().toString(),
        "emrkeys.key.cloud.type", "kms",
        "emrkeys.key.cloud.kms-key-id", KMS_KEY,
        "emrkeys.rule.audit.prefix", "s3://lake/audit/",
        "emrkeys.rule.audit.key", "audit",
        "emrkeys.rule.pair.prefix", "s3://lake/pair/",
        "emrkeys.rule.pair.key", "pair",
        "emrkeys.rule.cloud.prefix", "s3://lake/cloud/",
        "emrkeys.rule.cloud.key", "cloud");
  }

  private static S3EncryptionMaterialsProvider configured(Configuration conf) {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(conf);
    return provider;
  }

  @Test
  void hadoopMakesAndConfiguresItByName() throws ClassNotFoundException {
    Configuration conf = lake();
    EncryptionMaterialsProvider provider =
        (EncryptionMaterialsProvider)
            ReflectionUtils.newInstance(
                Class.forName("org.emrkeys.S3EncryptionMaterialsProvider"), conf);
    assertArrayEquals(
        main.bytes(), provider.getEncryptionMaterials().getSymmetricKey().getEncoded());
    assertSame(conf, ((S3EncryptionMaterialsProvider) provider).getConf());
  }

  @Test
  void everyKindOfKeyComesAsTheMaterialsOfItsKind() {
    S3EncryptionMaterialsProvider provider = configured(lake());

    EncryptionMaterials symmetric = provider.getEncryptionMaterials(path("s3://lake/audit/x"));
    assertArrayEquals(audit.bytes(), symmetric.getSymmetricKey().getEncoded());
    assertEquals("AES", symmetric.getSymmetricKey().getAlgorithm());
    assertEquals("audit", symmetric.getMaterialsDescription().get("emrkeys.key"));
    assertNull(symmetric.getKeyPair());

    EncryptionMaterials asymmetric = provider.getEncryptionMaterials(path("s3a://lake/pair/x"));
    assertEquals(pair.pair.getPublic(), asymmetric.getKeyPair().getPublic());
    assertEquals(pair.pair.getPrivate(), asymmetric.getKeyPair().getPrivate());
    assertNull(asymmetric.getSymmetricKey());

    EncryptionMaterials kms = provider.getEncryptionMaterials(path("s3n://lake/cloud/x"));
    assertTrue(kms.isKMSEnabled());
    assertEquals(KMS_KEY, kms.getCustomerMasterKeyId());
  }

  @Test
  void whatIsStoredLeadsBackToTheSameKey() {
    S3EncryptionMaterialsProvider provider = configured(lake());
    for (String uri : new String[] {"s3://lake/audit/x", "s3://lake/other", "s3://lake/pair/x"}) {
      EncryptionMaterials written = provider.getEncryptionMaterials(path(uri));
      EncryptionMaterials read =
          provider.getEncryptionMaterials(written.getMaterialsDescription());
      assertEquals(written.getSymmetricKey(), read.getSymmetricKey());
      assertEquals(written.getMaterialsDescription(), read.getMaterialsDescription());
      if (written.getKeyPair() != null) {
        assertEquals(written.getKeyPair().getPrivate(), read.getKeyPair().getPrivate());
      }
    }
  }

  @Test
  void aNullDescriptionGetsTheLegacyKeyOrNothing() {
    assertNull(configured(lake()).getEncryptionMaterials((Map<String, String>) null));
    assertArrayEquals(
        audit.bytes(),
        configured(Conf.with(lake(), "emrkeys.legacy.key", "audit"))
            .getEncryptionMaterials((Map<String, String>) null)
            .getSymmetricKey()
            .getEncoded());
  }

  @Test
  void aCallerMayChangeTheMaterialsItGot() {
    S3EncryptionMaterialsProvider provider = configured(lake());
    provider.getEncryptionMaterials().addDescription("emrkeys.key", "audit");
    assertEquals(
        "k", provider.getEncryptionMaterials().getMaterialsDescription().get("emrkeys.key"));
  }

  @Test
  void useBeforeItIsConfiguredIsRefused() {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    assertNull(provider.getConf());
    assertCode("NOT_CONFIGURED", provider::getEncryptionMaterials);
    assertCode("NOT_CONFIGURED", () -> provider.getEncryptionMaterials(path("s3://lake/x")));
    assertCode("NOT_CONFIGURED", provider::refresh);
  }

  @Test
  void aNullConfigurationIsRefusedAndChangesNothing() {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    assertCode("NOT_CONFIGURED", () -> provider.setConf(null));
    provider.setConf(lake());
    assertCode("NOT_CONFIGURED", () -> provider.setConf(null));
    assertNotNull(provider.getEncryptionMaterials());
  }

  @Test
  void useAfterAFailedConfigurationSaysWhatHadFailed() {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    Configuration wrong = Conf.with(lake(), "emrkeys.default.key", "nobody");
    EmrKeysException first = assertCode("UNKNOWN_KEY", () -> provider.setConf(wrong));
    EmrKeysException second = assertCode("NOT_CONFIGURED", provider::getEncryptionMaterials);
    assertSame(first, second.getCause());
  }

  @Test
  void allProblemsAreReportedAtOnce() {
    Configuration wrong =
        Conf.with(
            lake(),
            "emrkeys.default.key", "nobody",
            "emrkeys.key.audit.encoding", "base32",
            "emrkeys.defualt.key", "k");
    String message =
        assertCode("UNKNOWN_PROPERTY", () -> configured(wrong)).getMessage();
    for (String part :
        new String[] {
          "emrkeys.default.key", "emrkeys.key.audit.encoding", "emrkeys.defualt.key", "UNKNOWN_KEY"
        }) {
      assertTrue(message.contains(part), message);
    }
  }

  @Test
  void aRefreshReadsKeysAndConfigurationAgain() throws IOException {
    Configuration conf = lake();
    S3EncryptionMaterialsProvider provider = configured(conf);
    Files.write(main.file, audit.bytes());
    provider.refresh();
    assertArrayEquals(
        audit.bytes(), provider.getEncryptionMaterials().getSymmetricKey().getEncoded());
    conf.set("emrkeys.default.key", "pair");
    provider.refresh();
    assertNotNull(provider.getEncryptionMaterials().getKeyPair());
  }

  @Test
  void aRefreshThatFailsKeepsWhatWorked() throws IOException {
    Configuration conf = lake();
    S3EncryptionMaterialsProvider provider = configured(conf);
    Files.delete(main.file);
    conf.set("emrkeys.default.key", "pair");
    try (Logged logged = new Logged()) {
      assertCode("KEY_FILE_NOT_FOUND", provider::refresh);
      assertEquals(1, logged.at(Level.WARNING).size());
    }
    assertArrayEquals(
        main.bytes(), provider.getEncryptionMaterials().getSymmetricKey().getEncoded());
  }

  @Test
  void anotherConfigurationReplacesTheFirstAndAWrongOneDoesNot() {
    S3EncryptionMaterialsProvider provider = configured(lake());
    provider.setConf(Conf.aes(audit));
    assertCode("UNKNOWN_KEY", () -> provider.setConf(Conf.of("emrkeys.default.key", "nobody")));
    assertArrayEquals(
        audit.bytes(), provider.getEncryptionMaterials().getSymmetricKey().getEncoded());
  }

  @Test
  void variablesOfTheConfigurationAreExpanded() {
    Configuration conf =
        Conf.with(
            Conf.aes(main),
            "where", files.folder().toUri().toString(),
            "emrkeys.key.k.file", "${where}/main.key");
    assertArrayEquals(
        main.bytes(), configured(conf).getEncryptionMaterials().getSymmetricKey().getEncoded());
  }

  @Test
  void variablesThatNameEachOtherAreRefused() {
    Configuration conf = Conf.with(lake(), "emrkeys.default.key", "${b}", "b", "${c}", "c", "${b}");
    EmrKeysException refusal = assertCode("INVALID_VALUE", () -> configured(conf));
    assertTrue(refusal.getMessage().contains("emrkeys.default.key"), refusal.getMessage());
  }

  @Test
  void aStartLogsOneLineThatNamesVersionLibraryKeysAndRules() {
    try (Logged logged = new Logged()) {
      S3EncryptionMaterialsProvider provider = configured(lake());
      provider.getEncryptionMaterials();
      provider.getEncryptionMaterials(path("s3://lake/audit/x"));
      List<String> lines = logged.all();
      assertEquals(1, lines.size(), lines.toString());
      assertEquals(lines, logged.at(Level.INFO));
      for (String part :
          new String[] {"emrkeys ", "linux-", "audit", "pair", "cloud", "audit -> audit"}) {
        assertTrue(lines.get(0).contains(part), lines.get(0) + " lacks " + part);
      }
    }
  }

  @Test
  void propertiesOfAwssRsaProviderAloneAreEnough() {
    S3EncryptionMaterialsProvider provider =
        configured(
            Conf.of(
                "fs.s3.cse.rsa.public", pair.publicFile.toUri().toString(),
                "fs.s3.cse.rsa.private", pair.privateFile.toUri().toString(),
                "fs.s3.cse.rsa.name", "payroll"));
    EncryptionMaterials materials = provider.getEncryptionMaterials();
    assertEquals(pair.pair.getPublic(), materials.getKeyPair().getPublic());
    assertEquals("payroll", materials.getMaterialsDescription().get("rsa_name"));
  }

  @Test
  void propertiesOfTheGuidesKmsExampleAloneAreEnough() {
    EncryptionMaterials materials =
        configured(Conf.of("fs.s3.cse.kms.keyId", KMS_KEY)).getEncryptionMaterials();
    assertEquals(KMS_KEY, materials.getCustomerMasterKeyId());
    assertEquals(
        Collections.singletonMap("kms_cmk_id", KMS_KEY), materials.getMaterialsDescription());
  }
}
