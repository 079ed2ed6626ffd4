package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.internal.crypto.CryptoRuntime;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.security.Key;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.Provider;
import java.security.Security;
import java.util.Collections;
import java.util.Properties;
import javax.crypto.Cipher;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.bridge.Log;
import org.emrkeys.jce.JceSettings.Install;
import org.emrkeys.jce.JceSettings.Mgf1;
import org.emrkeys.jce.JceSettings.Release;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Installation, its effects on the JVM, and that all of it can be undone. */
class JceInstallerTest {
  private static final String GCM = "AES/GCM/NoPadding";
  private static final String OAEP = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
  private static final String EMRFS_PREFER =
      "com.amazon.ws.emr.hadoop.fs.shaded." + SdkCrypto.PREFER_DEFAULT;

  private final RecordingLog log = new RecordingLog();
  private Provider[] before;

  @BeforeEach
  void remember() {
    EmrKeysProvider.uninstall();
    before = Security.getProviders();
  }

  @AfterEach
  void everythingIsAsBefore() {
    EmrKeysProvider.uninstall();
    System.clearProperty(SdkCrypto.PREFER_DEFAULT);
    System.clearProperty(EMRFS_PREFER);
    Security.removeProvider(EmrKeysProvider.NAME);
    Security.removeProvider("BC");
  }

  private static JceSettings settings(Install install, boolean standIn) {
    return new JceSettings(install, Release.SDK, 1 << 30, Mgf1.SHA1, standIn);
  }

  private void install(Install install) {
    JceInstaller.install(settings(install, false), true, log.log);
  }

  @Test
  void firstIsBeforeAllOthersAndUninstallPutsTheOrderBack() throws Exception {
    assertFalse(CryptoRuntime.preferDefaultSecurityProvider());
    install(Install.FIRST);
    assertTrue(Security.getProviders()[0] instanceof EmrKeysProvider);
    assertTrue(Cipher.getInstance(GCM).getProvider() instanceof EmrKeysProvider);
    // The SDK was loaded, and had answered, before.
    assertTrue(CryptoRuntime.preferDefaultSecurityProvider());
    assertEquals("true", System.getProperty(EMRFS_PREFER));
    assertEquals(1, log.infos.size());
    assertEquals(Collections.emptyList(), log.warnings);

    EmrKeysProvider.uninstall();
    assertArrayEquals(before, Security.getProviders());
    assertNull(System.getProperty(SdkCrypto.PREFER_DEFAULT));
    assertNull(System.getProperty(EMRFS_PREFER));
  }

  @Test
  void lastIsBehindAllOthers() {
    install(Install.LAST);
    Provider[] now = Security.getProviders();
    assertTrue(now[now.length - 1] instanceof EmrKeysProvider);
    assertEquals(before.length + 1, now.length);
  }

  @Test
  void offIsNothing() {
    install(Install.OFF);
    assertArrayEquals(before, Security.getProviders());
    assertNull(System.getProperty(SdkCrypto.PREFER_DEFAULT));
  }

  @Test
  void theFirstConfigurationDecidesForTheJvm() {
    install(Install.FIRST);
    Provider[] installed = Security.getProviders();
    JceSettings settings = JceSettings.current();
    install(Install.FIRST);
    assertEquals(Collections.emptyList(), log.warnings);
    JceInstaller.install(
        new JceSettings(Install.FIRST, Release.ALWAYS, 1 << 30, Mgf1.SHA1, false), true, log.log);
    assertEquals(1, log.warnings.size());
    assertArrayEquals(installed, Security.getProviders());
    assertSame(settings, JceSettings.current());
  }

  @Test
  void settingsAreInForceUntilUninstalled() {
    JceSettings initial = JceSettings.current();
    JceSettings never = new JceSettings(Install.FIRST, Release.NEVER, 1 << 20, Mgf1.BOTH, false);
    JceInstaller.install(never, true, log.log);
    assertSame(never, JceSettings.current());
    EmrKeysProvider.uninstall();
    assertSame(initial, JceSettings.current());
  }

