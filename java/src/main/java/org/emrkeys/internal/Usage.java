package org.emrkeys.internal;

/** Who asks for keys. Internal. */
public enum Usage {
  /** An S3 client that encrypts on the client's side. */
  S3(0),
  /** EMR's local disks. */
  LOCAL_DISK(1),
  /** Hadoop's S3A connector. */
  S3A(2);

  private final int number;

  Usage(int number) {
    this.number = number;
  }

  int number() {
    return number;
  }
}
