package org.emrkeys.provider;

import java.util.ArrayList;
import java.util.Collection;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/** Encrypts objects anew, by another format or for the first time, or decrypts them. Internal. */
public final class ConvertWork extends ObjectWork {
  private static final long serialVersionUID = 1L;

  /** How objects are to be stored; the native side knows these by their order. */
  public enum Form {
    /** As the SDK v1's second client and the S3 Encryption Client 3 write them. */
    V2,
    /** As the S3 Encryption Client 4 writes them. */
    V4,
    /** In the clear. */
    PLAINTEXT
  }

  private final Form form;
  private final String to;
  private final ArrayList<String> from;
  private final boolean fromPlaintext;
  private final boolean renew;
  private final boolean secondRead;
  private final String instructionSuffix;

  /**
   * The options.
   *
   * @param form how objects are to be stored
   * @param to name of the key that is to wrap; the empty string for the keys that the rules give
   * @param from names of keys whose objects are converted though the rules do not give these keys there
   * @param fromPlaintext whether objects that no client encrypted are encrypted
   * @param renew whether objects that are as they should be are encrypted anew
   * @param secondRead whether each new object is read and compared, even if S3 confirms its checksum, and those that
   *     are as they should be are read
   * @param instructionSuffix the end of the keys of instruction files
   */
  public ConvertWork(
      Form form,
      String to,
      Collection<String> from,
      boolean fromPlaintext,
      boolean renew,
      boolean secondRead,
      String instructionSuffix) {
    this.form = form;
    this.to = to;
    this.from = new ArrayList<>(from);
    this.fromPlaintext = fromPlaintext;
    this.renew = renew;
    this.secondRead = secondRead;
    this.instructionSuffix = instructionSuffix;
  }

  @Override
  public String done() {
    return "converted";
  }

  @Override
  void encode(Wire.Encoder out) {
    out.u8(form.ordinal())
        .string(to)
        .strings(from)
        .u8(fromPlaintext ? 1 : 0)
        .u8(renew ? 1 : 0)
        .u8(secondRead ? 1 : 0)
        .string(instructionSuffix);
  }

  @Override
  byte[] run(long handle, byte[] order) {
    return Natives.convert(handle, order);
  }

  @Override
  byte[] target(long handle, byte[] order) {
    return Natives.convertTarget(handle, order);
  }
}