  /** Of a provider that no Hadoop configuration set up. */
  @Test
  void systemPropertiesThatAreNotUnderstoodTakeTheSaferSide() {
    Properties system = new Properties();
    assertEquals(
        new JceSettings(Install.OFF, Release.SDK, 1 << 30, Mgf1.SHA1, false),
        JceSettings.from(system));
    system.setProperty(JceSettings.RELEASE, "Always");
    system.setProperty(JceSettings.MAX_BUFFERED, "lots");
    system.setProperty(JceSettings.OAEP_MGF1, "md5");
    assertEquals(
        new JceSettings(Install.OFF, Release.NEVER, 1 << 30, Mgf1.SHA1, false),
        JceSettings.from(system));
    system.setProperty(JceSettings.RELEASE, "always");
    system.setProperty(JceSettings.MAX_BUFFERED, "5");
    system.setProperty(JceSettings.OAEP_MGF1, "both");
    assertEquals(
        new JceSettings(Install.OFF, Release.ALWAYS, 5, Mgf1.BOTH, false),
        JceSettings.from(system));
  }

  @Test
  void aPropertyOfTheUserStays() {
    System.setProperty(SdkCrypto.PREFER_DEFAULT, "false");
    install(Install.FIRST);
    assertEquals("false", System.getProperty(SdkCrypto.PREFER_DEFAULT));
    assertEquals(Collections.emptyList(), log.warnings);
    EmrKeysProvider.uninstall();
    assertEquals("false", System.getProperty(SdkCrypto.PREFER_DEFAULT));
  }

  private static final class Relocated {
    static boolean prefers() {
      return com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.internal.crypto
          .CryptoRuntime.preferDefaultSecurityProvider();
    }

    static void readLongAgo(boolean value) {
      com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.internal.crypto.CryptoRuntime
              .readLongAgo =
          value;
    }
  }

  @Test
  void theSdkInsideEmrfsIsToldByItsOwnName() {
    assertFalse(Relocated.prefers());
    install(Install.FIRST);
    assertTrue(Relocated.prefers());
    EmrKeysProvider.uninstall();
    assertFalse(Relocated.prefers());
  }

  @Test
  void anSdkThatDoesNotHeedThePropertyIsAWarningWithTheOptionForTheCommandLine() {
    Relocated.readLongAgo(true);
    try {
      install(Install.FIRST);
    } finally {
      Relocated.readLongAgo(false);
    }
    assertEquals(1, log.warnings.size(), log.warnings.toString());
    assertTrue(log.warnings.get(0).contains("-D" + EMRFS_PREFER + "=true"), log.warnings.get(0));
  }

  @Test
  void aProviderThatStandsThereAlreadyStaysWhereItIs() {
    EmrKeysProvider own = new EmrKeysProvider();
    Security.insertProviderAt(own, 2);
    Provider[] order = Security.getProviders();
    install(Install.FIRST);
    assertArrayEquals(order, Security.getProviders());
    assertTrue(CryptoRuntime.preferDefaultSecurityProvider());
    EmrKeysProvider.uninstall();
    assertSame(own, Security.getProvider(EmrKeysProvider.NAME));
  }

