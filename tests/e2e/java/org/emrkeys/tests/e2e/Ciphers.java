package org.emrkeys.tests.e2e;

import com.amazonaws.services.s3.internal.crypto.CryptoRuntime;
import java.io.IOException;
import java.security.AlgorithmParameters;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Security;
import java.security.spec.AlgorithmParameterSpec;
import javax.crypto.CipherSpi;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.jce.EmrKeysProvider;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;

/** Which ciphers the clients of this JVM encrypt with: ours, or what they have without us. */
final class Ciphers {
  private Ciphers() {}

  /** Whether the SDK heeds the order of providers; one that does not asks Bouncy Castle by name. */
  static boolean sdkHeedsOrder() {
    try {
      CryptoRuntime.class.getMethod("preferDefaultSecurityProvider");
      return true;
    } catch (NoSuchMethodException older) {
      return false;
    }
  }

  /** A cluster in a JVM without our ciphers. */
  static EmrfsStandIn stock(Site site, Mode mode) throws IOException {
    EmrKeysProvider.uninstall();
    EmrfsStandIn cluster = site.set("emrkeys.jce.install", "off").start(Stack.aws(), mode);
    if (Security.getProvider(EmrKeysProvider.NAME) != null) {
      throw new AssertionError("installed although it is off");
    }
    return cluster;
  }

  /** A cluster in a JVM with our ciphers, installed by its provider's {@code setConf}. */
  static EmrfsStandIn ours(Site site, Mode mode) throws IOException {
    EmrKeysProvider.uninstall();
    site.set("emrkeys.jce.install", "first")
        .set("emrkeys.jce.stand-in-for-bc", String.valueOf(!sdkHeedsOrder()));
    EmrfsStandIn cluster = site.start(Stack.aws(), mode);
    if (!(Security.getProviders()[0] instanceof EmrKeysProvider)) {
      throw new AssertionError("not installed");
    }
    return cluster;
  }

  /** Runs {@code action} while {@code provider} has the name BC. */
  static void withBouncyCastle(Provider provider, Action action) throws Exception {
    EmrKeysProvider.uninstall();
    Security.removeProvider("BC");
    Security.addProvider(provider);
    try {
      action.run();
    } finally {
      EmrKeysProvider.uninstall();
      Security.removeProvider("BC");
      Security.addProvider(new BouncyCastleProvider());
    }
  }

  interface Action {
    void run() throws Exception;
  }

  /** Bouncy Castle whose AES-GCM is there and cannot be used: who succeeds uses another. */
  static final class BrokenBouncyCastle extends Provider {
    static final String MESSAGE = "Bouncy Castle was asked";
    private static final long serialVersionUID = 1L;

    private final transient Provider real = new BouncyCastleProvider();
    private final transient Service broken =
        new Service(this, "Cipher", "AES/GCM/NoPadding", BrokenCipher.class.getName(), null, null);

    @SuppressWarnings("deprecation") // the constructor with a String is newer than Java 8
    BrokenBouncyCastle() {
      super("BC", 1.0, "broken");
    }

    @Override
    public Service getService(String type, String algorithm) {
      return "Cipher".equals(type) && broken.getAlgorithm().equalsIgnoreCase(algorithm)
          ? broken
          : real.getService(type, algorithm);
    }
  }

  /** Fails at {@code init}. Public for JCE, which makes it. */
  public static final class BrokenCipher extends CipherSpi {
    public BrokenCipher() {}

    private static IllegalStateException asked() {
      return new IllegalStateException(BrokenBouncyCastle.MESSAGE);
    }

    @Override
    protected void engineInit(int opmode, Key key, SecureRandom random) throws InvalidKeyException {
      throw asked();
    }

    @Override
    protected void engineInit(
        int opmode, Key key, AlgorithmParameterSpec params, SecureRandom random) {
      throw asked();
    }

    @Override
    protected void engineInit(
        int opmode, Key key, AlgorithmParameters params, SecureRandom random) {
      throw asked();
    }

    @Override
    protected void engineSetMode(String mode) {}

    @Override
    protected void engineSetPadding(String padding) {}

    @Override
    protected int engineGetBlockSize() {
      return 16;
    }

    @Override
    protected int engineGetOutputSize(int length) {
      throw asked();
    }

    @Override
    protected byte[] engineGetIV() {
      return null;
    }

    @Override
    protected AlgorithmParameters engineGetParameters() {
      return null;
    }

    @Override
    protected byte[] engineUpdate(byte[] input, int offset, int length) {
      throw asked();
    }

    @Override
    protected int engineUpdate(byte[] input, int offset, int length, byte[] output, int outOffset) {
      throw asked();
    }

    @Override
    protected byte[] engineDoFinal(byte[] input, int offset, int length) {
      throw asked();
    }

    @Override
    protected int engineDoFinal(
        byte[] input, int offset, int length, byte[] output, int outOffset) {
      throw asked();
    }
  }
}
