package org.emrkeys.jce;

import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.Provider;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;

/**
 * Puts {@link EmrKeysProvider} among the providers of the JVM, once, and makes the S3 clients ask
 * for it. Internal. Thread-safe.
 *
 * <p>What goes wrong here is a warning, and the clients then encrypt as they did before; except
 * that plaintext which is never to be released unverified is not.
 */
public final class JceInstaller {
  /** The installation in force, for {@link #uninstall}; null if nothing was done. */
  private static JceInstaller installed;

  /**
   * Whether a warning said why nothing is installed: clients are configured many times in a JVM.
   */
  private static boolean refused;

  private final JceSettings settings;
  private Provider provider;
  private Provider standIn;
  private Provider realBc;

  /** Where the real one was among the providers, from 1; 0 where it was not. */
  private int realBcPosition;

  private final List<String> properties = new ArrayList<>();

  private JceInstaller(JceSettings settings) {
    this.settings = settings;
  }

  /**
   * Does what the settings say, unless that was done. The first configuration that installs decides
   * for the JVM.
   *
   * @param settings what the configuration says
   * @param sdk whether the configuration is for the SDK v1's clients, else it is for the S3
   *     Encryption Client
   * @param log where one line goes that says what was done, and warnings
   * @throws EmrKeysException {@code UNVERIFIED_PLAINTEXT} if no plaintext is to be released before
   *     its tag is verified, and that does not hold in this JVM; what this call did is undone
   */
  public static synchronized void install(JceSettings settings, boolean sdk, Log log) {
    boolean before = installed != null;
    place(settings, log);
    if (settings.release == JceSettings.Release.NEVER) {
      try {
        ReleaseCheck.run(sdk);
      } catch (EmrKeysException e) {
        if (!before) {
          uninstall();
        }
        throw e;
      }
    }
  }

  private static void place(JceSettings settings, Log log) {
    if (installed != null) {
      if (!installed.settings.equals(settings)) {
        log.warn(
            "emrkeys: the JCE provider was installed for this JVM by another configuration, whose"
                + " emrkeys.jce properties stay in force; those of this one differ");
      }
      return;
    }
    if (settings.install == JceSettings.Install.OFF) {
      return;
    }
    JceInstaller now = new JceInstaller(settings);
    try {
      now.install(log);
    } catch (GeneralSecurityException | RuntimeException | LinkageError e) {
      now.undo();
      refuse(
          log,
          "emrkeys: the JCE provider is not installed, S3 clients encrypt with the ciphers that"
              + " they had ("
              + e
              + ")");
    }
  }

  /** See {@link EmrKeysProvider#uninstall}. */
  static synchronized void uninstall() {
    if (installed != null) {
      installed.undo();
      installed = null;
    }
    refused = false;
  }

  private static void refuse(Log log, String why) {
    if (!refused) {
      log.warn(why);
    }
    refused = true;
  }

  private void install(Log log) throws GeneralSecurityException {
    JceSettings.set(settings); // before anybody can ask
    Provider present = Security.getProvider(EmrKeysProvider.NAME);
    if (present == null) {
      warnOfFips(log);
      EmrKeysProvider made = new EmrKeysProvider();
      check(made);
      int position =
          settings.install == JceSettings.Install.FIRST
              ? Security.insertProviderAt(made, 1)
              : Security.addProvider(made);
      if (position > 0) {
        provider = made;
      }
      // Not ours where another class loader was quicker.
      present = Security.getProvider(EmrKeysProvider.NAME);
    }
    if (!(present instanceof EmrKeysProvider)) {
      undo();
      refuse(
          log,
          "emrkeys: the JCE provider EmrKeys of another class loader is installed and stays; the"
              + " emrkeys.jce properties of this configuration have no effect");
      return;
    }
    if (settings.standInForBc) {
      standInForBc();
    }
    for (String prefix : SdkCrypto.PREFIXES) {
      if (System.getProperty(prefix + SdkCrypto.PREFER_DEFAULT) == null) {
        System.setProperty(prefix + SdkCrypto.PREFER_DEFAULT, "true");
        properties.add(prefix + SdkCrypto.PREFER_DEFAULT);
      }
    }
    log.info(
        "emrkeys: JCE provider EmrKeys is at position "
            + position(present)
            + " of the JVM's security providers, for "
            + algorithms(present)
            + (standIn == null ? "" : ", and stands in for " + BouncyCastleStandIn.NAME));
    for (String prefix : SdkCrypto.PREFIXES) {
      checkSdk(prefix, log);
    }
    installed = this;
  }

