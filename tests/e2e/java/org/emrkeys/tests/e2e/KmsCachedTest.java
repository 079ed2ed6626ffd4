package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.kms.model.CreateAliasRequest;
import com.amazonaws.services.kms.model.DisableKeyRequest;
import com.amazonaws.services.kms.model.EnableKeyRequest;
import com.amazonaws.services.kms.model.ScheduleKeyDeletionRequest;
import com.amazonaws.services.kms.model.UpdateAliasRequest;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Keys of type {@code kms-cached}: how few calls of KMS they need, and what happens when KMS is slow,
 * down, or says no.
 *
 * <p>What is configured alike shares one cache within a JVM. So a test that wants a cold cache sets a
 * deadline that no other has.
 */
@Tag("once") // the cache of KMS keys is the library's
class KmsCachedTest {
  private static final String GENERATE = "kms.GenerateDataKey";
  private static final String DECRYPT = "kms.Decrypt";
  private static final Mode MODE = Mode.V1_AUTHENTICATED;

  private static int deadline = 20_000;

  private final LocalAws aws = Stack.aws();
  private final String kmsKey = aws.createKmsKey();
  private final String bucket = Stack.bucket();
  private final byte[] content = Stack.content(1000);

  KmsCachedTest() throws IOException {}

  @AfterEach
  void faultless() throws IOException {
    Stack.noFaults();
  }

  /** A site with a cache of its own, and a key {@code k}. */
  private Site cold(String keyId) {
    return Site.plain()
        .kmsCached("k", keyId, aws)
        .defaultKey("k")
        .set("emrkeys.kms.deadline", ++deadline + "ms");
  }

  private String uri(String name) {
    return "s3://" + bucket + "/" + name;
  }

  private EncryptionMaterialsProvider provider(Site site) {
    return site.start(aws, MODE).provider();
  }

  @Test
  void anyNumberOfObjectsNeedsOneCallToWriteAndOneToRead() throws Exception {
    int generated = Stack.calls(GENERATE);
    int decrypted = Stack.calls(DECRYPT);
    try (EmrfsStandIn writer = cold(kmsKey).start(aws, MODE);
        EmrfsStandIn reader = cold(kmsKey).start(aws, MODE)) {
      inThreads(16, thread -> each(thread, name -> writer.put(uri(name), content)));
      assertEquals(generated + 1, Stack.calls(GENERATE));
      inThreads(
          16,
          thread -> each(thread, name -> assertArrayEquals(content, writer.get(uri(name)))));
      assertEquals(decrypted, Stack.calls(DECRYPT), "who wrote an object reads it without KMS");
      inThreads(
          16,
          thread -> each(thread, name -> assertArrayEquals(content, reader.get(uri(name)))));
      assertEquals(decrypted + 1, Stack.calls(DECRYPT));
      assertEquals(generated + 1, Stack.calls(GENERATE));
    }
  }

  @Test
  void theStoredDescriptionHoldsAllThatDecryptionNeeds() throws Exception {
    String alias = "alias/" + bucket;
    aws.kms().createAlias(new CreateAliasRequest().withAliasName(alias).withTargetKeyId(kmsKey));
    Site before = cold(alias).set("emrkeys.key.k.encryption-context.team", "payroll");
    try (EmrfsStandIn writer = before.start(aws, MODE)) {
      writer.put(uri("object"), content);
    }
    Map<String, String> stored = Stack.stored(uri("object")).description();
    assertEquals("k", stored.get("emrkeys.key"));
    assertEquals(kmsKey, stored.get("emrkeys.kms-key"), "the real key, not the alias");
    assertEquals("payroll", stored.get("emrkeys.context.team"));
    assertTrue(stored.containsKey("emrkeys.wrapped"));
    // Another name, another context, another KMS key: the object stays readable.
    Site after =
        cold(aws.createKmsKey())
            .kmsCached("renamed", aws.createKmsKey(), aws)
            .kmsCached("older", kmsKey, aws)
            .set("emrkeys.key.renamed.encryption-context.team", "finance")
            .set("emrkeys.key.renamed.aliases", "k2")
            .set("emrkeys.key.k.previous", "older");
    try (EmrfsStandIn reader = after.start(aws, MODE)) {
      assertArrayEquals(content, reader.get(uri("object")));
      reader.put(uri("new"), content);
      assertNotEquals(kmsKey, Stack.stored(uri("new")).description().get("emrkeys.kms-key"));
    }
    Site renamed =
        Site.plain().kmsCached("other", kmsKey, aws).set("emrkeys.key.other.aliases", "k");
    try (EmrfsStandIn reader = renamed.start(aws, MODE)) {
      assertArrayEquals(content, reader.get(uri("object")));
    }
  }

