package org.emrkeys.provider;

import java.io.Serializable;
import org.emrkeys.bridge.Wire;

/** A kind of work on objects, with its options. Internal. */
public abstract class ObjectWork implements Serializable {
  private static final long serialVersionUID = 1L;

  /**
   * The outcome of an object that the work changed.
   *
   * @return a word
   */
  public abstract String done();

  /** Writes the options, as the native method of {@link #run} reads them behind an order. */
  abstract void encode(Wire.Encoder out);

  /** The native method that does the work on the objects of an encoded order. */
  abstract byte[] run(long handle, byte[] order);

  /** The native method that gives the keys and versions that wrap now. */
  abstract byte[] target(long handle, byte[] order);
}
