package org.emrkeys.jce;

/** What {@code emrkeys.jce.*} says, for the whole JVM. Read from system properties until {@link #set} is called. */
final class JceSettings {
  static final String RELEASE = "emrkeys.jce.release-unverified-plaintext";
  static final String MAX_BUFFERED = "emrkeys.jce.max-buffered-bytes";
  static final String OAEP_MGF1 = "emrkeys.jce.oaep-mgf1";
  private static final long DEFAULT_MAX_BUFFERED = 1L << 30;

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

  private static volatile JceSettings current = fromSystemProperties();

  final Release release;
  final long maxBuffered;
  final Mgf1 mgf1;

  JceSettings(Release release, long maxBuffered, Mgf1 mgf1) {
    this.release = release;
    this.maxBuffered = maxBuffered;
    this.mgf1 = mgf1;
  }

  static JceSettings current() {
    return current;
  }

  static void set(JceSettings settings) {
    current = settings;
  }

  /** Values that are not understood take the safer side: a security property must not fail open. */
  private static JceSettings fromSystemProperties() {
    String release = System.getProperty(RELEASE, "sdk");
    String mgf1 = System.getProperty(OAEP_MGF1, "sha1");
    return new JceSettings(
        "sdk".equals(release) ? Release.SDK : "always".equals(release) ? Release.ALWAYS : Release.NEVER,
        Long.getLong(MAX_BUFFERED, DEFAULT_MAX_BUFFERED),
        "both".equals(mgf1) ? Mgf1.BOTH : "sha256".equals(mgf1) ? Mgf1.SHA256 : Mgf1.SHA1);
  }
}
