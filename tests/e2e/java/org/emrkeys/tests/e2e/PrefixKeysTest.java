package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.amazonaws.AmazonServiceException;
import com.amazonaws.services.kms.model.DisableKeyRequest;
import com.amazonaws.services.kms.model.EnableKeyRequest;
import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.function.Executable;

/** Different prefixes get different keys: the right key alone reads an object, every wrong one fails. */
class PrefixKeysTest {
  private static final String[] KEYS = {"orders", "orders-eu", "people", "people-eu"};

  private final KeyFiles files = KeyFiles.create();
  private final Map<String, KeyFiles.Aes> aes = new LinkedHashMap<>();
  private final Map<String, KeyFiles.Rsa> rsa = new LinkedHashMap<>();
  private final String bucket = Stack.bucket();

  PrefixKeysTest() throws IOException, GeneralSecurityException {
    aes.put("orders", files.aes("orders", 256));
    aes.put("orders-eu", files.aes("orders-eu", 128));
    rsa.put("people", files.rsa("people", 2048));
    rsa.put("people-eu", files.rsa("people-eu", 2048));
  }

  /** Longer prefixes lie inside shorter ones, so that "the longest wins" is what is shown. */
  private String prefix(String key) {
    return "s3://" + bucket + "/" + key.replace("-eu", "/eu") + "/";
  }

  private Site withKey(Site site, String name, String material) {
    return aes.containsKey(material)
        ? site.aes(name, aes.get(material))
        : site.rsa(name, rsa.get(material));
  }

  private Site withAllRules() {
    Site site = Site.described();
    for (String key : KEYS) {
      withKey(site, key, key).rule(key, prefix(key), key);
    }
    return site;
  }

  private EncryptionMaterials plainMaterials(String key) {
    return aes.containsKey(key)
        ? new EncryptionMaterials(aes.get(key).secretKey())
        : new EncryptionMaterials(rsa.get(key).pair);
  }

  @TestFactory
  Stream<DynamicTest> theRightKeyAloneReadsAndEveryWrongOneFails() throws IOException {
    List<DynamicTest> tests = new ArrayList<>();
    byte[] content = Stack.content(4096);
    for (Mode mode : Mode.values()) {
      if (!mode.isAvailable()) {
        continue;
      }
      try (EmrfsStandIn writer = withAllRules().start(Stack.aws(), mode)) {
        for (String key : KEYS) {
          writer.put(prefix(key) + mode, content);
        }
      }
      for (String written : KEYS) {
        String uri = prefix(written) + mode;
        for (String held : KEYS) {
          String name = mode + ", object of " + written + ", reader with only " + held;
          tests.add(dynamicTest(name, () -> read(mode, uri, written, held, content)));
          tests.add(
              dynamicTest(
                  name + " and no emrkeys", () -> readPlain(mode, uri, written, held, content)));
          if (!held.equals(written)) {
            tests.add(
                dynamicTest(
                    name + " under the right name", () -> readSwapped(mode, uri, written, held)));
          }
        }
      }
    }
    return tests.stream();
  }

  private void read(Mode mode, String uri, String written, String held, byte[] content)
      throws IOException {
    Site site = withKey(Site.plain(), held, held).defaultKey(held);
    try (EmrfsStandIn reader = site.start(Stack.aws(), mode)) {
      if (held.equals(written)) {
        assertArrayEquals(content, reader.get(uri));
      } else {
        Codes.assertCode("KEY_NOT_CONFIGURED", () -> reader.get(uri));
      }
    }
  }

  /** The names in the description are one thing, the key that the bytes need another. */
  private void readPlain(Mode mode, String uri, String written, String held, byte[] content)
      throws IOException {
    Site site = PlainProvider.install(Site.plain(), plainMaterials(held));
    try (EmrfsStandIn reader = site.start(Stack.aws(), mode)) {
      if (held.equals(written)) {
        assertArrayEquals(content, reader.get(uri));
        return;
      }
      byte[] read;
      try {
        read = reader.get(uri);
      } catch (RuntimeException refused) {
        return;
      }
      // V1 EncryptionOnly has no integrity: a wrong AES key can, once in 256 reads or so, unwrap to
      // a data key of nonsense. It never gives the content.
      assertEquals(Mode.V1_ENCRYPTION_ONLY, mode, "a wrong key was not noticed");
      assertFalse(Arrays.equals(content, read));
    }
  }

