package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.emrfs.StoredObject;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * EMRFS's defaults: the V1 client in EncryptionOnly mode, the length of the content kept by single requests and lost by
 * parts, which begin at 128 MiB. The tool warns of such a cluster, and the properties that it prints change the
 * content.
 */
@Tag("once") // the other modes and Javas are the matrix's
class EmrfsDefaultsTest {
  private static final String LENGTH = "x-amz-unencrypted-content-length";

  private final KeyFiles.Aes key = KeyFiles.create().aes("lake", 256);
  private final String bucket = Stack.bucket();

  EmrfsDefaultsTest() throws IOException, GeneralSecurityException {}

  private Site site() {
    return Site.described().aes("lake", key).defaultKey("lake");
  }

  private String uri(String name) {
    return "s3://" + bucket + "/" + name;
  }

  private static void write(EmrfsStandIn cluster, String uri, byte[] content) {
    cluster.write(uri, new ByteArrayInputStream(content), content.length);
  }

  @Test
  void aSiteThatAsksForNoModeWritesAesCbcAndReadsItBack() throws IOException {
    byte[] content = Stack.content(100_003);
    try (EmrfsStandIn writer = site().start(Stack.aws());
        EmrfsStandIn reader = site().start(Stack.aws())) {
      write(writer, uri("single"), content);
      StoredObject stored = Stack.stored(uri("single"));
      assertEquals("unnamed (V1 EncryptionOnly)", stored.wrapAlgorithm());
      assertEquals(100_016, stored.length(), "padded to whole blocks");
      assertEquals("100003", stored.userMetadata().get(LENGTH));
      assertArrayEquals(content, reader.get(uri("single")));
      assertArrayEquals(
          Arrays.copyOfRange(content, 4099, 70_001), reader.getRange(uri("single"), 4099, 70_000));
    }
  }

  @Test
  void anObjectBeyondThePartSizeKeepsNoLength() throws IOException {
    byte[] content = Stack.content((5 << 20) + 17);
    Site site = site().set(EmrfsStandIn.SPLIT_SIZE, Integer.toString(EmrfsStandIn.PART_SIZE));
    try (EmrfsStandIn cluster = site.start(Stack.aws())) {
      write(cluster, uri("parts"), content);
      assertFalse(Stack.stored(uri("parts")).userMetadata().containsKey(LENGTH));
      assertArrayEquals(content, cluster.get(uri("parts")));
    }
  }

  @Test
  void partsBeginAt128MebibytesByDefault() throws IOException {
    byte[] mebibyte = Stack.content(1 << 20);
    try (EmrfsStandIn cluster = site().start(Stack.aws())) {
      List<InputStream> pieces = new ArrayList<>();
      for (int i = 0; i < 129; i++) {
        pieces.add(new ByteArrayInputStream(mebibyte));
      }
      InputStream content = new SequenceInputStream(Collections.enumeration(pieces));
      cluster.write(uri("large"), content, 129L << 20);
      assertFalse(Stack.stored(uri("large")).userMetadata().containsKey(LENGTH));
      assertArrayEquals(mebibyte, cluster.getRange(uri("large"), 128 << 20, (129 << 20) - 1));
    }
  }

  @Test
  void doctorWarnsOfTheContentAndOfPlaintextOnLaterReleases() throws Exception {
    Map<String, JsonNode> emrfs = Cli.doctor(site(), "--release", "emr-6.15.0");
    assertEquals("warning", Cli.level(emrfs.get("emrfs.content")));
    assertEquals("ok", Cli.level(emrfs.get("emrfs.connector")));
    Map<String, JsonNode> s3a = Cli.doctor(site(), "--release", "emr-7.12.0");
    assertEquals("fail", Cli.level(s3a.get("emrfs.connector")));
  }

  @Test
  void thePropertiesThatTheToolPrintsWriteAuthenticatedObjectsAndReadTheOldOnes() throws Exception {
    // The SDK of 2019 has no V2 client, which the printed properties ask for.
    assumeTrue(Mode.V2_AUTHENTICATED.isAvailable());
    byte[] content = Stack.content(4096);
    try (EmrfsStandIn old = site().start(Stack.aws())) {
      write(old, uri("old"), content);
    }
    Site printed = Cli.classified(site(), "--release", "emr-6.15.0");
    assertEquals("ok", Cli.level(Cli.doctor(printed, "--release", "emr-6.15.0").get("emrfs.content")));
    try (EmrfsStandIn cluster = printed.start(Stack.aws())) {
      assertArrayEquals(content, cluster.get(uri("old")));
      write(cluster, uri("new"), content);
      assertEquals("AES/GCM/NoPadding", Stack.stored(uri("new")).contentAlgorithm());
      assertTrue(Stack.stored(uri("new")).isEncrypted());
      assertArrayEquals(content, cluster.get(uri("new")));
    }
  }
}
