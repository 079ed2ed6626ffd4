package org.emrkeys.jce;

import java.security.Provider;

/** The ciphers that an AWS SDK v1 on the class path will ask JCE for. */
final class SdkCrypto {
  /**
   * The packages below which an SDK may lie: its own, and the one of EMRFS. A shaded copy reads a
   * property of the shaded name, because relocation changes texts as well.
   */
  static final String[] PREFIXES = {"", "com.amazon.ws.emr.hadoop.fs.shaded."};

  static final String PREFER_DEFAULT =
      "com.amazonaws.services.s3.crypto.preferDefaultSecurityProvider";

  private static final String SDK_CLASS = "com.amazonaws.services.s3.internal.crypto.CryptoRuntime";

  private static final String BOUNCY_CASTLE = "org.bouncycastle.jce.provider.BouncyCastleProvider";

  private SdkCrypto() {}

  /**
   * Whether the SDK below a prefix asks for content ciphers in the order of the providers, as it
   * says now; false if it asks for Bouncy Castle by name; null if there is no such SDK, or none that
   * this class loader sees.
   */
  static Boolean prefersDefaultProvider(String prefix) {
    try {
      Class<?> sdk = load(prefix + SDK_CLASS);
      return (Boolean) sdk.getMethod("preferDefaultSecurityProvider").invoke(null);
    } catch (ClassNotFoundException e) {
      return null;
    } catch (ReflectiveOperationException | LinkageError | ClassCastException e) {
      return false;
    }
  }

  /** Whether the SDK below a prefix knows the property at all. Old ones do not. */
  static boolean knowsTheProperty(String prefix) {
    try {
      load(prefix + SDK_CLASS).getMethod("preferDefaultSecurityProvider");
      return true;
    } catch (ReflectiveOperationException | LinkageError e) {
      return false;
    }
  }

  /** A new one, or null if the class path has none. */
  static Provider bouncyCastleOfClassPath() {
    try {
      return (Provider) load(BOUNCY_CASTLE).getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException | LinkageError | ClassCastException e) {
      return null; // not there: then nothing could ask for it either
    }
  }

  private static Class<?> load(String name) throws ClassNotFoundException {
    ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
    try {
      return Class.forName(name, false, SdkCrypto.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      return Class.forName(name, false, ofThread);
    }
  }
}
