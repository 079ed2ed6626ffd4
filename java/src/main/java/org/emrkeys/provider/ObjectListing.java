package org.emrkeys.provider;

import java.util.List;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/** The keys of many objects, some at a time. For one thread. Internal. */
public final class ObjectListing implements AutoCloseable {
  private final long handle;
  private String mark = "";

  ObjectListing(long handle) {
    this.handle = handle;
  }

  /**
   * The keys of the next objects. Blocks.
   *
   * @param count how many
   * @return fewer at the end; none: there are no more
   * @throws org.emrkeys.EmrKeysException if S3 refuses or does not answer, or an inventory is not as
   *     it should be
   */
  public List<String> next(int count) {
    Wire.Decoder in = Wire.response(Natives.next(handle, count));
    String last = in.string();
    List<String> keys = in.strings();
    if (!keys.isEmpty()) {
      mark = last;
    }
    return keys;
  }

  /**
   * The mark behind which another listing of the same objects goes on.
   *
   * @return that of the last key; empty before the first
   */
  public String mark() {
    return mark;
  }

  @Override
  public void close() {
    Natives.endList(handle);
  }
}
