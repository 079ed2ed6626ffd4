package org.emrkeys.tests.e2e;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.tests.emrfs.LocalDataKeyService;

/**
 * Does with a data key service what DWP's provider did: a key of its own for each object, {@code keyid}
 * and {@code encryptedkey} stored with it. Needs a site that describes its objects, as that one did.
 */
public final class DataKeyServiceProvider implements EncryptionMaterialsProvider {
  /** Set before a site with this class starts. */
  static LocalDataKeyService service;

  @Override
  public EncryptionMaterials getEncryptionMaterials() {
    throw new UnsupportedOperationException();
  }

  @Override
  public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
    try {
      String keyId = description == null ? null : description.get("keyid");
      if (keyId != null) {
        return new EncryptionMaterials(key(service.decrypt(keyId, description.get("encryptedkey"))));
      }
      JsonNode made = service.generate();
      return new EncryptionMaterials(key(made))
          .addDescription("keyid", made.get("dataKeyEncryptionKeyId").asText())
          .addDescription("encryptedkey", made.get("ciphertextDataKey").asText());
    } catch (IOException | GeneralSecurityException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private static SecretKeySpec key(JsonNode answer) {
    return new SecretKeySpec(
        Base64.getDecoder().decode(answer.get("plaintextDataKey").asText()), "AES");
  }

  @Override
  public void refresh() {}
}