  private static String algorithms(Provider provider) {
    return provider.getServices().stream()
        .map(Provider.Service::getAlgorithm)
        .sorted()
        .collect(Collectors.joining(", "));
  }

  /** A known answer (SP 800-38D, test case 14): what cannot do this is not put before anybody. */
  private static void check(Provider made) throws GeneralSecurityException {
    byte[] expected =
        new BigInteger("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919", 16)
            .toByteArray();
    expected = Arrays.copyOfRange(expected, 1, expected.length); // of the sign
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", made);
    SecretKeySpec key = new SecretKeySpec(new byte[32], "AES");
    IvParameterSpec iv = new IvParameterSpec(new byte[12]);
    cipher.init(Cipher.ENCRYPT_MODE, key, iv);
    boolean right = Arrays.equals(expected, cipher.doFinal(new byte[16]));
    cipher.init(Cipher.DECRYPT_MODE, key, iv);
    if (!right || !Arrays.equals(new byte[16], cipher.doFinal(expected))) {
      throw new GeneralSecurityException("AES-GCM failed its known-answer test");
    }
  }

  private void standInForBc() {
    realBc = Security.getProvider(BouncyCastleStandIn.NAME);
    if (realBc != null) {
      realBcPosition = position(realBc);
    } else {
      realBc = SdkCrypto.bouncyCastleOfClassPath();
    }
    standIn = new BouncyCastleStandIn(realBc);
    if (realBcPosition > 0) {
      Security.removeProvider(BouncyCastleStandIn.NAME);
      Security.insertProviderAt(standIn, realBcPosition);
    } else {
      Security.addProvider(standIn);
    }
  }

  private static int position(Provider provider) {
    return Arrays.asList(Security.getProviders()).indexOf(provider) + 1;
  }

  /**
   * Whether the SDK below a prefix, if there is one, will come to us for content. It reads the
   * property at every use; one that does not, or that has no such property, is named.
   */
  private void checkSdk(String prefix, Log log) {
    Boolean prefers = SdkCrypto.prefersDefaultProvider(prefix);
    if (prefers == null || prefers) {
      return;
    }
    if (!SdkCrypto.knowsTheProperty(prefix)) {
      if (standIn == null) {
        log.warn(
            "emrkeys: this AWS SDK asks Bouncy Castle by name for the content of objects, which"
                + " stays slow; set "
                + JceSettings.STAND_IN
                + "=true, or use an SDK that knows "
                + SdkCrypto.PREFER_DEFAULT);
      }
    } else if (properties.contains(prefix + SdkCrypto.PREFER_DEFAULT)) {
      log.warn(
          "emrkeys: this AWS SDK does not heed a system property that is set so late; start the JVM"
              + " with -D"
              + prefix
              + SdkCrypto.PREFER_DEFAULT
              + "=true");
    }
  }

  /** A JVM in FIPS mode is to use validated modules alone, and this provider is not validated. */
  private static void warnOfFips(Log log) {
    for (Provider other : Security.getProviders()) {
      if (other.getName().toUpperCase(Locale.ROOT).contains("FIPS")) {
        log.warn(
            "emrkeys: this JVM has the provider "
                + other.getName()
                + ", which says that it is to use FIPS 140 validated ciphers alone; those of EmrKeys"
                + " are not validated: set emrkeys.jce.install=off");
        return;
      }
    }
  }

  /** In the reverse order: positions count from what stood before them then. */
  private void undo() {
    if (standIn != null) {
      if (Security.getProvider(BouncyCastleStandIn.NAME) == standIn) {
        Security.removeProvider(BouncyCastleStandIn.NAME);
      }
      if (realBcPosition > 0) {
        Security.insertProviderAt(realBc, realBcPosition); // does nothing where the name is taken
      }
      standIn = null;
    }
    if (provider != null && Security.getProvider(EmrKeysProvider.NAME) == provider) {
      Security.removeProvider(EmrKeysProvider.NAME);
    }
    provider = null;
    for (String property : properties) {
      if ("true".equals(System.getProperty(property))) {
        System.clearProperty(property);
      }
    }
    properties.clear();
    JceSettings.reset();
  }
}
