package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.LocalDataKeyService;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Keys of type {@code data-key-service}, over mutual TLS against a real server: through every client, to
 * and from the provider that its users have today, and when the service says no or nothing.
 */
@Tag("once") // the data key service is the library's
class DataKeyServiceTest {
  private static final String GENERATE = "dks.GenerateDataKey";
  private static final String DECRYPT = "dks.DecryptDataKey";
  private static final Mode MODE = Mode.V1_AUTHENTICATED;

  // Keys that are configured alike share a cache within a JVM; a key that has another deadline has its own.
  private static int deadline = 15_000;

  private final LocalAws aws = Stack.aws();
  private final LocalDataKeyService service = LocalDataKeyService.start(aws, 16);
  private final KeyFiles files = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final byte[] content = Stack.content(1000);

  DataKeyServiceTest() throws IOException {
    DataKeyServiceProvider.service = service;
  }

  static Stream<Mode> modes() {
    return Stream.of(Mode.values()).filter(Mode::isAvailable);
  }

  @AfterEach
  void faultless() throws IOException {
    Stack.noFaults();
  }

  /** A file of the service's, to be read by its owner alone. */
  private String file(String name) throws IOException {
    Path file = files.folder().resolve(name);
    return (Files.exists(file) ? file : files.file(name, service.file(name))).toUri().toString();
  }

  private Site service(Site site, String key, String identity, String trust) throws IOException {
    String prefix = "emrkeys.key." + key + ".";
    return site.set(prefix + "type", "data-key-service")
        .set(prefix + "url", service.url())
        .set(prefix + "identity", file(identity))
        .set(prefix + "trust", file(trust))
        .defaultKey(key)
        .set("emrkeys.kms.deadline", ++deadline + "ms");
  }

  /** A site with a cache of its own, and a key {@code k}. */
  private Site cold() throws IOException {
    return service(Site.plain(), "k", "client.pem", "ca.pem");
  }

  private Site peer() {
    return Site.described().provider(DataKeyServiceProvider.class);
  }

  private String uri(String name) {
    return "s3://" + bucket + "/" + name;
  }

  private Map<String, String> description(String name) throws IOException {
    return Stack.stored(uri(name)).description();
  }

  @ParameterizedTest
  @MethodSource("modes")
  void oneCallWritesAnyNumberOfObjectsAndOneReadsThem(Mode mode) throws IOException {
    for (int keyBytes : new int[] {16, 24, 32}) {
      LocalDataKeyService.start(aws, keyBytes);
      int generated = Stack.calls(GENERATE);
      int decrypted = Stack.calls(DECRYPT);
      try (EmrfsStandIn writer = cold().start(aws, mode);
          EmrfsStandIn reader = cold().start(aws, mode)) {
        for (int i = 0; i < 20; i++) {
          writer.put(uri("object-" + i), content);
        }
        for (int i = 0; i < 20; i++) {
          assertArrayEquals(content, writer.get(uri("object-" + i)));
        }
        assertEquals(decrypted, Stack.calls(DECRYPT), "who wrote an object reads it without a call");
        for (int i = 0; i < 20; i++) {
          assertArrayEquals(content, reader.get(uri("object-" + i)));
        }
      }
      assertEquals(generated + 1, Stack.calls(GENERATE));
      assertEquals(decrypted + 1, Stack.calls(DECRYPT));
      assertEquals("k", description("object-0").get("emrkeys.key"));
    }
  }

  @ParameterizedTest
  @MethodSource("modes")
  void whatTheServicesOwnProviderWroteIsRead(Mode mode) throws IOException {
    try (EmrfsStandIn cluster = peer().start(aws, mode)) {
      cluster.put(uri("a"), content);
      cluster.put(uri("b"), content);
    }
    assertEquals(2, description("a").size());
    int decrypted = Stack.calls(DECRYPT);
    try (EmrfsStandIn cluster = cold().start(aws, mode)) {
      for (int i = 0; i < 10; i++) {
        assertArrayEquals(content, cluster.get(uri("a")));
        assertArrayEquals(content, cluster.get(uri("b")));
      }
    }
    assertEquals(decrypted + 2, Stack.calls(DECRYPT), "its objects have a key each");
  }

  @ParameterizedTest
  @MethodSource("modes")
  void theServicesOwnProviderReadsWhatIsWritten(Mode mode) throws IOException {
    try (EmrfsStandIn cluster = cold().start(aws, mode)) {
      cluster.put(uri("object"), content);
    }
    try (EmrfsStandIn cluster = peer().start(aws, mode)) {
      assertArrayEquals(content, cluster.get(uri("object")));
    }
  }

