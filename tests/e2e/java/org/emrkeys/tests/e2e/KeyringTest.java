package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.ObjectMetadata;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.Hadoop;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Keys of type {@code keyring}, in S3 under a KMS key, changed by the operator's tool. */
@Tag("once") // keyrings are the library's
class KeyringTest {
  private static final Mode MODE = Mode.V1_AUTHENTICATED;
  private static final String DECRYPT = "kms.Decrypt";

  /** After so long a change must be in force: {@code emrkeys.keyring.max-age} is one second. */
  private static final long IN_FORCE_MILLIS = 2000;

  private final LocalAws aws = Stack.aws();
  private final String kmsKey = aws.createKmsKey();
  private final String bucket = Stack.bucket();
  private final String keys = Stack.bucket();
  private final String keyring = "s3://" + keys + "/lake.keyring";
  private final byte[] content = Stack.content(1000);

  KeyringTest() throws IOException, InterruptedException {
    Cli.succeed("keyring", "create", keyring, "--name", "lake", "--kms-key-id", kmsKey);
  }

  @AfterEach
  void faultless() throws IOException {
    Stack.noFaults();
  }

  static List<Mode> modes() {
    List<Mode> modes = new ArrayList<>(Arrays.asList(Mode.values()));
    modes.removeIf(mode -> !mode.isAvailable());
    return modes;
  }

  private Site site() throws IOException {
    return Site.plain()
        .keyring("lake", keyring, kmsKey, aws)
        .set("emrkeys.keyring.max-age", "1s")
        .defaultKey("lake");
  }

  private EmrfsStandIn cluster() throws IOException {
    return site().start(aws, MODE);
  }

  private String change(String command, String... more) throws IOException, InterruptedException {
    List<String> arguments =
        new ArrayList<>(Arrays.asList("keyring", command, keyring, "--kms-key-id", kmsKey));
    arguments.addAll(Arrays.asList(more));
    return Cli.succeed(arguments.toArray(new String[0]));
  }

  private String uri(String name) {
    return "s3://" + bucket + "/" + name;
  }

  private String version(String name) throws IOException {
    return Stack.stored(uri(name)).description().get("emrkeys.version");
  }

  private byte[] document() throws IOException {
    return Stack.storedBytes(keyring);
  }

  private void replace(byte[] document) {
    ObjectMetadata metadata = new ObjectMetadata();
    metadata.setContentLength(document.length);
    aws.s3().putObject(keys, "lake.keyring", new ByteArrayInputStream(document), metadata);
  }

  private void remove() {
    aws.s3().deleteObject(keys, "lake.keyring");
  }

  @ParameterizedTest
  @MethodSource("modes")
  void everyClientWritesAndReads(Mode mode) throws Exception {
    try (EmrfsStandIn writer = site().start(aws, mode);
        EmrfsStandIn reader = site().start(aws, mode)) {
      writer.put(uri("a"), content);
      change("rotate");
      Thread.sleep(IN_FORCE_MILLIS);
      writer.put(uri("b"), content);
      assertArrayEquals(content, reader.get(uri("a")));
      assertArrayEquals(content, reader.get(uri("b")));
      assertTrue(version("a").startsWith("1-"), version("a"));
      assertTrue(version("b").startsWith("2-"), version("b"));
    }
  }

