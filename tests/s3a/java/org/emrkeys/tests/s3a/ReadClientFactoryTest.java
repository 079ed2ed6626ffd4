package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** S3A with {@code org.emrkeys.S3AReadClientFactory}: reads what every client wrote, EMRFS's defaults above all. */
class ReadClientFactoryTest {
  private static final int[] SIZES = {0, 1, 15, 16, 17, 31, 32, 33, 100_003};

  private final KeyFiles keys = KeyFiles.create();
  private final KeyFiles.Aes aes = keys.aes("data", 256);
  private final LocalAws aws = Stack.aws();
  private final String kms = aws.createKmsKey();
  private final String bucket = Stack.bucket();

  ReadClientFactoryTest() throws IOException {}

  private Site site() {
    return Site.plain().aes("data", aes).defaultKey("data");
  }

  private FileSystem files(Site site) throws IOException {
    Configuration conf = S3aSite.of(site.set("emrkeys.s3a.allow-legacy", "true"));
    conf.unset("fs.s3a.encryption.algorithm");
    conf.unset(S3aSite.KEYRING);
    conf.set("fs.s3a.s3.client.factory.impl", "org.emrkeys.S3AReadClientFactory");
    return S3aSite.fileSystem(conf, bucket);
  }

  private Path path(String key) {
    return new Path("s3a://" + bucket + "/" + key);
  }

  private String uri(String key) {
    return "s3://" + bucket + "/" + key;
  }

  private static Map<String, Long> listed(FileSystem files, Path folder) throws IOException {
    Map<String, Long> lengths = new TreeMap<>();
    for (FileStatus status : files.listStatus(folder)) {
      lengths.put(status.getPath().getName(), status.getLen());
    }
    return lengths;
  }

  @TestFactory
  Stream<DynamicTest> whatEmrfsWroteIsReadWithItsLengths()
      throws IOException, GeneralSecurityException {
    KeyFiles.Rsa rsa = keys.rsa("data", 2048);
    Map<String, UnaryOperator<Site>> materials = new LinkedHashMap<>();
    materials.put("aes", site -> site);
    materials.put("rsa", site -> site.rsa("pair", rsa).defaultKey("pair"));
    materials.put("kms-cached", site -> site.kmsCached("kms", kms, aws).defaultKey("kms"));
    List<DynamicTest> tests = new ArrayList<>();
    for (Mode mode : Arrays.asList(Mode.V1_ENCRYPTION_ONLY, Mode.V1_AUTHENTICATED, Mode.V2_AUTHENTICATED)) {
      for (String storage : new String[] {"ObjectMetadata", "InstructionFile"}) {
        materials.forEach(
            (name, material) -> {
              // The wraps of other keys are opened by the core, as for the tool.
              if (!name.equals("aes")
                  && (mode != Mode.V1_ENCRYPTION_ONLY || storage.equals("InstructionFile"))) {
                return;
              }
              String title = mode + "-" + storage + "-" + name;
              tests.add(
                  dynamicTest(
                      title,
                      () -> {
                        Site site = material.apply(site()).set(EmrfsStandIn.STORAGE_MODE, storage);
                        assertRead(site, mode, title);
                      }));
            });
      }
    }
    return tests.stream();
  }

  private void assertRead(Site site, Mode mode, String folder) throws IOException {
    Map<String, Long> expected = new TreeMap<>();
    try (EmrfsStandIn emrfs = site.start(aws, mode)) {
      for (int size : SIZES) {
        emrfs.put(uri(folder + "/" + size), Stack.content(size));
        expected.put(Integer.toString(size), (long) size);
      }
      emrfs.putMultipart(uri(folder + "/parts"), Stack.content(EmrfsStandIn.PART_SIZE + 17));
      expected.put("parts", EmrfsStandIn.PART_SIZE + 17L);
    }
    FileSystem files = files(site);
    assertEquals(expected, listed(files, path(folder)), "instruction files are not listed");
    FileSystem fresh = files(site); // which has remembered nothing of the listing
    for (int size : SIZES) {
      Path file = path(folder + "/" + size);
      assertEquals(size, fresh.getFileStatus(file).getLen());
      assertArrayEquals(Stack.content(size), S3aSite.read(fresh, file.toString()));
    }
    byte[] parts = Stack.content(EmrfsStandIn.PART_SIZE + 17);
    assertArrayEquals(parts, S3aSite.read(fresh, path(folder + "/parts").toString()));
    assertRanges(fresh, path(folder + "/100003"), Stack.content(100_003));
    assertRanges(fresh, path(folder + "/33"), Stack.content(33));
  }