  @Test
  void withSeveralServicesTheKeyIdSaysWhoseItIs() throws IOException {
    try (EmrfsStandIn cluster = peer().start(aws, MODE)) {
      cluster.put(uri("object"), content);
    }
    Site site = service(cold(), "other", "client.pem", "ca.pem");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      EmrKeysException refusal =
          Codes.assertCode("KEY_NOT_CONFIGURED", () -> cluster.get(uri("object")));
      assertTrue(refusal.getMessage().contains("match.keyid"), refusal.getMessage());
    }
    site.set("emrkeys.key.k.match.keyid", description("object").get("keyid"));
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      assertArrayEquals(content, cluster.get(uri("object")));
    }
  }

  @Test
  void pkcs12ServesAsWell() throws IOException {
    Site site =
        service(Site.plain(), "k", "client.p12", "trust.p12")
            .set("emrkeys.key.k.password-credential", "service.password");
    site.set("service.password", service.password()).set("emrkeys.allow-plaintext-secrets", "true");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      cluster.put(uri("object"), content);
      assertArrayEquals(content, cluster.get(uri("object")));
    }
    site.set("service.password", "wrong");
    Codes.assertCode("KEY_PASSWORD", () -> site.start(aws, MODE));
  }

  /** Checks that a write is refused, and what the message says. */
  private void refused(Site site, String code, String... told) throws IOException {
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      EmrKeysException refusal =
          Codes.assertCode(code, () -> cluster.put(uri("refused"), content));
      for (String part : told) {
        assertTrue(refusal.getMessage().contains(part), part + " in " + refusal.getMessage());
      }
    }
    Stack.assertNothingStored(bucket);
  }

  @Test
  void aClientThatTheServiceDoesNotKnowIsDenied() throws IOException {
    int before = Stack.calls(GENERATE);
    refused(
        service(Site.plain(), "k", "stranger.pem", "ca.pem"),
        "SOURCE_DENIED",
        "emrkeys.key.k.identity",
        service.url().substring("https://".length()));
    assertEquals(before, Stack.calls(GENERATE));
  }

  @Test
  void aServiceThatIsNotTrustedIsNotAsked() throws IOException {
    int before = Stack.calls(GENERATE);
    refused(
        service(Site.plain(), "k", "client.pem", "stranger-ca.pem"),
        "SOURCE_UNTRUSTED",
        "emrkeys.key.k.trust",
        "certificate");
    assertEquals(before, Stack.calls(GENERATE));
  }

  @Test
  void anIdentityThatOthersCanReadIsRefused() throws IOException {
    Site site = cold();
    files.folder().resolve("client.pem").toFile().setReadable(true, false);
    Codes.assertCode("KEY_FILE_PERMISSIONS", () -> site.start(aws, MODE));
  }

  @Test
  void aDenialIsNotAskedForAgain() throws IOException {
    Stack.fault("{\"service\": \"dks\", \"count\": null, \"status\": 403, \"code\": \"Forbidden\"}");
    int before = Stack.calls(GENERATE);
    try (EmrfsStandIn cluster = cold().start(aws, MODE)) {
      for (int i = 0; i < 100; i++) {
        EmrKeysException refusal =
            Codes.assertCode("SOURCE_DENIED", () -> cluster.put(uri("object"), content));
        assertTrue(refusal.getMessage().contains("HTTP 403"), refusal.getMessage());
        assertTrue(refusal.getMessage().contains("correlation id"), refusal.getMessage());
      }
    }
    assertEquals(before + 1, Stack.calls(GENERATE));
    Stack.assertNothingStored(bucket);
  }

  @Test
  void throttlesAndFaultsAreRetried() throws IOException {
    try (EmrfsStandIn cluster = cold().start(aws, MODE)) {
      cluster.put(uri("object"), content);
    }
    for (int status : new int[] {429, 500, 503}) {
      String fault = "{\"service\": \"dks\", \"count\": 3, \"status\": " + status + "}";
      Stack.fault(fault);
      int before = Stack.calls(GENERATE) + Stack.calls(DECRYPT);
      try (EmrfsStandIn cluster = cold().start(aws, MODE)) {
        assertArrayEquals(content, cluster.get(uri("object")));
        Stack.fault(fault);
        cluster.put(uri("more"), content);
      }
      assertEquals(before + 8, Stack.calls(GENERATE) + Stack.calls(DECRYPT));
    }
    Stack.fault("{\"service\": \"dks\", \"count\": null, \"status\": 429}");
    try (EmrfsStandIn cluster =
        cold().set("emrkeys.kms.deadline", "1s").start(aws, MODE)) {
      Codes.assertCode("SOURCE_THROTTLED", () -> cluster.put(uri("more"), content));
    }
  }

  @Test
  void anAnswerThatIsNoneIsRefused() throws IOException {
    Stack.fault("{\"service\": \"dks\", \"status\": 201, \"body\": \"<html>Sign in</html>\"}");
    refused(cold(), "SOURCE_UNAVAILABLE", "not JSON", "emrkeys.key.k.url");
  }

  @Test
  void aServiceThatIsDownIsNotNoticedWhileKeysAreFresh() throws IOException {
    try (EmrfsStandIn cluster = cold().start(aws, MODE)) {
      cluster.put(uri("object"), content);
      service.stop();
      cluster.put(uri("more"), content);
      assertArrayEquals(content, cluster.get(uri("object")));
    } finally {
      LocalDataKeyService.start(aws, 16);
    }
  }

  @Test
  void aServiceThatIsDownAtTheStartIsToldAndThenForgotten() throws Exception {
    service.stop();
    Site site = cold().set("emrkeys.kms.deadline", "2s");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      Codes.assertCode("SOURCE_UNAVAILABLE", () -> cluster.put(uri("object"), content));
      Stack.assertNothingStored(bucket);
      LocalDataKeyService.start(aws, 16);
      Thread.sleep(3000);
      cluster.put(uri("object"), content);
      assertArrayEquals(content, cluster.get(uri("object")));
    } finally {
      LocalDataKeyService.start(aws, 16);
    }
  }

  @Test
  void whatWasChangedInTheDescriptionIsRefused() throws IOException {
    EncryptionMaterialsProvider writer = cold().start(aws, MODE).provider();
    Map<String, String> stored = writer.getEncryptionMaterials().getMaterialsDescription();
    String wrapped = stored.get("encryptedkey");
    String flipped = (wrapped.charAt(0) == 'A' ? 'B' : 'A') + wrapped.substring(1);
    changed("WRAPPED_KEY_INVALID", stored, "encryptedkey", flipped);
    changed("WRAPPED_KEY_INVALID", stored, "encryptedkey", wrapped.substring(4));
    changed("WRAPPED_KEY_INVALID", stored, "keyid", "cloudhsm:0,0");
    changed("INVALID_DESCRIPTION", stored, "encryptedkey", "");
    changed("INVALID_DESCRIPTION", stored, "keyid", "");
    changed("KEY_NOT_CONFIGURED", stored, "emrkeys.key", "someone");
  }

  private void changed(String code, Map<String, String> stored, String field, String value)
      throws IOException {
    Map<String, String> changed = new HashMap<>(stored);
    changed.put(field, value);
    EncryptionMaterialsProvider reader = cold().start(aws, MODE).provider();
    EmrKeysException refusal =
        Codes.assertCode(code, () -> reader.getEncryptionMaterials(changed));
    assertTrue(!refusal.getMessage().contains(stored.get("encryptedkey").substring(4)));
  }

  @Test
  void aNewMasterKeyIsTakenUpAndTheOldOneStillOpens() throws IOException {
    try (EmrfsStandIn cluster = cold().start(aws, MODE);
        EmrfsStandIn reader = cold().start(aws, MODE)) {
      cluster.put(uri("before"), content);
      service.rotate();
      cluster.provider().refresh();
      cluster.put(uri("after"), content);
      assertNotEquals(description("before").get("keyid"), description("after").get("keyid"));
      assertArrayEquals(content, reader.get(uri("before")));
      assertArrayEquals(content, reader.get(uri("after")));
    }
  }

  @Test
  void aRenewedCertificateIsTakenUpOnRefresh() throws IOException {
    Site site = service(Site.plain(), "k", "stranger.pem", "ca.pem");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      Codes.assertCode("SOURCE_DENIED", () -> cluster.put(uri("object"), content));
      Files.write(files.folder().resolve("stranger.pem"), service.file("client.pem"));
      cluster.provider().refresh();
      cluster.put(uri("object"), content);
      assertArrayEquals(content, cluster.get(uri("object")));
    }
  }
}