  @Test
  void aKmsKeyThatIsNotConfiguredIsNotTrusted() throws Exception {
    try (EmrfsStandIn writer = cold(aws.createKmsKey()).start(aws, MODE);
        EmrfsStandIn reader = cold(kmsKey).start(aws, MODE)) {
      writer.put(uri("object"), content);
      int decrypted = Stack.calls(DECRYPT);
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> reader.get(uri("object")));
      assertEquals(decrypted, Stack.calls(DECRYPT), "KMS is not even asked");
    }
  }

  @Test
  void anAliasTrustsTheKeyThatItStandsForAndNoOther() throws Exception {
    String alias = "alias/" + bucket;
    String newer = aws.createKmsKey();
    aws.kms().createAlias(new CreateAliasRequest().withAliasName(alias).withTargetKeyId(kmsKey));
    try (EmrfsStandIn writer = cold(kmsKey).start(aws, MODE);
        EmrfsStandIn foreign = cold(aws.createKmsKey()).start(aws, MODE);
        EmrfsStandIn reader = cold(alias).start(aws, MODE)) {
      writer.put(uri("older"), content);
      foreign.put(uri("foreign"), content);
      assertArrayEquals(content, reader.get(uri("older")));
      int decrypted = Stack.calls(DECRYPT);
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> reader.get(uri("foreign")));
      assertEquals(decrypted, Stack.calls(DECRYPT), "KMS is not even asked");
    }
    aws.kms().updateAlias(new UpdateAliasRequest().withAliasName(alias).withTargetKeyId(newer));
    try (EmrfsStandIn cluster = cold(alias).start(aws, MODE);
        EmrfsStandIn knowing =
            cold(alias).set("emrkeys.key.k.previous-kms-key-ids", kmsKey).start(aws, MODE)) {
      cluster.put(uri("newer"), content);
      assertEquals(newer, Stack.stored(uri("newer")).description().get("emrkeys.kms-key"));
      assertArrayEquals(content, knowing.get(uri("newer")));
      assertArrayEquals(content, knowing.get(uri("older")));
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> cluster.get(uri("older")));
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> knowing.get(uri("foreign")));
    }
  }

  @Test
  void anAliasServesWhereTheRoleMayNotDescribeKeys() throws Exception {
    String alias = "alias/" + bucket;
    aws.kms().createAlias(new CreateAliasRequest().withAliasName(alias).withTargetKeyId(kmsKey));
    try (EmrfsStandIn writer = cold(kmsKey).start(aws, MODE);
        EmrfsStandIn foreign = cold(aws.createKmsKey()).start(aws, MODE);
        EmrfsStandIn reader = cold(alias).start(aws, MODE)) {
      writer.put(uri("object"), content);
      foreign.put(uri("foreign"), content);
      Stack.fault(
          "{\"service\": \"kms\", \"op\": \"DescribeKey\", \"count\": null, \"status\": 400,"
              + " \"code\": \"AccessDeniedException\"}");
      assertArrayEquals(content, reader.get(uri("object")));
      // KMS itself refuses, by IncorrectKeyException.
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> reader.get(uri("foreign")));
    }
  }

  @Test
  void whatWasChangedInTheDescriptionIsRefused() throws Exception {
    Site site = cold(kmsKey).set("emrkeys.key.k.encryption-context.team", "payroll");
    site.kmsCached("other", kmsKey, aws);
    EncryptionMaterialsProvider provider = provider(site);
    Map<String, String> stored = provider.getEncryptionMaterials().getMaterialsDescription();
    Map<String, String> ofOther =
        provider(site.defaultKey("other")).getEncryptionMaterials().getMaterialsDescription();
    String wrapped = stored.get("emrkeys.wrapped");
    char[] flipped = wrapped.toCharArray();
    int middle = flipped.length / 2;
    flipped[middle] = flipped[middle] == 'A' ? 'B' : 'A';

    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.wrapped", new String(flipped));
    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.wrapped", wrapped.substring(0, 40));
    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.wrapped", ofOther.get("emrkeys.wrapped"));
    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.context.team", "finance");
    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.context.more", "x");
    refused("WRAPPED_KEY_INVALID", stored, "emrkeys.context.team", null);
    refused("INVALID_DESCRIPTION", stored, "emrkeys.wrapped", wrapped.substring(0, 41));
    refused("INVALID_DESCRIPTION", stored, "emrkeys.wrapped", "");
    refused("INVALID_DESCRIPTION", stored, "emrkeys.wrapped", null);
    refused("INVALID_DESCRIPTION", stored, "emrkeys.kms-key", null);
    refused("KEY_VERSION_UNKNOWN", stored, "emrkeys.kms-key", kmsKey + "0");
    refused("KEY_NOT_CONFIGURED", stored, "emrkeys.key", "someone");
  }

  /** Reads with one entry of a stored description replaced, or left out. */
  private void refused(String code, Map<String, String> stored, String field, String value) {
    Map<String, String> changed = new HashMap<>(stored);
    changed.remove(field);
    if (value != null) {
      changed.put(field, value);
    }
    EncryptionMaterialsProvider reader = provider(cold(kmsKey));
    Codes.assertCode(code, () -> reader.getEncryptionMaterials(changed));
  }

  @Test
  void aDenialSaysWhatToDoAndIsNotAskedForAgain() throws Exception {
    Stack.fault(
        "{\"service\": \"kms\", \"op\": \"GenerateDataKey\", \"count\": null, \"status\": 400,"
            + " \"code\": \"AccessDeniedException\", \"message\": \"not authorized\"}");
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      int before = Stack.calls(GENERATE);
      EmrKeysException refusal =
          Codes.assertCode("SOURCE_DENIED", () -> cluster.put(uri("object"), content));
      for (String part :
          new String[] {
            kmsKey, "us-east-1", "GenerateDataKey", "request", "kms:GenerateDataKey", "not authorized"
          }) {
        assertTrue(refusal.getMessage().contains(part), part + " in " + refusal.getMessage());
      }
      for (int i = 0; i < 100; i++) {
        Codes.assertCode("SOURCE_DENIED", () -> cluster.put(uri("object"), content));
      }
      assertEquals(before + 1, Stack.calls(GENERATE));
      Stack.assertNothingStored(bucket);
    }
  }

  @Test
  void aKeyThatIsDisabledOrToBeDeletedIsRefusedAtOnce() throws Exception {
    try (EmrfsStandIn writer = cold(kmsKey).start(aws, MODE)) {
      writer.put(uri("object"), content);
    }
    aws.kms().disableKey(new DisableKeyRequest().withKeyId(kmsKey));
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      Codes.assertCode("KEY_UNUSABLE", () -> cluster.put(uri("more"), content));
      Codes.assertCode("KEY_UNUSABLE", () -> cluster.get(uri("object")));
    }
    aws.kms().enableKey(new EnableKeyRequest().withKeyId(kmsKey));
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      assertArrayEquals(content, cluster.get(uri("object")));
    }
    aws.kms().scheduleKeyDeletion(new ScheduleKeyDeletionRequest().withKeyId(kmsKey));
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      Codes.assertCode("KEY_UNUSABLE", () -> cluster.get(uri("object")));
    }
  }

  @Test
  void aKeyOfAnotherRegionIsLookedForThere() throws Exception {
    String elsewhere = kmsKey.replace("us-east-1", "eu-west-1");
    try (EmrfsStandIn cluster = cold(elsewhere).start(aws, MODE)) {
      EmrKeysException refusal =
          Codes.assertCode("KEY_UNUSABLE", () -> cluster.put(uri("object"), content));
      assertTrue(refusal.getMessage().contains("eu-west-1"), refusal.getMessage());
    }
  }

  @Test
  void throttlesAndFaultsAreRetried() throws Exception {
    for (String failure :
        new String[] {
          "\"status\": 400, \"code\": \"ThrottlingException\"",
          "\"status\": 503, \"code\": \"ServiceUnavailableException\"",
          "\"status\": 500, \"code\": \"KMSInternalException\"",
          "\"status\": 400, \"code\": \"ExpiredTokenException\"",
        }) {
      Stack.fault("{\"service\": \"kms\", \"count\": 3, " + failure + "}");
      try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
        cluster.put(uri("object"), content);
        assertArrayEquals(content, cluster.get(uri("object")));
      }
      Stack.fault("{\"service\": \"kms\", \"count\": 3, " + failure + "}");
      try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
        assertArrayEquals(content, cluster.get(uri("object")));
      }
    }
  }

  @Test
  void anAnswerThatTakesHalfAMinuteIsNotWaitedFor() throws Exception {
    Stack.fault("{\"service\": \"kms\", \"count\": 1, \"delay\": 30}");
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      long start = System.nanoTime();
      cluster.put(uri("object"), content);
      long seconds = (System.nanoTime() - start) / 1_000_000_000;
      assertTrue(seconds < 20, "took " + seconds + " s");
    }
  }

  @Test
  void kmsDownAtTheStartIsToldAndThenForgotten() throws Exception {
    Stack.fault("{\"service\": \"kms\", \"count\": null, \"status\": 503, \"code\": \"Down\"}");
    Site site = cold(kmsKey).set("emrkeys.kms.deadline", "3s");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      int before = Stack.calls(GENERATE);
      inThreads(
          8,
          thread ->
              Codes.assertCode("SOURCE_UNAVAILABLE", () -> cluster.put(uri("object"), content)));
      assertTrue(Stack.calls(GENERATE) - before < 40, "a storm of calls");
      Stack.assertNothingStored(bucket);
      Stack.noFaults();
      Thread.sleep(3000);
      cluster.put(uri("object"), content);
      assertArrayEquals(content, cluster.get(uri("object")));
    }
  }

  @Test
  void kmsDownInTheMiddleIsNotNoticedWhileKeysAreFresh() throws Exception {
    try (EmrfsStandIn writer = cold(kmsKey).start(aws, MODE);
        EmrfsStandIn reader = cold(kmsKey).start(aws, MODE)) {
      writer.put(uri("first"), content);
      assertArrayEquals(content, reader.get(uri("first")));
      Stack.fault("{\"service\": \"kms\", \"count\": null, \"status\": 503, \"code\": \"Down\"}");
      for (int i = 0; i < 50; i++) {
        writer.put(uri("more-" + i), content);
        assertArrayEquals(content, reader.get(uri("more-" + i)));
      }
    }
  }

  @Test
  void anExpiredKeyServesOnOnlyWhereThatIsAllowedAndKmsIsDown() throws Exception {
    Site strict = cold(kmsKey).set("emrkeys.cache.max-age", "1s").set("emrkeys.kms.deadline", "1s");
    Site lenient =
        cold(kmsKey)
            .set("emrkeys.cache.max-age", "1s")
            .set("emrkeys.kms.deadline", "1s")
            .set("emrkeys.cache.max-stale", "1h");
    try (EmrfsStandIn one = strict.start(aws, MODE);
        EmrfsStandIn other = lenient.start(aws, MODE)) {
      one.put(uri("one"), content);
      other.put(uri("other"), content);
      Stack.fault("{\"service\": \"kms\", \"count\": null, \"status\": 503, \"code\": \"Down\"}");
      Thread.sleep(1200);
      Codes.assertCode("SOURCE_UNAVAILABLE", () -> one.put(uri("one"), content));
      Codes.assertCode("SOURCE_UNAVAILABLE", () -> one.get(uri("one")));
      other.put(uri("other"), content);
      assertArrayEquals(content, other.get(uri("other")));
      Stack.noFaults();
      aws.kms().disableKey(new DisableKeyRequest().withKeyId(kmsKey));
      Thread.sleep(2500);
      Codes.assertCode("KEY_UNUSABLE", () -> other.get(uri("other")));
    }
  }

  @Test
  void aGrantThatIsTakenAwayEndsWithTheAgeOfTheKey() throws Exception {
    Site site = cold(kmsKey).set("emrkeys.cache.max-age", "10s");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      cluster.put(uri("object"), content);
      aws.kms().disableKey(new DisableKeyRequest().withKeyId(kmsKey));
      cluster.put(uri("object"), content);
      Codes.assertCode(
          "KEY_UNUSABLE",
          () -> {
            while (true) { // until the key is too old
              cluster.put(uri("object"), content);
              Thread.sleep(50);
            }
          });
      Codes.assertCode("KEY_UNUSABLE", () -> cluster.get(uri("object")));
    }
  }

  @Test
  void aRefreshAsksForANewKeyAndKeepsTheOldIfThereIsNone() throws Exception {
    try (EmrfsStandIn cluster = cold(kmsKey).start(aws, MODE)) {
      cluster.put(uri("first"), content);
      cluster.provider().refresh();
      cluster.put(uri("second"), content);
      assertNotEquals(
          Stack.stored(uri("first")).description(), Stack.stored(uri("second")).description());
      aws.kms().disableKey(new DisableKeyRequest().withKeyId(kmsKey));
      Codes.assertCode("KEY_UNUSABLE", () -> cluster.provider().refresh());
      cluster.put(uri("third"), content);
      assertEquals(
          Stack.stored(uri("third")).description(), Stack.stored(uri("second")).description());
      assertArrayEquals(content, cluster.get(uri("third")));
    }
  }

  @Test
  void aThreadThatIsInterruptedDoesNotWaitAndItsRequestServesTheNext() throws Exception {
    EncryptionMaterialsProvider provider = provider(cold(kmsKey));
    int before = Stack.calls("kms.GenerateDataKey");
    Thread.currentThread().interrupt();
    try {
      Codes.assertCode("INTERRUPTED", provider::getEncryptionMaterials);
    } finally {
      assertTrue(Thread.interrupted());
    }
    assertNotNull(provider.getEncryptionMaterials());
    assertEquals(1, Stack.calls("kms.GenerateDataKey") - before);
  }

  @Test
  void jmxTellsWhatWasAskedOfKms() throws Exception {
    MBeanServer server = ManagementFactory.getPlatformMBeanServer();
    ObjectName all = new ObjectName("org.emrkeys:type=Keys,usage=s3,key=" + bucket + ",*");
    Site site = Site.plain().kmsCached(bucket, kmsKey, aws).defaultKey(bucket);
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      ObjectName bean = server.queryNames(all, null).iterator().next();
      assertEquals(-1L, server.getAttribute(bean, "ageMillis"));
      for (int i = 0; i < 10; i++) {
        cluster.put(uri("object"), content);
        cluster.get(uri("object"));
      }
      assertEquals(1L, server.getAttribute(bean, "generateCalls"));
      assertEquals(0L, server.getAttribute(bean, "decryptCalls"));
      assertEquals(1L, server.getAttribute(bean, "misses"));
      assertEquals(19L, server.getAttribute(bean, "hits"));
      assertTrue((Long) server.getAttribute(bean, "ageMillis") >= 0);
      cluster.provider().refresh();
      assertEquals(1, server.queryNames(all, null).size());
      assertEquals(2L, server.getAttribute(bean, "generateCalls"));
    }
  }

  private interface Work {
    void run(int thread) throws Exception;
  }

  private interface Named {
    void run(String name) throws Exception;
  }

  private static void each(int thread, Named work) throws Exception {
    for (int i = 0; i < 20; i++) {
      work.run("object-" + thread + "-" + i);
    }
  }

  private static void inThreads(int count, Work work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(count);
    try {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        int thread = i;
        all.add(
            threads.submit(
                () -> {
                  work.run(thread);
                  return null;
                }));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } finally {
      threads.shutdownNow();
    }
  }
}