  /** At every offset around the edges of blocks, at random, at the end and behind it; in small reads and large ones. */
  private static void assertRanges(FileSystem files, Path file, byte[] content) throws IOException {
    Random random = new Random(content.length);
    try (FSDataInputStream in = files.open(file)) {
      for (int i = 0; i < 40; i++) {
        int first = i < 33 ? i : random.nextInt(content.length);
        first = Math.min(first, content.length - 1);
        assertRange(in, content, first, 1 + random.nextInt(Math.min(9000, content.length - first)));
      }
      int last = content.length - 1;
      assertRange(in, content, last, 1);
      assertRange(in, content, Math.max(0, last - 16), Math.min(17, content.length));
      in.seek(content.length);
      assertEquals(-1, in.read());
      assertThrows(EOFException.class, () -> in.seek(-1));
      assertThrows(EOFException.class, () -> in.readFully(last, new byte[2]));
    }
    try (FSDataInputStream in = files.open(file)) {
      assertEquals(content[0] & 0xff, in.read());
      byte[] rest = new byte[content.length];
      rest[0] = content[0];
      int read = 1;
      // Between single bytes, pieces that go past the buffers of the stream.
      for (int n = 0; n >= 0 && read < content.length; read += n) {
        n = in.read(rest, read, Math.min(content.length - read, read % 2 == 0 ? 3 : 20_001));
      }
      assertArrayEquals(content, rest);
    }
  }

  private static void assertRange(FSDataInputStream in, byte[] content, int first, int length)
      throws IOException {
    byte[] range = new byte[length];
    in.readFully(first, range, 0, length);
    assertArrayEquals(
        Arrays.copyOfRange(content, first, first + length), range, first + "+" + length);
  }

  @Test
  void whatS3aAndTheToolEncryptIsReadInRanges() throws Exception {
    FileSystem encrypting = S3aSite.fileSystem(S3aSite.of(site()), bucket);
    List<String> names = new ArrayList<>();
    for (int size : SIZES) {
      S3aSite.write(encrypting, path("own/s3a-" + size).toString(), Stack.content(size));
      names.add("s3a-" + size);
    }
    for (int size : new int[] {0, 17, 100_003}) {
      Cli.put(site(), Stack.content(size), uri("own/v4-" + size), "--format", "v4");
      names.add("v4-" + size);
    }
    FileSystem files = files(site());
    Map<String, Long> lengths = listed(files, path("own"));
    for (String name : names) {
      int size = Integer.parseInt(name.substring(name.indexOf('-') + 1));
      assertEquals(size, lengths.get(name), name);
      Path file = path("own/" + name);
      byte[] content = Stack.content(size);
      assertArrayEquals(content, S3aSite.read(files, file.toString()));
      if (size > 0) {
        assertRanges(files, file, content);
      }
    }
  }

  @Test
  void vectoredReadsAreDecrypted() throws Exception {
    byte[] content = Stack.content(100_003);
    try (EmrfsStandIn emrfs = site().start(aws)) {
      emrfs.put(uri("vectors"), content);
    }
    List<FileRange> ranges =
        Arrays.asList(
            FileRange.createFileRange(3, 100),
            FileRange.createFileRange(40_001, 7),
            FileRange.createFileRange(99_990, 13));
    try (FSDataInputStream in = files(site()).open(path("vectors"))) {
      in.readVectored(ranges, ByteBuffer::allocate);
      for (FileRange range : ranges) {
        ByteBuffer read = range.getData().get(1, TimeUnit.MINUTES);
        byte[] bytes = new byte[read.remaining()];
        read.get(bytes);
        int from = (int) range.getOffset();
        assertArrayEquals(Arrays.copyOfRange(content, from, from + range.getLength()), bytes);
      }
    }
  }

  @Test
  void theKeyCommittingFormatAndPlainObjectsAreReadBesideOldOnes() throws Exception {
    byte[] content = Stack.content(1000);
    Cli.put(site(), content, uri("mixed/v4"), "--format", "v4");
    aws.s3().putObject(bucket, "mixed/plain", "plain as it is");
    try (EmrfsStandIn emrfs = site().start(aws)) {
      emrfs.put(uri("mixed/old"), content);
    }
    FileSystem files = files(site());
    Map<String, Long> expected = new TreeMap<>();
    expected.put("old", 1000L);
    expected.put("plain", 14L);
    expected.put("v4", 1000L);
    assertEquals(expected, listed(files, path("mixed")));
    assertArrayEquals(content, S3aSite.read(files, path("mixed/v4").toString()));
    assertArrayEquals(content, S3aSite.read(files, path("mixed/old").toString()));
    assertArrayEquals(
        "plain as it is".getBytes("US-ASCII"), S3aSite.read(files, path("mixed/plain").toString()));
  }

