package org.emrkeys.jce;

import java.security.Provider;
import org.emrkeys.internal.CipherNatives;

/**
 * The JCE provider {@code EmrKeys}: AES and RSA as the S3 encryption clients use them, in native code. What the JDK does as well is not
 * registered. The constructor loads the native library.
 */
public final class EmrKeysProvider extends Provider {
  private static final long serialVersionUID = 1L;
  /** Of {@link java.security.Provider#getName()}. */
  public static final String NAME = "EmrKeys";

  private static final String PACKAGE = "org.emrkeys.jce.";

  /** With the algorithms that are faster here on this machine and Java, or that a client needs from us. */
  public EmrKeysProvider() {
    this(loadedOrThrow());
  }

  /** {@code all}: every algorithm, for tests and comparisons. */
  @SuppressWarnings("deprecation") // the constructor with a String for the version is newer than Java 8
  EmrKeysProvider(boolean all) {
    super(NAME, 0.1, "AES and RSA of the S3 encryption clients in native code");
    boolean java8 = System.getProperty("java.specification.version", "").startsWith("1.");
    add("AES/GCM/NoPadding", "AesCipherSpi$Gcm");
    // Since Java 9 SunJCE has a vectorised CTR of its own, which was measured to be as fast on long messages as our
    // kernel without JNI in between, and faster on short ones.
    if (all || java8) {
      add("AES/CTR/NoPadding", "AesCipherSpi$Ctr");
    }
    // CBC: SunJCE is as fast at encryption and, from Java 9, faster at decryption. ECB: nothing to gain.
    if (all) {
      add("AES/CBC/PKCS5Padding", "AesCipherSpi$CbcPadded");
      add("AES/CBC/NoPadding", "AesCipherSpi$Cbc");
      add("AES/ECB/PKCS5Padding", "AesCipherSpi$EcbPadded");
      add("AES", "AesCipherSpi$EcbPadded");
    }
    add("AESWrap", "AesWrapSpi");
    add("RSA/ECB/PKCS1Padding", "RsaCipherSpi$Pkcs1");
    add("RSA/ECB/OAEPPadding", "RsaCipherSpi$Oaep");
    add("RSA/ECB/OAEPWithSHA-1AndMGF1Padding", "RsaCipherSpi$OaepSha1");
    add("RSA/ECB/OAEPWithSHA1AndMGF1Padding", "RsaCipherSpi$OaepSha1");
    add("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", "RsaCipherSpi$OaepSha256");
  }

  /** @return false, once the native library is there */
  private static boolean loadedOrThrow() {
    CipherNatives.load(System.getProperty("emrkeys.native.folder"));
    return false;
  }

  private void add(String transformation, String spi) {
    put("Cipher." + transformation, PACKAGE + spi);
  }
}
