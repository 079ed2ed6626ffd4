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
import javax.crypto.CipherSpi;
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
public abstract class AesCipherSpi extends CipherSpi {
  private static final int BLOCK = 16;
  private static final int GCM_IV = 12;

  /** 2^39 - 256 bits, SP 800-38D. */
  private static final long GCM_LIMIT = (1L << 36) - 32;

  private static final SecureRandom RANDOM = new SecureRandom();

  /** {@code AES/GCM/NoPadding}. */
  public static final class Gcm extends AesCipherSpi {
    public Gcm() {
      super(CipherNatives.GCM, "GCM", "NoPadding");
    }
  }

  /** {@code AES/CTR/NoPadding}. */
  public static final class Ctr extends AesCipherSpi {
    public Ctr() {
      super(CipherNatives.CTR, "CTR", "NoPadding");
    }
  }

  /** {@code AES/CBC/PKCS5Padding}. */
  public static final class CbcPadded extends AesCipherSpi {
    public CbcPadded() {
      super(CipherNatives.CBC_PADDED, "CBC", "PKCS5Padding");
    }
  }

  /** {@code AES/CBC/NoPadding}. */
  public static final class Cbc extends AesCipherSpi {
    public Cbc() {
      super(CipherNatives.CBC, "CBC", "NoPadding");
    }
  }

  /** {@code AES/ECB/PKCS5Padding} and {@code AES}. */
  public static final class EcbPadded extends AesCipherSpi {
    public EcbPadded() {
      super(CipherNatives.ECB_PADDED, "ECB", "PKCS5Padding");
    }
  }

  private final int kind;
  private final String mode;
  private final String padding;

  private NativeHandle handle;
  private byte[] key;

  /**
   * What the key was initialised from, where that never changes: with short messages, to compare
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

  /**
   * A finished message that the caller's buffer was too short for; kept so that a second try
   * succeeds.
   */
  private byte[] kept;

  AesCipherSpi(int kind, String mode, String padding) {
    this.kind = kind;
    this.mode = mode;
    this.padding = padding;
  }

  private boolean gcm() {
    return kind == CipherNatives.GCM;
  }

  private boolean blocks() {
    return kind != CipherNatives.GCM && kind != CipherNatives.CTR;
  }

