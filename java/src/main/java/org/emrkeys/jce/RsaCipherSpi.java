package org.emrkeys.jce;

import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PrivateKey;
import java.security.ProviderException;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.interfaces.RSAKey;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.InvalidParameterSpecException;
import java.security.spec.MGF1ParameterSpec;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.WeakHashMap;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.CipherSpi;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.NoSuchPaddingException;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.emrkeys.bridge.CipherNatives;

/**
 * RSA with OAEP, RFC 8017, section 7.1. Keys and parameters that it does not take are refused by
 * {@code InvalidKeyException} and {@code InvalidAlgorithmParameterException}, after which JCE asks
 * the next provider.
 */
public abstract class RsaCipherSpi extends CipherSpi {
  private static final byte[] NOTHING = new byte[0];

  /** {@code RSA/ECB/OAEPPadding}. */
  public static final class Oaep extends RsaCipherSpi {
    public Oaep() {
      super("OAEPPadding");
    }
  }

  /** {@code RSA/ECB/OAEPWithSHA-1AndMGF1Padding}. */
  public static final class OaepSha1 extends RsaCipherSpi {
    public OaepSha1() {
      super("OAEPWithSHA-1AndMGF1Padding");
    }
  }

  /** {@code RSA/ECB/OAEPWithSHA-256AndMGF1Padding}. */
  public static final class OaepSha256 extends RsaCipherSpi {
    public OaepSha256() {
      super("OAEPWithSHA-256AndMGF1Padding");
    }
  }

  /** {@code RSA/ECB/OAEPWithSHA-256AndMGF1Padding} as Bouncy Castle has it: MGF1 with SHA-256. */
  public static final class OaepSha256OfBc extends RsaCipherSpi {
    public OaepSha256OfBc() {
      super("OAEPWithSHA-256AndMGF1Padding", true);
    }
  }

  /** Lengths of the hashes {@code CipherNatives.SHA_…}. */
  private static final int[] HASH_BYTES = {20, 28, 32, 48, 64, 28, 32};

  private static final Map<Key, Parsed> PARSED = new WeakHashMap<>();

  /** A native key; freed when neither its Java key nor a Cipher that uses it is left. */
  private static final class Parsed {
    private final NativeHandle handle;
    private final int kind;
    private final byte[] digest;

    Parsed(int kind, byte[] encoded, byte[] digest) {
      this.handle = NativeHandle.create(this, kind, encoded, 0);
      this.kind = kind;
      this.digest = digest;
    }

    /** Keys of foreign classes may say that they equal others: the encoding decides. */
    boolean isOf(int kind, byte[] digest) {
      return this.kind == kind && MessageDigest.isEqual(this.digest, digest);
    }
  }

  private final String name;

  /** Whether the mask is Bouncy Castle's if no parameters name one. */
  private final boolean ofBouncyCastle;

  private int hash;
  private int mask;
  private byte[] label = NOTHING;
  private OAEPParameterSpec spec;
  private Parsed parsed;
  private boolean encrypts;
  private int modulus;

  /**
   * The input so far, which may be a key to be wrapped: wiped at the end. One byte too many is enough
   * to be refused.
   */
  private byte[] pending = NOTHING;

  private int held;

  RsaCipherSpi(String name) {
    this(name, false);
  }

  RsaCipherSpi(String name, boolean ofBouncyCastle) {
    this.name = name;
    this.ofBouncyCastle = ofBouncyCastle;
  }

  @Override
  protected void engineSetMode(String mode) throws NoSuchAlgorithmException {
    if (!"ECB".equalsIgnoreCase(mode)) {
      throw new NoSuchAlgorithmException("RSA has no mode " + mode);
    }
  }

  @Override
  protected void engineSetPadding(String padding) throws NoSuchPaddingException {
    if (!name.equalsIgnoreCase(padding)) {
      throw new NoSuchPaddingException("EmrKeys has no RSA/ECB/" + padding + " here");
    }
  }

  @Override
  protected int engineGetBlockSize() {
    return 0;
  }

  @Override
  protected int engineGetOutputSize(int length) {
    return modulus;
  }

  @Override
  protected byte[] engineGetIV() {
    return null;
  }

  @Override
  protected int engineGetKeySize(Key key) throws InvalidKeyException {
    if (key instanceof RSAKey) {
      return ((RSAKey) key).getModulus().bitLength();
    }
    throw new InvalidKeyException("not an RSA key");
  }

