package org.emrkeys.provider;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.emrkeys.bridge.Wire;

/** Objects of a bucket, and what is to be done to them. Internal. */
public final class RewrapOrder implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String to;
  private final ArrayList<String> from;
  private final boolean upgradeWraps;
  private final boolean dryRun;
  private final int threads;
  private final String bucket;
  private final ArrayList<String> keys;

  /**
   * Says what to do.
   *
   * @param to name of the key that is to wrap; the empty string for the keys that the rules give
   * @param from names of keys whose objects are moved though the rules do not give these keys there
   * @param upgradeWraps whether wraps of the SDK v1's first client become those of its second
   * @param dryRun whether nothing is to be written
   * @param threads objects at work at once
   * @param bucket where the objects are
   * @param keys of the objects
   */
  public RewrapOrder(
      String to,
      List<String> from,
      boolean upgradeWraps,
      boolean dryRun,
      int threads,
      String bucket,
      List<String> keys) {
    this.to = to;
    this.from = new ArrayList<>(from);
    this.upgradeWraps = upgradeWraps;
    this.dryRun = dryRun;
    this.threads = threads;
    this.bucket = bucket;
    this.keys = new ArrayList<>(keys);
  }

  /** The same for at most {@code size} objects each. */
  List<RewrapOrder> slices(int size) {
    List<RewrapOrder> slices = new ArrayList<>();
    for (int from = 0; from < keys.size(); from += size) {
      List<String> some = keys.subList(from, Math.min(keys.size(), from + size));
      slices.add(new RewrapOrder(to, this.from, upgradeWraps, dryRun, threads, bucket, some));
    }
    return slices;
  }

  byte[] encode() {
    Wire.Encoder out = new Wire.Encoder().string(to).i32(from.size());
    from.forEach(out::string);
    out.u8(upgradeWraps ? 1 : 0)
        .u8(dryRun ? 1 : 0)
        .i32(threads)
        .string(bucket)
        .i32(keys.size());
    keys.forEach(out::string);
    return out.toBytes();
  }
}
