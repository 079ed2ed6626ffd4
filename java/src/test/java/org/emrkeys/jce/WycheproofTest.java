package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.CipherNatives;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The Wycheproof vectors through JCE. The build writes them to the file that the system property
 * {@code emrkeys.test.wycheproof} names; {@code rust/wycheproof-export} says how its lines look.
 */
class WycheproofTest {
  private static Provider ours;
  private static List<String> lines;

  private final Map<String, PrivateKey> keys = new HashMap<>();

  @BeforeAll
  static void load() throws IOException {
    CipherNatives.load(null);
    ours = new EmrKeysProvider(true);
    lines =
        Files.readAllLines(
            Paths.get(System.getProperty("emrkeys.test.wycheproof")), StandardCharsets.US_ASCII);
  }

  /** The demand of a vector; all fields but the first three are bytes. */
  private interface Check {
    void run(String algorithm, boolean valid, String what, byte[][] fields) throws Exception;
  }

  private void each(String algorithm, int expected, Check check) throws Exception {
    int run = 0;
    for (String line : lines) {
      String[] columns = line.split("\t", -1);
      if (!columns[0].startsWith(algorithm) || columns[2].equals("Acceptable")) {
        continue;
      }
      byte[][] fields = new byte[columns.length - 3][];
      for (int i = 0; i < fields.length; i++) {
        fields[i] = bytes(columns[3 + i]);
      }
      check.run(columns[0], columns[2].equals("Valid"), columns[0] + " " + columns[1], fields);
      run++;
    }
    assertEquals(expected, run);
  }

  private static byte[] bytes(String hex) {
    byte[] out = new byte[hex.length() / 2];
    for (int i = 0; i < out.length; i++) {
      out[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return out;
  }

  /** The result of the whole message, or null where it is refused, at whatever point. */
  private static byte[] run(
      String transformation,
      int mode,
      Key key,
      AlgorithmParameterSpec spec,
      byte[] aad,
      byte[] data) {
    try {
      Cipher cipher = Cipher.getInstance(transformation, ours);
      cipher.init(mode, key, spec);
      if (aad != null) {
        cipher.updateAAD(aad);
      }
      return cipher.doFinal(data);
    } catch (GeneralSecurityException e) {
      return null;
    }
  }

  private static void compare(boolean valid, byte[] expected, byte[] result, String what) {
    if (valid) {
      assertArrayEquals(expected, result, what);
    } else {
      assertEquals(null, result, what);
    }
  }

  @Test
  void gcm() throws Exception {
    each(
        "gcm",
        316,
        (algorithm, valid, what, fields) -> {
          Key key = new SecretKeySpec(fields[0], "AES");
          String name = "AES/GCM/NoPadding";
          for (AlgorithmParameterSpec spec :
              new AlgorithmParameterSpec[] {
                new GCMParameterSpec(128, fields[1]), new IvParameterSpec(fields[1])
              }) {
            byte[] opened = run(name, Cipher.DECRYPT_MODE, key, spec, fields[2], fields[4]);
            compare(valid, fields[3], opened, what);
            byte[] sealed = run(name, Cipher.ENCRYPT_MODE, key, spec, fields[2], fields[3]);
            assertEquals(valid, Arrays.equals(fields[4], sealed), what);
          }
        });
  }

  private PrivateKey key(byte[] pkcs8) throws GeneralSecurityException {
    String name = Arrays.toString(pkcs8);
    PrivateKey key = keys.get(name);
    if (key == null) {
      key = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(pkcs8));
      keys.put(name, key);
    }
    return key;
  }

  @Test
  void oaep() throws Exception {
    each(
        "oaep",
        568,
        (algorithm, valid, what, fields) -> {
          String[] names = algorithm.split("/");
          OAEPParameterSpec spec =
              new OAEPParameterSpec(
                  names[1],
                  "MGF1",
                  new MGF1ParameterSpec(names[2]),
                  new PSource.PSpecified(fields[1]));
          byte[] opened =
              run(
                  "RSA/ECB/OAEPPadding",
                  Cipher.DECRYPT_MODE,
                  key(fields[0]),
                  spec,
                  null,
                  fields[3]);
          compare(valid, fields[2], opened, what);
        });
  }
}