  @Test
  void aProviderOfAnotherClassLoaderStays() throws Exception {
    Class<?> other = Class.forName(EmrKeysProvider.class.getName(), true, new Isolated(true));
    assertNotSame(EmrKeysProvider.class, other);
    Provider foreign = (Provider) other.getDeclaredConstructor().newInstance();
    Security.addProvider(foreign);
    Provider[] order = Security.getProviders();
    JceInstaller.install(settings(Install.FIRST, true), true, log.log);
    JceInstaller.install(settings(Install.FIRST, true), true, log.log);
    assertEquals(1, log.warnings.size(), log.warnings.toString());
    assertArrayEquals(order, Security.getProviders());
    assertNull(System.getProperty(SdkCrypto.PREFER_DEFAULT));
    // It works, with a library of its own.
    Cipher cipher = Cipher.getInstance(GCM, foreign);
    cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(new byte[16], "AES"));
    assertEquals(17, cipher.doFinal(new byte[1]).length);
  }

  @Test
  void withoutTheNativeLibraryNothingIsInstalledAndOneWarningSaysWhy() throws Exception {
    Isolated loader = new Isolated(false);
    Class<?> settings = Class.forName(JceSettings.class.getName(), true, loader);
    Object first =
        settings
            .getMethod("of", int.class, int.class, long.class, int.class, boolean.class)
            .invoke(null, 0, 1, 1L << 30, 0, true);
    Class.forName(JceInstaller.class.getName(), true, loader)
        .getMethod("install", settings, boolean.class, Log.class)
        .invoke(null, first, true, log.log);
    assertEquals(1, log.warnings.size());
    assertTrue(log.warnings.get(0).contains("NATIVE_PLATFORM"), log.warnings.get(0));
    assertArrayEquals(before, Security.getProviders());
    assertNull(System.getProperty(SdkCrypto.PREFER_DEFAULT));
  }

  @Test
  void theStandInServesOurAlgorithmsAndHandsOnTheRest() throws Exception {
    BouncyCastleProvider real = new BouncyCastleProvider();
    Security.insertProviderAt(real, 3);
    Provider[] order = Security.getProviders();
    JceInstaller.install(settings(Install.FIRST, true), true, log.log);

    assertTrue(Cipher.getInstance(GCM, "BC").getProvider() instanceof BouncyCastleStandIn);
    assertTrue(
        Cipher.getInstance("aes/gcm/nopadding", "BC").getProvider() instanceof BouncyCastleStandIn);
    assertSame(real, Cipher.getInstance("Twofish/CBC/PKCS5Padding", "BC").getProvider());
    assertSame(real, MessageDigest.getInstance("Tiger").getProvider());
    assertTrue(Security.getAlgorithms("MessageDigest").contains("TIGER"));
    Provider standIn = Security.getProvider("BC");
    assertEquals(real.getServices().size() + own(real), standIn.getServices().size());
    // A program that adds Bouncy Castle later finds the name taken.
    assertEquals(-1, Security.addProvider(new BouncyCastleProvider()));

    EmrKeysProvider.uninstall();
    assertArrayEquals(order, Security.getProviders());
    assertSame(real, Security.getProvider("BC"));
  }

  /** How many of ours the real one has no service of the same name for. */
  private static long own(Provider real) {
    long missing = 0;
    for (String[] algorithm : EmrKeysProvider.EVERYWHERE) {
      missing += real.getService("Cipher", algorithm[0]) == null ? 1 : 0;
    }
    return missing;
  }

  @Test
  void theStandInFindsBouncyCastleOnTheClassPath() throws Exception {
    JceInstaller.install(settings(Install.LAST, true), true, log.log);
    assertTrue(
        Cipher.getInstance("Twofish/CBC/PKCS5Padding", "BC").getProvider()
            instanceof BouncyCastleProvider);
    EmrKeysProvider.uninstall();
    assertNull(Security.getProvider("BC"));
    assertArrayEquals(before, Security.getProviders());
  }

  @Test
  void oaepMeansUnderEachNameWhatItMeantThere() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    KeyPair pair = generator.generateKeyPair();
    Key key = new SecretKeySpec(new byte[32], "AES");
    Cipher wrap = Cipher.getInstance(OAEP, new BouncyCastleProvider());
    wrap.init(Cipher.WRAP_MODE, pair.getPublic());
    byte[] ofBouncyCastle = wrap.wrap(key);
    wrap = Cipher.getInstance(OAEP, "SunJCE");
    wrap.init(Cipher.WRAP_MODE, pair.getPublic());
    byte[] ofSun = wrap.wrap(key);

    JceInstaller.install(settings(Install.FIRST, true), true, log.log);
    Cipher standIn = Cipher.getInstance(OAEP, "BC");
    standIn.init(Cipher.UNWRAP_MODE, pair.getPrivate());
    assertEquals(key, standIn.unwrap(ofBouncyCastle, "AES", Cipher.SECRET_KEY));
    Cipher ours = Cipher.getInstance(OAEP, EmrKeysProvider.NAME);
    ours.init(Cipher.UNWRAP_MODE, pair.getPrivate());
    assertEquals(key, ours.unwrap(ofSun, "AES", Cipher.SECRET_KEY));
  }

  /** Our classes once more, with or without the native library. */
  static final class Isolated extends URLClassLoader {
    private final boolean withLibrary;

    Isolated(boolean withLibrary) {
      super(
          new URL[] {EmrKeysProvider.class.getProtectionDomain().getCodeSource().getLocation()},
          JceInstallerTest.class.getClassLoader());
      this.withLibrary = withLibrary;
    }

    @Override
    protected synchronized Class<?> loadClass(String name, boolean resolve)
        throws ClassNotFoundException {
      if (!name.startsWith("org.emrkeys.") || name.equals(Log.class.getName())) {
        return super.loadClass(name, resolve);
      }
      Class<?> found = findLoadedClass(name);
      return found == null ? findClass(name) : found;
    }

    @Override
    public URL getResource(String name) {
      return withLibrary ? findResource(name) : null;
    }

    @Override
    public InputStream getResourceAsStream(String name) {
      return withLibrary ? super.getResourceAsStream(name) : null;
    }
  }
}
