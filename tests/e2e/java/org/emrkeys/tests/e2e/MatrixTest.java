package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicContainer.dynamicContainer;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.emrfs.StoredObject;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.function.Executable;

/**
 * Every client, crypto mode, storage mode and kind of key, with and without the description: each cell
 * writes, looks at what was stored, and reads back through a second cluster of its own.
 */
class MatrixTest {
  private static final int[] SIZES = {0, 1, 15, 16, 17, 4096};

  /** Written only in cells with the description, which has no influence on the content. */
  private static final int LARGE = (5 << 20) + 1;

  /** A quarter of the cells, for a Java or an SDK that is not the first to run them. */
  private static final boolean SAMPLE = "sample".equals(System.getProperty("emrkeys.test.cells"));

  private static final String[] STORAGES = {"ObjectMetadata", "InstructionFile"};

  /** The kinds of key. */
  private enum Material {
    AES_128,
    AES_192,
    AES_256,
    RSA,
    KMS,
    KMS_CACHED,
    KEYRING
  }

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes aes128 = files.aes("aes-128", 128);
  private final KeyFiles.Aes aes192 = files.aes("aes-192", 192);
  private final KeyFiles.Aes aes256 = files.aes("aes-256", 256);
  private final KeyFiles.Aes other = files.aes("other", 256);
  private final KeyFiles.Rsa rsa = files.rsa("rsa", 2048);
  private final LocalAws aws = Stack.aws();
  private final String kms = aws.createKmsKey();
  private final String bucket = Stack.bucket();
  private final String keyring = "s3://" + bucket + "/keys/mine.keyring";

  MatrixTest() throws IOException, GeneralSecurityException, InterruptedException {
    Cli.succeed("keyring", "create", keyring, "--name", "mine", "--kms-key-id", kms);
  }

  @TestFactory
  Stream<DynamicContainer> everyCellReadsBackWhatItWrote() {
    List<DynamicContainer> cells = new ArrayList<>();
    for (Mode mode : Mode.values()) {
      if (!mode.isAvailable()) {
        continue;
      }
      for (String storage : STORAGES) {
        for (Material material : Material.values()) {
          for (boolean described : new boolean[] {true, false}) {
            Cell cell = new Cell(mode, storage, material, described);
            if (!SAMPLE || cell.isInSample()) {
              cells.add(cell.tests());
            }
          }
        }
      }
    }
    return cells.stream();
  }

  /** One combination, with a writing and a reading cluster that are started on first need. */
  private final class Cell {
    final Mode mode;
    final String storage;
    final Material material;
    final boolean described;
    final String name;
    EmrfsStandIn writer;
    EmrfsStandIn reader;

    Cell(Mode mode, String storage, Material material, boolean described) {
      this.mode = mode;
      this.storage = storage;
      this.material = material;
      this.described = described;
      this.name =
          mode + " " + storage + " " + material + (described ? " described" : " undescribed");
    }

    /** One cell for each mode with each kind of key; storage and description take turns. */
    boolean isInSample() {
      int turn = mode.ordinal() + material.ordinal();
      return storage.equals(STORAGES[turn % 2]) && described == (turn / 2 % 2 == 0);
    }

    DynamicContainer tests() {
      List<DynamicNode> tests = new ArrayList<>();
      if (mode.isV2() && material == Material.KMS && described) {
        // V2 stores the location with the object and then wants the same from a call that has no
        // location: nobody could read such an object.
        tests.add(
            test(
                "is refused",
                () ->
                    Codes.assertCode("KMS_WITH_V2", () -> site().start(Stack.aws(), mode))));
        return dynamicContainer(name, tests);
      }
      tests.add(test("starts", this::start));
      for (int size : SIZES) {
        tests.add(test("object of " + size + " bytes", () -> roundTrip(size)));
      }
      if (described) {
        tests.add(test("object of " + LARGE + " bytes", () -> roundTrip(LARGE)));
        tests.add(test("multipart object", this::multipart));
      }
      tests.add(test("copy", this::copy));
      tests.add(test("range", this::range));
      tests.add(test("stops", this::stop));
      return dynamicContainer(name, tests);
    }

    private DynamicTest test(String what, Executable executable) {
      return dynamicTest(name + ": " + what, executable);
    }

    private void start() throws IOException {
      writer = site().start(Stack.aws(), mode);
      reader = site().start(Stack.aws(), mode);
    }

    private void stop() throws IOException {
      writer.close();
      reader.close();
    }

