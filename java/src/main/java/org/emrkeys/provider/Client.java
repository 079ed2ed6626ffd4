package org.emrkeys.provider;

/** The client that asks for keys. Internal. */
public enum Client {
  /** An S3 client that encrypts on the client's side, such as EMRFS. */
  S3(0),
  /** The encryption of EMR's local disks. */
  LOCAL_DISK(1),
  /** Hadoop's S3A connector. */
  S3A(2),
  /** Tables: Parquet and Iceberg, which name the keys themselves. */
  TABLES(3);

  private final int number;

  Client(int number) {
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
