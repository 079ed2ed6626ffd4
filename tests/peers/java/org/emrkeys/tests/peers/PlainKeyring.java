package org.emrkeys.tests.peers;

import java.util.List;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.DecryptionMaterials;
import software.amazon.encryption.s3.materials.EncryptedDataKey;
import software.amazon.encryption.s3.materials.EncryptionMaterials;
import software.amazon.encryption.s3.materials.Keyring;

/** The S3 Encryption Client's own keyring under one fixed key: what Hadoop's tests are compared with. */
public final class PlainKeyring implements Keyring {
  private final Keyring keyring =
      AesKeyring.builder().wrappingKey(new SecretKeySpec(new byte[32], "AES")).build();

  @Override
  public EncryptionMaterials onEncrypt(EncryptionMaterials materials) {
    return keyring.onEncrypt(materials);
  }

  @Override
  public DecryptionMaterials onDecrypt(
      DecryptionMaterials materials, List<EncryptedDataKey> encryptedDataKeys) {
    return keyring.onDecrypt(materials, encryptedDataKeys);
  }
}
