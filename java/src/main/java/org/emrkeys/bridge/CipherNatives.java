package org.emrkeys.bridge;

import java.nio.ByteBuffer;

/**
 * The bulk ciphers of the native library. Static methods over primitives, arrays and direct
 * buffers; results are counts, or negative codes ({@code CODE_*}). Nothing here throws but {@link
 * #runShort}. The library must have been loaded.
 */
public final class CipherNatives {
  // Kinds of ciphers. These numbers are in rust/jni/src/cipher/mod.rs as well, and a test there
  // compares them.
  public static final int GCM = 0;
  public static final int CTR = 1;

  /** An RSA key that encrypts, encoded as X.509. */
  public static final int RSA_PUBLIC = 2;

  /** An RSA key that decrypts, encoded as PKCS#8. */
  public static final int RSA_PRIVATE = 3;

  // Modes of a message.
  public static final int ENCRYPT = 0;

  /** GCM: plaintext is released as it is decrypted, before the tag is verified. */
  public static final int DECRYPT_STREAMING = 1;

  /** GCM: plaintext is released once the tag is verified. */
  public static final int DECRYPT_VERIFIED = 2;

  // Hashes of OAEP and of its mask.
  public static final int SHA_1 = 0;
  public static final int SHA_224 = 1;
  public static final int SHA_256 = 2;
  public static final int SHA_384 = 3;
  public static final int SHA_512 = 4;
  public static final int SHA_512_224 = 5;
  public static final int SHA_512_256 = 6;

  /** A mask with SHA-1 or SHA-256: decryption with SHA-256 accepts either. */
  public static final int EITHER = 7;

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
  public static final int CODE_RSA_LENGTH = -12;
  public static final int CODE_RSA_KEY = -13;
  public static final int CODE_RSA_DECRYPT = -14;
  public static final int CODE_BACKEND = -15;
  public static final int CODE_CLOSED = -100;
  public static final int CODE_BUSY = -101;
  public static final int CODE_RANGE = -102;
  public static final int CODE_TOO_MANY = -103;
  public static final int CODE_PANIC = -127;

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

  /** Frees a cipher or key: 1, or a negative code if it was not open. */
  public static native int destroy(long handle);

  /** Begins a message. {@code tagLength} in bytes, for GCM. */
  public static native int start(long handle, int mode, byte[] iv, int tagLength);

  /** Adds additional data to a GCM message, before any of its text. */
  public static native int aad(long handle, byte[] aad);

  /**
   * Input and output are an array each, or a direct buffer if the array is null; offsets count
   * from their beginning. {@code mode} begins a message first, as {@link #start} does, unless it is
   * negative: most messages need one call.
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
   * this one throws if a range is outside of its array.
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

  /**
   * One operation of RSA with OAEP, by the kind of the key; gives the length of what is in {@code
   * out}, which has room for the modulus. {@code mask} is a hash, or {@link #EITHER}.
   */
  public static native int oaep(
      long handle, int hash, int mask, byte[] label, byte[] data, byte[] out);
}
