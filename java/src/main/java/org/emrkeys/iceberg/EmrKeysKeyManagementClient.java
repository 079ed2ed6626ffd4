package org.emrkeys.iceberg;

import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.iceberg.encryption.KeyManagementClient;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.PlainSettings;
import org.emrkeys.provider.Settings;
import org.emrkeys.provider.TableKeys;

/**
 * Wraps and unwraps the keys of encrypted Iceberg tables under the configured keys.
 *
 * <p>Named in the catalog property {@code encryption.kms-impl}; the table property {@code
 * encryption.key-id} is the name of a configured key. Configured by {@code emrkeys.*} among the
 * catalog's properties and, if Hadoop is on the class path, in its configuration (in Spark: {@code
 * spark.hadoop.emrkeys.*}); the catalog's win. Without Hadoop, key files are named by {@code file:} and
 * {@code s3:}. {@code docs/tables.md} has the rest.
 *
 * <p>Iceberg serializes the client to executors. The serialized form holds the {@code emrkeys.*}
 * properties, which name keys and hold none; an executor opens keys by itself, where it needs them.
 * All clients of a JVM that are configured alike share their keys. Thread-safe.
 */
public final class EmrKeysKeyManagementClient implements KeyManagementClient {
  private static final long serialVersionUID = 1L;
  private static final String KIND = "iceberg";
  private static final String PREFIX = "emrkeys.";
  private static final Log LOG = Log.of(EmrKeysKeyManagementClient.class);
  private static final boolean HADOOP = isHadoopThere();

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
   *     remedy; {@code NOT_CONFIGURED} if Hadoop is on the class path in part
   */
  @Override
  public void initialize(Map<String, String> catalog) {
    TreeMap<String, String> own = ofHadoop(() -> HadoopConfiguration.properties(PREFIX), TreeMap::new);
    catalog.forEach(
        (name, value) -> {
          if (name.startsWith(PREFIX)) {
            own.put(name, value);
          }
        });
    keys = open(own);
    properties = own;
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
    open = open(own);
    keys = open;
    return open;
  }

  private static TableKeys open(Map<String, String> own) {
    Settings settings =
        ofHadoop(() -> HadoopConfiguration.settings(own), () -> new PlainSettings(own));
    return TableKeys.of(settings, LOG);
  }

  /** Gives one of the two, as Hadoop is on the class path or not. */
  private static <T> T ofHadoop(Supplier<T> with, Supplier<T> without) {
    if (!HADOOP) {
      return without.get();
    }
    try {
      return with.get();
    } catch (NoClassDefFoundError e) {
      // Its properties may name keys: to go on without them could be another configuration.
      throw EmrKeysException.of(
          "NOT_CONFIGURED",
          "Hadoop is on the class path in part: of what its configuration needs, a class is not"
              + " there: "
              + e.getMessage(),
          "Put hadoop-client-api and hadoop-client-runtime on the class path, or leave out both.",
          e);
    }
  }

  private static boolean isHadoopThere() {
    try {
      ClassLoader loader = EmrKeysKeyManagementClient.class.getClassLoader();
      Class.forName("org.apache.hadoop.conf.Configuration", false, loader);
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    } catch (LinkageError e) {
      return true; // its use says what is wrong with it
    }
  }

  private static byte[] bytes(ByteBuffer buffer) {
    ByteBuffer read = buffer.duplicate();
    byte[] bytes = new byte[read.remaining()];
    read.get(bytes);
    return bytes;
  }
}
