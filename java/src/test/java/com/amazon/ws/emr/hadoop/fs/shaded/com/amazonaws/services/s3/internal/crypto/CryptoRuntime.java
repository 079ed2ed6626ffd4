package com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.internal.crypto;

/**
 * The copy of the SDK inside EMRFS, as the installer sees it: relocation renames classes and the
 * texts in them alike.
 */
public final class CryptoRuntime {
  /** Whether it behaves as if it had read the property once, before anybody set it. */
  public static volatile boolean readLongAgo;

  private CryptoRuntime() {}

  public static boolean preferDefaultSecurityProvider() {
    return !readLongAgo
        && Boolean.getBoolean(
            "com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.crypto"
                + ".preferDefaultSecurityProvider");
  }
}
