package org.emrkeys.jce;

import java.util.Objects;
import java.util.Properties;

/**
 * The values of {@code emrkeys.jce.*}, for the whole JVM. Immutable. Internal.
 *
 * <p>The core reads and checks the Hadoop properties. Where nobody configured anything, because the
 * provider stands in {@code java.security} or a program registers it, system properties of the same
 * names are read once.
 */
public final class JceSettings {
  static final String RELEASE = "emrkeys.jce.release-unverified-plaintext";
  static final String MAX_BUFFERED = "emrkeys.jce.max-buffered-bytes";
  static final String OAEP_MGF1 = "emrkeys.jce.oaep-mgf1";
  static final String STAND_IN = "emrkeys.jce.stand-in-for-bc";
  private static final long DEFAULT_MAX_BUFFERED = 1L << 30;

  /** Where the provider goes among those of the JVM. */
  enum Install {
    FIRST,
    LAST,
    OFF
  }

  /** When GCM plaintext may leave before its tag is verified. */
  enum Release {
    NEVER,
    /** Where the cipher was initialised by an {@code IvParameterSpec}, as the SDK v1 clients do. */
    SDK,
    ALWAYS
  }

  /** The mask of {@code OAEPWithSHA-256AndMGF1Padding} where no parameters say. */
  enum Mgf1 {
    SHA1,
    SHA256,
    BOTH
  }

  private static final JceSettings INITIAL = from(System.getProperties());
  private static volatile JceSettings current = INITIAL;

  final Install install;
  final Release release;
  final long maxBuffered;
  final Mgf1 mgf1;
  final boolean standInForBc;

  JceSettings(Install install, Release release, long maxBuffered, Mgf1 mgf1, boolean standInForBc) {
    this.install = install;
    this.release = release;
    this.maxBuffered = maxBuffered;
    this.mgf1 = mgf1;
    this.standInForBc = standInForBc;
  }

  /**
   * Settings as the core gives them.
   *
   * @param install 0 first, 1 last, 2 off
   * @param release 0 never, 1 sdk, 2 always
   * @param maxBuffered bytes, above 0
   * @param mgf1 0 SHA-1, 1 SHA-256, 2 both
   * @param standInForBc whether the name {@code BC} is taken over
   * @return the settings
   * @throws IndexOutOfBoundsException for other numbers
   */
  public static JceSettings of(
      int install, int release, long maxBuffered, int mgf1, boolean standInForBc) {
    return new JceSettings(
        Install.values()[install],
        Release.values()[release],
        maxBuffered,
        Mgf1.values()[mgf1],
        standInForBc);
  }

  static JceSettings current() {
    return current;
  }

  static void set(JceSettings settings) {
    current = settings;
  }

  static void reset() {
    current = INITIAL;
  }

  /** Values that are not understood take the safer side: a security property must not fail open. */
  static JceSettings from(Properties system) {
    String release = system.getProperty(RELEASE, "sdk");
    String mgf1 = system.getProperty(OAEP_MGF1, "sha1");
    long maxBuffered;
    try {
      maxBuffered = Long.parseLong(system.getProperty(MAX_BUFFERED, ""));
    } catch (NumberFormatException e) {
      maxBuffered = DEFAULT_MAX_BUFFERED;
    }
    return new JceSettings(
        Install.OFF,
        "sdk".equals(release)
            ? Release.SDK
            : "always".equals(release) ? Release.ALWAYS : Release.NEVER,
        Math.max(1, maxBuffered),
        "both".equals(mgf1) ? Mgf1.BOTH : "sha256".equals(mgf1) ? Mgf1.SHA256 : Mgf1.SHA1,
        false);
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof JceSettings)) {
      return false;
    }
    JceSettings that = (JceSettings) other;
    return install == that.install
        && release == that.release
        && maxBuffered == that.maxBuffered
        && mgf1 == that.mgf1
        && standInForBc == that.standInForBc;
  }

  @Override
  public int hashCode() {
    return Objects.hash(install, release, maxBuffered, mgf1, standInForBc);
  }
}
