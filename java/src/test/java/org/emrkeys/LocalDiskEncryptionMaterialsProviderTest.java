package org.emrkeys;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionContext;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterials;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterialsProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Collections;
import java.util.Map;
import java.util.logging.Level;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.util.ReflectionUtils;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LocalDiskEncryptionMaterialsProviderTest {
  private static final EncryptionContext ANY_VOLUME = null;

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes disk = files.aes("disk", 256);
  private final KeyFiles.Aes old = files.aes("old", 256);
  private final Configuration conf =
      Conf.with(
          Conf.aes(disk),
          "emrkeys.default.key", null,
          "emrkeys.local-disk.emr-release", "emr-7.5.0");

  LocalDiskEncryptionMaterialsProviderTest() throws IOException {}

  private static LocalDiskEncryptionMaterialsProvider configured(Configuration conf) {
    LocalDiskEncryptionMaterialsProvider provider = new LocalDiskEncryptionMaterialsProvider();
    provider.setConf(conf);
    return provider;
  }

  @Test
  void hadoopMakesAndConfiguresItByName() throws ClassNotFoundException {
    EncryptionMaterialsProvider provider =
        (EncryptionMaterialsProvider)
            ReflectionUtils.newInstance(
                Class.forName("org.emrkeys.LocalDiskEncryptionMaterialsProvider"), conf);
    assertArrayEquals(
        disk.bytes(), provider.getEncryptionMaterials(ANY_VOLUME).getSymmetricKey().getEncoded());
  }

  @ParameterizedTest
  @CsvSource({
    "emr-5.36.0, AES/GCM/NoPadding",
    "emr-7.0.0, AES/GCM/NoPadding",
    "emr-7.1.0, AES",
    "emr-7.5.0, AES"
  })
  void theNameOfTheAlgorithmFollowsTheRelease(String release, String algorithm) {
    EncryptionMaterials materials =
        configured(Conf.with(conf, "emrkeys.local-disk.emr-release", release))
            .getEncryptionMaterials(ANY_VOLUME);
    assertEquals(algorithm, materials.getSymmetricKey().getAlgorithm());
  }

  @Test
  void theReleaseIsReadFromTheNode() throws IOException {
    Path node = files.file("node.json", "{\"releaseLabel\": \"emr-6.15.0\"}".getBytes("UTF-8"));
    Configuration here =
        Conf.with(
            conf,
            "emrkeys.local-disk.emr-release", null,
            "emrkeys.local-disk.release-file", node.toString());
    assertEquals(
        "AES/GCM/NoPadding",
        configured(here).getEncryptionMaterials(ANY_VOLUME).getSymmetricKey().getAlgorithm());
  }

  @Test
  void aReleaseThatIsNoneIsRefused() {
    assertCode(
        "INVALID_VALUE",
        () -> configured(Conf.with(conf, "emrkeys.local-disk.emr-release", "latest")));
  }

  @Test
  void everyProviderOfOneConfigurationGivesTheSameMaterials() {
    EncryptionMaterials first = configured(conf).getEncryptionMaterials(ANY_VOLUME);
    EncryptionMaterials second = configured(conf).getEncryptionMaterials(new EncryptionContext("volume"));
    EncryptionMaterials none = configured(conf).getEncryptionMaterials((Map<String, String>) null);
    EncryptionMaterials empty = configured(conf).getEncryptionMaterials(Collections.emptyMap());
    for (EncryptionMaterials again : new EncryptionMaterials[] {second, none, empty}) {
      assertEquals(first.getSymmetricKey(), again.getSymmetricKey());
      assertEquals(first.getMaterialsDescription(), again.getMaterialsDescription());
    }
  }

  @Test
  void afterARotationItsDescriptionStillLeadsToTheOldKey() {
    Map<String, String> stored =
        configured(Conf.with(conf, "emrkeys.key.k.file", old.file.toUri().toString()))
            .getEncryptionMaterials(ANY_VOLUME)
            .getMaterialsDescription();
    LocalDiskEncryptionMaterialsProvider rotated =
        configured(
            Conf.with(
                conf,
                "emrkeys.key.k.previous", "before",
                "emrkeys.key.before.type", "aes",
                "emrkeys.key.before.file", old.file.toUri().toString()));
    assertArrayEquals(
        old.bytes(), rotated.getEncryptionMaterials(stored).getSymmetricKey().getEncoded());
    assertArrayEquals(
        disk.bytes(), rotated.getEncryptionMaterials(ANY_VOLUME).getSymmetricKey().getEncoded());
    assertCode("KEY_VERSION_UNKNOWN", () -> configured(conf).getEncryptionMaterials(stored));
  }

  @Test
  void aKeyThatIsNotSymmetricIsRefused() throws IOException, GeneralSecurityException {
    KeyFiles.Rsa pair = files.rsa("pair", 2048);
    Configuration rsa =
        Conf.with(Conf.rsa(pair.publicFile, pair.privateFile), "emrkeys.local-disk.key", "k");
    assertCode("KEY_NOT_SYMMETRIC", () -> configured(rsa));
    Configuration kms =
        Conf.of(
            "emrkeys.key.k.type", "kms",
            "emrkeys.key.k.kms-key-id", "alias/x",
            "emrkeys.local-disk.key", "k");
    assertCode("KEY_NOT_SYMMETRIC", () -> configured(kms));
  }

  @Test
  void noKeyForDisksIsRefused() {
    assertCode(
        "MISSING_PROPERTY", () -> configured(Conf.with(conf, "emrkeys.local-disk.key", null)));
  }

  @Test
  void aKeyThatDisksShareWithS3IsAWarning() {
    try (Logged logged = new Logged()) {
      configured(Conf.with(conf, "emrkeys.default.key", "k"));
      assertEquals(1, logged.at(Level.INFO).size());
      assertEquals(1, logged.at(Level.WARNING).size(), logged.all().toString());
      assertTrue(logged.at(Level.WARNING).get(0).contains("emrkeys.local-disk.key"));
    }
  }

  @Test
  void useBeforeItIsConfiguredIsRefused() {
    LocalDiskEncryptionMaterialsProvider provider = new LocalDiskEncryptionMaterialsProvider();
    assertCode("NOT_CONFIGURED", () -> provider.getEncryptionMaterials(ANY_VOLUME));
    assertCode("NOT_CONFIGURED", () -> provider.getEncryptionMaterials(Collections.emptyMap()));
    assertCode("NOT_CONFIGURED", () -> provider.setConf(null));
  }
}
