package org.emrkeys.jce;

import java.security.GeneralSecurityException;
import java.security.NoSuchProviderException;
import java.security.Provider;
import java.security.Security;
import java.security.spec.AlgorithmParameterSpec;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.EmrKeysException;

/**
 * Whether a client that decrypts content gets nothing of an altered message: tried out, by the very
 * calls that the client will make. Another provider, another class loader, another configuration or a
 * system property may stand in the way; the outcome alone counts.
 */
final class ReleaseCheck {
  private static final String GCM = "AES/GCM/NoPadding";

  /** More than any provider buffers for other reasons. */
  private static final int SIZE = 64 << 10;

  /** As the clients feed it. */
  private static final int PIECE = 2 << 10;

  private ReleaseCheck() {}

  /**
   * Tries the clients out.
   *
   * @param sdk whether the client is the SDK v1's, else it is the S3 Encryption Client
   * @throws EmrKeysException {@code UNVERIFIED_PLAINTEXT} if a client would get plaintext before its
   *     tag is verified, or cannot decrypt at all
   */
  static void run(boolean sdk) {
    if (!sdk) {
      byte[] iv = new byte[12];
      holdsBack("the S3 Encryption Client", null, new GCMParameterSpec(128, iv));
      return;
    }
    boolean found = false;
    for (String prefix : SdkCrypto.PREFIXES) {
      Boolean prefersDefault = SdkCrypto.prefersDefaultProvider(prefix);
      if (prefersDefault != null) {
        String client = "the AWS SDK" + (prefix.isEmpty() ? "" : " inside EMRFS");
        String named = prefersDefault ? null : BouncyCastleStandIn.NAME;
        holdsBack(client, named, new IvParameterSpec(new byte[12]));
        found = true;
      }
    }
    if (!found) {
      holdsBack("an AWS SDK", null, new IvParameterSpec(new byte[12]));
    }
  }

  private static void holdsBack(String client, String named, AlgorithmParameterSpec spec) {
    Cipher cipher = null;
    String reason;
    try {
      cipher = instance(named);
      reason = tryOut(cipher, spec);
    } catch (GeneralSecurityException | RuntimeException e) {
      cipher = null;
      reason = e.toString();
    }
    if (reason == null) {
      return;
    }
    String provider = cipher == null ? "no provider" : describe(cipher.getProvider());
    throw EmrKeysException.of(
        "UNVERIFIED_PLAINTEXT",
        JceSettings.RELEASE
            + " is never, and that does not hold for "
            + client
            + ": it asks for "
            + GCM
            + (named == null ? " in the order of the providers" : " from the provider " + named)
            + " and gets "
            + provider
            + ", where "
            + reason,
        "Let emrkeys.jce.install=first and the same emrkeys.jce properties stand in every"
            + " configuration of this JVM, and do not set the system property "
            + SdkCrypto.PREFER_DEFAULT
            + " to false; with an SDK that asks for Bouncy Castle by name, set "
            + JceSettings.STAND_IN
            + "=true. docs/jce.md says more.",
        null);
  }

  /** As the SDK does: without Bouncy Castle among the providers it takes it from the class path. */
  private static Cipher instance(String named) throws GeneralSecurityException {
    if (named == null) {
      return Cipher.getInstance(GCM);
    }
    Provider registered = Security.getProvider(named);
    Provider provider = registered == null ? SdkCrypto.bouncyCastleOfClassPath() : registered;
    if (provider == null) {
      throw new NoSuchProviderException("there is no Bouncy Castle");
    }
    return Cipher.getInstance(GCM, provider);
  }

  private static String describe(Provider provider) {
    if (provider instanceof EmrKeysProvider || provider instanceof BouncyCastleStandIn) {
      return "this provider with the settings of an earlier configuration";
    }
    return provider.getName().equals(EmrKeysProvider.NAME)
        ? "the provider EmrKeys of another class loader"
        : "the provider " + provider.getName();
  }

  /** The fault, or null if an altered message gives nothing and a whole one gives all. */
  private static String tryOut(Cipher cipher, AlgorithmParameterSpec spec)
      throws GeneralSecurityException {
    SecretKeySpec key = new SecretKeySpec(new byte[32], "AES");
    cipher.init(Cipher.ENCRYPT_MODE, key, spec);
    byte[] sealed = cipher.doFinal(new byte[SIZE]);
    cipher.init(Cipher.DECRYPT_MODE, key, spec);
    if (!Arrays.equals(new byte[SIZE], cipher.doFinal(sealed))) {
      return "a message is decrypted to another one";
    }
    sealed[SIZE / 2] ^= 1;
    cipher.init(Cipher.DECRYPT_MODE, key, spec);
    for (int at = 0; at < sealed.length; at += PIECE) {
      byte[] released = cipher.update(sealed, at, Math.min(PIECE, sealed.length - at));
      if (released != null && released.length > 0) {
        return "plaintext is released before its tag is verified";
      }
    }
    try {
      cipher.doFinal();
    } catch (AEADBadTagException e) {
      return null;
    }
    return "an altered message is accepted";
  }
}