  private boolean padded() {
    return kind == CipherNatives.CBC_PADDED || kind == CipherNatives.ECB_PADDED;
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
    if (!padding.equalsIgnoreCase(name)) {
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
    return iv == null || kind == CipherNatives.ECB_PADDED ? null : iv.clone();
  }

  @Override
  protected AlgorithmParameters engineGetParameters() {
    if (iv == null || kind == CipherNatives.ECB_PADDED) {
      return null;
    }
    try {
      AlgorithmParameters parameters = AlgorithmParameters.getInstance(gcm() ? "GCM" : "AES");
      parameters.init(gcm() ? new GCMParameterSpec(tagLength * 8, iv) : new IvParameterSpec(iv));
      return parameters;
    } catch (NoSuchAlgorithmException | InvalidParameterSpecException e) {
      throw new ProviderException("no AlgorithmParameters for AES in " + mode, e);
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, SecureRandom random) throws InvalidKeyException {
    boolean seals = opmode == Cipher.ENCRYPT_MODE || opmode == Cipher.WRAP_MODE;
    byte[] vector = null;
    if (kind != CipherNatives.ECB_PADDED) {
      if (!seals) {
        throw new InvalidKeyException("decryption needs the initialisation vector as a parameter");
      }
      vector = new byte[gcm() ? GCM_IV : BLOCK];
      (random == null ? RANDOM : random).nextBytes(vector);
    }
    try {
      init(opmode, key, vector, BLOCK, true);
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
      boolean seals = opmode == Cipher.ENCRYPT_MODE || opmode == Cipher.WRAP_MODE;
      if (!seals && kind != CipherNatives.ECB_PADDED) {
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
    } else if (params instanceof IvParameterSpec && kind != CipherNatives.ECB_PADDED) {
      init(opmode, key, ((IvParameterSpec) params).getIV(), BLOCK, false);
    } else {
      throw new InvalidAlgorithmParameterException("not parameters of AES in " + mode);
    }
  }

  private void init(int opmode, Key newKey, byte[] vector, int newTagLength, boolean byGcmSpec)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    final boolean seals = opmode == Cipher.ENCRYPT_MODE || opmode == Cipher.WRAP_MODE;
    if (vector != null && (gcm() ? vector.length == 0 : vector.length != BLOCK)) {
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
    if (sameObject) {
      // Native code has it.
    } else if (sameKey && handle != null && maxHeld == settings.maxBuffered) {
      Arrays.fill(bytes, (byte) 0);
    } else {
      NativeHandle made = NativeHandle.create(this, kind, bytes, settings.maxBuffered);
      if (made.value < 0) {
        Arrays.fill(bytes, (byte) 0);
        throw new ProviderException("the native cipher could not be made: " + made.value);
      }
      forget();
      handle = made;
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
    kept = null;
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
    if (last
        && !begun
        && gcm()
        && length <= CipherNatives.SHORT
        && inArray != null
        && outArray != null
        && iv.length == GCM_IV) {
      return CipherNatives.runShort(
          handle.value,
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
            handle.value,
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

  /**
   * Turns codes that say "misuse" or "broken" into unchecked exceptions; others are for the caller.
   */
  private static int check(int result) {
    switch (result) {
      case CipherNatives.CODE_BUSY:
        throw new IllegalStateException("this Cipher is in use by another thread");
      case CipherNatives.CODE_CLOSED:
      case CipherNatives.CODE_STATE:
        throw new IllegalStateException("this Cipher is not ready: initialise it again");
      case CipherNatives.CODE_TOO_LONG:
        throw new IllegalStateException("a message of AES-GCM has at most 64 GiB");
      case CipherNatives.CODE_HELD_TOO_LONG:
        throw new IllegalStateException(
            "the ciphertext that waits for its tag exceeds "
                + JceSettings.MAX_BUFFERED
                + "; raise it, or initialise by IvParameterSpec to receive plaintext before it is"
                + " verified");
      default:
        if (result < 0
            && result != CipherNatives.CODE_TAG_MISMATCH
            && result != CipherNatives.CODE_BLOCK_SIZE
            && result != CipherNatives.CODE_PADDING) {
          throw new ProviderException("the native cipher failed: " + result);
        }
        return result;
    }
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
    if (!blocks()) {
      return input;
    }
    long whole = input - input % BLOCK;
    return padded() && decrypts() && whole == input ? Math.max(0, whole - BLOCK) : whole;
  }

  /** How many bytes {@code input} bytes make at most, the end included. */
  private long madeAtEnd(long input) {
    if (gcm()) {
      return decrypts() ? Math.max(0, input - tagLength) : input + tagLength;
    }
    return padded() && !decrypts() ? input - input % BLOCK + BLOCK : input;
  }

  private int updateSize(int length) {
    return size(made(total + length) - made(total));
  }

  private int finalSize(int length) {
    return size(madeAtEnd(total + length) - made(total));
  }

  private static int size(long size) {
    if (size > Integer.MAX_VALUE) {
      throw new ProviderException("more than an array holds: " + size + " bytes");
    }
    return (int) size;
  }

  @Override
  protected int engineGetOutputSize(int length) {
    return kept != null ? kept.length : finalSize(length);
  }

  // ---- data ----

  private void ready() {
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
    if (!begun) {
      check(CipherNatives.start(handle.value, direction, iv, tagLength));
      begun = true;
    }
    check(CipherNatives.aad(handle.value, aad));
  }

  @Override
  protected void engineUpdateAAD(ByteBuffer data) {
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    engineUpdateAAD(bytes, 0, bytes.length);
  }

  private int update(
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
    kept = null;
    admit(length);
    int size = updateSize(length);
    if (size > room) {
      throw new ShortBufferException("the output needs " + size + " bytes");
    }
    if (length == 0) {
      return 0;
    }
    int written =
        check(run(false, inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset));
    total += length;
    sawData = true;
    return written;
  }

  private int doFinal(
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
    if (kept != null) {
      return deliver(outArray, outBuffer, outOffset, room);
    }
    admit(length);
    int size = finalSize(length);
    if (size > room) {
      if (!(padded() && decrypts())) {
        throw new ShortBufferException("the output needs " + size + " bytes");
      }
      // Only the end tells how much padding there is.
      byte[] all = new byte[size];
      int written = end(run(true, inArray, inBuffer, inOffset, length, all, null, 0));
      kept = Arrays.copyOf(all, written);
      Arrays.fill(all, (byte) 0);
      return deliver(outArray, outBuffer, outOffset, room);
    }
    return end(run(true, inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset));
  }

  private int deliver(byte[] outArray, ByteBuffer outBuffer, int outOffset, int room)
      throws ShortBufferException {
    byte[] all = kept;
    if (all.length > room) {
      throw new ShortBufferException("the output needs " + all.length + " bytes");
    }
    if (outArray != null) {
      System.arraycopy(all, 0, outArray, outOffset, all.length);
    } else if (outBuffer != null) {
      ByteBuffer target = outBuffer.duplicate();
      target.position(outOffset);
      target.put(all);
    }
    Arrays.fill(all, (byte) 0);
    kept = null;
    return all.length;
  }

  /**
   * After the last call of a message: JCE wants the cipher as {@code init} left it, except GCM
   * encryption.
   */
  private int end(int result) throws IllegalBlockSizeException, BadPaddingException {
    if (result == CipherNatives.CODE_BUSY) {
      check(result);
    }
    if (gcm() && !decrypts()) {
      spent = true;
    } else {
      begin();
    }
    switch (result) {
      case CipherNatives.CODE_TAG_MISMATCH:
        throw new AEADBadTagException("the authentication tag does not match");
      case CipherNatives.CODE_BLOCK_SIZE:
        throw new IllegalBlockSizeException("the data is no multiple of 16 bytes");
      case CipherNatives.CODE_PADDING:
        throw new BadPaddingException("the padding is wrong: another key, or other data");
      default:
        return check(result);
    }
  }

  @Override
  protected byte[] engineUpdate(byte[] input, int offset, int length) {
    ready();
    int size = updateSize(length);
    // "No output yet" is null, except where a message is held back: a reader of the SDK v1 gives up
    // after 1,000 times null. An empty array, which SunJCE returns there, it takes.
    boolean waits = gcm() && direction == CipherNatives.DECRYPT_VERIFIED;
    byte[] out = size == 0 && !waits ? null : new byte[size];
    try {
      update(input, null, offset, length, out, null, 0, size);
    } catch (ShortBufferException e) {
      throw new ProviderException(e);
    }
    return out;
  }

  @Override
  protected int engineUpdate(byte[] input, int offset, int length, byte[] output, int outOffset)
      throws ShortBufferException {
    return update(input, null, offset, length, output, null, outOffset, output.length - outOffset);
  }

  @Override
  protected byte[] engineDoFinal(byte[] input, int offset, int length)
      throws IllegalBlockSizeException, BadPaddingException {
    ready();
    byte[] data = input == null ? new byte[0] : input;
    byte[] out = new byte[engineGetOutputSize(length)];
    try {
      int written = doFinal(data, null, offset, length, out, null, 0, out.length);
      if (written == out.length) {
        return out;
      }
      byte[] exact = Arrays.copyOf(out, written);
      Arrays.fill(out, (byte) 0);
      return exact;
    } catch (ShortBufferException e) {
      throw new ProviderException(e);
    }
  }

  @Override
  protected int engineDoFinal(byte[] input, int offset, int length, byte[] output, int outOffset)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    byte[] data = input == null ? new byte[0] : input;
    return doFinal(data, null, offset, length, output, null, outOffset, output.length - outOffset);
  }

  @Override
  protected int engineUpdate(ByteBuffer input, ByteBuffer output) throws ShortBufferException {
    try {
      return buffers(input, output, false);
    } catch (IllegalBlockSizeException | BadPaddingException e) {
      throw new ProviderException(e);
    }
  }

  @Override
  protected int engineDoFinal(ByteBuffer input, ByteBuffer output)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    return buffers(input, output, true);
  }

  private int buffers(ByteBuffer input, ByteBuffer output, boolean last)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    int length = input.remaining();
    int inOffset = input.position();
    byte[] inArray = null;
    if (input.hasArray()) {
      inArray = input.array();
      inOffset += input.arrayOffset();
    } else if (!input.isDirect()) {
      // A read-only heap buffer does not show its array.
      inArray = new byte[length];
      input.duplicate().get(inArray);
      inOffset = 0;
    }
    ByteBuffer inBuffer = inArray == null ? input : null;
    byte[] outArray = output.hasArray() ? output.array() : null;
    ByteBuffer outBuffer = outArray == null ? output : null;
    int outOffset = output.position() + (outArray == null ? 0 : output.arrayOffset());
    int room = output.remaining();
    int written =
        last
            ? doFinal(inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset, room)
            : update(inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset, room);
    input.position(input.limit());
    output.position(output.position() + written);
    return written;
  }

  @Override
  protected byte[] engineWrap(Key wrapped) throws InvalidKeyException, IllegalBlockSizeException {
    byte[] bytes = Keys.encoded(wrapped);
    try {
      return engineDoFinal(bytes, 0, bytes.length);
    } catch (BadPaddingException e) {
      throw new ProviderException(e);
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  @Override
  protected Key engineUnwrap(byte[] wrapped, String algorithm, int type)
      throws InvalidKeyException, NoSuchAlgorithmException {
    try {
      return Keys.key(engineDoFinal(wrapped, 0, wrapped.length), algorithm, type);
    } catch (IllegalBlockSizeException | BadPaddingException e) {
      throw new InvalidKeyException("the wrapped key does not match this key");
    }
  }
}
