package org.emrkeys.tests.tables;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;
import org.apache.parquet.crypto.keytools.KeyToolkit;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.emrkeys.EmrKeysException;
import org.emrkeys.parquet.EmrKeysKmsClient;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Hadoop;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ParquetTest {
  private static final int ROWS = 200;
  private static final String COLUMNS = "cards:card;lake:name";
  private static final String[] ALL = {"id", "card", "name"};

  private final Keys keys = new Keys();

  @TempDir File folder;

  ParquetTest() throws IOException, InterruptedException {}

  @BeforeEach
  void runs() {
    Hadoop.assumeItRunsHere();
  }

  /** Parquet keeps clients and key-encryption keys for the JVM, by the names of keys. */
  @AfterEach
  @BeforeEach
  void forget() {
    KeyToolkit.removeCacheEntriesForAllTokens();
  }

  private Path path(String name) {
    return new Path(new File(folder, name).toURI());
  }

  private byte[] bytes(String name) throws IOException {
    return Files.readAllBytes(new File(folder, name).toPath());
  }

  private void write(String name, byte[] bytes) throws IOException {
    Files.write(new File(folder, name).toPath(), bytes);
    Files.deleteIfExists(new File(folder, "." + name + ".crc").toPath());
  }

  private Configuration conf() {
    return EncryptedFiles.conf(keys.conf(), "lake", COLUMNS);
  }

  /** The refusal of Parquet at the bottom of what a reader throws, and our own below it. */
  private static EmrKeysException refusal(Throwable thrown) {
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof EmrKeysException) {
        return (EmrKeysException) cause;
      }
    }
    throw new AssertionError(thrown);
  }

  @ParameterizedTest
  @CsvSource({
    "true, true, false",
    "true, false, false",
    "false, true, false",
    "false, false, false",
    "true, true, true",
  })
  void filesAreReadAsTheyWereWritten(boolean doubleWrapping, boolean internal, boolean plainFooter)
      throws IOException {
    Configuration conf = conf();
    conf.setBoolean("parquet.encryption.double.wrapping", doubleWrapping);
    conf.setBoolean("parquet.encryption.key.material.store.internally", internal);
    conf.setBoolean("parquet.encryption.plaintext.footer", plainFooter);
    EncryptedFiles.write(conf, path("a.parquet"), ROWS);
    forget();
    List<String> rows = EncryptedFiles.read(conf, path("a.parquet"), ALL);
    assertEquals(ROWS, rows.size());
    assertTrue(rows.get(7).contains(EncryptedFiles.SECRET + " 00000007"), rows.get(7));
    byte[] stored = bytes("a.parquet");
    String text = new String(stored, StandardCharsets.ISO_8859_1);
    assertFalse(text.contains(EncryptedFiles.SECRET));
    assertTrue(text.endsWith(plainFooter ? "PAR1" : "PARE"));
    File[] material = folder.listFiles((parent, name) -> name.startsWith("_KEY_MATERIAL_FOR_"));
    assertEquals(internal ? 0 : 1, material.length);
  }

  @Test
  void oneKeyForAllColumnsAndAKeyByRule() throws IOException {
    Configuration site = keys.conf();
    site.set("emrkeys.rule.sales.prefix", "s3://lake/sales/");
    site.set("emrkeys.rule.sales.key", "lake");
    Configuration conf = EncryptedFiles.conf(site, "rule:s3://lake/sales/a.parquet", null);
    EncryptedFiles.write(conf, path("a.parquet"), ROWS);
    forget();
    assertEquals(ROWS, EncryptedFiles.read(conf, path("a.parquet"), ALL).size());
    conf.set("parquet.encryption.uniform.key", "rule:s3://lake/other/a.parquet");
    Exception refused =
        assertThrows(Exception.class, () -> EncryptedFiles.write(conf, path("b.parquet"), 1));
    assertEquals("NO_RULE", refusal(refused).code());
  }

  @Test
  void aReaderWithoutTheKeyOfOneColumnReadsTheOthers() throws IOException {
    EncryptedFiles.write(conf(), path("a.parquet"), ROWS);
    forget();
    Configuration less = EncryptedFiles.conf(keys.without("cards"), "lake", COLUMNS);
    assertEquals(ROWS, EncryptedFiles.read(less, path("a.parquet"), "id", "name").size());
    Exception refused =
        assertThrows(
            Exception.class, () -> EncryptedFiles.read(less, path("a.parquet"), "id", "card"));
    assertEquals("KEY_NOT_CONFIGURED", refusal(refused).code());
  }

  @Test
  void aKeyWhoseMaterialIsGoneKeepsNoOtherColumnFromBeingRead() throws IOException {
    EncryptedFiles.write(conf(), path("a.parquet"), ROWS);
    forget();
    Configuration less = conf();
    less.set("emrkeys.key.cards.file", "file:///nonexistent/cards.key");
    assertEquals(ROWS, EncryptedFiles.read(less, path("a.parquet"), "id", "name").size());
    Exception refused =
        assertThrows(Exception.class, () -> EncryptedFiles.read(less, path("a.parquet"), "card"));
    assertEquals("KEY_FILE_NOT_FOUND", refusal(refused).code());
  }

  @Test
  void aRotationBetweenWritesLeavesBothReadableUntilAVersionIsDisabled() throws Exception {
    EncryptedFiles.write(conf(), path("a.parquet"), ROWS);
    keys.change("rotate");
    forget();
    // A configuration of its own, so that the keyring is read now and not by its age.
    Configuration after = conf();
    after.set("emrkeys.keyring.max-age", "2s");
    EncryptedFiles.write(after, path("b.parquet"), ROWS);
    for (String file : new String[] {"a.parquet", "b.parquet"}) {
      forget();
      assertEquals(ROWS, EncryptedFiles.read(after, path(file), ALL).size());
    }
    keys.change("disable", "1");
    Configuration disabled = conf();
    disabled.set("emrkeys.keyring.max-age", "3s");
    forget();
    assertEquals(ROWS, EncryptedFiles.read(disabled, path("b.parquet"), ALL).size());
    forget();
    Exception refused =
        assertThrows(
            Exception.class, () -> EncryptedFiles.read(disabled, path("a.parquet"), ALL));
    EmrKeysException ours = refusal(refused);
    assertEquals("KEY_VERSION_DISABLED", ours.code());
    assertTrue(ours.getMessage().contains("emrkeys keyring enable"), ours.getMessage());
  }

  @Test
  void parquetsOwnRotationWrapsExternalKeyMaterialUnderTheNewVersion() throws Exception {
    Configuration conf = conf();
    conf.setBoolean("parquet.encryption.key.material.store.internally", false);
    EncryptedFiles.write(conf, path("a.parquet"), ROWS);
    byte[] content = bytes("a.parquet");
    String before = material();
    keys.change("rotate");
    conf.set("emrkeys.keyring.max-age", "2s");
    forget();
    KeyToolkit.rotateMasterKeys(folder.toURI().toString(), conf);
    assertNotEquals(before, material());
    assertArrayEquals(content, bytes("a.parquet"));
    keys.change("disable", "1");
    conf.set("emrkeys.keyring.max-age", "3s");
    forget();
    assertEquals(ROWS, EncryptedFiles.read(conf, path("a.parquet"), ALL).size());
  }

  @Test
  void theToolWrapsExternalKeyMaterialUnderTheNewVersionAndParquetReadsOn() throws Exception {
    Configuration conf = conf();
    conf.setBoolean("parquet.encryption.key.material.store.internally", false);
    for (boolean doubleWrapping : new boolean[] {true, false}) {
      conf.setBoolean("parquet.encryption.double.wrapping", doubleWrapping);
      EncryptedFiles.write(conf, path(doubleWrapping + ".parquet"), ROWS);
    }
    keys.change("rotate");
    String done = keys.tool("rewrap", folder.toURI().toString(), "--key-material");
    assertTrue(done.contains("2  rewrapped"), done);
    keys.change("disable", "1");
    conf.set("emrkeys.keyring.max-age", "2s");
    for (boolean doubleWrapping : new boolean[] {true, false}) {
      forget();
      assertEquals(ROWS, EncryptedFiles.read(conf, path(doubleWrapping + ".parquet"), ALL).size());
      String file = new File(folder, doubleWrapping + ".parquet").toURI().toString();
      String found = keys.tool("inspect", file, "--for", "tables");
      assertTrue(found.contains("key lake, version 2-"), found);
      assertFalse(found.contains("version 1-"), found);
    }
  }

  private String material() throws IOException {
    File[] files = folder.listFiles((parent, name) -> name.startsWith("_KEY_MATERIAL_FOR_"));
    return new String(Files.readAllBytes(files[0].toPath()), StandardCharsets.UTF_8);
  }

  @Test
  void aTamperedPageASwappedChunkAndAForeignFooterFail() throws IOException {
    Configuration conf = EncryptedFiles.conf(keys.conf(), "lake", "cards:card,name");
    for (String name : new String[] {"a.parquet", "b.parquet"}) {
      EncryptedFiles.write(conf, path(name), ROWS);
    }
    ColumnChunkMetaData card = EncryptedFiles.chunk(conf, path("a.parquet"), "card");
    ColumnChunkMetaData name = EncryptedFiles.chunk(conf, path("a.parquet"), "name");
    int cardAt = (int) card.getStartingPos();
    int nameAt = (int) name.getStartingPos();
    int size = (int) card.getTotalSize();
    assertEquals(size, name.getTotalSize());
    byte[] original = bytes("a.parquet");

    byte[] tampered = original.clone();
    tampered[cardAt + size / 2] ^= 1;
    write("tampered.parquet", tampered);
    byte[] swapped = original.clone();
    System.arraycopy(original, cardAt, swapped, nameAt, size);
    System.arraycopy(original, nameAt, swapped, cardAt, size);
    write("swapped.parquet", swapped);
    byte[] footless = bytes("b.parquet");
    int footer = Math.max(cardAt, nameAt) + size;
    byte[] mixed = Arrays.copyOf(original, original.length);
    System.arraycopy(footless, 0, mixed, 0, footer);
    write("mixed.parquet", mixed);
    for (String file : new String[] {"tampered.parquet", "swapped.parquet", "mixed.parquet"}) {
      Exception refused =
          assertThrows(
              Exception.class, () -> EncryptedFiles.read(conf, path(file), "card", "name"), file);
      Throwable cause = refused;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      assertEquals(javax.crypto.AEADBadTagException.class, cause.getClass(), refused.toString());
    }
  }

  @Test
  void aWrappedKeyOfAnotherNameOrOriginIsRefusedWithTheWholeMessage() {
    EmrKeysKmsClient client = new EmrKeysKmsClient();
    client.initialize(keys.conf(), "DEFAULT", "DEFAULT", "any token");
    byte[] key = new byte[16];
    String wrapped = client.wrapKey(key, "lake");
    assertArrayEquals(key, client.unwrapKey(wrapped, "lake"));
    byte[] changed = Base64.getDecoder().decode(wrapped);
    changed[changed.length - 1] ^= 1;
    String other = Base64.getEncoder().encodeToString(changed);
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey(wrapped, "cards"));
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey(other, "lake"));
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey("not base64!", "lake"));
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey("", "lake"));
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey(null, "lake"));
    denied("UNKNOWN_KEY", () -> client.wrapKey(key, "lak"));
    denied("UNKNOWN_KEY", () -> client.wrapKey(key, null));
    denied("KEY_SIZE", () -> client.wrapKey(new byte[8], "lake"));
    denied("NOT_CONFIGURED", () -> new EmrKeysKmsClient().wrapKey(key, "lake"));
    denied("NOT_CONFIGURED", () -> new EmrKeysKmsClient().initialize(null, "", "", ""));
    Configuration wrong = keys.conf();
    wrong.set("emrkeys.key.lake.tpye", "aes");
    denied("UNKNOWN_PROPERTY", () -> new EmrKeysKmsClient().initialize(wrong, "", "", ""));
  }

  private static void denied(String code, Runnable call) {
    KeyAccessDeniedException denied =
        assertThrows(KeyAccessDeniedException.class, call::run);
    assertEquals(code, refusal(denied).code(), denied.getMessage());
    assertTrue(denied.getMessage().contains("[" + code + "]. "), denied.getMessage());
  }

  @Test
  void aKeyServiceThatDoesNotAnswerIsNoDenial() throws IOException {
    Configuration conf = keys.conf();
    conf.set("emrkeys.key.far.type", "kms-cached");
    conf.set("emrkeys.key.far.kms-key-id", Stack.aws().createKmsKey());
    conf.set("emrkeys.key.far.endpoint", "http://127.0.0.1:9");
    conf.set("emrkeys.kms.deadline", "1s");
    EmrKeysKmsClient client = new EmrKeysKmsClient();
    client.initialize(conf, "", "", "");
    ParquetCryptoRuntimeException failed =
        assertThrows(
            ParquetCryptoRuntimeException.class, () -> client.wrapKey(new byte[16], "far"));
    assertEquals(ParquetCryptoRuntimeException.class, failed.getClass());
    assertEquals("SOURCE_UNAVAILABLE", refusal(failed).code());
  }

  @Test
  void wrapsAndUnwrapsAreCountedForEachKey() throws Exception {
    MBeanServer server = ManagementFactory.getPlatformMBeanServer();
    ObjectName all = new ObjectName("org.emrkeys:type=Keys,usage=tables,key=lake,*");
    Set<ObjectName> ofOthers = server.queryNames(all, null);
    Configuration conf = keys.conf();
    conf.set("emrkeys.keyring.max-age", "7s"); // a configuration of its own, and so an MBean
    EmrKeysKmsClient client = new EmrKeysKmsClient();
    client.initialize(conf, "", "", "");
    Set<ObjectName> own = server.queryNames(all, null);
    own.removeAll(ofOthers);
    ObjectName name = own.iterator().next();
    String wrapped = client.wrapKey(new byte[16], "lake");
    client.unwrapKey(wrapped, "lake");
    client.unwrapKey(wrapped, "lake");
    denied("WRAPPED_KEY_INVALID", () -> client.unwrapKey(wrapped, "cards"));
    assertEquals(1L, server.getAttribute(name, "tableWraps"));
    assertEquals(2L, server.getAttribute(name, "tableUnwraps"));
    client.unwrapKey(wrapped, "lake"); // until here the client, and so its MBean, is in use
  }

  @Test
  void manyFilesAndClientsOfAJvmAskKmsOnce() throws Exception {
    Configuration conf = EncryptedFiles.conf(keys.kmsCached("cloud").conf(), "cloud", "cloud:card");
    conf.setBoolean("parquet.encryption.double.wrapping", false);
    int generated = Stack.calls("kms.GenerateDataKey");
    int opened = Stack.calls("kms.Decrypt");
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try {
      List<Future<?>> all = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        Path file = path("file" + i + ".parquet");
        all.add(
            threads.submit(
                () -> {
                  EncryptedFiles.write(conf, file, 10);
                  forget();
                  assertEquals(10, EncryptedFiles.read(conf, file, ALL).size());
                  return null;
                }));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } finally {
      threads.shutdownNow();
    }
    assertEquals(1, Stack.calls("kms.GenerateDataKey") - generated);
    assertEquals(0, Stack.calls("kms.Decrypt") - opened);
  }
}