  @Test
  void anInstructionFileIsFetchedOnceForAFileThatIsReadInManyRanges() throws IOException {
    byte[] content = Stack.content(100_003);
    List<Integer> requests = new ArrayList<>();
    for (String storage : new String[] {"ObjectMetadata", "InstructionFile"}) {
      Site site = site().set(EmrfsStandIn.STORAGE_MODE, storage);
      try (EmrfsStandIn emrfs = site.start(aws)) {
        emrfs.put(uri(storage), content);
      }
      FileSystem files = files(site);
      int before = Stack.calls("s3.GetObject");
      assertRanges(files, path(storage), content);
      requests.add(Stack.calls("s3.GetObject") - before);
    }
    assertTrue(requests.get(0) >= 1);
    assertEquals(requests.get(0) + 1, requests.get(1));
  }

  @Test
  void nothingIsWrittenBecauseItWouldBePlaintext() throws IOException {
    FileSystem files = files(site());
    for (int size : new int[] {1, 6 << 20}) {
      String messages =
          S3aSite.messages(
              assertThrows(
                  Throwable.class,
                  () -> S3aSite.write(files, path("new/" + size).toString(), Stack.content(size))));
      assertTrue(messages.contains("[CONTENT_UNSUPPORTED]"), messages);
      assertFalse(files.exists(path("new/" + size)));
    }
  }

  @Test
  void aRenameKeepsCiphertextAndEnvelope() throws IOException {
    byte[] content = Stack.content(1000);
    try (EmrfsStandIn emrfs = site().start(aws)) {
      emrfs.put(uri("from/a"), content);
      FileSystem files = files(site());
      assertTrue(files.mkdirs(path("to")));
      assertTrue(files.rename(path("from/a"), path("to/a")));
      assertArrayEquals(content, S3aSite.read(files, path("to/a").toString()));
      assertArrayEquals(content, emrfs.get(uri("to/a")));
    }
  }

  @Test
  void withoutTheKeyAndWithoutLeaveForOldWrapsNothingIsRead() throws IOException {
    try (EmrfsStandIn emrfs = site().start(aws)) {
      emrfs.put(uri("refused"), Stack.content(1000));
    }
    Site other = Site.plain().aes("other", keys.aes("other", 256)).defaultKey("other");
    assertRefused("KEY_NOT_CONFIGURED", files(other));
    Configuration strict = new Configuration(files(site()).getConf());
    strict.set("emrkeys.s3a.allow-legacy", "false");
    assertRefused("LEGACY_WRAP", S3aSite.fileSystem(strict, bucket));
  }

  @Test
  void anotherKeyOfTheSameNameAndAVersionThatWasDisabledReadNothing() throws Exception {
    S3aSite.write(
        S3aSite.fileSystem(S3aSite.of(site()), bucket), path("refused").toString(), Stack.content(9));
    Site other = Site.plain().aes("data", keys.aes("another", 256)).defaultKey("data");
    assertRefused("KEY_VERSION_UNKNOWN", files(other));

    String document = "s3://" + Stack.bucket() + "/lake.keyring";
    Cli.succeed("keyring", "create", document, "--name", "lake", "--kms-key-id", kms);
    Site lake = Site.plain().keyring("lake", document, kms, aws).defaultKey("lake");
    S3aSite.write(
        S3aSite.fileSystem(S3aSite.of(lake), bucket), path("refused").toString(), Stack.content(9));
    Cli.succeed("keyring", "rotate", document, "--kms-key-id", kms);
    Cli.succeed("keyring", "disable", document, "1", "--kms-key-id", kms);
    // The keys that the JVM has are shared by file systems that are configured alike.
    assertRefused("KEY_VERSION_DISABLED", files(lake.set("emrkeys.keyring.max-age", "1h")));
  }

  private void assertRefused(String code, FileSystem files) {
    String messages =
        S3aSite.messages(
            assertThrows(
                Throwable.class, () -> S3aSite.read(files, path("refused").toString())));
    assertTrue(messages.contains("[" + code + "]"), messages);
  }

  @Test
  void clientSideEncryptionOfS3aBesideItIsRefusedOrLeftAlone() throws IOException {
    Configuration conf = S3aSite.of(site());
    conf.set("fs.s3a.s3.client.factory.impl", "org.emrkeys.S3AReadClientFactory");
    // S3A takes its own client factory then: content is written encrypted, and read by the keyring.
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    byte[] content = Stack.content(100);
    S3aSite.write(files, path("encrypted").toString(), content);
    assertTrue(Stack.stored(uri("encrypted")).userMetadata().size() > 2);
    assertArrayEquals(content, S3aSite.read(files, path("encrypted").toString()));
  }
}
