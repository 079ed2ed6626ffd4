package com.amazon.corretto.crypto.provider;

import java.security.Provider;
import java.security.Security;

/**
 * Stands in for ACCP's provider, under the name by which its tests refer to it, and has no algorithms. It puts the
 * provider whose class the system property {@code peer} names, if it names one, before all others.
 */
public final class AmazonCorrettoCryptoProvider extends Provider {
  private static final long serialVersionUID = 1L;

  public static final AmazonCorrettoCryptoProvider INSTANCE = new AmazonCorrettoCryptoProvider();

  @SuppressWarnings("deprecation") // the constructor with a String is newer than Java 8
  private AmazonCorrettoCryptoProvider() {
    super("ACCP's stand-in", 2.5, "");
    String peer = System.getProperty("peer");
    if (!peer.isEmpty()) {
      try {
        Security.insertProviderAt((Provider) Class.forName(peer).getConstructor().newInstance(), 1);
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  /** Of ACCP. */
  public boolean isFips() {
    return false;
  }

  /** Of ACCP. */
  public boolean isExperimentalFips() {
    return false;
  }
}
