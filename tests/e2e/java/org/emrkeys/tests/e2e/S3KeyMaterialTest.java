package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.ObjectMetadata;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Key material in S3, which the core fetches itself, before there is any client that could. */
@Tag("once") // the library fetches key material
class S3KeyMaterialTest {
  private final KeyFiles files = KeyFiles.create();
  private final String keys = Stack.bucket();
  private final String bucket = Stack.bucket();
  private final String uri = "s3://" + bucket + "/object";
  private final byte[] content = Stack.content(100);

  S3KeyMaterialTest() throws IOException {}

  private String upload(String name, byte[] bytes) throws IOException {
    ObjectMetadata metadata = new ObjectMetadata();
    metadata.setContentLength(bytes.length);
    Stack.aws().s3().putObject(keys, name, new ByteArrayInputStream(bytes), metadata);
    return "s3://" + keys + "/" + name;
  }

  private static Site site() throws IOException {
    return Site.plain()
        .set("emrkeys.s3.endpoint", Stack.aws().endpoint())
        .set("emrkeys.s3.region", LocalAws.REGION)
        .set("emrkeys.s3.path-style-access", "true")
        .defaultKey("k");
  }

  private static Site aes(String location) throws IOException {
    return site().set("emrkeys.key.k.type", "aes").set("emrkeys.key.k.file", location);
  }

  @AfterEach
  void noMoreFaults() throws IOException {
    Stack.aws().control("DELETE", "faults", null);
  }

  @Test
  void anAesKeyComesFromS3() throws IOException {
    KeyFiles.Aes key = files.aes("k", 256);
    Site site = aes(upload("keys/k", key.bytes()));
    assertRoundTrip(site, new EncryptionMaterials(key.secretKey()));
  }

  @Test
  void anRsaPairComesFromS3() throws IOException, GeneralSecurityException {
    KeyFiles.Rsa key = files.rsa("k", 2048);
    Site site =
        site()
            .set("emrkeys.key.k.type", "rsa")
            .set("emrkeys.key.k.public", upload("keys/public", key.pair.getPublic().getEncoded()))
            .set(
                "emrkeys.key.k.private", upload("keys/private", key.pair.getPrivate().getEncoded()));
    assertRoundTrip(site, new EncryptionMaterials(key.pair));
  }

  @Test
  void anObjectNameWithSpacesAndPercentSignsIsFoundAsItStands() throws IOException {
    KeyFiles.Aes key = files.aes("odd", 256);
    Site site = aes(upload("my keys/50%.key", key.bytes()));
    assertRoundTrip(site, new EncryptionMaterials(key.secretKey()));
  }

  @Test
  void aMissingObjectIsKeyFileNotFound() throws IOException {
    Site site = aes("s3://" + keys + "/absent");
    Codes.assertCode(
        "KEY_FILE_NOT_FOUND", () -> site.start(Stack.aws(), Mode.V1_AUTHENTICATED));
  }

  @Test
  void aRefusalIsSourceDenied() throws IOException {
    Site site = aes(upload("denied", files.aes("denied", 256).bytes()));
    Stack.aws()
        .control(
            "POST",
            "faults",
            "{\"service\": \"s3\", \"op\": \"GetObject\", \"resource\": \"denied\","
                + " \"count\": null, \"status\": 403, \"code\": \"AccessDenied\"}");
    Codes.assertCode("SOURCE_DENIED", () -> site.start(Stack.aws(), Mode.V1_AUTHENTICATED));
  }

  @Test
  void aFaultThatPassesIsRetried() throws IOException {
    KeyFiles.Aes key = files.aes("flaky", 256);
    Site site = aes(upload("flaky", key.bytes()));
    Stack.aws()
        .control(
            "POST",
            "faults",
            "{\"service\": \"s3\", \"op\": \"GetObject\", \"resource\": \"flaky\","
                + " \"count\": 1, \"status\": 503, \"code\": \"SlowDown\"}");
    assertRoundTrip(site, new EncryptionMaterials(key.secretKey()));
  }

  /** Writes with emrkeys, reads with it and with the key that it must have fetched. */
  private void assertRoundTrip(Site site, EncryptionMaterials same) throws IOException {
    Mode mode = Mode.V1_AUTHENTICATED;
    try (EmrfsStandIn cluster = site.start(Stack.aws(), mode);
        EmrfsStandIn plain =
            PlainProvider.install(Site.plain(), same).start(Stack.aws(), mode)) {
      cluster.put(uri, content);
      assertArrayEquals(content, cluster.get(uri));
      assertArrayEquals(content, plain.get(uri));
    }
  }
}
