package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The operator's tool and S3A, in the format of S3A's release of the S3 Encryption Client: each reads
 * what the other wrote.
 */
class ToolTest {
  /** Release 4 commits to the key, in a format of its own. */
  private static final boolean COMMITS = System.getProperty("emrkeys.test.stack").startsWith("4.");

  /** The last is written in parts, by either. */
  private static final int[] SIZES = {0, 1, 16, 4096, (8 << 20) + 17};

  private final KeyFiles keys = KeyFiles.create();
  private final String bucket = Stack.bucket();
  private final Site aes = Site.plain().aes("k", keys.aes("k", 256)).defaultKey("k");
  private final Site rsa = Site.plain().rsa("k", keys.rsa("k", 2048)).defaultKey("k");

  ToolTest() throws IOException, GeneralSecurityException {}

  @ParameterizedTest
  @ValueSource(strings = {"aes", "rsa"})
  void theToolReadsWhatS3aWrites(String type) throws Exception {
    Site site = type.equals("aes") ? aes : rsa;
    FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
    for (int size : SIZES) {
      String key = "s3a-" + type + "-" + size;
      String uri = "s3://" + bucket + "/" + key;
      byte[] content = Stack.content(size);
      S3aSite.write(files, "s3a://" + bucket + "/" + key, content);
      assertArrayEquals(content, Cli.get(site, uri), uri);
      if (size == 4096) {
        assertArrayEquals(Arrays.copyOfRange(content, 15, 2001), Cli.get(site, uri, "15-2000"));
      }
      JsonNode object = Cli.inspect(site, uri);
      assertTrue(object.get("readable").asBoolean(), object.toString());
      JsonNode encryption = object.get("encryption");
      assertEquals("k", encryption.get("key").asText());
      assertEquals(size, encryption.get("plaintextLength").asInt());
      assertEquals(COMMITS, encryption.get("committed").asBoolean());
      assertEquals(
          COMMITS ? "S3 Encryption Client 4" : "SDK v1, V2 client, or S3 Encryption Client 3",
          encryption.get("client").asText());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"aes", "rsa"})
  void s3aReadsWhatTheToolWrites(String type) throws Exception {
    Site site = type.equals("aes") ? aes : rsa;
    FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
    for (int size : SIZES) {
      String key = "tool-" + type + "-" + size;
      Path path = new Path("s3a://" + bucket + "/" + key);
      byte[] content = Stack.content(size);
      Cli.put(site, content, "s3://" + bucket + "/" + key, "--format", COMMITS ? "v4" : "v2");
      assertEquals(COMMITS, new Envelope(bucket, key).commits());
      assertArrayEquals(content, S3aSite.read(files, path.toString()), key);
      assertEquals(size, files.getFileStatus(path).getLen(), key);
      if (size == 4096) {
        byte[] part = new byte[100];
        try (FSDataInputStream in = files.open(path)) {
          in.readFully(2001, part);
        }
        assertArrayEquals(Arrays.copyOfRange(content, 2001, 2101), part);
      }
    }
  }
}
