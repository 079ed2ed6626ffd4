package org.emrkeys.jce;

import java.security.Provider;
import java.util.LinkedHashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A provider named {@code BC} that serves AES-GCM and the key wraps from native code and everything
 * else from the real Bouncy Castle.
 *
 * <p>For SDKs that ask Bouncy Castle by name, whatever the order of providers. Each algorithm means
 * here what it means there: CTR is left out because Bouncy Castle takes shorter vectors, and OAEP
 * with SHA-256 has MGF1 with SHA-256. Thread-safe.
 */
final class BouncyCastleStandIn extends Provider {
  private static final long serialVersionUID = 1L;

  static final String NAME = "BC";

  private static final String OAEP_SHA256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";

  /** The services of this class, by the upper-case name: JCE compares names without regard to case. */
  private final transient Map<String, Service> own = new TreeMap<>();

  private final transient Provider real;

  /** Stands in for {@code real}, which may be null. */
  @SuppressWarnings(
      "deprecation") // the constructor with a String for the version is newer than Java 8
  BouncyCastleStandIn(Provider real) {
    super(
        NAME,
        real == null ? EmrKeysProvider.VERSION : real.getVersion(),
        "AES-GCM and key wraps of EmrKeys, the rest of "
            + (real == null ? "nobody" : real.getInfo()));
    this.real = real;
    if (real != null) {
      putAll(real); // for those who list what a provider has
    }
    for (String[] algorithm : EmrKeysProvider.EVERYWHERE) {
      String name = algorithm[0];
      String type =
          name.equals(OAEP_SHA256) ? RsaCipherSpi.OaepSha256OfBc.class.getName() : algorithm[1];
      own.put(upper(name), new Service(this, "Cipher", name, type, null, null));
      put("Cipher." + name, type);
    }
  }

  private static String upper(String name) {
    return name.toUpperCase(Locale.ENGLISH);
  }

  private Service own(String type, String algorithm) {
    return "Cipher".equalsIgnoreCase(type) ? own.get(upper(algorithm)) : null;
  }

  @Override
  public Service getService(String type, String algorithm) {
    Service ours = own(type, algorithm);
    return ours != null || real == null ? ours : real.getService(type, algorithm);
  }

  @Override
  public Set<Service> getServices() {
    Set<Service> all = new LinkedHashSet<>(own.values());
    if (real != null) {
      for (Service service : real.getServices()) {
        if (own(service.getType(), service.getAlgorithm()) == null) {
          all.add(service);
        }
      }
    }
    return all;
  }
}
