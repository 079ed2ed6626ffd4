package org.emrkeys.jce;

import java.security.Provider;
import org.emrkeys.bridge.CipherNatives;

/**
 * The JCE provider {@code EmrKeys}: AES and RSA as the S3 encryption clients use them, in native
 * code. The JDK serves all else. Thread-safe; a {@code Cipher} that it gives is
 * for one thread at a time, and use by two at once is an {@link IllegalStateException}.
 *
 * <p>{@code S3EncryptionMaterialsProvider.setConf} installs it as {@code emrkeys.jce.install} says.
 */
public final class EmrKeysProvider extends Provider {
  private static final long serialVersionUID = 1L;

  /** Of {@link java.security.Provider#getName()}. */
  public static final String NAME = "EmrKeys";

  static final double VERSION = 0.1;

  private static final String PACKAGE = "org.emrkeys.jce.";

  /** Names and classes of what is registered everywhere. */
  static final String[][] EVERYWHERE = {
    {"AES/GCM/NoPadding", PACKAGE + "AesCipherSpi$Gcm"},
    {"RSA/ECB/OAEPPadding", PACKAGE + "RsaCipherSpi$Oaep"},
    {"RSA/ECB/OAEPWithSHA-1AndMGF1Padding", PACKAGE + "RsaCipherSpi$OaepSha1"},
    {"RSA/ECB/OAEPWithSHA1AndMGF1Padding", PACKAGE + "RsaCipherSpi$OaepSha1"},
    {"RSA/ECB/OAEPWithSHA-256AndMGF1Padding", PACKAGE + "RsaCipherSpi$OaepSha256"},
  };

  /**
   * Java 8 encrypts 0.5 GB/s by CTR, AWS-LC 7. Since Java 9 SunJCE is as fast as the processor
   * allows.
   */
  private static final String[][] ON_JAVA_8 = {
    {"AES/CTR/NoPadding", PACKAGE + "AesCipherSpi$Ctr"},
  };

  /**
   * With the algorithms that are faster here on this machine and Java, or that a client needs from
   * us. Loads the native library.
   *
   * @throws org.emrkeys.EmrKeysException {@code NATIVE_…} if that cannot be loaded
   */
  public EmrKeysProvider() {
    this(loadedOrThrow());
  }

  /** {@code all}: as on Java 8, for tests and comparisons. */
  @SuppressWarnings(
      "deprecation") // the constructor with a String for the version is newer than Java 8
  EmrKeysProvider(boolean all) {
    super(NAME, VERSION, "AES and RSA of the S3 encryption clients in native code");
    add(EVERYWHERE);
    if (all || System.getProperty("java.specification.version", "").startsWith("1.")) {
      add(ON_JAVA_8);
    }
  }

  private void add(String[][] algorithms) {
    for (String[] algorithm : algorithms) {
      put("Cipher." + algorithm[0], algorithm[1]);
    }
  }

  /** Gives false, once the native library is there. */
  private static boolean loadedOrThrow() {
    CipherNatives.load(System.getProperty("emrkeys.native.folder"));
    return false;
  }

  /**
   * Undoes what {@code setConf} did to the JVM: the provider is gone, the others have the order
   * from before, Bouncy Castle its name, and the system properties that were set are cleared unless
   * somebody changed them since. Ciphers in use go on working. Does nothing where nothing was
   * installed; the next {@code setConf} installs again. Thread-safe.
   */
  public static void uninstall() {
    JceInstaller.uninstall();
  }
}
