package org.emrkeys.iceberg;

import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.apache.iceberg.encryption.KeyManagementClient;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.TableKeys;

/**
 * Wraps and unwraps the keys of encrypted Iceberg tables under the configured keys.
 *
 * <p>Named in the catalog property {@code encryption.kms-impl}; the table property {@code
 * encryption.key-id} is the name of a configured key. Configured by {@code emrkeys.*} among the
 * catalog's properties and in Hadoop's configuration (in Spark: {@code spark.hadoop.emrkeys.*}); the
 * catalog's win. {@code docs/tables.md} has the rest.
 *
 * <p>Iceberg serializes the client to executors. The serialized form holds the {@code emrkeys.*}
 * properties, which name keys and hold none; an executor opens keys by itself, where it needs them.
 * All clients of a JVM that are configured alike share their keys. Thread-safe.
 */
public final class EmrKeysKeyManagementClient implements KeyManagementClient {
  private static final long serialVersionUID = 1L;
  private static final String KIND = "iceberg";

  /** Bytes of a generated key. */
  private static final int KEY = 32;

  /** Of {@code emrkeys.*}, those of Hadoop and of the catalog; null before {@link #initialize}. */
  private volatile TreeMap<String, String> properties;

  private transient volatile TableKeys keys;

  /** A client that must be {@linkplain #initialize initialized} before it is used. */
  public EmrKeysKeyManagementClient() {}

  /**
   * Reads the configuration. A key is loaded when a table names it.
   *
   * @param catalog the properties of the catalog
   * @throws EmrKeysException with every problem of the configuration, each naming its property and the
   *     remedy; if Hadoop is not on the class path
   */
  @Override
  public void initialize(Map<String, String> catalog) {
    try {
      TreeMap<String, String> own = HadoopKeys.properties(catalog);
      keys = HadoopKeys.open(own);
      properties = own;
    } catch (NoClassDefFoundError e) {
      throw withoutHadoop(e);
    }
  }

  /**
   * Wraps a key under the current version of a configured key.
   *
   * @param key 16 to 32 bytes
   * @param wrappingKeyId the name of the configured key
   * @return the wrapped key
   * @throws EmrKeysException if the key cannot be used, and why
   */
  @Override
  public ByteBuffer wrapKey(ByteBuffer key, String wrappingKeyId) {
    byte[] bytes = bytes(key);
    try {
      return ByteBuffer.wrap(keys().wrap(KIND, wrappingKeyId, bytes));
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  /**
   * Unwraps a key.
   *
   * @param wrappedKey as {@link #wrapKey} gave it, in this release or an older one
   * @param wrappingKeyId as the table says
   * @return the key
   * @throws EmrKeysException if the key cannot be used, and why
   */
  @Override
  public ByteBuffer unwrapKey(ByteBuffer wrappedKey, String wrappingKeyId) {
    return ByteBuffer.wrap(keys().unwrap(KIND, wrappingKeyId, bytes(wrappedKey)));
  }

  /** True: a key is made and wrapped without a call of a service. */
  @Override
  public boolean supportsKeyGeneration() {
    return true;
  }

  /**
   * Makes a random key of 256 bits.
   *
   * @param wrappingKeyId the name of the configured key that wraps it
   * @return the key, in the clear and wrapped
   * @throws EmrKeysException if the key cannot be used, and why
   */
  @Override
  public KeyGenerationResult generateKey(String wrappingKeyId) {
    byte[] key = new byte[KEY];
    new SecureRandom().nextBytes(key);
    byte[] wrapped = keys().wrap(KIND, wrappingKeyId, key);
    return new KeyGenerationResult(ByteBuffer.wrap(key), ByteBuffer.wrap(wrapped));
  }

  /** The properties alone, by their names: no value is shown. */
  @Override
  public String toString() {
    Map<String, String> own = properties;
    return "EmrKeysKeyManagementClient" + (own == null ? "" : own.keySet());
  }

  private TableKeys keys() {
    TableKeys open = keys;
    if (open != null) {
      return open;
    }
    TreeMap<String, String> own = properties;
    if (own == null) {
      throw EmrKeysException.of(
          "NOT_CONFIGURED",
          "the key management client was used before it was initialized",
          "Call initialize first, as Iceberg's catalogs do.",
          null);
    }
    // On an executor, where Iceberg deserialized it.
    try {
      open = HadoopKeys.open(own);
    } catch (NoClassDefFoundError e) {
      throw withoutHadoop(e);
    }
    keys = open;
    return open;
  }

  /** The refusal where Hadoop or one of its libraries is not on the class path. */
  private static EmrKeysException withoutHadoop(NoClassDefFoundError cause) {
    return EmrKeysException.of(
        "NOT_CONFIGURED",
        "emrkeys cannot read its configuration without Hadoop, of which a class is not there: "
            + cause.getMessage(),
        "Put hadoop-client-api, hadoop-client-runtime and commons-logging on the class path beside"
            + " Iceberg.",
        cause);
  }

  private static byte[] bytes(ByteBuffer buffer) {
    ByteBuffer read = buffer.duplicate();
    byte[] bytes = new byte[read.remaining()];
    read.get(bytes);
    return bytes;
  }
}