  private void readSwapped(Mode mode, String uri, String written, String held) throws IOException {
    Site site = withKey(Site.plain(), written, held).defaultKey(written);
    try (EmrfsStandIn reader = site.start(Stack.aws(), mode)) {
      Codes.assertCode("KEY_VERSION_UNKNOWN", () -> reader.get(uri));
    }
  }

  @Test
  void aKmsKeyPerPrefixIsWhatKmsIsAskedFor() throws IOException {
    String one = Stack.aws().createKmsKey();
    String two = Stack.aws().createKmsKey();
    Site site =
        Site.described()
            .kms("one", one)
            .kms("two", two)
            .rule("one", "s3://" + bucket + "/one/", "one")
            .rule("two", "s3://" + bucket + "/two/", "two");
    byte[] content = Stack.content(17);
    try (EmrfsStandIn cluster = site.start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      cluster.put("s3://" + bucket + "/one/o", content);
      cluster.put("s3://" + bucket + "/two/o", content);
      // The V1 client decrypts with KMS and asks no provider: KMS is the one that can refuse.
      Stack.aws().kms().disableKey(new DisableKeyRequest().withKeyId(one));
      assertDisabled(() -> cluster.get("s3://" + bucket + "/one/o"));
      assertArrayEquals(content, cluster.get("s3://" + bucket + "/two/o"));
      Stack.aws().kms().enableKey(new EnableKeyRequest().withKeyId(one));
      Stack.aws().kms().disableKey(new DisableKeyRequest().withKeyId(two));
      assertArrayEquals(content, cluster.get("s3://" + bucket + "/one/o"));
      assertDisabled(() -> cluster.get("s3://" + bucket + "/two/o"));
    }
  }

  private static void assertDisabled(Executable read) {
    // By code, for an SDK of 2019 on a JDK of today cannot make the exception's own class.
    AmazonServiceException refusal = assertThrows(AmazonServiceException.class, read);
    assertEquals("DisabledException", refusal.getErrorCode());
  }

  @Test
  void aCopyKeepsTheKeyOfItsSource() throws IOException {
    String from = prefix("orders") + "source";
    String to = prefix("people") + "copy";
    try (EmrfsStandIn cluster = withAllRules().start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      cluster.put(from, Stack.content(17));
      cluster.copy(from, to);
      assertArrayEquals(Stack.content(17), cluster.get(to));
    }
    assertEquals("orders", Stack.stored(to).description().get("emrkeys.key"));
  }

  @Test
  void aCopyThroughTheClientGetsTheKeyOfItsDestination() throws IOException {
    String from = prefix("orders") + "read";
    String to = prefix("people") + "written";
    try (EmrfsStandIn cluster = withAllRules().start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      cluster.put(from, Stack.content(17));
      cluster.copyThroughClient(from, to);
      assertArrayEquals(Stack.content(17), cluster.get(to));
    }
    assertEquals("people", Stack.stored(to).description().get("emrkeys.key"));
  }

  @Test
  void aRuleForAJobFlowHoldsOnItsClusterOnly() throws IOException {
    String uri = prefix("orders");
    Site site =
        withAllRules()
            .rule("job", prefix("orders"), "people")
            .set("emrkeys.rule.job.job-flow", "j-3SPECIAL");
    try (EmrfsStandIn special = site.start(Stack.aws(), Mode.V1_AUTHENTICATED, "j-3SPECIAL");
        EmrfsStandIn ordinary = site.start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      special.put(uri + "special", Stack.content(1));
      ordinary.put(uri + "ordinary", Stack.content(1));
      assertArrayEquals(Stack.content(1), ordinary.get(uri + "special"));
    }
    assertEquals("people", Stack.stored(uri + "special").description().get("emrkeys.key"));
    assertEquals("orders", Stack.stored(uri + "ordinary").description().get("emrkeys.key"));
  }

  @Test
  void s3nAndS3aLocationsFollowTheSameRules() throws IOException {
    try (EmrfsStandIn cluster = withAllRules().start(Stack.aws(), Mode.V1_AUTHENTICATED)) {
      for (String scheme : new String[] {"s3n", "s3a"}) {
        String uri = prefix("people").replaceFirst("s3", scheme) + scheme;
        cluster.put(uri, Stack.content(1));
        assertEquals("people", Stack.stored(uri).description().get("emrkeys.key"));
      }
    }
  }
}
