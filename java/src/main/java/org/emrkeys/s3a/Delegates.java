package org.emrkeys.s3a;

import java.security.KeyPair;
import java.security.SecureRandom;
import javax.crypto.SecretKey;
import org.emrkeys.provider.KeyMaterials;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.Keyring;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RsaKeyring;

/**
 * The S3 Encryption Client's own keyrings, one for each key that the core gives: they wrap and
 * unwrap. Internal.
 *
 * <p>Older wraps are switched on in them because the core has decided about those already.
 */
public final class Delegates {
  private static final SecureRandom RANDOM = new SecureRandom();

  private Delegates() {}

  /**
   * A keyring for a key.
   *
   * @param found the key
   * @return a keyring that knows this key alone
   */
  public static Keyring of(KeyMaterials found) {
    return found.match(Delegates::aes, Delegates::rsa, KmsDelegates::of);
  }

  private static Keyring aes(SecretKey key) {
    return AesKeyring.builder()
        .secureRandom(RANDOM)
        .enableLegacyWrappingAlgorithms(true)
        .wrappingKey(key)
        .build();
  }

  private static Keyring rsa(KeyPair pair) {
    return RsaKeyring.builder()
        .secureRandom(RANDOM)
        .enableLegacyWrappingAlgorithms(true)
        .wrappingKeyPair(new PartialRsaKeyPair(pair.getPrivate(), pair.getPublic()))
        .build();
  }
}