  @Test
  void aJvmCallsKmsOnceForAnyNumberOfObjectsVersionsAndProviders() throws Exception {
    change("rotate");
    int before = Stack.calls(DECRYPT);
    try (EmrfsStandIn one = cluster();
        EmrfsStandIn other = cluster()) {
      assertEquals(before, Stack.calls(DECRYPT), "KMS is asked when the first object needs it");
      ExecutorService threads = Executors.newFixedThreadPool(16);
      try {
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 160; i++) {
          String name = "object" + i;
          EmrfsStandIn writer = i % 2 == 0 ? one : other;
          EmrfsStandIn reader = i % 2 == 0 ? other : one;
          all.add(
              threads.submit(
                  () -> {
                    writer.put(uri(name), content);
                    assertArrayEquals(content, reader.get(uri(name)));
                    return null;
                  }));
        }
        for (Future<?> one1 : all) {
          one1.get();
        }
      } finally {
        threads.shutdownNow();
      }
      one.provider().refresh();
      one.put(uri("more"), content);
      assertEquals(before + 1, Stack.calls(DECRYPT));
    }
  }

  @Test
  void writersAndReadersGoOnWhileTheKeyringRotatesTwice() throws Exception {
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger read = new AtomicInteger();
    AtomicInteger next = new AtomicInteger();
    Queue<String> written = new ConcurrentLinkedQueue<>();
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try (EmrfsStandIn writer = cluster();
        EmrfsStandIn reader = cluster()) {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        all.add(
            threads.submit(
                () -> {
                  while (!stop.get()) {
                    String name = "object" + next.incrementAndGet();
                    writer.put(uri(name), content);
                    written.add(name);
                  }
                  return null;
                }));
        all.add(
            threads.submit(
                () -> {
                  while (!stop.get()) {
                    String name = written.poll();
                    if (name != null) {
                      assertArrayEquals(content, reader.get(uri(name)), name);
                      read.incrementAndGet();
                    } else {
                      Thread.sleep(5);
                    }
                  }
                  return null;
                }));
      }
      for (int version = 2; version <= 3; version++) {
        Thread.sleep(500);
        change("rotate");
        Thread.sleep(IN_FORCE_MILLIS);
        String name = "object" + (next.get() + 1);
        writer.put(uri("after" + version), content);
        assertTrue(version("after" + version).startsWith(version + "-"), name);
      }
      int first = next.get() + 1 + 2; // what both writers had begun before is not counted
      Thread.sleep(500);
      stop.set(true);
      for (Future<?> one : all) {
        one.get();
      }
      for (int i = first; i <= next.get(); i++) {
        assertTrue(version("object" + i).startsWith("3-"), version("object" + i));
      }
      assertTrue(read.get() > 20, "only " + read.get() + " objects were read");
      for (int i = 1; i <= next.get(); i++) {
        assertArrayEquals(content, reader.get(uri("object" + i)));
      }
      assertTrue(version("object1").startsWith("1-"));
    } finally {
      stop.set(true);
      threads.shutdownNow();
    }
  }

  @Test
  void aReaderFindsAVersionThatIsNewerThanWhatItHas() throws Exception {
    try (EmrfsStandIn reader = site().set("emrkeys.keyring.max-age", "1h").start(aws, MODE)) {
      reader.put(uri("old"), content);
      change("rotate");
      try (EmrfsStandIn writer = cluster()) {
        writer.put(uri("new"), content);
      }
      assertArrayEquals(content, reader.get(uri("new")));
      assertTrue(version("new").startsWith("2-"));
    }
  }

  @Test
  void aDisabledVersionIsRefusedUntilItIsEnabledAndADestroyedOneForGood() throws Exception {
    try (EmrfsStandIn cluster = cluster()) {
      cluster.put(uri("object"), content);
      change("rotate");
      change("disable", "1");
      Thread.sleep(IN_FORCE_MILLIS);
      Codes.assertCode("KEY_VERSION_DISABLED", () -> cluster.get(uri("object")));
      change("enable", "1");
      Thread.sleep(IN_FORCE_MILLIS);
      assertArrayEquals(content, cluster.get(uri("object")));
      change("disable", "1");
      change("destroy", "1", "--yes");
      Thread.sleep(IN_FORCE_MILLIS);
      Codes.assertCode("KEY_VERSION_DESTROYED", () -> cluster.get(uri("object")));
      cluster.put(uri("other"), content);
      assertArrayEquals(content, cluster.get(uri("other")));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"deleted", "truncated", "rolled back", "state changed", "swapped"})
  void aRunningJvmGoesOnAndANewProviderRefuses(String fault, @TempDir Path theirs)
      throws Exception {
    byte[] first = document();
    change("rotate");
    byte[] good = document();
    String text = new String(good, StandardCharsets.UTF_8);
    try (EmrfsStandIn running = cluster()) {
      running.put(uri("object"), content);
      String code;
      switch (fault) {
        case "deleted":
          remove();
          code = "KEY_FILE_NOT_FOUND";
          break;
        case "truncated":
          replace(Arrays.copyOf(good, good.length / 2));
          code = "KEYRING_INVALID";
          break;
        case "rolled back":
          replace(first);
          code = "KEYRING_ROLLED_BACK";
          break;
        case "state changed":
          replace(
              text.replace("\"generation\": 2", "\"generation\": 3")
                  .replace("decrypt-only", "disabled")
                  .getBytes(StandardCharsets.UTF_8));
          code = "KEYRING_NOT_AUTHENTIC";
          break;
        default:
          // The keyring of somebody else, under a KMS key of theirs: their tool has not seen ours.
          String other = aws.createKmsKey();
          remove();
          Cli.succeed(theirs, "keyring", "create", keyring, "--name", "lake", "--kms-key-id", other);
          Cli.succeed(theirs, "keyring", "rotate", keyring, "--kms-key-id", other);
          Cli.succeed(theirs, "keyring", "rotate", keyring, "--kms-key-id", other);
          code = "KEYRING_PROTECTOR";
          break;
      }
      Codes.assertCode(code, () -> cluster().close());
      Thread.sleep(IN_FORCE_MILLIS);
      assertArrayEquals(content, running.get(uri("object")));
      running.put(uri("another"), content);
      assertTrue(version("another").startsWith("2-"));
      Codes.assertCode(code, () -> running.provider().refresh());
      assertArrayEquals(content, running.get(uri("another")));

      replace(good);
      change("rotate");
      Thread.sleep(IN_FORCE_MILLIS + 1500);
      running.put(uri("repaired"), content);
      assertTrue(version("repaired").startsWith("3-"), version("repaired"));
    }
  }

  @Test
  void aNewJvmIsToldOfARollbackByTheLeastGeneration() throws Exception {
    Site site = site().set("emrkeys.key.lake.min-generation", "2");
    Codes.assertCode("KEYRING_ROLLED_BACK", () -> site.start(aws, MODE));
    change("rotate");
    site.start(aws, MODE).close();
  }

  @Test
  void neitherKmsNorS3IsMissedWhileTheyAreDown() throws Exception {
    try (EmrfsStandIn running = cluster()) {
      running.put(uri("object"), content);
      aws.control(
          "POST",
          "faults",
          "{\"service\": \"kms\", \"count\": null, \"status\": 500, \"code\": \"InternalError\"}");
      aws.control(
          "POST",
          "faults",
          "{\"service\": \"s3\", \"resource\": \"lake.keyring\", \"count\": null,"
              + " \"status\": 503, \"code\": \"SlowDown\"}");
      Thread.sleep(IN_FORCE_MILLIS);
      running.put(uri("another"), content);
      assertArrayEquals(content, running.get(uri("object")));
      assertArrayEquals(content, running.get(uri("another")));
      Codes.assertCode("SOURCE_UNAVAILABLE", () -> running.provider().refresh());
      assertArrayEquals(content, running.get(uri("object")));
    }
  }

  @Test
  void aDenialOfKmsIsToldWithKeyAndRemedy() throws Exception {
    aws.control(
        "POST",
        "faults",
        "{\"service\": \"kms\", \"op\": \"Decrypt\", \"count\": null, \"status\": 400,"
            + " \"code\": \"AccessDeniedException\"}");
    // A deadline that no other test has, and so a cache that is cold.
    try (EmrfsStandIn cluster = site().set("emrkeys.kms.deadline", "9999ms").start(aws, MODE)) {
      int before = Stack.calls(DECRYPT);
      for (int i = 0; i < 100; i++) {
        String text =
            Codes.assertCode("SOURCE_DENIED", () -> cluster.put(uri("object"), content))
                .getMessage();
        assertTrue(text.contains(kmsKey) && text.contains("kms:Decrypt"), text);
      }
      assertEquals(before + 1, Stack.calls(DECRYPT), "a denial is remembered for a while");
      Stack.assertNothingStored(bucket);
    }
  }

  @Test
  void aKeyringMovesToAnotherKmsKey() throws Exception {
    String target = aws.createKmsKey();
    Site both = site().set("emrkeys.key.lake.kms-key-id", kmsKey + "," + target);
    try (EmrfsStandIn running = both.start(aws, MODE)) {
      running.put(uri("object"), content);
      change("rewrap", "--to-kms-key-id", target);
      Thread.sleep(IN_FORCE_MILLIS);
      assertArrayEquals(content, running.get(uri("object")));
      Codes.assertCode("KEYRING_PROTECTOR", () -> cluster().close());
      try (EmrfsStandIn after =
          site().set("emrkeys.key.lake.kms-key-id", target).start(aws, MODE)) {
        assertArrayEquals(content, after.get(uri("object")));
      }
    }
  }

  @Test
  void ofOperatorsAtOnceNobodyLosesAChange() throws Exception {
    int operators = 4;
    ExecutorService threads = Executors.newFixedThreadPool(operators);
    int done = 0;
    try {
      for (int round = 0; round < 3; round++) {
        List<Future<Cli.Result>> all = new ArrayList<>();
        for (int i = 0; i < operators; i++) {
          all.add(
              threads.submit(
                  () -> Cli.run("keyring", "rotate", keyring, "--kms-key-id", kmsKey)));
        }
        for (Future<Cli.Result> one : all) {
          Cli.Result result = one.get();
          assertTrue(result.code == 0 || result.code == 3, result.text);
          assertTrue(result.code == 0 || result.text.contains("KEYRING_CHANGED"), result.text);
          done += result.code == 0 ? 1 : 0;
        }
      }
    } finally {
      threads.shutdownNow();
    }
    assertTrue(done >= 3, "each round somebody succeeds");
    assertEquals(done + 1, versions());
  }

  private int versions() throws IOException, InterruptedException {
    Matcher found =
        Pattern.compile("\"state\": \"")
            .matcher(Cli.succeed("keyring", "list", keyring, "--output", "json"));
    int count = 0;
    while (found.find()) {
      count++;
    }
    return count;
  }

  @Test
  void aKeyringInHadoopIsReadAgainByRefresh() throws Exception {
    Hadoop.assumeItRunsHere();
    KeyFiles files = KeyFiles.create();
    KeyFiles.Aes master = files.aes("master", 256);
    String path = files.folder().resolve("lake.keyring").toString();
    String protector = master.file.toString();
    Cli.succeed("keyring", "create", path, "--name", "lake", "--protector-file", protector);
    // Through Hadoop's FileSystem, as hdfs: would be.
    Site site =
        Site.plain()
            .set("emrkeys.key.lake.type", "keyring")
            .set("emrkeys.key.lake.uri", "viewfs://all" + path)
            .set("fs.viewfs.mounttable.all.link." + files.folder(), "file://" + files.folder())
            .set("emrkeys.key.lake.protector-key", "master")
            .aes("master", master)
            .defaultKey("lake");
    try (EmrfsStandIn cluster = site.start(aws, MODE)) {
      cluster.put(uri("a"), content);
      Cli.succeed("keyring", "rotate", path, "--protector-file", protector);
      cluster.put(uri("b"), content);
      assertEquals(version("a"), version("b"));
      cluster.provider().refresh();
      cluster.put(uri("c"), content);
      assertTrue(version("c").startsWith("2-"));
      assertArrayEquals(content, cluster.get(uri("a")));
      assertFalse(Stack.stored(uri("c")).description().containsKey("emrkeys.wrapped"));
    }
  }
}
