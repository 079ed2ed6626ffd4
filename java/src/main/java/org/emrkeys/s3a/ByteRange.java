package org.emrkeys.s3a;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;

/** A range of bytes as HTTP has it (RFC 9110, 14), both ends included. Internal. Immutable. */
final class ByteRange {
  private static final Pattern HEADER = Pattern.compile("bytes=(\\d{1,18})-(\\d{1,18})?");
  private static final Pattern SIZE = Pattern.compile("bytes \\d+-\\d+/(\\d{1,18})");
  private static final ByteRange WHOLE = new ByteRange(0, Long.MAX_VALUE);

  private final long first;
  private final long last;

  private ByteRange(long first, long last) {
    this.first = first;
    this.last = last;
  }

  /**
   * Reads a header.
   *
   * @param header null for the whole object
   * @throws IllegalArgumentException for what S3A never asks for: several ranges, or one from the end
   */
  static ByteRange parse(String header) {
    if (header == null) {
      return WHOLE;
    }
    Matcher range = HEADER.matcher(header);
    if (!range.matches()) {
      throw new IllegalArgumentException("the range " + header + " is not supported");
    }
    long last = range.group(2) == null ? Long.MAX_VALUE : Long.parseLong(range.group(2));
    return new ByteRange(Long.parseLong(range.group(1)), last);
  }

  /** The size of the object in an answer. */
  static long sizeOf(GetObjectResponse response) {
    if (response.contentRange() == null) {
      return response.contentLength();
    }
    Matcher range = SIZE.matcher(response.contentRange());
    if (!range.matches()) {
      throw new IllegalStateException("S3 answered with Content-Range: " + response.contentRange());
    }
    return Long.parseLong(range.group(1));
  }

  boolean isWhole() {
    return first == 0 && last == Long.MAX_VALUE;
  }

  long first() {
    return first;
  }

  long last() {
    return last;
  }

  long length() {
    return last - first + 1;
  }

  /** Whole blocks, and the one before them. */
  ByteRange widened() {
    long block = ContentKey.BLOCK;
    long begin = Math.max(0, first / block - 1) * block;
    return new ByteRange(begin, last == Long.MAX_VALUE ? last : last / block * block + block - 1);
  }

  /** The part within so many bytes, which may be empty. */
  Optional<ByteRange> within(long length) {
    if (isWhole()) {
      return Optional.of(new ByteRange(0, length - 1));
    }
    return first >= length
        ? Optional.empty()
        : Optional.of(new ByteRange(first, Math.min(last, length - 1)));
  }

  /** As a header. */
  @Override
  public String toString() {
    return "bytes=" + first + "-" + (last == Long.MAX_VALUE ? "" : Long.toString(last));
  }
}
