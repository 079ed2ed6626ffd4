package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.security.Provider;
import java.security.Security;
import javax.crypto.Cipher;
import org.apache.hadoop.conf.Configuration;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.Conf;
import org.emrkeys.EmrKeysException;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.emrkeys.jce.JceSettings.Install;
import org.emrkeys.jce.JceSettings.Mgf1;
import org.emrkeys.jce.JceSettings.Release;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * {@code release-unverified-plaintext=never} holds, or configuration fails: with everything that may
 * stand in its way.
 */
class NeverReleasedTest {
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
    for (String prefix : SdkCrypto.PREFIXES) {
      System.clearProperty(prefix + SdkCrypto.PREFER_DEFAULT);
    }
    Security.removeProvider(EmrKeysProvider.NAME);
    Security.removeProvider("BC");
    assertArrayEquals(before, Security.getProviders());
  }

  private static JceSettings settings(Install install, Release release, boolean standIn) {
    return new JceSettings(install, release, 1 << 20, Mgf1.SHA1, standIn);
  }

  private void install(Install install, Release release) {
    JceInstaller.install(settings(install, release, false), true, log.log);
  }

  /** The message says why, and what was done is undone. */
  private void refused(String why, Install install, boolean standIn) {
    Provider[] providers = Security.getProviders();
    String preferred = System.getProperty(SdkCrypto.PREFER_DEFAULT);
    EmrKeysException e =
        assertThrows(
            EmrKeysException.class,
            () -> JceInstaller.install(settings(install, Release.NEVER, standIn), true, log.log));
    assertEquals("UNVERIFIED_PLAINTEXT", e.code());
    assertTrue(e.getMessage().contains(why), e.getMessage());
    assertTrue(e.getMessage().contains(JceSettings.RELEASE), e.getMessage());
    assertArrayEquals(providers, Security.getProviders());
    assertEquals(preferred, System.getProperty(SdkCrypto.PREFER_DEFAULT));
  }

  @Test
  void itHoldsAtTheFirstPosition() {
    install(Install.FIRST, Release.NEVER);
    install(Install.FIRST, Release.NEVER);
  }

  @Test
  void itHoldsAtTheLastPositionWithoutBouncyCastleBefore() {
    install(Install.LAST, Release.NEVER);
    Security.addProvider(new BouncyCastleProvider()); // where the SDK puts it
    install(Install.LAST, Release.NEVER);
  }

  @Test
  void itHoldsUnderTheNameOfBouncyCastle() {
    System.setProperty(SdkCrypto.PREFER_DEFAULT, "false");
    Security.addProvider(new BouncyCastleProvider());
    JceInstaller.install(settings(Install.FIRST, Release.NEVER, true), true, log.log);
    EmrKeysProvider.uninstall();
    System.clearProperty(SdkCrypto.PREFER_DEFAULT);
  }

  @Test
  void anotherProviderOfThatNameIsARefusal() throws Exception {
    ClassLoader loader = new JceInstallerTest.Isolated(true);
    Provider foreign =
        (Provider)
            Class.forName(EmrKeysProvider.class.getName(), true, loader)
                .getDeclaredConstructor()
                .newInstance();
    Security.insertProviderAt(foreign, 1);
    for (String prefix : SdkCrypto.PREFIXES) {
      System.setProperty(prefix + SdkCrypto.PREFER_DEFAULT, "true");
    }
    refused("another class loader", Install.FIRST, false);
  }

  @Test
  void anEarlierConfigurationThatSaidOtherwiseIsARefusal() {
    for (Release release : new Release[] {Release.SDK, Release.ALWAYS}) {
      install(Install.FIRST, release);
      refused("an earlier configuration", Install.FIRST, false);
      EmrKeysProvider.uninstall();
    }
  }

  @Test
  void bouncyCastleBeforeTheLastPositionIsARefusal() {
    Security.insertProviderAt(new BouncyCastleProvider(), 1);
    refused("the provider BC", Install.LAST, false);
  }

  @Test
  void installationThatIsOffIsARefusal() {
    refused("the provider BC", Install.OFF, false);
    for (String prefix : SdkCrypto.PREFIXES) {
      System.setProperty(prefix + SdkCrypto.PREFER_DEFAULT, "true");
    }
    // The JDK refuses the SDK's parameters.
    refused("no provider", Install.OFF, false);
    Security.addProvider(new BouncyCastleProvider());
    refused("the provider BC", Install.OFF, false);
  }

  @Test
  void aPropertyThatWasSetToFalseIsARefusal() {
    for (String prefix : SdkCrypto.PREFIXES) {
      System.setProperty(prefix + SdkCrypto.PREFER_DEFAULT, "false");
      refused("from the provider BC", Install.FIRST, false);
      System.clearProperty(prefix + SdkCrypto.PREFER_DEFAULT);
    }
  }

  /** The S3 Encryption Client asks in another way, which the JDK's own provider serves. */
  @Test
  void theS3EncryptionClientNeedsNoInstallation() {
    JceInstaller.install(settings(Install.OFF, Release.NEVER, false), false, log.log);
    Security.insertProviderAt(new BouncyCastleProvider(), 1);
    assertThrows(
        EmrKeysException.class,
        () -> JceInstaller.install(settings(Install.OFF, Release.NEVER, false), false, log.log));
  }

  @Test
  void otherValuesAreNotTriedOut() {
    for (Release release : new Release[] {Release.SDK, Release.ALWAYS}) {
      install(Install.OFF, release);
    }
  }

  @Test
  void setConfFailsAndTheProviderStaysAsItWas() throws Exception {
    Configuration conf = Conf.aes(KeyFiles.create().aes("a", 256));
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    Configuration never =
        Conf.with(
            conf,
            "emrkeys.jce.install", "off",
            "emrkeys.jce.release-unverified-plaintext", "never");
    EmrKeysException e = assertThrows(EmrKeysException.class, () -> provider.setConf(never));
    assertEquals("UNVERIFIED_PLAINTEXT", e.code());
    assertNull(provider.getConf());
    provider.setConf(Conf.with(conf, "emrkeys.jce.release-unverified-plaintext", "sdk"));
    Configuration working = provider.getConf();
    assertThrows(EmrKeysException.class, () -> provider.setConf(never));
    assertEquals(working, provider.getConf());
    assertEquals("EmrKeys", Cipher.getInstance("AES/GCM/NoPadding").getProvider().getName());
  }

  @Test
  void aJvmInFipsModeGetsAWarningThatNamesTheWayOut() {
    Provider fips = new NamedProvider("SunPKCS11-NSS-FIPS");
    Security.addProvider(fips);
    try {
      install(Install.FIRST, Release.SDK);
    } finally {
      EmrKeysProvider.uninstall();
      Security.removeProvider(fips.getName());
    }
    assertEquals(1, log.warnings.size(), log.warnings.toString());
    assertTrue(log.warnings.get(0).contains("emrkeys.jce.install=off"), log.warnings.get(0));
  }

  private static final class NamedProvider extends Provider {
    private static final long serialVersionUID = 1L;

    @SuppressWarnings("deprecation") // the other constructor is newer than Java 8
    NamedProvider(String name) {
      super(name, 1.0, "a name");
    }
  }
}
