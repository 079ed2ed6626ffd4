package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IOUtils;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Hadoop's FileSystem API over S3A, two prefixes with two keys. */
class FileSystemTest {
  private static final int MULTIPART = 64 << 20;

  private final KeyFiles keys = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final Site site =
      Site.plain()
          .aes("data", keys.aes("data", 256))
          .rsa("audit", keys.rsa("audit", 2048))
          .rule("audit", "s3://" + bucket + "/audit/", "audit")
          .defaultKey("data");
  private final FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);

  FileSystemTest() throws Exception {}

  private String path(String key) {
    return "s3a://" + bucket + "/" + key;
  }

  private String keyOf(String key) throws IOException {
    return new Envelope(bucket, key).description().get("emrkeys.key");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 15, 16, 17, 4096, (5 << 20) + 1})
  void whatIsWrittenIsReadAndItsLengthIsRight(int size) throws IOException {
    byte[] content = Stack.content(size);
    S3aSite.write(files, path("a/file"), content);
    assertArrayEquals(content, S3aSite.read(files, path("a/file")));
    assertEquals(size, files.getFileStatus(new Path(path("a/file"))).getLen());
    assertEquals(size, files.listStatus(new Path(path("a")))[0].getLen());
    byte[] stored = Stack.storedBytes("s3://" + bucket + "/a/file");
    assertEquals(size + 16, stored.length, "ciphertext and tag");
    assertTrue(size < 15 || !Arrays.equals(content, Arrays.copyOf(stored, size)), "in the clear");
  }

  @Test
  void eachPrefixHasItsKey() throws IOException {
    S3aSite.write(files, path("audit/a"), Stack.content(100));
    S3aSite.write(files, path("raw/a"), Stack.content(100));
    assertEquals("audit", keyOf("audit/a"));
    assertEquals("data", keyOf("raw/a"));
  }

  @Test
  void whatCommittersWriteGetsTheKeyOfTheFolderItIsCommittedTo() throws IOException {
    String[] temporary = {
      "_temporary/0/_temporary/attempt_1/audit/a", ".spark-staging-1/audit/b", "audit/_temporary/0/_temporary/x/c"
    };
    for (String key : temporary) {
      S3aSite.write(files, path(key), Stack.content(10));
      assertEquals("audit", keyOf(key), key);
    }
  }

  @Test
  void keysOfObjectsAreTakenAsTheyAre() throws IOException {
    for (String name : new String[] {"a b", "100%", "a%41b", "a+b", "ü日本"}) {
      byte[] content = name.getBytes(StandardCharsets.UTF_8);
      S3aSite.write(files, path("audit/" + name), content);
      assertArrayEquals(content, S3aSite.read(files, path("audit/" + name)), name);
      assertEquals("audit", keyOf("audit/" + name), name);
    }
  }

  @Test
  void appendingIsRefused() throws IOException {
    S3aSite.write(files, path("a"), Stack.content(10));
    assertThrows(UnsupportedOperationException.class, () -> files.append(new Path(path("a"))));
  }

  @Test
  void aRenamedFileKeepsTheKeyOfItsSourceAndIsRead() throws IOException {
    byte[] content = Stack.content(1000);
    S3aSite.write(files, path("raw/a"), content);
    files.mkdirs(new Path(path("audit")));
    assertTrue(files.rename(new Path(path("raw/a")), new Path(path("audit/a"))));
    assertEquals("data", keyOf("audit/a"), "a rename copies ciphertext and envelope");
    assertArrayEquals(content, S3aSite.read(files, path("audit/a")));
  }

  @Test
  void aCopyThroughTheClientGetsTheKeyOfItsTarget() throws IOException {
    byte[] content = Stack.content(1000);
    S3aSite.write(files, path("raw/a"), content);
    Configuration conf = files.getConf();
    assertTrue(
        FileUtil.copy(
            files, new Path(path("raw/a")), files, new Path(path("audit/a")), false, conf));
    assertEquals("audit", keyOf("audit/a"));
    assertArrayEquals(content, S3aSite.read(files, path("audit/a")));
  }

  @Test
  void aFileOfManyPartsIsReadFromAnyPosition() throws IOException {
    byte[] content = Stack.content(MULTIPART);
    S3aSite.write(files, path("large"), content);
    assertEquals(MULTIPART, files.getFileStatus(new Path(path("large"))).getLen());
    try (FSDataInputStream in = files.open(new Path(path("large")))) {
      for (int position : new int[] {0, 1, 15, 16, (5 << 20) - 3, 33_333_333, MULTIPART - 5}) {
        byte[] some = new byte[Math.min(1000, MULTIPART - position)];
        in.readFully(position, some);
        assertArrayEquals(
            Arrays.copyOfRange(content, position, position + some.length), some, "at " + position);
      }
      in.seek(40_000_001);
      byte[] rest = new byte[100_000];
      in.readFully(rest);
      assertArrayEquals(Arrays.copyOfRange(content, 40_000_001, 40_100_001), rest);
      in.seek(7);
      assertEquals(content[7] & 0xff, in.read());
    }
    assertArrayEquals(content, S3aSite.read(files, path("large")));
  }

  @Test
  void vectoredReadsGiveEachRange() throws Exception {
    byte[] content = Stack.content(1 << 20);
    S3aSite.write(files, path("audit/vectored"), content);
    List<FileRange> ranges = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      ranges.add(FileRange.createFileRange(i * 100_000L + 7, 5000));
    }
    try (FSDataInputStream in = files.open(new Path(path("audit/vectored")))) {
      in.readVectored(ranges, ByteBuffer::allocate);
      for (FileRange range : ranges) {
        ByteBuffer data = range.getData().get(30, TimeUnit.SECONDS);
        byte[] got = new byte[data.remaining()];
        data.get(got);
        int from = (int) range.getOffset();
        assertArrayEquals(Arrays.copyOfRange(content, from, from + range.getLength()), got);
      }
    }
  }

  @Test
  void manyWritersAndReadersAtOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      List<Future<?>> running = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        String name = path((i % 2 == 0 ? "audit/" : "raw/") + i);
        byte[] content = Stack.content(1000 + i);
        running.add(
            threads.submit(
                () -> {
                  S3aSite.write(files, name, content);
                  assertArrayEquals(content, S3aSite.read(files, name));
                  return null;
                }));
      }
      for (Future<?> one : running) {
        one.get(60, TimeUnit.SECONDS);
      }
    } finally {
      threads.shutdownNow();
    }
    assertEquals(20, files.listStatus(new Path(path("audit"))).length);
  }

  @Test
  void deletedFilesAreGone() throws IOException {
    S3aSite.write(files, path("d/a"), Stack.content(10));
    assertTrue(files.delete(new Path(path("d")), true));
    assertFalse(files.exists(new Path(path("d/a"))));
  }

  @Test
  void anAbandonedWriteLeavesNothing() throws IOException {
    OutputStream out = files.create(new Path(path("abandoned")));
    out.write(Stack.content(100));
    assertFalse(files.exists(new Path(path("abandoned"))));
    IOUtils.closeStream(out);
  }

  @Test
  void listingsOfManyFilesHaveTheLengthsOfWhatWasWritten() throws IOException {
    for (int i = 0; i < 20; i++) {
      S3aSite.write(files, path("l/" + i), Stack.content(i));
    }
    for (FileStatus status : files.listStatus(new Path(path("l")))) {
      assertEquals(Integer.parseInt(status.getPath().getName()), status.getLen());
    }
  }

  @Test
  void aBitFlippedInTheWrappedKeyOrTheDescriptionIsAnError() throws IOException {
    for (String field : new String[] {"key", "description"}) {
      S3aSite.write(files, path("t/" + field), Stack.content(100));
      Envelope envelope = new Envelope(bucket, "t/" + field);
      if (field.equals("key")) {
        envelope.flipWrappedKey();
      } else {
        envelope.replaceInDescription("data", "datb");
      }
      assertThrows(Exception.class, () -> S3aSite.read(files, path("t/" + field)), field);
    }
  }
}
