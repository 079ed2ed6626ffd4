package org.emrkeys.bridge;

import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Owns something native for one Java object, and releases it once: when the object closes it or, if
 * the object was forgotten, at a later {@link #releaseForgotten}. Internal.
 *
 * <p>No thread of ours waits for forgotten objects: a thread would keep a class loader, and sometimes
 * a JVM, alive, and Java 8 has no {@code Cleaner}. When the class loader itself is collected, the
 * native library releases whatever is left. Thread-safe.
 */
public final class NativeOwner extends PhantomReference<Object> {
  private static final ReferenceQueue<Object> FORGOTTEN = new ReferenceQueue<>();

  /** Phantom references work only while they are reachable themselves. */
  private static final Set<NativeOwner> OPEN = ConcurrentHashMap.newKeySet();

  private final Runnable release;
  private final AtomicBoolean closed = new AtomicBoolean();

  /**
   * Makes an owner that is open.
   *
   * @param object the Java object
   * @param release what releases it; must not refer to {@code object}
   */
  public NativeOwner(Object object, Runnable release) {
    super(object, FORGOTTEN);
    this.release = release;
    OPEN.add(this);
  }

  /**
   * Whether it was released.
   *
   * @return true from the first {@link #close} on
   */
  public boolean isClosed() {
    return closed.get();
  }

  /** Releases it, unless that was done. */
  public void close() {
    if (closed.compareAndSet(false, true)) {
      OPEN.remove(this);
      clear();
      release.run();
    }
  }

  /** Releases what the garbage collector found forgotten. */
  public static void releaseForgotten() {
    Reference<?> found;
    while ((found = FORGOTTEN.poll()) != null) {
      ((NativeOwner) found).close();
    }
  }

  /**
   * How many are open, forgotten ones included: tests find leaks by it.
   *
   * @return in this class loader, of providers and ciphers
   */
  public static int open() {
    return OPEN.size();
  }
}
