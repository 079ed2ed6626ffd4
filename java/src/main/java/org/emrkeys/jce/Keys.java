package org.emrkeys.jce;

import java.security.InvalidKeyException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.NoSuchAlgorithmException;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Locale;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** Bytes of keys, and keys of bytes. */
final class Keys {
  private Keys() {}

  /**
   * The bytes of an AES key; the caller wipes them. A key that does not give them (in a token, say)
   * or is of another algorithm is refused, so that JCE asks the next provider. The SDK v1 clients
   * name a content key after the wrap that it came out of: {@code AESWrap}, or {@code
   * RSA/ECB/OAEPWithSHA-256AndMGF1Padding}. To refuse those would send the content to Bouncy Castle
   * without a word.
   */
  static byte[] aes(Key key) throws InvalidKeyException {
    if (!(key instanceof SecretKey)) {
      throw new InvalidKeyException("not an AES key");
    }
    String algorithm = String.valueOf(key.getAlgorithm()).toUpperCase(Locale.ROOT);
    boolean known =
        algorithm.equals("AES")
            || algorithm.equals("RIJNDAEL")
            || algorithm.equals("AESWRAP")
            || algorithm.equals("RAW")
            || algorithm.startsWith("AES/")
            || algorithm.startsWith("RSA/");
    if (!known || !"RAW".equalsIgnoreCase(key.getFormat())) {
      throw new InvalidKeyException("not an AES key whose bytes can be had");
    }
    byte[] bytes = key.getEncoded();
    if (bytes == null) {
      throw new InvalidKeyException("not an AES key whose bytes can be had");
    }
    if (bytes.length != 16 && bytes.length != 24 && bytes.length != 32) {
      Arrays.fill(bytes, (byte) 0);
      throw new InvalidKeyException("an AES key has 128, 192 or 256 bits");
    }
    return bytes;
  }

  /** Compares all bytes, whatever the first ones say, as a secret must be compared. */
  static boolean same(byte[] a, byte[] b) {
    int different = a.length ^ b.length;
    for (int i = 0; i < Math.min(a.length, b.length); i++) {
      different |= a[i] ^ b[i];
    }
    return different == 0;
  }

  /** The bytes of a key that is to be wrapped. */
  static byte[] encoded(Key key) throws InvalidKeyException {
    byte[] bytes = key == null ? null : key.getEncoded();
    if (bytes == null || bytes.length == 0) {
      throw new InvalidKeyException("the key to be wrapped does not give its bytes");
    }
    return bytes;
  }

  static Key key(byte[] bytes, String algorithm, int type)
      throws InvalidKeyException, NoSuchAlgorithmException {
    try {
      switch (type) {
        case Cipher.SECRET_KEY:
          return new SecretKeySpec(bytes, algorithm);
        case Cipher.PRIVATE_KEY:
          return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(bytes));
        case Cipher.PUBLIC_KEY:
          return KeyFactory.getInstance(algorithm).generatePublic(new X509EncodedKeySpec(bytes));
        default:
          throw new InvalidKeyException("unknown type of wrapped key: " + type);
      }
    } catch (InvalidKeySpecException | IllegalArgumentException e) {
      throw new InvalidKeyException("what was unwrapped is not such a key");
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }
}
