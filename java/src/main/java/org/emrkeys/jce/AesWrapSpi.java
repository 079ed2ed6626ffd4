package org.emrkeys.jce;

import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.security.spec.AlgorithmParameterSpec;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.CipherSpi;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.NoSuchPaddingException;
import org.emrkeys.bridge.CipherNatives;

/**
 * {@code AESWrap}: AES key wrap, RFC 3394. Wraps and unwraps keys; data is none of its business.
 */
public final class AesWrapSpi extends CipherSpi {
  private static final int OVERHEAD = 8;

  private Key kek;
  private int opmode;

  public AesWrapSpi() {}

  @Override
  protected void engineSetMode(String mode) throws NoSuchAlgorithmException {
    if (!"ECB".equalsIgnoreCase(mode)) {
      throw new NoSuchAlgorithmException("AESWrap has no modes");
    }
  }

  @Override
  protected void engineSetPadding(String padding) throws NoSuchPaddingException {
    if (!"NoPadding".equalsIgnoreCase(padding)) {
      throw new NoSuchPaddingException("AESWrap has no padding");
    }
  }

  @Override
  protected int engineGetBlockSize() {
    return OVERHEAD;
  }

  @Override
  protected int engineGetOutputSize(int length) {
    return opmode == Cipher.WRAP_MODE
        ? Math.addExact(length, OVERHEAD)
        : Math.max(0, length - OVERHEAD);
  }

  @Override
  protected int engineGetKeySize(Key key) throws InvalidKeyException {
    byte[] bytes = Keys.aes(key);
    Arrays.fill(bytes, (byte) 0);
    return bytes.length * 8;
  }

  @Override
  protected byte[] engineGetIV() {
    return null;
  }

  @Override
  protected AlgorithmParameters engineGetParameters() {
    return null;
  }

  @Override
  protected void engineInit(int opmode, Key key, SecureRandom random) throws InvalidKeyException {
    if (opmode != Cipher.WRAP_MODE && opmode != Cipher.UNWRAP_MODE) {
      // Checked so that JCE moves on to a provider that encrypts with it.
      throw new InvalidKeyException("AESWrap wraps and unwraps keys");
    }
    Arrays.fill(Keys.aes(key), (byte) 0);
    this.kek = key;
    this.opmode = opmode;
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameterSpec params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    if (params != null) {
      throw new InvalidAlgorithmParameterException("AESWrap takes no parameters");
    }
    engineInit(opmode, key, random);
  }

  @Override
  protected void engineInit(int opmode, Key key, AlgorithmParameters params, SecureRandom random)
      throws InvalidKeyException, InvalidAlgorithmParameterException {
    engineInit(opmode, key, (AlgorithmParameterSpec) null, random);
  }

  @Override
  protected byte[] engineUpdate(byte[] input, int offset, int length) {
    throw new IllegalStateException("AESWrap wraps and unwraps keys");
  }

  @Override
  protected int engineUpdate(byte[] input, int offset, int length, byte[] output, int outOffset) {
    throw new IllegalStateException("AESWrap wraps and unwraps keys");
  }

  @Override
  protected byte[] engineDoFinal(byte[] input, int offset, int length) {
    throw new IllegalStateException("AESWrap wraps and unwraps keys");
  }

  @Override
  protected int engineDoFinal(byte[] input, int offset, int length, byte[] output, int outOffset) {
    throw new IllegalStateException("AESWrap wraps and unwraps keys");
  }

  @Override
  protected byte[] engineWrap(Key key) throws IllegalBlockSizeException, InvalidKeyException {
    byte[] bytes = Keys.encoded(key);
    byte[] secret = Keys.aes(kek);
    try {
      byte[] out = new byte[bytes.length + OVERHEAD];
      if (CipherNatives.keyWrap(1, secret, bytes, out) < 0) {
        throw new IllegalBlockSizeException("AESWrap takes 16 bytes or more, in multiples of 8");
      }
      return out;
    } finally {
      Arrays.fill(bytes, (byte) 0);
      Arrays.fill(secret, (byte) 0);
    }
  }

  @Override
  protected Key engineUnwrap(byte[] wrapped, String algorithm, int type)
      throws InvalidKeyException, NoSuchAlgorithmException {
    byte[] secret = Keys.aes(kek);
    byte[] out = new byte[Math.max(0, wrapped.length - OVERHEAD)];
    int length = CipherNatives.keyWrap(0, secret, wrapped, out);
    Arrays.fill(secret, (byte) 0);
    if (length < 0) {
      throw new InvalidKeyException("the wrapped key does not match this key");
    }
    return Keys.key(out, algorithm, type);
  }
}
