package org.emrkeys.tests.tables;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.encryption.AesGcmInputFile;
import org.apache.iceberg.encryption.AesGcmOutputFile;
import org.apache.iceberg.encryption.EncryptionUtil;
import org.apache.iceberg.encryption.KeyManagementClient;
import org.apache.iceberg.inmemory.InMemoryFileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.emrkeys.EmrKeysException;
import org.emrkeys.iceberg.EmrKeysKeyManagementClient;
import org.emrkeys.tests.support.Hadoop;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class IcebergTest {
  private static final byte[] KEY = "0123456789abcdef".getBytes(StandardCharsets.UTF_8);

  private static final byte[] AAD = {1, 2, 3};

  private final Keys keys = new Keys();

  IcebergTest() throws IOException, InterruptedException {}

  @BeforeEach
  void runs() {
    Hadoop.assumeItRunsHere();
  }

  private static byte[] bytes(ByteBuffer buffer) {
    ByteBuffer read = buffer.duplicate();
    byte[] bytes = new byte[read.remaining()];
    read.get(bytes);
    return bytes;
  }

  @Test
  void icebergMakesItByNameAndItWrapsUnwrapsAndGenerates() {
    KeyManagementClient client = EncryptionUtil.createKmsClient(Keys.catalog(keys.conf()));
    assertEquals(EmrKeysKeyManagementClient.class, client.getClass());
    ByteBuffer key = ByteBuffer.wrap(KEY);
    ByteBuffer wrapped = client.wrapKey(key, "lake");
    assertEquals(KEY.length, key.remaining(), "the caller's buffer is as it was");
    assertArrayEquals(KEY, bytes(client.unwrapKey(wrapped, "lake")));
    assertArrayEquals(KEY, bytes(client.unwrapKey(wrapped, "lake")), "so is the wrapped one");
    assertTrue(client.supportsKeyGeneration());
    KeyManagementClient.KeyGenerationResult made = client.generateKey("cards");
    assertEquals(32, made.key().remaining());
    assertArrayEquals(bytes(made.key()), bytes(client.unwrapKey(made.wrappedKey(), "cards")));
    assertCode("WRAPPED_KEY_INVALID", () -> client.unwrapKey(made.wrappedKey(), "lake"));
    assertCode("UNKNOWN_KEY", () -> client.wrapKey(key, "lakes"));
    assertCode("KEY_SIZE", () -> client.wrapKey(ByteBuffer.allocate(8), "lake"));
    assertCode("NOT_CONFIGURED", () -> new EmrKeysKeyManagementClient().wrapKey(key, "lake"));
  }

  @Test
  void anExecutorOpensTheKeysOfTheSerializedClientWhichHoldsNone() throws Exception {
    Configuration conf = keys.conf();
    EmrKeysKeyManagementClient client = new EmrKeysKeyManagementClient();
    client.initialize(Keys.catalog(conf));
    byte[] wrapped = bytes(client.wrapKey(ByteBuffer.wrap(KEY), "cards"));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ObjectOutputStream objects = new ObjectOutputStream(out)) {
      objects.writeObject(client);
    }
    String serialized = new String(out.toByteArray(), StandardCharsets.ISO_8859_1);
    assertTrue(serialized.contains("emrkeys.key.cards.file"));
    for (String file : new String[] {"cards.file", "lake.protector-file"}) {
      byte[] secret =
          Files.readAllBytes(Paths.get(URI.create(conf.get("emrkeys.key." + file))));
      assertFalse(serialized.contains(new String(secret, StandardCharsets.ISO_8859_1)), file);
    }
    assertFalse(serialized.contains("canary-of-the-catalog"));
    assertFalse(client.toString().contains(conf.get("emrkeys.key.cards.file")), client.toString());
    Object there =
        new ObjectInputStream(new ByteArrayInputStream(out.toByteArray())).readObject();
    assertArrayEquals(
        KEY,
        bytes(((EmrKeysKeyManagementClient) there).unwrapKey(ByteBuffer.wrap(wrapped), "cards")));
  }

  @Test
  void aStreamOfATableIsReadBeforeAndAfterARotation() throws Exception {
    InMemoryFileIO io = new InMemoryFileIO();
    byte[] content = new byte[3 << 20];
    Arrays.fill(content, (byte) 'x');
    ByteBuffer before = write(keys.conf(), io, "before", content);
    keys.change("rotate");
    Configuration after = keys.conf();
    after.set("emrkeys.keyring.max-age", "2s");
    ByteBuffer later = write(after, io, "after", content);
    assertTrue(text(before).contains("emrkeys.version\0\0\0\0221-"), text(before));
    assertTrue(text(later).contains("emrkeys.version\0\0\0\0222-"), text(later));
    assertArrayEquals(content, read(after, io, "before", before));
    assertArrayEquals(content, read(after, io, "after", later));
    keys.change("disable", "1");
    after.set("emrkeys.keyring.max-age", "3s");
    EmrKeysException refused =
        assertCode("KEY_VERSION_DISABLED", () -> read(after, io, "before", before));
    assertTrue(refused.getMessage().contains("emrkeys keyring enable"), refused.getMessage());
    assertArrayEquals(content, read(after, io, "after", later));
  }

  private static String text(ByteBuffer buffer) {
    return new String(bytes(buffer), StandardCharsets.ISO_8859_1);
  }

  private static KeyManagementClient client(Configuration conf) {
    return EncryptionUtil.createKmsClient(Keys.catalog(conf));
  }

  /** Writes a stream under a new key, and gives the key, wrapped. */
  private static ByteBuffer write(
      Configuration conf, InMemoryFileIO io, String name, byte[] content) throws IOException {
    KeyManagementClient.KeyGenerationResult key = client(conf).generateKey("lake");
    OutputFile file = new AesGcmOutputFile(io.newOutputFile(name), bytes(key.key()), AAD);
    try (OutputStream out = file.create()) {
      out.write(content);
    }
    byte[] start = new byte[4];
    try (InputStream in = io.newInputFile(name).newStream()) {
      assertEquals(4, in.read(start));
    }
    assertEquals("AGS1", new String(start, StandardCharsets.UTF_8));
    return key.wrappedKey();
  }

  private static byte[] read(
      Configuration conf, InMemoryFileIO io, String name, ByteBuffer wrapped) throws IOException {
    byte[] key = bytes(client(conf).unwrapKey(wrapped, "lake"));
    InputFile file = new AesGcmInputFile(io.newInputFile(name), key, AAD);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (InputStream in = file.newStream()) {
      byte[] buffer = new byte[1 << 16];
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        out.write(buffer, 0, read);
      }
    }
    return out.toByteArray();
  }
}
