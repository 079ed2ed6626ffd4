package org.emrkeys.jce;

import java.nio.ByteBuffer;
import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.NoSuchAlgorithmException;
import java.security.ProviderException;
import java.security.SecureRandom;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.InvalidParameterSpecException;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.NoSuchPaddingException;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.CipherNatives;

/**
 * AES in the modes that the clients use. This class keeps JCE's contract; the bytes are turned in
 * native code.
 */
public abstract class AesCipherSpi extends NativeCipherSpi {
  private static final int BLOCK = 16;
  private static final int GCM_IV = 12;

  /** 2^39 - 256 bits, SP 800-38D. */
  private static final long GCM_LIMIT = (1L << 36) - 32;

  private static final SecureRandom RANDOM = new SecureRandom();

  /** {@code AES/GCM/NoPadding}. */
  public static final class Gcm extends AesCipherSpi {
    public Gcm() {
      super(CipherNatives.GCM, "GCM");
    }
  }

  /** {@code AES/CTR/NoPadding}. */
  public static final class Ctr extends AesCipherSpi {
    public Ctr() {
      super(CipherNatives.CTR, "CTR");
    }
  }

  private final int kind;
  private final String mode;

  /**
   * The native cipher; null until a message needs it. A client makes one Cipher for each object, so
   * the first message frees it at its end. A Cipher that gets a second message is reused, and keeps
   * it from then on.
   */
  private NativeHandle handle;

  private boolean reused;

  /** Whether a message ended. */
  private boolean used;

  private byte[] key;

  /**
   * The key object of the last initialisation, if it never changes: with short messages, to compare
   * bytes is a tenth of the time.
   */
  private Key keyObject;

  private long maxHeld;
  private byte[] iv;
  private int tagLength = BLOCK;
  private int direction = CipherNatives.ENCRYPT;
  private boolean initialised;

  /** GCM encryption: the message is over, and another one needs another vector. */
  private boolean spent;

  /** Bytes of input since the message began. */
  private long total;

  private boolean sawData;

  /** Whether the native side has this message's vector yet. */
  private boolean begun;

  AesCipherSpi(int kind, String mode) {
    this.kind = kind;
    this.mode = mode;
  }

  private boolean gcm() {
    return kind == CipherNatives.GCM;
  }

  private boolean decrypts() {
    return direction != CipherNatives.ENCRYPT;
  }

  // ---- set-up ----

  @Override
  protected void engineSetMode(String name) throws NoSuchAlgorithmException {
    if (!mode.equalsIgnoreCase(name)) {
      throw new NoSuchAlgorithmException("EmrKeys has no AES/" + name + " here");
    }
  }

  @Override
  protected void engineSetPadding(String name) throws NoSuchPaddingException {
    if (!"NoPadding".equalsIgnoreCase(name)) {
      throw new NoSuchPaddingException("EmrKeys has no AES/" + mode + "/" + name + " here");
    }
  }

  @Override
  protected int engineGetBlockSize() {
    return BLOCK;
  }

  @Override
  protected int engineGetKeySize(Key key) throws InvalidKeyException {
    byte[] bytes = Keys.aes(key);
    Arrays.fill(bytes, (byte) 0);
    return bytes.length * 8;
  }

  @Override
  protected byte[] engineGetIV() {
    return iv == null ? null : iv.clone();
  }

  /** Before {@code init} with a random vector that no message gets, as SunJCE. */
  @Override
  protected AlgorithmParameters engineGetParameters() {
    byte[] vector = iv == null ? randomVector(RANDOM) : iv;
    try {
      AlgorithmParameters parameters = AlgorithmParameters.getInstance(gcm() ? "GCM" : "AES");
      parameters.init(
          gcm() ? new GCMParameterSpec(tagLength * 8, vector) : new IvParameterSpec(vector));
      return parameters;
    } catch (NoSuchAlgorithmException | InvalidParameterSpecException e) {
      throw new ProviderException("no AlgorithmParameters for AES in " + mode, e);
    }
  }

  private byte[] randomVector(SecureRandom random) {
    byte[] vector = new byte[gcm() ? GCM_IV : BLOCK];
    random.nextBytes(vector);
    return vector;
  }

