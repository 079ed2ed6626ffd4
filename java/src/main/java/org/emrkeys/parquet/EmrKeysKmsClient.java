package org.emrkeys.parquet;

import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;
import org.apache.parquet.crypto.keytools.KmsClient;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.TableKeys;

/**
 * Wraps and unwraps the keys of encrypted Parquet files under the configured keys.
 *
 * <p>Named in {@code parquet.encryption.kms.client.class}, with {@code parquet.crypto.factory.class}
 * {@code =org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory}; configured by the same
 * {@code emrkeys.*} properties as the other classes. A master key identifier, as in {@code
 * parquet.encryption.footer.key}, is the name of a configured key, or {@code rule:} and the S3 URI of
 * the file, for which the rules choose one. {@code docs/tables.md} has the rest.
 *
 * <p>Access tokens and the id and URL of a KMS instance are ignored: who may use a key is said by the
 * key itself (permissions of its file, policies of KMS). All clients of a JVM that are configured
 * alike share their keys. Thread-safe.
 */
public final class EmrKeysKmsClient implements KmsClient {
  private static final Log LOG = Log.of(EmrKeysKmsClient.class);
  private static final String KIND = "parquet";

  /**
   * Codes of failures that say nothing of the right to use a key. Parquet takes a {@link
   * KeyAccessDeniedException} for a column that it may leave out.
   */
  private static final Set<String> NO_DENIALS =
      Collections.unmodifiableSet(
          new HashSet<>(
              Arrays.asList(
                  "SOURCE_UNAVAILABLE",
                  "SOURCE_THROTTLED",
                  "AUDIT_UNAVAILABLE",
                  "INTERRUPTED",
                  "INTERNAL")));

  private volatile TableKeys keys;

  /** A client that must be {@linkplain #initialize initialized} before it is used. */
  public EmrKeysKmsClient() {}

  /**
   * Reads the configuration. A key is loaded when a file names it.
   *
   * @param conf the Hadoop configuration
   * @param kmsInstanceID ignored; Parquet keeps a client for each
   * @param kmsInstanceURL ignored
   * @param accessToken ignored
   * @throws KeyAccessDeniedException with every problem of the configuration, each naming its property
   *     and the remedy
   */
  @Override
  public void initialize(
      Configuration conf, String kmsInstanceID, String kmsInstanceURL, String accessToken) {
    keys = translated(() -> TableKeys.of(new HadoopSettings(conf), LOG));
  }

  /**
   * Wraps a key of a file under the current version of a configured key.
   *
   * @param keyBytes 16 to 32 bytes
   * @param masterKeyIdentifier the name of the key, or {@code rule:} and the URI of the file
   * @return the wrapped key in Base64
   * @throws KeyAccessDeniedException if the key cannot be used, with the code and the whole message
   * @throws ParquetCryptoRuntimeException if a key service or the audit log does not answer
   */
  @Override
  public String wrapKey(byte[] keyBytes, String masterKeyIdentifier) {
    return Base64.getEncoder()
        .encodeToString(translated(() -> keys().wrap(KIND, masterKeyIdentifier, keyBytes)));
  }

  /**
   * Unwraps a key of a file.
   *
   * @param wrappedKey as {@link #wrapKey} gave it, in this release or an older one
   * @param masterKeyIdentifier as the file says
   * @return the key
   * @throws KeyAccessDeniedException if the key cannot be used, with the code and the whole message
   * @throws ParquetCryptoRuntimeException if a key service or the audit log does not answer
   */
  @Override
  public byte[] unwrapKey(String wrappedKey, String masterKeyIdentifier) {
    return translated(() -> keys().unwrap(KIND, masterKeyIdentifier, decode(wrappedKey)));
  }

  private static byte[] decode(String wrappedKey) {
    try {
      return Base64.getDecoder().decode(wrappedKey);
    } catch (IllegalArgumentException | NullPointerException e) {
      throw EmrKeysException.of(
          "WRAPPED_KEY_INVALID",
          "the wrapped key in the Parquet file is not in Base64",
          "Another KMS client wrote the file: read it with that one.",
          null);
    }
  }

  private TableKeys keys() {
    TableKeys initialized = keys;
    if (initialized == null) {
      throw EmrKeysException.of(
          "NOT_CONFIGURED",
          "the KMS client was used before it was initialized",
          "Call initialize first, as Parquet's KeyToolkit does.",
          null);
    }
    return initialized;
  }

  private static <T> T translated(Supplier<T> call) {
    try {
      return call.get();
    } catch (EmrKeysException e) {
      throw NO_DENIALS.contains(e.code())
          ? new ParquetCryptoRuntimeException(e.getMessage(), e)
          : new KeyAccessDeniedException(e.getMessage(), e);
    }
  }
}
