package org.emrkeys.provider;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import org.emrkeys.bridge.Wire;

/** Objects of a bucket, and what is to be done to them. Immutable. Internal. */
public final class ObjectOrder implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The same for all orders that come of one: what they share in a JVM goes by it. */
  private final String job;

  private final ObjectWork work;
  private final boolean dryRun;
  private final boolean doubted;
  private final int threads;
  private final String bucket;
  private final ArrayList<String> keys;

  /**
   * The order of a new job, without objects.
   *
   * @param work what to do
   * @param dryRun whether nothing is to be written
   * @param threads objects at work at once
   * @param bucket where the objects are
   */
  public ObjectOrder(ObjectWork work, boolean dryRun, int threads, String bucket) {
    this(UUID.randomUUID().toString(), work, dryRun, false, threads, bucket, Collections.emptyList());
  }

  private ObjectOrder(
      String job,
      ObjectWork work,
      boolean dryRun,
      boolean doubted,
      int threads,
      String bucket,
      Collection<String> keys) {
    this.job = job;
    this.work = work;
    this.dryRun = dryRun;
    this.doubted = doubted;
    this.threads = threads;
    this.bucket = bucket;
    this.keys = new ArrayList<>(keys);
  }

  /**
   * The same for other objects.
   *
   * @param others their keys
   * @return the order
   */
  public ObjectOrder of(Collection<String> others) {
    return new ObjectOrder(job, work, dryRun, doubted, threads, bucket, others);
  }

  /**
   * The same as a dry run.
   *
   * @return the order
   */
  public ObjectOrder dry() {
    return new ObjectOrder(job, work, true, doubted, threads, bucket, keys);
  }

  /**
   * The same for objects that an earlier run replaced, of which nothing showed that they are what was sent: those that
   * are as they should be are read whole.
   *
   * @return the order
   */
  public ObjectOrder doubted() {
    return new ObjectOrder(job, work, dryRun, true, threads, bucket, keys);
  }

  /**
   * Whether nothing is to be written.
   *
   * @return true for a dry run
   */
  public boolean isDry() {
    return dryRun;
  }

  /**
   * Whether its objects are in doubt.
   *
   * @return true for those of {@link #doubted}
   */
  public boolean isDoubted() {
    return doubted;
  }

  /** The same for at most {@code size} objects each. */
  List<ObjectOrder> slices(int size) {
    List<ObjectOrder> slices = new ArrayList<>();
    for (int from = 0; from < keys.size(); from += size) {
      slices.add(of(keys.subList(from, Math.min(keys.size(), from + size))));
    }
    return slices;
  }

  byte[] run(long handle) {
    return work.run(handle, encode());
  }

  byte[] target(long handle) {
    return work.target(handle, encode());
  }

  private byte[] encode() {
    Wire.Encoder out =
        new Wire.Encoder()
            .string(job)
            .u8(dryRun ? 1 : 0)
            .u8(doubted ? 1 : 0)
            .i32(threads)
            .string(bucket)
            .strings(keys);
    work.encode(out);
    return out.toBytes();
  }
}
