package org.emrkeys.jce;

import java.nio.ByteBuffer;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.NoSuchAlgorithmException;
import java.security.ProviderException;
import java.util.Arrays;
import javax.crypto.BadPaddingException;
import javax.crypto.CipherSpi;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.ShortBufferException;

/** The shapes in which JCE brings data, arrays and buffers of all kinds, over one call for all. */
abstract class NativeCipherSpi extends CipherSpi {
  /** Fails unless data may come. */
  abstract void ready();

  /** How many bytes an update with {@code length} bytes gives. */
  abstract int updateSize(int length);

  /** How many bytes the end of the message gives after {@code length} more bytes. */
  abstract int finalSize(int length);

  /** Whether nothing comes out before the end. */
  abstract boolean waits();

  /**
   * Input and output are an array each, or a direct buffer if the array is null; offsets count from
   * their beginning. {@code room}: how many bytes the output may have. Gives how many it has.
   */
  abstract int update(
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset,
      int room)
      throws ShortBufferException;

  /** As {@link #update}, and ends the message. */
  abstract int doFinal(
      byte[] inArray,
      ByteBuffer inBuffer,
      int inOffset,
      int length,
      byte[] outArray,
      ByteBuffer outBuffer,
      int outOffset,
      int room)
      throws ShortBufferException, IllegalBlockSizeException, BadPaddingException;

  @Override
  protected int engineGetOutputSize(int length) {
    return finalSize(length);
  }

  @Override
  protected void engineUpdateAAD(ByteBuffer data) {
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    engineUpdateAAD(bytes, 0, bytes.length);
  }

  @Override
  protected byte[] engineUpdate(byte[] input, int offset, int length) {
    ready();
    int size = updateSize(length);
    // "No output yet" is null unless a message is held back: a reader of the SDK v1 gives up after
    // 1,000 times null. It takes an empty array, which SunJCE returns there.
    byte[] out = size == 0 && !waits() ? null : new byte[size];
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
    byte[] out = new byte[finalSize(length)];
    boolean done = false;
    try {
      doFinal(data, null, offset, length, out, null, 0, out.length);
      done = true;
      return out;
    } catch (ShortBufferException e) {
      throw new ProviderException(e);
    } finally {
      if (!done) {
        Arrays.fill(out, (byte) 0);
      }
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
    boolean copied = inArray != null && !input.hasArray();
    ByteBuffer inBuffer = inArray == null ? input : null;
    byte[] outArray = output.hasArray() ? output.array() : null;
    ByteBuffer outBuffer = outArray == null ? output : null;
    int outOffset = output.position() + (outArray == null ? 0 : output.arrayOffset());
    int room = output.remaining();
    int written;
    try {
      written =
          last
              ? doFinal(inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset, room)
              : update(inArray, inBuffer, inOffset, length, outArray, outBuffer, outOffset, room);
    } finally {
      if (copied) {
        Arrays.fill(inArray, (byte) 0);
      }
    }
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
