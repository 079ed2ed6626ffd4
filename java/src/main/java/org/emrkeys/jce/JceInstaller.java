package org.emrkeys.jce;

import java.security.GeneralSecurityException;
import java.security.Provider;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.apache.commons.logging.Log;

/**
 * Puts {@link EmrKeysProvider} among the providers of the JVM, once, and makes the S3 clients ask
 * for it. Internal. Thread-safe.
 *
 * <p>Whatever goes wrong here is a warning: the clients then encrypt as they did without us.
 */
public final class JceInstaller {
  /**
   * The packages below which an SDK may lie: its own, and the one of EMRFS. A shaded copy reads a
   * property of the shaded name, because relocation changes texts as well.
   */
  private static final String[] SDK_PREFIXES = {"", "com.amazon.ws.emr.hadoop.fs.shaded."};

  static final String PREFER_DEFAULT =
      "com.amazonaws.services.s3.crypto.preferDefaultSecurityProvider";

  private static final String SDK_CLASS = "com.amazonaws.services.s3.internal.crypto.CryptoRuntime";

  private static final String BOUNCY_CASTLE = "org.bouncycastle.jce.provider.BouncyCastleProvider";

  /** What was done, for {@link #uninstall}; null where nothing was. */
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
   * @param log where one line goes that says what was done, and warnings
   */
  public static synchronized void install(JceSettings settings, Log log) {
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
    for (String prefix : SDK_PREFIXES) {
      if (System.getProperty(prefix + PREFER_DEFAULT) == null) {
        System.setProperty(prefix + PREFER_DEFAULT, "true");
        properties.add(prefix + PREFER_DEFAULT);
      }
    }
    log.info(
        "emrkeys: JCE provider EmrKeys is at position "
            + position(present)
            + " of the JVM's security providers, for "
            + algorithms(present)
            + (standIn == null ? "" : ", and stands in for " + BouncyCastleStandIn.NAME));
    for (String prefix : SDK_PREFIXES) {
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
    byte[] expected = {
      (byte) 0xce,
      (byte) 0xa7,
      0x40,
      0x3d,
      0x4d,
      0x60,
      0x6b,
      0x6e,
      0x07,
      0x4e,
      (byte) 0xc5,
      (byte) 0xd3,
      (byte) 0xba,
      (byte) 0xf3,
      (byte) 0x9d,
      0x18,
      (byte) 0xd0,
      (byte) 0xd1,
      (byte) 0xc8,
      (byte) 0xa7,
      (byte) 0x99,
      (byte) 0x99,
      0x6b,
      (byte) 0xf0,
      0x26,
      0x5b,
      (byte) 0x98,
      (byte) 0xb5,
      (byte) 0xd4,
      (byte) 0x8a,
      (byte) 0xb9,
      0x19
    };
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
      realBc = bouncyCastleOfClassPath();
    }
    standIn = new BouncyCastleStandIn(realBc);
    if (realBcPosition > 0) {
      Security.removeProvider(BouncyCastleStandIn.NAME);
      Security.insertProviderAt(standIn, realBcPosition);
    } else {
      Security.addProvider(standIn);
    }
  }

  private static Provider bouncyCastleOfClassPath() {
    try {
      return (Provider) load(BOUNCY_CASTLE).getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException | LinkageError | ClassCastException e) {
      return null; // not there: then nobody could have asked for it either
    }
  }

  private static int position(Provider provider) {
    return Arrays.asList(Security.getProviders()).indexOf(provider) + 1;
  }

  private static Class<?> load(String name) throws ClassNotFoundException {
    ClassLoader ofThread = Thread.currentThread().getContextClassLoader();
    try {
      return Class.forName(name, false, JceInstaller.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      return Class.forName(name, false, ofThread);
    }
  }

  /**
   * Whether the SDK, where there is one, will come to us for content. It reads the property at
   * every use; one that does not, or that has no such property, is named.
   */
  private void checkSdk(String prefix, Log log) {
    boolean prefers;
    try {
      Class<?> sdk = load(prefix + SDK_CLASS);
      prefers = (Boolean) sdk.getMethod("preferDefaultSecurityProvider").invoke(null);
    } catch (ClassNotFoundException e) {
      return; // no such SDK, or none that this loader sees
    } catch (NoSuchMethodException e) {
      if (standIn == null) {
        log.warn(
            "emrkeys: this AWS SDK asks Bouncy Castle by name for the content of objects, which"
                + " stays slow; set "
                + JceSettings.STAND_IN
                + "=true, or use an SDK that knows "
                + PREFER_DEFAULT);
      }
      return;
    } catch (ReflectiveOperationException | LinkageError | ClassCastException e) {
      prefers = false;
    }
    if (!prefers && properties.contains(prefix + PREFER_DEFAULT)) {
      log.warn(
          "emrkeys: this AWS SDK does not heed a system property that is set so late; start the JVM"
              + " with -D"
              + prefix
              + PREFER_DEFAULT
              + "=true");
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
