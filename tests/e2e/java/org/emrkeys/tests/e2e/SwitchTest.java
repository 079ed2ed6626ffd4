package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.KMSEncryptionMaterials;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Collections;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Moving to emrkeys from what people run today, and back: nobody's objects get lost on the way. */
class SwitchTest {
  private final KeyFiles.Rsa rsa = KeyFiles.create().rsa("pair", 2048);
  private final KeyFiles.Aes aes = KeyFiles.create().aes("aes", 256);
  private final String kms = Stack.aws().createKmsKey();
  private final String bucket = Stack.bucket();
  private final String uri = "s3://" + bucket + "/object";
  private final byte[] content = Stack.content(4097);

  SwitchTest() throws IOException, GeneralSecurityException {}

  static Stream<Mode> modes() {
    return Stream.of(Mode.values()).filter(Mode::isAvailable);
  }

  /** The materials of AWS's RSA provider: one pair, and its name in the description. */
  private EncryptionMaterials awsRsa(String name) {
    return new EncryptionMaterials(rsa.pair).addDescription("rsa_name", name);
  }

  /** The properties of AWS's RSA provider, as its users have them in emrfs-site. */
  private Site awsRsaSite(String name) {
    return Site.plain()
        .set("fs.s3.cse.rsa.public", rsa.publicFile.toUri().toString())
        .set("fs.s3.cse.rsa.private", rsa.privateFile.toUri().toString())
        .set("fs.s3.cse.rsa.name", name);
  }

