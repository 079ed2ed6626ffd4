package org.emrkeys.jce;

import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
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
 * RSA with OAEP and PKCS#1 v1.5. A wrong PKCS#1 v1.5 padding is not reported: the result is then a
 * message that is random to everyone without the private key, so that nobody learns from us whether
 * a padding was right.
 */
public abstract class RsaCipherSpi extends CipherSpi {
  private static final int PKCS1 = 0;
  private static final int OAEP_SHA1 = 1;
  private static final int OAEP_SHA256_MGF1_SHA1 = 2;
  private static final int OAEP_SHA256 = 3;
  private static final int OAEP_SHA256_EITHER = 4;

  /** {@code RSA/ECB/PKCS1Padding}. */
  public static final class Pkcs1 extends RsaCipherSpi {
    public Pkcs1() {
      super("PKCS1Padding");
    }
  }

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

  private static final Map<Key, Parsed> PARSED = new WeakHashMap<>();

  /** A native key; freed when neither its Java key nor a Cipher that uses it is left. */
  private static final class Parsed {
    private final NativeHandle handle;

    Parsed(int kind, byte[] encoded) {
      handle = NativeHandle.create(this, kind, encoded, 0);
    }
  }

  private final String name;

  /** Whether the mask that nobody names is Bouncy Castle's. */
  private final boolean ofBouncyCastle;

  private int padding;
  private byte[] label = new byte[0];
  private OAEPParameterSpec spec;
  private Parsed parsed;
  private boolean encrypts;
  private int modulus;

  /**
   * What came so far, which may be a key to be wrapped: wiped at the end. One byte too many is
   * enough to be refused.
   */
  private byte[] pending = new byte[0];

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
    modulus = (engineGetKeySize(key) + 7) / 8;
    Arrays.fill(pending, (byte) 0);
    pending = new byte[modulus + 1];
    held = 0;
    parsed = parsed(key, bytes);
  }

  /**
   * The native key of a Java key, made once: parsing a private key and checking its numbers costs
   * as much as a decryption, and the SDK makes a new Cipher for every object. Several threads may
   * use it.
   */
  private Parsed parsed(Key key, byte[] bytes) throws InvalidKeyException {
    try {
      synchronized (PARSED) {
        Parsed known = PARSED.get(key);
        if (known == null) {
          known =
              new Parsed(encrypts ? CipherNatives.RSA_PUBLIC : CipherNatives.RSA_PRIVATE, bytes);
          if (known.handle.value < 0) {
            throw new InvalidKeyException("not a usable RSA key");
          }
          PARSED.put(key, known);
        }
        return known;
      }
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  private void choose(AlgorithmParameterSpec params) throws InvalidAlgorithmParameterException {
    label = new byte[0];
    if ("PKCS1Padding".equals(name)) {
      if (params != null) {
        throw new InvalidAlgorithmParameterException("PKCS#1 v1.5 takes no parameters");
      }
      padding = PKCS1;
      spec = null;
      return;
    }
    boolean sha256 = name.contains("256");
    if (params == null) {
      padding = OAEP_SHA1;
      JceSettings.Mgf1 mgf1 = JceSettings.current().mgf1;
      if (sha256) {
        padding =
            mgf1 == JceSettings.Mgf1.BOTH && !encrypts
                ? OAEP_SHA256_EITHER
                : mgf1 == JceSettings.Mgf1.SHA256 || ofBouncyCastle
                    ? OAEP_SHA256
                    : OAEP_SHA256_MGF1_SHA1;
      }
      MGF1ParameterSpec mask =
          padding == OAEP_SHA256 ? MGF1ParameterSpec.SHA256 : MGF1ParameterSpec.SHA1;
      spec =
          new OAEPParameterSpec(
              sha256 ? "SHA-256" : "SHA-1", "MGF1", mask, PSource.PSpecified.DEFAULT);
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
    String hash = normal(given.getDigestAlgorithm());
    String mask = normal(((MGF1ParameterSpec) given.getMGFParameters()).getDigestAlgorithm());
    if (name.startsWith("OAEPWith") && !hash.equals(sha256 ? "SHA256" : "SHA1")) {
      throw new InvalidAlgorithmParameterException("the parameters' digest is not that of " + name);
    }
    if (hash.equals("SHA1") && mask.equals("SHA1")) {
      padding = OAEP_SHA1;
    } else if (hash.equals("SHA256") && mask.equals("SHA1")) {
      padding = OAEP_SHA256_MGF1_SHA1;
    } else if (hash.equals("SHA256") && mask.equals("SHA256")) {
      padding = OAEP_SHA256;
    } else {
      throw new InvalidAlgorithmParameterException(
          "EmrKeys has no OAEP with " + hash + " and MGF1 " + mask);
    }
    label = ((PSource.PSpecified) given.getPSource()).getValue();
    spec = given;
  }

  private static String normal(String digest) {
    return digest.toUpperCase(java.util.Locale.ROOT).replace("-", "");
  }

  @Override
  protected byte[] engineUpdate(byte[] input, int offset, int length) {
    int taken = Math.min(length, pending.length - held);
    System.arraycopy(input, offset, pending, held, taken);
    held += taken;
    return null;
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
    byte[] data = Arrays.copyOf(pending, held);
    byte[] out = new byte[modulus];
    int written = CipherNatives.rsa(parsed.handle.value, padding, label, data, out);
    Arrays.fill(data, (byte) 0);
    Arrays.fill(pending, (byte) 0);
    held = 0;
    if (written >= 0) {
      byte[] exact = Arrays.copyOf(out, written);
      Arrays.fill(out, (byte) 0);
      return exact;
    }
    switch (written) {
      case CipherNatives.CODE_RSA_LENGTH:
        throw new IllegalBlockSizeException("the data does not fit the RSA key");
      case CipherNatives.CODE_RSA_DECRYPT:
        throw new BadPaddingException("RSA decryption failed");
      case CipherNatives.CODE_BUSY:
        throw new IllegalStateException("this Cipher is in use by another thread");
      default:
        throw new ProviderException("the native cipher failed: " + written);
    }
  }

  @Override
  protected int engineDoFinal(byte[] input, int offset, int length, byte[] output, int outOffset)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException {
    if (encrypts && output.length - outOffset < modulus) {
      throw new ShortBufferException("the output needs " + modulus + " bytes");
    }
    byte[] earlier = Arrays.copyOf(pending, held);
    byte[] out = engineDoFinal(input, offset, length);
    if (out.length > output.length - outOffset) {
      Arrays.fill(out, (byte) 0);
      engineUpdate(earlier, 0, earlier.length);
      throw new ShortBufferException("the output needs " + out.length + " bytes");
    }
    Arrays.fill(earlier, (byte) 0);
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
