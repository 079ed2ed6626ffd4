package org.emrkeys.provider;

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

  /**
   * The client's number on the wire.
   *
   * @return as {@link org.emrkeys.bridge.Natives} says
   */
  public int number() {
    return number;
  }
}