  @Override
  protected AlgorithmParameters engineGetParameters() {
    if (spec == null) {
      return null;
    }
    try {
      AlgorithmParameters parameters = AlgorithmParameters.getInstance("OAEP");
      parameters.init(spec);
      return parameters;
    } catch (NoSuchAlgorithmException | InvalidParameterSpecException e) {
      throw new ProviderException("no AlgorithmParameters for OAEP", e);
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, SecureRandom random) throws InvalidKeyException {
    try {
      engineInit(opmode, key, (AlgorithmParameterSpec) null, random);
    } catch (InvalidAlgorithmParameterException e) {
      throw new InvalidKeyException(e);
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameters params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    try {
      engineInit(
          opmode,
          key,
          params == null ? null : params.getParameterSpec(OAEPParameterSpec.class),
          random);
    } catch (InvalidParameterSpecException e) {
      throw new InvalidAlgorithmParameterException("not parameters of OAEP");
    }
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameterSpec params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    encrypts = opmode == Cipher.ENCRYPT_MODE || opmode == Cipher.WRAP_MODE;
    choose(params);
    boolean right = encrypts ? key instanceof PublicKey : key instanceof PrivateKey;
    String format = encrypts ? "X.509" : "PKCS#8";
    byte[] bytes =
        right && key instanceof RSAKey && format.equals(key.getFormat()) ? key.getEncoded() : null;
    if (bytes == null) {
      throw new InvalidKeyException(
          encrypts
              ? "encryption needs a public RSA key"
              : "decryption needs a private RSA key whose bytes can be had");
    }
    parsed = parsed(key, bytes);
    modulus = (engineGetKeySize(key) + 7) / 8;
    // As SunJCE, which takes no key that has room for the empty message alone.
    if (modulus - 2 * HASH_BYTES[hash] <= 2) {
      throw new InvalidKeyException(
          "a key of " + modulus * 8 + " bits is too short for OAEP with " + spec.getDigestAlgorithm());
    }
    Arrays.fill(pending, (byte) 0);
    pending = new byte[modulus + 1];
    held = 0;
  }

  /**
   * The native key of a Java key, made once: parsing a private key and checking its numbers costs
   * as much as a decryption, and the SDK makes a new Cipher for every object. Several threads may
   * use it.
   */
  private Parsed parsed(Key key, byte[] bytes) throws InvalidKeyException {
    int kind = encrypts ? CipherNatives.RSA_PUBLIC : CipherNatives.RSA_PRIVATE;
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes);
      synchronized (PARSED) {
        Parsed known = PARSED.get(key);
        if (known == null || !known.isOf(kind, digest)) {
          known = new Parsed(kind, bytes, digest);
          if (known.handle.value < 0) {
            throw new InvalidKeyException(
                "not an RSA key of 512 to 16384 bits, with a public exponent of at most 33 bits");
          }
          PARSED.put(key, known);
        }
        return known;
      }
    } catch (NoSuchAlgorithmException e) {
      throw new ProviderException(e);
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  private void choose(AlgorithmParameterSpec params) throws InvalidAlgorithmParameterException {
    if (params == null) {
      boolean sha256 = name.contains("256");
      hash = sha256 ? CipherNatives.SHA_256 : CipherNatives.SHA_1;
      mask = CipherNatives.SHA_1;
      JceSettings.Mgf1 mgf1 = JceSettings.current().mgf1;
      if (sha256 && mgf1 == JceSettings.Mgf1.BOTH && !encrypts) {
        mask = CipherNatives.EITHER;
      } else if (sha256 && (mgf1 == JceSettings.Mgf1.SHA256 || ofBouncyCastle)) {
        mask = CipherNatives.SHA_256;
      }
      label = NOTHING;
      spec =
          new OAEPParameterSpec(
              sha256 ? "SHA-256" : "SHA-1",
              "MGF1",
              mask == CipherNatives.SHA_256 ? MGF1ParameterSpec.SHA256 : MGF1ParameterSpec.SHA1,
              PSource.PSpecified.DEFAULT);
      return;
    }
    if (!(params instanceof OAEPParameterSpec)) {
      throw new InvalidAlgorithmParameterException("not parameters of OAEP");
    }
    OAEPParameterSpec given = (OAEPParameterSpec) params;
    if (!(given.getMGFParameters() instanceof MGF1ParameterSpec)
        || !"MGF1".equalsIgnoreCase(given.getMGFAlgorithm())
        || !(given.getPSource() instanceof PSource.PSpecified)) {
      throw new InvalidAlgorithmParameterException("OAEP here has MGF1 and a label");
    }
    // The parameters decide, whatever the name says, as in SunJCE.
    hash = hash(given.getDigestAlgorithm());
    mask = hash(((MGF1ParameterSpec) given.getMGFParameters()).getDigestAlgorithm());
    label = ((PSource.PSpecified) given.getPSource()).getValue();
    spec = given;
  }

  private static int hash(String digest) throws InvalidAlgorithmParameterException {
    switch (digest.toUpperCase(Locale.ROOT)) {
      case "SHA":
      case "SHA1":
      case "SHA-1":
        return CipherNatives.SHA_1;
      case "SHA-224":
        return CipherNatives.SHA_224;
      case "SHA256":
      case "SHA-256":
        return CipherNatives.SHA_256;
      case "SHA-384":
        return CipherNatives.SHA_384;
      case "SHA-512":
        return CipherNatives.SHA_512;
      case "SHA-512/224":
        return CipherNatives.SHA_512_224;
      case "SHA-512/256":
        return CipherNatives.SHA_512_256;
      default:
        throw new InvalidAlgorithmParameterException("EmrKeys has no OAEP with " + digest);
    }
  }

  @Override
  protected byte[] engineUpdate(byte[] input, int offset, int length) {
    int taken = Math.min(length, pending.length - held);
    System.arraycopy(input, offset, pending, held, taken);
    held += taken;
    return NOTHING; // as SunJCE, whose callers need not expect null
  }

  @Override
  protected int engineUpdate(byte[] input, int offset, int length, byte[] output, int outOffset) {
    engineUpdate(input, offset, length);
    return 0;
  }

  @Override
  protected byte[] engineDoFinal(byte[] input, int offset, int length)
      throws IllegalBlockSizeException, BadPaddingException {
    if (parsed == null) {
      throw new IllegalStateException("the Cipher is not initialised");
    }
    if (input != null) {
      engineUpdate(input, offset, length);
    }
    byte[] data = pending;
    int taken = held;
    pending = new byte[modulus + 1];
    held = 0;
    byte[] out = new byte[modulus];
    int written;
    try {
      if (taken > modulus) {
        throw new IllegalBlockSizeException("RSA takes at most " + modulus + " bytes");
      }
      byte[] exact = exact(data, taken);
      written = CipherNatives.oaep(parsed.handle.value, hash, mask, label, exact, out);
      Arrays.fill(exact, (byte) 0);
    } finally {
      Arrays.fill(data, (byte) 0);
    }
    if (written >= 0) {
      byte[] result = Arrays.copyOf(out, written);
      Arrays.fill(out, (byte) 0);
      return result;
    }
    switch (written) {
      case CipherNatives.CODE_RSA_LENGTH:
        throw new IllegalBlockSizeException("the data does not fit the RSA key");
      case CipherNatives.CODE_RSA_DECRYPT:
        throw new BadPaddingException("RSA decryption failed");
      default:
        throw new ProviderException("the native cipher failed: " + written);
    }
  }

  /** The message, or the ciphertext as the number that it is: of as many bytes as the modulus. */
  private byte[] exact(byte[] data, int length) {
    byte[] exact = new byte[encrypts ? length : modulus];
    System.arraycopy(data, 0, exact, exact.length - length, length);
    return exact;
  }

  @Override
  protected int engineDoFinal(byte[] input, int offset, int length, byte[] output, int outOffset)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    // As SunJCE, room for the modulus in both directions, whatever the message has: nothing depends
    // on what was decrypted, and nothing is lost.
    if (output.length - outOffset < modulus) {
      throw new ShortBufferException("the output needs " + modulus + " bytes");
    }
    byte[] out = engineDoFinal(input, offset, length);
    System.arraycopy(out, 0, output, outOffset, out.length);
    Arrays.fill(out, (byte) 0);
    return out.length;
  }

  @Override
  protected byte[] engineWrap(Key key) throws InvalidKeyException, IllegalBlockSizeException {
    byte[] bytes = Keys.encoded(key);
    try {
      return engineDoFinal(bytes, 0, bytes.length);
    } catch (IllegalBlockSizeException e) {
      throw new InvalidKeyException("the key is too long for this RSA key");
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
