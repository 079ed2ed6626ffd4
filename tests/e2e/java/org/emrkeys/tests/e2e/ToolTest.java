package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.emrfs.StoredObject;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/** The operator's tool and the SDK's clients: each reads what the other wrote, and the tool says who wrote what. */
@Tag("once") // it is about the tool
class ToolTest {
  private static final int[] SIZES = {0, 1, 16, 4096};

  /** Written in parts, by either; in cells of one kind of key, for the parts know nothing of keys. */
  private static final int IN_PARTS = (8 << 20) + 17;

  private static final String[] STORAGES = {"ObjectMetadata", "InstructionFile"};

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes aes = files.aes("aes", 256);
  private final KeyFiles.Aes another = files.aes("another", 256);
  private final KeyFiles.Rsa rsa = files.rsa("rsa", 2048);
  private final String kms = Stack.aws().createKmsKey();
  private final String bucket = Stack.bucket();

  ToolTest() throws IOException, GeneralSecurityException {}

  /** One client, place of the envelope and kind of key. */
  private interface Cell {
    void run(Mode mode, String storage, String folder, Site site) throws Exception;
  }

  private Stream<DynamicTest> cells(Cell cell) {
    Map<String, KeyOf> keys = new LinkedHashMap<>();
    keys.put("aes", site -> site.aes("mine", aes));
    keys.put("rsa", site -> site.rsa("mine", rsa));
    List<DynamicTest> tests = new ArrayList<>();
    for (Mode mode : Mode.values()) {
      if (!mode.isAvailable()) {
        continue;
      }
      for (String storage : STORAGES) {
        keys.forEach(
            (name, key) -> {
              String title = mode + "-" + storage + "-" + name;
              tests.add(
                  dynamicTest(
                      title,
                      () -> {
                        Site site = key.in(Site.described()).defaultKey("mine");
                        site.set(EmrfsStandIn.STORAGE_MODE, storage);
                        cell.run(mode, storage, "s3://" + bucket + "/" + title + "/", site);
                      }));
            });
      }
    }
    return tests.stream();
  }

  private static int[] sizes(String folder) {
    return folder.endsWith("-aes/") ? IntStream.concat(IntStream.of(SIZES), IntStream.of(IN_PARTS)).toArray() : SIZES;
  }

  private interface KeyOf {
    Site in(Site site);
  }

  @TestFactory
  Stream<DynamicTest> theToolReadsWhatTheClientsWrite() {
    return cells(
        (mode, storage, folder, site) -> {
          for (int size : sizes(folder)) {
            String uri = folder + "sdk-" + size;
            byte[] content = Stack.content(size);
            try (EmrfsStandIn emrfs = site.start(Stack.aws(), mode)) {
              if (size > EmrfsStandIn.PART_SIZE) {
                emrfs.putMultipart(uri, content);
              } else {
                emrfs.put(uri, content);
              }
            }
            assertArrayEquals(content, Cli.get(site, uri), uri);
            if (size == 4096 && mode != Mode.V1_ENCRYPTION_ONLY) {
              assertArrayEquals(
                  Arrays.copyOfRange(content, 15, 2001), Cli.get(site, uri, "15-2000"), uri);
            }
            assertInspected(mode, storage, size, Cli.inspect(site, uri));
          }
        });
  }

  private static void assertInspected(Mode mode, String storage, int size, JsonNode object) {
    assertTrue(object.get("readable").asBoolean(), object.toString());
    JsonNode encryption = object.get("encryption");
    assertEquals("mine", encryption.get("key").asText());
    assertEquals(writer(mode), encryption.get("client").asText());
    assertEquals(
        storage.equals("InstructionFile"),
        encryption.get("envelope").asText().contains("instruction file"),
        object.toString());
    if (mode != Mode.V1_ENCRYPTION_ONLY) {
      assertEquals(size, encryption.get("plaintextLength").asInt(), object.toString());
    }
  }

  private static String writer(Mode mode) {
    if (mode.isV2()) {
      return "SDK v1, V2 client, or S3 Encryption Client 3";
    }
    return mode == Mode.V1_ENCRYPTION_ONLY
        ? "SDK v1, EncryptionOnly"
        : "SDK v1, V1 client, AuthenticatedEncryption";
  }

  /** An SDK from before the V2 client cannot know its format: there this is no test at all. */
  @TestFactory
  Stream<DynamicTest> theClientsReadWhatTheToolWrites() {
    if (!Mode.V2_AUTHENTICATED.isAvailable()) {
      return Stream.empty();
    }
    return cells(
        (mode, storage, folder, site) -> {
          String[] options =
              storage.equals("InstructionFile") ? new String[] {"--instruction-file"} : new String[0];
          try (EmrfsStandIn emrfs = site.start(Stack.aws(), mode)) {
            for (int size : sizes(folder)) {
              String uri = folder + "tool-" + size;
              byte[] content = Stack.content(size);
              Cli.put(site, content, uri, options);
              StoredObject stored = Stack.stored(uri);
              assertEquals(storage.equals("InstructionFile"), stored.hasInstructionFile(), uri);
              assertEquals(size + 16, stored.length(), uri);
              assertEquals("AES/GCM/NoPadding", stored.contentAlgorithm(), uri);
              assertArrayEquals(content, emrfs.get(uri), uri);
              if (size == 4096 && !mode.isStrict()) {
                assertArrayEquals(
                    Arrays.copyOfRange(content, 15, 2001), emrfs.getRange(uri, 15, 2000), uri);
              }
            }
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> theClientsReadWhatWasRewrapped() {
    return cells(
        (mode, storage, folder, site) -> {
          site.set(EmrfsStandIn.DESCRIPTION, "false"); // a V2 client and KMS keys: that or nothing
          site.aes("another", another).rsa("pair", rsa).kms("kms", kms);
          String uri = folder + "moved";
          byte[] content = Stack.content(4096);
          try (EmrfsStandIn emrfs = site.start(Stack.aws(), mode)) {
            emrfs.put(uri, content);
          }
          for (String key : new String[] {"another", "kms", "pair", "kms", "mine"}) {
            Cli.succeed(site, "rewrap", uri, "--to", key);
            site.defaultKey(key); // from which alone a V2 client takes a KMS key
            try (EmrfsStandIn emrfs = site.start(Stack.aws(), mode)) {
              assertArrayEquals(content, emrfs.get(uri), key);
            }
          }
        });
  }
}