  private void write(Site site, Mode mode) throws IOException {
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
      cluster.put(uri, content);
    }
  }

  private void assertReads(Site site, Mode mode) throws IOException {
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
      assertArrayEquals(content, cluster.get(uri));
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectOfAwsRsaProviderIsReadWithItsOwnProperties(Mode mode) throws IOException {
    write(PlainProvider.install(Site.plain(), awsRsa("my-pair")), mode);
    assertReads(awsRsaSite("my-pair"), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectOfAwsRsaProviderIsReadByAKeyWithItsLegacyName(Mode mode) throws IOException {
    write(PlainProvider.install(Site.plain(), awsRsa("my-pair")), mode);
    Site site =
        Site.described()
            .rsa("people", rsa)
            .set("emrkeys.key.people.legacy-name", "my-pair")
            .aes("orders", aes)
            .defaultKey("orders");
    assertReads(site, mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectOfAwsRsaProviderUnderAnotherNameIsRefused(Mode mode) throws IOException {
    write(PlainProvider.install(Site.plain(), awsRsa("their-pair")), mode);
    try (EmrfsStandIn cluster = awsRsaSite("my-pair").start(Stack.aws(), mode)) {
      Codes.assertCode("KEY_NOT_CONFIGURED", () -> cluster.get(uri));
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void whatTheRsaPropertiesWriteAwsRsaProviderCanRead(Mode mode) throws IOException {
    write(awsRsaSite("my-pair"), mode);
    // AWS's provider throws unless the stored name is its own.
    assertEquals("my-pair", Stack.stored(uri).description().get("rsa_name"));
    assertReads(PlainProvider.install(Site.plain(), awsRsa("my-pair")), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void whatAnRsaKeyWithALegacyNameWritesAwsRsaProviderCanRead(Mode mode) throws IOException {
    Site site =
        Site.plain()
            .rsa("people", rsa)
            .set("emrkeys.key.people.legacy-name", "my-pair")
            .defaultKey("people");
    write(site, mode);
    assertEquals("my-pair", Stack.stored(uri).description().get("rsa_name"));
    assertReads(PlainProvider.install(Site.plain(), awsRsa("my-pair")), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void whatAnAesKeyWritesAStaticProviderCanRead(Mode mode) throws IOException {
    write(Site.plain().aes("orders", aes).defaultKey("orders"), mode);
    assertReads(
        PlainProvider.install(Site.plain(), new EncryptionMaterials(aes.secretKey())), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectOfEmrfsKmsProviderIsReadWithItsOwnProperty(Mode mode) throws IOException {
    write(PlainProvider.install(Site.plain(), new KMSEncryptionMaterials(kms)), mode);
    assertReads(Site.plain().set("fs.s3.cse.kms.keyId", kms), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void whatTheKmsPropertyWritesEmrfsKmsProviderCanRead(Mode mode) throws IOException {
    write(Site.plain().set("fs.s3.cse.kms.keyId", kms), mode);
    assertReads(PlainProvider.install(Site.plain(), new KMSEncryptionMaterials(kms)), mode);
  }

  /** The order of steps in docs/migration.md depends on this: the V2 client opens KMS objects under the default key. */
  @ParameterizedTest
  @MethodSource("modes")
  void objectsOfEmrfsKmsProviderNeedItsKeyAsTheDefaultInTheV2ClientAlone(Mode mode)
      throws IOException {
    write(PlainProvider.install(Site.plain(), new KMSEncryptionMaterials(kms)), mode);
    Site site = Site.plain().kms("emrfs", kms).aes("lake", aes);
    if (mode.isV2()) {
      try (EmrfsStandIn cluster = site.defaultKey("lake").start(Stack.aws(), mode)) {
        assertThrows(RuntimeException.class, () -> cluster.get(uri));
      }
      assertReads(site.defaultKey("emrfs"), mode);
    } else {
      assertReads(site.defaultKey("lake"), mode);
    }
    write(Site.plain().aes("lake", aes).defaultKey("lake"), mode);
    assertReads(site.defaultKey("emrfs"), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aKmsKeyReadsItsObjectsUnderAnotherName(Mode mode) throws IOException {
    write(Site.plain().kms("before", kms).defaultKey("before"), mode);
    assertReads(Site.plain().kms("after", kms).defaultKey("after"), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aRenamedKeyReadsItsObjectsByItsAlias(Mode mode) throws IOException {
    write(Site.plain().aes("before", aes).defaultKey("before"), mode);
    Site renamed = Site.plain().aes("after", aes).defaultKey("after");
    try (EmrfsStandIn cluster = renamed.start(Stack.aws(), mode)) {
      Codes.assertCode("KEY_NOT_CONFIGURED", () -> cluster.get(uri));
    }
    assertReads(renamed.set("emrkeys.key.after.aliases", "before"), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectOfAHomeMadeProviderIsReadByTheKeyThatItsDescriptionMatches(Mode mode)
      throws IOException {
    EncryptionMaterials theirs =
        new EncryptionMaterials(aes.secretKey()).addDescription("team", "billing");
    write(PlainProvider.install(Site.plain(), theirs), mode);
    Site site = Site.plain().aes("orders", aes).rsa("people", rsa).defaultKey("people");
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
      Codes.assertCode("DESCRIPTION_UNKNOWN", () -> cluster.get(uri));
    }
    assertReads(site.set("emrkeys.key.orders.match.team", "billing"), mode);
  }

  @ParameterizedTest
  @MethodSource("modes")
  void aDescriptionThatMatchesTwoKeysIsRefused(Mode mode) throws IOException {
    EncryptionMaterials theirs =
        new EncryptionMaterials(aes.secretKey())
            .addDescription("team", "billing")
            .addDescription("zone", "eu");
    write(PlainProvider.install(Site.plain(), theirs), mode);
    Site site =
        Site.plain()
            .aes("orders", aes)
            .set("emrkeys.key.orders.match.team", "billing")
            .rsa("people", rsa)
            .set("emrkeys.key.people.match.zone", "eu")
            .defaultKey("people");
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
      Codes.assertCode("DESCRIPTION_AMBIGUOUS", () -> cluster.get(uri));
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void anObjectWithoutADescriptionIsReadByTheLegacyKeyOnly(Mode mode) throws IOException {
    write(PlainProvider.install(Site.plain(), new EncryptionMaterials(aes.secretKey())), mode);
    assertEquals(Collections.emptyMap(), Stack.stored(uri).description());
    // A rule makes it clear that the default key, which is another, would be wrong.
    Site site = Site.described().aes("orders", aes).rsa("people", rsa).defaultKey("people");
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode)) {
      Codes.assertCode("DESCRIPTION_UNKNOWN", () -> cluster.get(uri));
    }
    assertReads(site.set("emrkeys.legacy.key", "orders"), mode);
  }
}
