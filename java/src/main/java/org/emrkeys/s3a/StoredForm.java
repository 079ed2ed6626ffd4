package org.emrkeys.s3a;

import java.util.Map;
import java.util.OptionalLong;

/**
 * The form in which an object is stored, read from its metadata by the names of the S3 encryption clients
 * (AWS's specification of the S3 Encryption Client, "Content Metadata"). Internal. Immutable.
 */
public final class StoredForm {
  /** Length of the tag of AES-GCM, which is what S3A takes from every length. */
  public static final int TAG_BYTES = 16;

  private static final String CONTENT_CIPHER = "x-amz-cek-alg";
  private static final String CONTENT_LENGTH = "x-amz-unencrypted-content-length";
  private static final String WRAPPED_KEY_V1 = "x-amz-key";
  private static final String WRAPPED_KEY_V2 = "x-amz-key-v2";
  private static final String WRAPPED_KEY_V3 = "x-amz-3";

  private final Map<String, String> metadata;

  /**
   * Looks at metadata.
   *
   * @param metadata of the user, with names in lower case and without {@code x-amz-meta-}
   */
  public StoredForm(Map<String, String> metadata) {
    this.metadata = metadata;
  }

  /**
   * Whether an encryption client wrote the object: an envelope is in its metadata, or its length
   * before encryption, which is there if the envelope is in an instruction file.
   *
   * @return false also for an object of several parts with an instruction file
   */
  public boolean isEncrypted() {
    return hasEnvelope() || metadata.containsKey(CONTENT_LENGTH);
  }

  /**
   * Whether the metadata holds the wrapped data key.
   *
   * @return false for an object with an instruction file
   */
  public boolean hasEnvelope() {
    return metadata.containsKey(WRAPPED_KEY_V1)
        || metadata.containsKey(WRAPPED_KEY_V2)
        || metadata.containsKey(WRAPPED_KEY_V3);
  }

  /** Whether the metadata says that the content is in AES-GCM. */
  boolean isGcm() {
    String cipher = metadata.getOrDefault(CONTENT_CIPHER, "");
    return metadata.containsKey(WRAPPED_KEY_V3)
        || (metadata.containsKey(WRAPPED_KEY_V2)
            && (cipher.equals("AES/GCM/NoPadding") || cipher.equals("AES/CTR/NoPadding")));
  }

  /**
   * Whether Hadoop's test for an encrypted object finds this one ({@code CSEUtils.isObjectEncrypted}
   * of hadoop-aws 3.4.2).
   *
   * @return true for the second format of envelopes alone
   */
  public boolean isKnownToHadoop() {
    return metadata.containsKey(CONTENT_CIPHER);
  }

  /**
   * The length of the content before it was encrypted.
   *
   * @param stored length of the object
   * @return empty if the metadata has none, or one that no cipher here makes {@code stored} of
   */
  public OptionalLong contentLength(long stored) {
    try {
      long length = Long.parseLong(metadata.getOrDefault(CONTENT_LENGTH, ""));
      boolean possible = length >= 0 && stored > length && stored - length <= TAG_BYTES;
      return possible ? OptionalLong.of(length) : OptionalLong.empty();
    } catch (NumberFormatException e) {
      return OptionalLong.empty();
    }
  }
}
