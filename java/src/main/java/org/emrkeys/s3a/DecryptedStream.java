package org.emrkeys.s3a;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import javax.crypto.Cipher;
import javax.crypto.ShortBufferException;

/**
 * A range of an object's content, decrypted as it is read. Internal. For one thread.
 *
 * <p>An answer that ends before the range does is an {@link EOFException}: a truncated object is not taken
 * for the whole.
 */
final class DecryptedStream extends InputStream {
  private static final int PIECE = 64 * 1024;

  /** Reads of so many bytes and more are decrypted where the reader wants them, without a copy. */
  private static final int DIRECT = 4 * 1024;

  /** The most bytes behind a range: those of its last block, and the tag or the padding. */
  private static final int BEHIND = 2 * ContentKey.BLOCK;

  private final InputStream stored;
  private final Cipher cipher;
  private byte[] ciphertext;
  private byte[] plaintext;
  private int from;
  private int to;
  private long skip;
  private long left;

  /**
   * Whether the cipher returns each byte at once, as a stream cipher may, and the range has begun. Unset by the first
   * byte that the cipher holds back.
   */
  private boolean prompt;

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
    long block = begin / ContentKey.BLOCK;
    long skip = range.first() - begin;
    boolean chained = key.isPresent() && key.get().isChained();
    byte[] before = null;
    if (chained && block > 0) {
      before = new byte[ContentKey.BLOCK];
      readFully(stored, before);
      block++;
      skip -= before.length;
    }
    Cipher cipher = key.isPresent() ? key.get().decryptor(block, before) : null;
    DecryptedStream content = new DecryptedStream(stored, cipher, skip, range.length());
    if (!chained) {
      content.pass();
    }
    return content;
  }

  /** Reads what is before the range, so that the reader's first bytes need no buffer. */
  private void pass() throws IOException {
    byte[] passed = new byte[(int) skip];
    readFully(stored, passed);
    skip -= decrypt(passed, 0, passed.length, passed, 0);
    prompt = skip == 0;
  }

  private static void readFully(InputStream stored, byte[] into) throws IOException {
    if (readUpTo(stored, into) < into.length) {
      throw new EOFException("S3's answer ends before the range");
    }
  }

  /** Reads until the array is full or the answer ends; gives the number of bytes. */
  private static int readUpTo(InputStream stored, byte[] into) throws IOException {
    int at = 0;
    while (at < into.length) {
      int count = stored.read(into, at, into.length - at);
      if (count < 0) {
        break;
      }
      at += count;
    }
    return at;
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
      if (prompt && length >= DIRECT) {
        int count = direct(into, offset, (int) Math.min(length, left));
        if (count > 0) {
          return count;
        }
      } else {
        fill();
      }
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
    int count = some(ciphertext, 0, ciphertext.length);
    to = decrypt(ciphertext, 0, count, plaintext, 0);
    from = (int) Math.min(skip, to);
    skip -= from;
  }

  private int direct(byte[] into, int offset, int length) throws IOException {
    int count = some(into, offset, length);
    int out = decrypt(into, offset, count, into, offset);
    prompt = out == count;
    left -= out;
    return out;
  }

  private int some(byte[] into, int offset, int length) throws IOException {
    int count = stored.read(into, offset, length);
    if (count < 0) {
      throw new EOFException("S3's answer ends " + left + " bytes before the range does");
    }
    return count;
  }

  /** Input and output may be the same bytes, as JCE has it. */
  private int decrypt(byte[] in, int offset, int count, byte[] out, int at) {
    try {
      return cipher == null ? count : cipher.update(in, offset, count, out, at);
    } catch (ShortBufferException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public int available() throws IOException {
    return (int) Math.min(to - from, left);
  }

  @Override
  public void close() throws IOException {
    if (left == 0) {
      passRest();
    }
    stored.close();
  }

  /** Reads what is behind the range: the SDK uses a connection again only if nothing is left of the answer. */
  private void passRest() {
    try {
      readUpTo(stored, new byte[BEHIND + 1]);
    } catch (IOException e) {
      // The answer breaks off behind the range, of which the reader has all: only its connection is lost.
    }
  }
}