    private Site site() {
      Site site = described ? Site.described() : Site.plain();
      site.set(EmrfsStandIn.STORAGE_MODE, storage);
      switch (material) {
        case AES_128:
          site.aes("mine", aes128);
          break;
        case AES_192:
          site.aes("mine", aes192);
          break;
        case AES_256:
          site.aes("mine", aes256);
          break;
        case RSA:
          site.rsa("mine", rsa);
          break;
        case KMS_CACHED:
          site.kmsCached("mine", kms, aws);
          break;
        case KEYRING:
          site.keyring("mine", keyring, kms, aws);
          break;
        default:
          site.kms("mine", kms);
      }
      if (!described) {
        return site.defaultKey("mine");
      }
      return site.aes("other", other).defaultKey("other").rule("ours", folder(), "mine");
    }

    private String folder() {
      return "s3://" + bucket + "/" + name.replace(' ', '-') + "/";
    }

    private void roundTrip(int size) throws IOException {
      String uri = folder() + "size-" + size;
      byte[] content = Stack.content(size);
      writer.put(uri, content);
      assertStored(uri, content);
      assertArrayEquals(content, reader.get(uri));
    }

    private void multipart() throws IOException {
      String uri = folder() + "multipart";
      byte[] content = Stack.content(EmrfsStandIn.PART_SIZE + 17);
      writer.putMultipart(uri, content);
      assertStored(uri, content);
      assertArrayEquals(content, reader.get(uri));
    }

    private void copy() throws IOException {
      String from = folder() + "source";
      String to = "s3://" + bucket + "/elsewhere/" + name.replace(' ', '-');
      byte[] content = Stack.content(4096);
      writer.put(from, content);
      writer.copy(from, to);
      assertArrayEquals(content, reader.get(to));
      assertEquals(Stack.stored(from).descriptionText(), Stack.stored(to).descriptionText());
    }

    private void range() throws IOException {
      String uri = folder() + "range";
      byte[] content = Stack.content(4096);
      writer.put(uri, content);
      for (int[] range : new int[][] {{0, 0}, {15, 32}, {1000, 2999}, {4000, 4095}}) {
        if (mode.isStrict()) {
          assertThrows(
              SecurityException.class, () -> reader.getRange(uri, range[0], range[1]));
          continue;
        }
        assertArrayEquals(
            Arrays.copyOfRange(content, range[0], range[1] + 1),
            reader.getRange(uri, range[0], range[1]),
            "bytes " + range[0] + " to " + range[1]);
      }
    }

    private void assertStored(String uri, byte[] content) throws IOException {
      StoredObject stored = Stack.stored(uri);
      assertTrue(stored.isEncrypted());
      assertEquals(storage.equals("InstructionFile"), stored.hasInstructionFile());
      assertDescription(uri, stored);
      assertEquals(expectedWrap(), stored.wrapAlgorithm());
      if (content.length >= 16) {
        assertStoredOtherThan(content, uri);
      }
    }

    private void assertStoredOtherThan(byte[] content, String uri) throws IOException {
      byte[] stored = Stack.storedBytes(uri);
      assertTrue(stored.length >= content.length);
      assertFalse(
          Arrays.equals(content, Arrays.copyOf(stored, content.length)), "stored in the clear");
    }

    private void assertDescription(String uri, StoredObject stored) {
      Map<String, String> description = stored.description();
      if (material != Material.KMS) {
        assertEquals("mine", description.get("emrkeys.key"));
        if (material == Material.KEYRING) {
          assertTrue(description.get("emrkeys.version").startsWith("1-"));
        } else if (material == Material.KMS_CACHED) {
          assertEquals(kms, description.get("emrkeys.kms-key"));
          assertTrue(description.containsKey("emrkeys.wrapped"));
        } else {
          assertTrue(description.get("emrkeys.version").startsWith("fp1-"));
        }
        // The location is for choosing the key; the SDK stores the answer alone.
        assertFalse(description.containsKey("Path"));
        int size = stored.descriptionText().length();
        assertTrue(size <= 1024, "description of " + size + " bytes");
        return;
      }
      // V2 refuses to read what does not match the materials to the letter, so ours add nothing.
      Map<String, String> expected = new HashMap<>();
      if (mode.isV2()) {
        expected.put("aws:x-amz-cek-alg", "AES/GCM/NoPadding");
      } else {
        expected.put("kms_cmk_id", kms);
      }
      if (described) {
        expected.put("Path", uri);
        expected.put("JobflowId", Site.JOB_FLOW);
      }
      assertEquals(expected, description);
    }

    /** The wrap that the SDK documents for each client; a change here is a change of the stored format. */
    private String expectedWrap() {
      boolean v1 = !mode.isV2();
      if (material == Material.KMS) {
        return v1 ? "kms" : "kms+context";
      }
      if (mode == Mode.V1_ENCRYPTION_ONLY) {
        return "unnamed (V1 EncryptionOnly)";
      }
      if (material == Material.RSA) {
        return v1 ? "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" : "RSA-OAEP-SHA1";
      }
      return v1 ? "AESWrap" : "AES/GCM";
    }
  }
}
