package org.emrkeys.jce;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.security.ProviderException;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.emrkeys.bridge.CipherNatives;

/**
 * Owns one native cipher. Closed by its owner, or, when the owner was forgotten, before the next
 * one is made (Java 8 has no Cleaner, and a thread of our own would keep our class loader alive).
 */
final class NativeHandle extends PhantomReference<Object> {
  private static final ReferenceQueue<Object> FORGOTTEN = new ReferenceQueue<>();

  /** Keeps the references themselves reachable until they are closed. */
  private static final Set<NativeHandle> OPEN =
      Collections.newSetFromMap(new ConcurrentHashMap<>());

  private static final AtomicLong MADE = new AtomicLong();

  final long value;
  private final AtomicBoolean closed = new AtomicBoolean();

  private NativeHandle(Object owner, long value) {
    super(owner, FORGOTTEN);
    this.value = value;
  }

  /**
   * Makes a native cipher for {@code owner}; a negative {@link #value} is a code, and then there is
   * nothing to close.
   */
  static NativeHandle create(Object owner, int kind, byte[] key, long maxHeld) {
    for (Object left = FORGOTTEN.poll(); left != null; left = FORGOTTEN.poll()) {
      ((NativeHandle) left).close();
    }
    NativeHandle handle = new NativeHandle(owner, CipherNatives.create(kind, key, maxHeld));
    if (handle.value >= 0) {
      OPEN.add(handle);
      MADE.incrementAndGet();
    }
    return handle;
  }

  /** How many there ever were. */
  static long made() {
    return MADE.get();
  }

  /** How many are open, forgotten ones included. */
  static int open() {
    return OPEN.size();
  }

  /**
   * Turns codes that say "misuse" or "broken" into unchecked exceptions.
   *
   * @return the result, which is a count, or {@code CODE_TAG_MISMATCH} for the caller to report
   */
  static int check(int result) {
    switch (result) {
      case CipherNatives.CODE_BUSY:
        throw new IllegalStateException("this Cipher is in use by another thread");
      case CipherNatives.CODE_CLOSED:
      case CipherNatives.CODE_STATE:
        throw new IllegalStateException("this Cipher is not ready: initialise it again");
      case CipherNatives.CODE_TOO_MANY:
        throw new ProviderException("too many ciphers are in use: end their messages by doFinal");
      case CipherNatives.CODE_TOO_LONG:
        throw new IllegalStateException("a message of AES-GCM has at most 64 GiB");
      case CipherNatives.CODE_HELD_TOO_LONG:
        throw new IllegalStateException(
            "the ciphertext that waits for its tag exceeds "
                + JceSettings.MAX_BUFFERED
                + "; raise it, or initialise by IvParameterSpec to receive plaintext before it is"
                + " verified");
      default:
        if (result < 0 && result != CipherNatives.CODE_TAG_MISMATCH) {
          throw new ProviderException("the native cipher failed: " + result);
        }
        return result;
    }
  }

  void close() {
    if (value >= 0 && closed.compareAndSet(false, true)) {
      OPEN.remove(this);
      CipherNatives.destroy(value);
    }
  }
}
