package org.emrkeys.s3a;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import javax.crypto.Cipher;

/**
 * A range of an object's content, decrypted as it is read. Internal. For one thread.
 *
 * <p>An answer that ends before the range does is an {@link EOFException}: a truncated object is not taken
 * for the whole.
 */
final class DecryptedStream extends InputStream {
  private static final int PIECE = 64 * 1024;

  private final InputStream stored;
  private final Cipher cipher;
  private byte[] ciphertext;
  private byte[] plaintext;
  private int from;
  private int to;
  private long skip;
  private long left;

  private DecryptedStream(InputStream stored, Cipher cipher, long skip, long left) {
    this.stored = stored;
    this.cipher = cipher;
    this.skip = skip;
    this.left = left;
  }

  /**
   * The range.
   *
   * @param stored what S3 holds from {@code begin} on; closed with this stream
   * @param key of the content; empty if it is not encrypted
   * @param begin a multiple of the block
   * @param range of the content
   */
  static InputStream of(
      InputStream stored, Optional<ContentKey> key, long begin, ByteRange range)
      throws IOException {
    long skip = range.first() - begin;
    if (!key.isPresent()) {
      return new DecryptedStream(stored, null, skip, range.length());
    }
    long block = begin / ContentKey.BLOCK;
    if (block == 0 || !key.get().isChained()) {
      return new DecryptedStream(
          stored, key.get().decryptor(block, null), skip, range.length());
    }
    byte[] before = new byte[ContentKey.BLOCK];
    for (int at = 0; at < before.length; ) {
      int count = stored.read(before, at, before.length - at);
      if (count < 0) {
        throw new EOFException("S3's answer ends before the range");
      }
      at += count;
    }
    return new DecryptedStream(
        stored,
        key.get().decryptor(block + 1, before),
        skip - ContentKey.BLOCK,
        range.length());
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    if (left == 0) {
      return -1;
    }
    while (from == to) {
      fill();
    }
    int count = (int) Math.min(Math.min(length, to - from), left);
    System.arraycopy(plaintext, from, into, offset, count);
    from += count;
    left -= count;
    return count;
  }

  private void fill() throws IOException {
    if (ciphertext == null) {
      int piece = (int) Math.min(PIECE, skip + left + ContentKey.BLOCK);
      ciphertext = new byte[piece];
      plaintext = cipher == null ? ciphertext : new byte[piece + ContentKey.BLOCK];
    }
    int count = stored.read(ciphertext, 0, ciphertext.length);
    if (count < 0) {
      throw new EOFException("S3's answer ends " + left + " bytes before the range does");
    }
    try {
      to = cipher == null ? count : cipher.update(ciphertext, 0, count, plaintext, 0);
    } catch (javax.crypto.ShortBufferException e) {
      throw new IllegalStateException(e);
    }
    from = (int) Math.min(skip, to);
    skip -= from;
  }

  @Override
  public int available() throws IOException {
    return (int) Math.min(to - from, left);
  }

  @Override
  public void close() throws IOException {
    stored.close();
  }
}
