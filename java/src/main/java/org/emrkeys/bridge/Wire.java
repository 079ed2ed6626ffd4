package org.emrkeys.bridge;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.emrkeys.EmrKeysException;

/**
 * The format of what crosses the boundary to native code: big-endian; a string or byte sequence is
 * an i32 length (-1: null) and that many bytes; strings are UTF-8.
 *
 * <p>Not thread-safe: one message, one thread.
 */
public final class Wire {
  private Wire() {}

  /** The defect text of the native side, used where even its response cannot be read. */
  public static EmrKeysException defect(Throwable cause) {
    return EmrKeysException.of(
        "INTERNAL",
        "emrkeys failed because of a defect of its own",
        "Nothing was returned and nothing was changed; please report it with the version of emrkeys"
            + " and what was done.",
        cause);
  }

  /** Reads what a response says and gives its payload. */
  public static Decoder response(byte[] response) {
    if (response == null) {
      throw defect(null);
    }
    Decoder decoder = new Decoder(response);
    int status = decoder.u8();
    if (status == 0) {
      return decoder;
    }
    if (status == 1) {
      String code = decoder.string();
      throw new EmrKeysException(code, decoder.string());
    }
    throw defect(null);
  }

  /**
   * Writes a message. The message may hold a key: no copy is left behind when it grows, and close
   * wipes it.
   */
  public static final class Encoder implements AutoCloseable {
    private final int limit;
    private byte[] bytes = new byte[512];
    private int size;

    /** A message of any size. */
    public Encoder() {
      this(Integer.MAX_VALUE - 16);
    }

    /** A message of at most {@code limit} bytes; more is a {@link TooLarge}. */
    public Encoder(int limit) {
      this.limit = limit;
    }

    private void reserve(long more) {
      if (size + more > limit) {
        throw new TooLarge();
      }
      if (size + more > bytes.length) {
        byte[] larger = new byte[(int) Math.min(limit, (size + more) * 2)];
        System.arraycopy(bytes, 0, larger, 0, size);
        Arrays.fill(bytes, (byte) 0);
        bytes = larger;
      }
    }

    public Encoder u8(int value) {
      reserve(1);
      bytes[size++] = (byte) value;
      return this;
    }

    public Encoder i32(int value) {
      reserve(4);
      put(size, value);
      size += 4;
      return this;
    }

    private void put(int at, int value) {
      bytes[at] = (byte) (value >>> 24);
      bytes[at + 1] = (byte) (value >>> 16);
      bytes[at + 2] = (byte) (value >>> 8);
      bytes[at + 3] = (byte) value;
    }

    public Encoder bytes(byte[] value) {
      if (value == null) {
        return i32(-1);
      }
      i32(value.length);
      reserve(value.length);
      System.arraycopy(value, 0, bytes, size, value.length);
      size += value.length;
      return this;
    }

    /**
     * UTF-8, but for unpaired surrogates: they keep their own three bytes, which the native side
     * refuses. {@code String.getBytes} would turn them into question marks, and another string
     * would be used than the one given.
     */
    public Encoder string(String value) {
      if (value == null) {
        return i32(-1);
      }
      int start = size;
      i32(0);
      utf8(value, 0, value.length());
      put(start, size - start - 4);
      return this;
    }

    /** The characters of a secret as bytes, without a string in between. */
    public Encoder secret(char[] value) {
      int start = size;
      i32(0);
      utf8(java.nio.CharBuffer.wrap(value), 0, value.length);
      put(start, size - start - 4);
      return this;
    }

    private void utf8(CharSequence text, int from, int length) {
      // At least this much is needed: a huge text is refused before it is looked at.
      reserve(length);
      for (int i = from; i < length; i++) {
        char c = text.charAt(i);
        if (c < 0x80) {
          reserve(1);
          bytes[size++] = (byte) c;
        } else if (c < 0x800) {
          reserve(2);
          bytes[size++] = (byte) (0xC0 | c >> 6);
          bytes[size++] = (byte) (0x80 | c & 0x3F);
        } else if (Character.isHighSurrogate(c)
            && i + 1 < length
            && Character.isLowSurrogate(text.charAt(i + 1))) {
          int point = Character.toCodePoint(c, text.charAt(++i));
          reserve(4);
          bytes[size++] = (byte) (0xF0 | point >> 18);
          bytes[size++] = (byte) (0x80 | point >> 12 & 0x3F);
          bytes[size++] = (byte) (0x80 | point >> 6 & 0x3F);
          bytes[size++] = (byte) (0x80 | point & 0x3F);
        } else {
          reserve(3);
          bytes[size++] = (byte) (0xE0 | c >> 12);
          bytes[size++] = (byte) (0x80 | c >> 6 & 0x3F);
          bytes[size++] = (byte) (0x80 | c & 0x3F);
        }
      }
    }

    /**
     * A map; its size is counted while it is walked, so that one that changes meanwhile is still
     * well formed.
     */
    public Encoder map(Map<String, String> map) {
      if (map == null) {
        return i32(-1);
      }
      int start = size;
      i32(0);
      int count = 0;
      for (Map.Entry<String, String> entry : map.entrySet()) {
        string(entry.getKey());
        string(entry.getValue());
        count++;
      }
      put(start, count);
      return this;
    }

    /** A list of strings. */
    public Encoder strings(Collection<String> values) {
      i32(values.size());
      values.forEach(this::string);
      return this;
    }

    /** A copy of what was written; the caller wipes it if it may hold a key. */
    public byte[] toBytes() {
      return Arrays.copyOf(bytes, size);
    }

    @Override
    public void close() {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  /** A message would be longer than its limit. */
  public static final class TooLarge extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TooLarge() {
      super("message too large", null, false, false);
    }
  }

  /** Reads a message; anything malformed is a defect of emrkeys. */
  public static final class Decoder {
    private final byte[] bytes;
    private int position;

    public Decoder(byte[] bytes) {
      this.bytes = bytes;
    }

    private int advance(int length) {
      if (length < 0 || length > bytes.length - position) {
        throw defect(null);
      }
      int from = position;
      position += length;
      return from;
    }

    public int u8() {
      return bytes[advance(1)] & 0xFF;
    }

    public int i32() {
      int at = advance(4);
      return (bytes[at] & 0xFF) << 24
          | (bytes[at + 1] & 0xFF) << 16
          | (bytes[at + 2] & 0xFF) << 8
          | (bytes[at + 3] & 0xFF);
    }

    public long i64() {
      return (long) i32() << 32 | i32() & 0xFFFFFFFFL;
    }

    /** A number of items, each of at least {@code smallest} bytes. */
    public int count(int smallest) {
      int count = i32();
      if (count < 0 || (long) count * smallest > bytes.length - position) {
        throw defect(null);
      }
      return count;
    }

    public byte[] bytes() {
      int length = i32();
      if (length == -1) {
        return null;
      }
      int from = advance(length);
      return Arrays.copyOfRange(bytes, from, from + length);
    }

    public String string() {
      int length = i32();
      if (length == -1) {
        return null;
      }
      return new String(bytes, advance(length), length, StandardCharsets.UTF_8);
    }

    public List<String> strings() {
      int count = count(4);
      List<String> strings = new ArrayList<>(count);
      for (int i = 0; i < count; i++) {
        strings.add(string());
      }
      return strings;
    }

    public Map<String, String> map() {
      int count = count(8);
      Map<String, String> map = new LinkedHashMap<>(count * 2);
      for (int i = 0; i < count; i++) {
        String name = string();
        map.put(name, string());
      }
      return map;
    }
  }
}
