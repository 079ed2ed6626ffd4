package org.emrkeys.jce;

import java.security.ProviderException;
import java.util.concurrent.atomic.AtomicLong;
import org.emrkeys.bridge.CipherNatives;
import org.emrkeys.bridge.NativeOwner;

/** One native cipher of one Java object, which {@link NativeOwner} frees once. Thread-safe. */
final class NativeHandle {
  private static final AtomicLong MADE = new AtomicLong();

  /** The number of the cipher, or a negative code. */
  final long value;

  /** Null if {@link #value} is a code. */
  private final NativeOwner owner;

  private NativeHandle(long value, NativeOwner owner) {
    this.value = value;
    this.owner = owner;
  }

  /**
   * Makes a native cipher for {@code object}; a negative {@link #value} is a code, and then there is
   * nothing to close.
   */
  static NativeHandle create(Object object, int kind, byte[] key, long maxHeld) {
    NativeOwner.releaseForgotten();
    long value = CipherNatives.create(kind, key, maxHeld);
    if (value < 0) {
      return new NativeHandle(value, null);
    }
    MADE.incrementAndGet();
    return new NativeHandle(value, new NativeOwner(object, () -> CipherNatives.destroy(value)));
  }

  /** The number of ciphers that were ever made: tests see by it which provider did the work. */
  static long made() {
    return MADE.get();
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
    if (owner != null) {
      owner.close();
    }
  }
}
