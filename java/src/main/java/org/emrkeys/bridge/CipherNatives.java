package org.emrkeys.bridge;

import java.nio.ByteBuffer;

/**
 * The bulk ciphers of the native library. Static methods over primitives, arrays and direct
 * buffers; results are counts, or negative codes ({@code CODE_*}). Nothing here throws but {@link
 * #runShort}. The library must have been loaded.
 */
public final class CipherNatives {
  public static final int GCM = 0;
  public static final int CTR = 1;
  public static final int CBC_PADDED = 2;
  public static final int CBC = 3;
  public static final int ECB_PADDED = 4;
  public static final int RSA_PUBLIC = 5;
  public static final int RSA_PRIVATE = 6;

  public static final int ENCRYPT = 0;

  /** GCM: plaintext is released as it is decrypted, before the tag is verified. */
  public static final int DECRYPT_STREAMING = 1;

  /** GCM: plaintext is released once the tag is verified. */
  public static final int DECRYPT_VERIFIED = 2;

  /** The longest input of {@link #runShort}. */
  public static final int SHORT = 320;

  public static final int CODE_KEY_SIZE = -1;
  public static final int CODE_IV_SIZE = -2;
  public static final int CODE_TAG_SIZE = -3;
  public static final int CODE_OUTPUT_TOO_SHORT = -4;
  public static final int CODE_STATE = -5;
  public static final int CODE_TOO_LONG = -6;
  public static final int CODE_HELD_TOO_LONG = -7;
  public static final int CODE_TAG_MISMATCH = -8;
  public static final int CODE_BLOCK_SIZE = -9;
  public static final int CODE_PADDING = -10;
  public static final int CODE_UNWRAP = -11;
  public static final int CODE_RSA_LENGTH = -12;
  public static final int CODE_RSA_KEY = -13;
  public static final int CODE_RSA_DECRYPT = -14;
  public static final int CODE_CLOSED = -100;
  public static final int CODE_BUSY = -101;

  private CipherNatives() {}

  /**
   * Loads the library, unpacked into {@code folder} or, where that is null, into the JVM's
   * temporary one. Once; cheap afterwards.
   */
  public static void load(String folder) {
    NativeLoader.load(folder);
  }

  /**
   * A handle (positive), or a negative code. {@code maxHeld}: bytes that a verified GCM decryption
   * may hold.
   */
  public static native long create(int kind, byte[] key, long maxHeld);

  /** Frees a cipher or key: 1, or a negative code where it was not open. */
  public static native int destroy(long handle);

  /** Begins a message. {@code tagLength} in bytes, for GCM. */
  public static native int start(long handle, int mode, byte[] iv, int tagLength);

  /** Adds additional data to a GCM message, before any of its text. */
  public static native int aad(long handle, byte[] aad);

  /**
   * Input and output are an array each, or a direct buffer where the array is null; offsets count
   * from their beginning. {@code mode} begins a message first, as {@link #start} does, unless it is
   * negative: one call where most messages need no more.
   */
  public static native int run(
      long handle,
      int last,
      int mode,
      byte[] iv,
      int tagLength,
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset);

  /**
   * A whole GCM message of at most {@link #SHORT} bytes between arrays, without additional data. Its
   * vector has 12 bytes, here as three numbers; {@code mode} as in {@link #start}. Unlike the others
   * this one throws, where a range is outside of its array.
   */
  public static native int runShort(
      long handle,
      int mode,
      int ivFirst,
      int ivSecond,
      int ivThird,
      int tagLength,
      byte[] in,
      int inOffset,
      int length,
      byte[] out,
      int outOffset);

  /** One RSA operation, by the kind of the key; gives the length of what is in {@code out}. */
  public static native int rsa(long handle, int padding, byte[] label, byte[] data, byte[] out);

  /** RFC 3394: wraps where {@code wrap} is 1, unwraps where it is 0. */
  public static native int keyWrap(int wrap, byte[] kek, byte[] data, byte[] out);
}
