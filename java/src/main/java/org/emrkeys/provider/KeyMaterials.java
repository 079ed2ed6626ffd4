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
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.Wire;

/**
 * One key and what is stored with what it encrypts. Internal.
 *
 * <p>Exactly one of {@link #secretKey()}, {@link #keyPair()} and {@link #kmsKeyId()} is not null.
 * Immutable but for the map, which belongs to the caller.
 */
public final class KeyMaterials {
  private final SecretKey secretKey;
  private final KeyPair keyPair;
  private final String kmsKeyId;
  private final Map<String, String> description;

  private KeyMaterials(
      SecretKey secretKey, KeyPair keyPair, String kmsKeyId, Map<String, String> description) {
    this.secretKey = secretKey;
    this.keyPair = keyPair;
    this.kmsKeyId = kmsKeyId;
    this.description = description;
  }

  /** Null where the core has none. */
  static KeyMaterials read(Wire.Decoder in) {
    switch (in.u8()) {
      case 0:
        return null;
      case 1:
        String algorithm = in.string();
        SecretKey secretKey = secretKey(algorithm, in.bytes());
        return new KeyMaterials(secretKey, null, null, in.map());
      case 2:
        byte[] spki = in.bytes();
        KeyPair keyPair = keyPair(spki, in.bytes());
        return new KeyMaterials(null, keyPair, null, in.map());
      case 3:
        String kmsKeyId = in.string();
        return new KeyMaterials(null, null, kmsKeyId, in.map());
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
      // Without the cause: what a parser says of a private key may quote it. The core has checked
      // both halves.
      throw Wire.defect(null);
    } finally {
      if (pkcs8 != null) {
        Arrays.fill(pkcs8, (byte) 0);
      }
    }
  }

  /**
   * The symmetric key.
   *
   * @return null for keys of another kind
   */
  public SecretKey secretKey() {
    return secretKey;
  }

  /**
   * The RSA key pair; its private half is null for a key that encrypts only.
   *
   * @return null for keys of another kind
   */
  public KeyPair keyPair() {
    return keyPair;
  }

  /**
   * The KMS key that the client uses by itself.
   *
   * @return ARN, id or alias; null for keys of another kind
   */
  public String kmsKeyId() {
    return kmsKeyId;
  }

  /**
   * What is stored with what the key encrypts; never a secret.
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
}
