package org.emrkeys.provider;

import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Function;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.Wire;

/**
 * One key and what is stored with what it encrypts: a symmetric key, an RSA key pair or the name of a
 * KMS key. Internal. Immutable but for the map, which belongs to the caller.
 */
public abstract class KeyMaterials {
  private final Map<String, String> description;

  private KeyMaterials(Map<String, String> description) {
    this.description = description;
  }

  /**
   * Turns the key into something, by its kind.
   *
   * @param symmetric for a symmetric key
   * @param pair for an RSA key pair, whose private half is null if the key encrypts only
   * @param kms for a KMS key that the client uses by itself: its ARN, id or alias
   * @param <T> the type of the result
   * @return the result of the function that fits
   */
  public abstract <T> T match(
      Function<SecretKey, T> symmetric, Function<KeyPair, T> pair, Function<String, T> kms);

  /**
   * The description that is stored with every object under the key; never a secret.
   *
   * @return a map of its own
   */
  public Map<String, String> description() {
    return description;
  }

  @Override
  public String toString() {
    return "KeyMaterials" + description;
  }

  /** Null if the core has none. */
  static KeyMaterials read(Wire.Decoder in) {
    switch (in.u8()) {
      case 0:
        return null;
      case 1:
        String algorithm = in.string();
        SecretKey secretKey = secretKey(algorithm, in.bytes());
        return new Symmetric(secretKey, in.map());
      case 2:
        byte[] spki = in.bytes();
        KeyPair keyPair = keyPair(spki, in.bytes());
        return new Pair(keyPair, in.map());
      case 3:
        String kmsKeyId = in.string();
        return new Kms(kmsKeyId, in.map());
      default:
        throw Wire.defect(null);
    }
  }

  private static SecretKey secretKey(String algorithm, byte[] key) {
    try {
      return new SecretKeySpec(key, algorithm);
    } finally {
      Arrays.fill(key, (byte) 0);
    }
  }

  private static KeyPair keyPair(byte[] spki, byte[] pkcs8) {
    try {
      KeyFactory factory = KeyFactory.getInstance("RSA");
      PublicKey publicKey = factory.generatePublic(new X509EncodedKeySpec(spki));
      PrivateKey privateKey = null;
      if (pkcs8 != null) {
        privateKey = factory.generatePrivate(new PKCS8EncodedKeySpec(pkcs8));
      }
      return new KeyPair(publicKey, privateKey);
    } catch (GeneralSecurityException e) {
      // Without the cause: the text of a parser may quote a private key. The core has checked both halves.
      throw Wire.defect(null);
    } finally {
      if (pkcs8 != null) {
        Arrays.fill(pkcs8, (byte) 0);
      }
    }
  }

  private static final class Symmetric extends KeyMaterials {
    private final SecretKey key;

    Symmetric(SecretKey key, Map<String, String> description) {
      super(description);
      this.key = key;
    }

    @Override
    public <T> T match(
        Function<SecretKey, T> symmetric, Function<KeyPair, T> pair, Function<String, T> kms) {
      return symmetric.apply(key);
    }
  }

  private static final class Pair extends KeyMaterials {
    private final KeyPair keys;

    Pair(KeyPair keys, Map<String, String> description) {
      super(description);
      this.keys = keys;
    }

    @Override
    public <T> T match(
        Function<SecretKey, T> symmetric, Function<KeyPair, T> pair, Function<String, T> kms) {
      return pair.apply(keys);
    }
  }

  private static final class Kms extends KeyMaterials {
    private final String keyId;

    Kms(String keyId, Map<String, String> description) {
      super(description);
      this.keyId = keyId;
    }

    @Override
    public <T> T match(
        Function<SecretKey, T> symmetric, Function<KeyPair, T> pair, Function<String, T> kms) {
      return kms.apply(keyId);
    }
  }
}
