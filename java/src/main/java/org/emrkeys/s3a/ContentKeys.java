package org.emrkeys.s3a;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.ConfiguredProvider;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.HeadObjectRequest;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.S3Exception;

/**
 * The keys and the lengths of objects' content. Internal. Thread-safe.
 *
 * <p>Remembers the last of both, by ETag, so that a file that is listed, opened and read in many ranges
 * costs one look at its envelope. Keys are remembered for a minute.
 */
public final class ContentKeys {
  /** Suffix of the key of an instruction file. Source: {@code InstructionFileId} of the SDK v1. */
  private static final String INSTRUCTION = ".instruction";

  private static final String INSTRUCTION_MARK = "x-amz-crypto-instr-file";

  /** Many times what a description of 64 KiB needs; the core refuses more. */
  private static final int MAX_INSTRUCTION = 512 * 1024;

  private static final int KEYS = 1_000;
  private static final int LENGTHS = 50_000;

  /** So soon a read asks for the key again, and is refused if its version was disabled. */
  private static final long KEY_SECONDS = 60;

  /** The length of one state of an object never changes. */
  private static final long LENGTH_SECONDS = Integer.MAX_VALUE;

  private final S3Client stored;
  private final ConfiguredProvider provider;
  private final Recent<Version, Optional<ContentKey>> keys =
      new Recent<>(KEYS, KEY_SECONDS, System::nanoTime);
  private final Recent<Version, Long> lengths =
      new Recent<>(LENGTHS, LENGTH_SECONDS, System::nanoTime);

  /**
   * Keys by a provider.
   *
   * @param stored the client of what is stored
   * @param provider asked for keys
   */
  public ContentKeys(S3Client stored, ConfiguredProvider provider) {
    this.stored = stored;
    this.provider = provider;
  }

  /** One state of one object. */
  static final class Version {
    final String bucket;
    final String key;
    final String etag;

    Version(String bucket, String key, String etag) {
      this.bucket = bucket;
      this.key = key;
      this.etag = etag;
    }

    @Override
    public boolean equals(Object other) {
      if (!(other instanceof Version)) {
        return false;
      }
      Version that = (Version) other;
      return key.equals(that.key) && bucket.equals(that.bucket) && etag.equals(that.etag);
    }

    @Override
    public int hashCode() {
      return key.hashCode() * 31 + etag.hashCode();
    }
  }

  /** Whether the object is an instruction file, which belongs to another object. */
  static boolean isInstruction(String key, Map<String, String> metadata) {
    return key.endsWith(INSTRUCTION) && metadata.containsKey(INSTRUCTION_MARK);
  }

  /**
   * The key of the content.
   *
   * @param metadata of the user
   * @return empty if no client encrypted the object
   * @throws EmrKeysException as the core's reads
   */
  Optional<ContentKey> key(Version object, Map<String, String> metadata) {
    Optional<ContentKey> known = keys.get(object);
    if (known == null) {
      byte[] instruction = new StoredForm(metadata).hasEnvelope() ? null : instruction(object);
      known =
          Optional.ofNullable(
              Refusals.ask(
                  provider,
                  handle ->
                      handle.contentKey(
                          object.bucket, object.key, metadata, instruction, ContentKey::read)));
      keys.put(object, known);
    }
    return known;
  }

  /** The instruction file of an object; null without one. */
  private byte[] instruction(Version object) {
    if (object.key.endsWith("/") || object.key.endsWith(INSTRUCTION)) {
      return null;
    }
    GetObjectRequest request =
        GetObjectRequest.builder().bucket(object.bucket).key(object.key + INSTRUCTION).build();
    try (InputStream in = stored.getObject(request)) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      byte[] buffer = new byte[4096];
      for (int n = in.read(buffer); n >= 0 && out.size() <= MAX_INSTRUCTION; n = in.read(buffer)) {
        out.write(buffer, 0, n);
      }
      return out.toByteArray();
    } catch (NoSuchKeyException none) {
      return null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * The length of the content of a listed object.
   *
   * @param size as listed
   * @return -1 for an instruction file, and for an object that is gone
   */
  long listed(Version object, long size) {
    if (size == 0 || object.key.endsWith("/")) {
      return size;
    }
    Long known = lengths.get(object);
    if (known != null) {
      return known;
    }
    HeadObjectResponse head;
    try {
      head =
          stored.headObject(
              HeadObjectRequest.builder().bucket(object.bucket).key(object.key).build());
    } catch (S3Exception e) {
      if (e.statusCode() == 404) {
        return -1;
      }
      throw e;
    }
    if (isInstruction(object.key, head.metadata())) {
      return -1;
    }
    Version now = new Version(object.bucket, object.key, head.eTag());
    return length(now, head.contentLength(), head.metadata());
  }

  /**
   * The length of the content.
   *
   * @param size of what is stored
   * @param metadata of the user
   */
  long length(Version object, long size, Map<String, String> metadata) {
    if (size == 0 || object.key.endsWith("/")) {
      return size;
    }
    Long known = lengths.get(object);
    if (known == null) {
      known = find(object, size, metadata);
      lengths.put(object, known);
    }
    return known;
  }

  private long find(Version object, long size, Map<String, String> metadata) {
    StoredForm form = new StoredForm(metadata);
    if (form.isGcm()) {
      return checked(object, size - StoredForm.TAG_BYTES);
    }
    OptionalLong noted = form.contentLength(size);
    boolean fits =
        noted.isPresent()
            && (noted.getAsLong() / ContentKey.BLOCK + 1) * ContentKey.BLOCK == size;
    if (fits && form.hasEnvelope()) {
      return noted.getAsLong();
    }
    Optional<ContentKey> key = key(object, metadata);
    if (!key.isPresent()) {
      return size;
    }
    if (!key.get().isChained()) {
      return checked(object, size - StoredForm.TAG_BYTES);
    }
    if (fits) {
      return noted.getAsLong();
    }
    return checked(object, padded(object, size, key.get()));
  }

  private static long checked(Version object, long length) {
    if (length < 0) {
      throw Refusals.lasting(
          EmrKeysException.of(
              "OBJECT_DAMAGED",
              "the length or the padding of s3a://" + object.bucket + "/" + object.key
                  + " is not that of its encryption",
              "Restore the object from an older version.",
              null));
    }
    return length;
  }

  /** By the last two blocks; -1 if they are not what AES-CBC ends with. */
  private long padded(Version object, long size, ContentKey key) {
    if (size % ContentKey.BLOCK != 0) {
      return -1;
    }
    long start = Math.max(0, size - 2 * ContentKey.BLOCK);
    GetObjectRequest request =
        GetObjectRequest.builder()
            .bucket(object.bucket)
            .key(object.key)
            .ifMatch(object.etag)
            .range("bytes=" + start + "-" + (size - 1))
            .build();
    byte[] end = stored.getObjectAsBytes(request).asByteArray();
    byte[] last = Arrays.copyOfRange(end, end.length - ContentKey.BLOCK, end.length);
    byte[] before =
        end.length == ContentKey.BLOCK ? null : Arrays.copyOf(end, ContentKey.BLOCK);
    int length = key.lengthOfLast(before, last);
    return length < 0 ? -1 : size - ContentKey.BLOCK + length;
  }
}