  @Override
  protected void engineInit(int opmode, Key key, SecureRandom random) throws InvalidKeyException {
    if (opmode != Cipher.ENCRYPT_MODE && opmode != Cipher.WRAP_MODE) {
      throw new InvalidKeyException("decryption needs the initialisation vector as a parameter");
    }
    try {
      init(opmode, key, randomVector(random == null ? RANDOM : random), BLOCK, true);
    } catch (InvalidAlgorithmParameterException e) {
      throw new InvalidKeyException(e);
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameters params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    if (params == null) {
      engineInit(opmode, key, (AlgorithmParameterSpec) null, random);
      return;
    }
    try {
      if (gcm()) {
        engineInit(opmode, key, params.getParameterSpec(GCMParameterSpec.class), random);
      } else {
        engineInit(opmode, key, params.getParameterSpec(IvParameterSpec.class), random);
      }
    } catch (InvalidParameterSpecException e) {
      throw new InvalidAlgorithmParameterException("not parameters of AES in " + mode);
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameterSpec params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    if (params == null) {
      if (opmode != Cipher.ENCRYPT_MODE && opmode != Cipher.WRAP_MODE) {
        throw new InvalidAlgorithmParameterException("decryption needs the initialisation vector");
      }
      engineInit(opmode, key, random);
    } else if (gcm() && params instanceof GCMParameterSpec) {
      GCMParameterSpec spec = (GCMParameterSpec) params;
      int bits = spec.getTLen();
      if (bits % 8 != 0 || bits < 96 || bits > 128) {
        throw new InvalidAlgorithmParameterException("a GCM tag has 96, 104, 112, 120 or 128 bits");
      }
      init(opmode, key, spec.getIV(), bits / 8, true);
    } else if (params instanceof IvParameterSpec) {
      init(opmode, key, ((IvParameterSpec) params).getIV(), BLOCK, false);
    } else {
      throw new InvalidAlgorithmParameterException("not parameters of AES in " + mode);
    }
  }

  private void init(int opmode, Key newKey, byte[] vector, int newTagLength, boolean byGcmSpec)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    final boolean seals = opmode == Cipher.ENCRYPT_MODE || opmode == Cipher.WRAP_MODE;
    if (gcm() ? vector.length == 0 : vector.length != BLOCK) {
      throw new InvalidAlgorithmParameterException(
          gcm()
              ? "GCM needs an initialisation vector"
              : "the initialisation vector must have 16 bytes");
    }
    JceSettings settings = JceSettings.current();
    boolean sameObject = newKey == keyObject && newKey != null && maxHeld == settings.maxBuffered;
    byte[] bytes = sameObject ? key : Keys.aes(newKey);
    boolean sameKey = sameObject || (key != null && Keys.same(key, bytes));
    if (gcm() && seals && sameKey && spentVector != null && Arrays.equals(spentVector, vector)) {
      if (!sameObject) {
        Arrays.fill(bytes, (byte) 0);
      }
      throw new InvalidAlgorithmParameterException(
          "the same key and initialisation vector must not encrypt twice with GCM");
    }
    initialised = false;
    if (sameKey && maxHeld == settings.maxBuffered) {
      if (!sameObject) {
        Arrays.fill(bytes, (byte) 0);
      }
    } else {
      forget();
      key = bytes;
      maxHeld = settings.maxBuffered;
    }
    keyObject = newKey.getClass() == SecretKeySpec.class ? newKey : null;
    if (seals) {
      direction = CipherNatives.ENCRYPT;
    } else if (gcm()
        && (settings.release == JceSettings.Release.NEVER
            || (byGcmSpec && settings.release == JceSettings.Release.SDK))) {
      direction = CipherNatives.DECRYPT_VERIFIED;
    } else {
      direction = CipherNatives.DECRYPT_STREAMING;
    }
    iv = vector;
    tagLength = newTagLength;
    begin();
    if (gcm() && seals) {
      spentVector = vector;
    }
    initialised = true;
  }

  /** The vector of the last encryption under this key. */
  private byte[] spentVector;

  private void forget() {
    if (handle != null) {
      handle.close();
      handle = null;
    }
    if (key != null) {
      Arrays.fill(key, (byte) 0);
      key = null;
    }
    keyObject = null;
    spentVector = null;
  }

  private void begin() {
    begun = false;
    total = 0;
    sawData = false;
    spent = false;
  }

  private NativeHandle open() {
    NativeHandle open = handle;
    if (open == null) {
      open = NativeHandle.create(this, kind, key, maxHeld);
      NativeHandle.check((int) Math.min(open.value, 0));
      handle = open;
      reused = used;
    }
    return open;
  }

  private void release() {
    used = true;
    if (handle != null && !reused) {
      handle.close();
      handle = null;
    }
  }

  /** One native call. The first of a message begins it. */
  private int run(
      boolean last,
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset) {
    NativeHandle open = open();
    if (last
        && !begun
        && gcm()
        && length <= CipherNatives.SHORT
        && inArray != null
        && outArray != null
        && iv.length == GCM_IV) {
      return CipherNatives.runShort(
          open.value,
          direction,
          word(iv, 0),
          word(iv, 4),
          word(iv, 8),
          tagLength,
          inArray,
          inOffset,
          length,
          outArray,
          outOffset);
    }
    int result =
        CipherNatives.run(
            open.value,
            last ? 1 : 0,
            begun ? -1 : direction,
            begun ? null : iv,
            tagLength,
            inArray,
            inBuffer,
            inOffset,
            length,
            outArray,
            outBuffer,
            outOffset);
    begun |= result != CipherNatives.CODE_BUSY;
    return result;
  }

  /** The big-endian number at an index. */
  private static int word(byte[] bytes, int at) {
    return bytes[at] << 24
        | (bytes[at + 1] & 0xff) << 16
        | (bytes[at + 2] & 0xff) << 8
        | bytes[at + 3] & 0xff;
  }

  // ---- sizes ----

  /**
   * How many bytes {@code input} bytes of a message have made by the time they are in, without the
   * end.
   */
  private long made(long input) {
    if (gcm()) {
      switch (direction) {
        case CipherNatives.ENCRYPT:
          return input;
        case CipherNatives.DECRYPT_STREAMING:
          return Math.max(0, input - tagLength);
        default:
          return 0;
      }
    }
    return input;
  }

  /** How many bytes {@code input} bytes make, the end included. */
  private long madeAtEnd(long input) {
    if (!gcm()) {
      return input;
    }
    return decrypts() ? Math.max(0, input - tagLength) : input + tagLength;
  }

  @Override
  int updateSize(int length) {
    return size(made(total + length) - made(total));
  }

  @Override
  int finalSize(int length) {
    return size(madeAtEnd(total + length) - made(total));
  }

  private static int size(long size) {
    if (size > Integer.MAX_VALUE) {
      throw new ProviderException("more than an array holds: " + size + " bytes");
    }
    return (int) size;
  }

  @Override
  boolean waits() {
    return gcm() && direction == CipherNatives.DECRYPT_VERIFIED;
  }

  // ---- data ----

  @Override
  void ready() {
    if (!initialised) {
      throw new IllegalStateException("the Cipher is not initialised");
    }
    if (spent) {
      throw new IllegalStateException(
          "the same key and initialisation vector must not encrypt twice with GCM: initialise"
              + " again");
    }
  }

  private void admit(int length) {
    if (gcm() && total + length > GCM_LIMIT + (decrypts() ? tagLength : 0)) {
      throw new IllegalStateException("a message of AES-GCM has at most 64 GiB");
    }
  }

  @Override
  protected void engineUpdateAAD(byte[] data, int offset, int length) {
    if (!gcm()) {
      throw new IllegalStateException("only GCM takes additional data");
    }
    ready();
    if (sawData) {
      throw new IllegalStateException("additional data must come before the message");
    }
    byte[] aad =
        offset == 0 && length == data.length
            ? data
            : Arrays.copyOfRange(data, offset, offset + length);
    NativeHandle open = open();
    if (!begun) {
      NativeHandle.check(CipherNatives.start(open.value, direction, iv, tagLength));
      begun = true;
    }
    NativeHandle.check(CipherNatives.aad(open.value, aad));
  }

  @Override
  int update(
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset,
      int room)
      throws ShortBufferException {
    ready();
    admit(length);
    int size = updateSize(length);
    if (size > room) {
      throw new ShortBufferException("the output needs " + size + " bytes");
    }
    if (length == 0) {
      return 0;
    }
    int written = run(false, inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset);
    NativeHandle.check(written);
    total += length;
    sawData = true;
    return written;
  }

  @Override
  int doFinal(
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset,
      int room)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    ready();
    admit(length);
    int size = finalSize(length);
    if (size > room) {
      throw new ShortBufferException("the output needs " + size + " bytes");
    }
    return end(run(true, inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset));
  }

  /**
   * After the last call of a message: JCE wants the cipher as {@code init} left it, except GCM
   * encryption.
   */
  private int end(int result) throws AEADBadTagException {
    if (result == CipherNatives.CODE_BUSY) {
      NativeHandle.check(result);
    }
    if (gcm() && !decrypts()) {
      spent = true;
    } else {
      begin();
    }
    release();
    if (result == CipherNatives.CODE_TAG_MISMATCH) {
      throw new AEADBadTagException("the authentication tag does not match");
    }
    return NativeHandle.check(result);
  }
}
