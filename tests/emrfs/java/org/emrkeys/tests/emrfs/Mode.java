package org.emrkeys.tests.emrfs;

import com.amazonaws.services.s3.model.CryptoMode;
import org.apache.hadoop.conf.Configuration;

/** The SDK's encryption clients and their crypto modes. */
public enum Mode {
  V1_ENCRYPTION_ONLY(false, CryptoMode.EncryptionOnly),
  V1_AUTHENTICATED(false, CryptoMode.AuthenticatedEncryption),
  V1_STRICT(false, CryptoMode.StrictAuthenticatedEncryption),
  V2_AUTHENTICATED(true, CryptoMode.AuthenticatedEncryption),
  V2_STRICT(true, CryptoMode.StrictAuthenticatedEncryption);

  public static final String CRYPTO_MODE = "fs.s3.cse.cryptoMode";

  private final boolean v2;
  private final CryptoMode cryptoMode;

  Mode(boolean v2, CryptoMode cryptoMode) {
    this.v2 = v2;
    this.cryptoMode = cryptoMode;
  }

  public boolean isV2() {
    return v2;
  }

  /** Strict modes refuse ranges: a part of an object has no tag to verify. */
  public boolean isStrict() {
    return cryptoMode == CryptoMode.StrictAuthenticatedEncryption;
  }

  CryptoMode cryptoMode() {
    return cryptoMode;
  }

  /**
   * The client and mode that a configuration asks for. Without a property that says otherwise, EMRFS takes the V1
   * client in EncryptionOnly mode, as a public listing of its classes has it.
   */
  public static Mode of(Configuration conf) {
    boolean v2 = conf.getBoolean(EmrfsStandIn.ENCRYPTION_V2, false);
    CryptoMode wanted =
        CryptoMode.valueOf(conf.get(CRYPTO_MODE, CryptoMode.EncryptionOnly.toString()));
    if (v2 && wanted == CryptoMode.EncryptionOnly) {
      return V2_AUTHENTICATED; // the V2 client has no other
    }
    for (Mode mode : values()) {
      if (mode.v2 == v2 && mode.cryptoMode == wanted) {
        return mode;
      }
    }
    throw new IllegalArgumentException(CRYPTO_MODE + "=" + wanted);
  }

  /** Whether the SDK on the class path has this client: V2 came with 1.11.838. */
  public boolean isAvailable() {
    if (!v2) {
      return true;
    }
    try {
      Class.forName("com.amazonaws.services.s3.AmazonS3EncryptionClientV2");
      return true;
    } catch (ClassNotFoundException older) {
      return false;
    }
  }

  /** Writes the client's version into {@code conf}, where the provider under test sees it too. */
  public void applyTo(Configuration conf) {
    conf.setBoolean(EmrfsStandIn.ENCRYPTION_V2, v2);
  }
}
