package org.emrkeys.provider;

import java.util.ArrayList;
import java.util.List;
import org.emrkeys.bridge.NativeCall;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/** Many objects, some at a time. For one thread. Internal. */
public final class ObjectListing implements AutoCloseable {
  /** An object of a listing. */
  public static final class Listed {
    private final String key;
    private final long bytes;

    /**
     * An object.
     *
     * @param key of the object
     * @param bytes its size as stored
     */
    public Listed(String key, long bytes) {
      this.key = key;
      this.bytes = bytes;
    }

    /**
     * The key of the object.
     *
     * @return the key
     */
    public String key() {
      return key;
    }

    /**
     * The size of the object as stored.
     *
     * @return bytes; 0 where an inventory does not say
     */
    public long bytes() {
      return bytes;
    }
  }

  private final long handle;
  private String mark = "";

  ObjectListing(long handle) {
    this.handle = handle;
  }

  /**
   * The next objects. Blocks.
   *
   * @param count how many
   * @return fewer at the end; none: there are no more
   * @throws org.emrkeys.EmrKeysException if S3 refuses or does not answer, or an inventory is not as
   *     it should be; then, and after an interrupt ({@code INTERRUPTED}), the listing gives no more,
   *     and another begins behind {@link #mark}
   */
  public List<Listed> next(int count) {
    Wire.Decoder in = Wire.response(NativeCall.complete(Natives.next(handle, count)));
    String last = in.string();
    int found = in.count(12);
    List<Listed> objects = new ArrayList<>(found);
    for (int i = 0; i < found; i++) {
      objects.add(new Listed(in.string(), in.i64()));
    }
    if (found > 0) {
      mark = last;
    }
    return objects;
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
