package org.emrkeys;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.KeyMaterials;
import org.emrkeys.provider.ProviderHandle;
import org.emrkeys.s3a.Delegates;
import org.emrkeys.s3a.Envelopes;
import org.emrkeys.s3a.Refusals;
import software.amazon.awssdk.services.s3.model.S3Request;
import software.amazon.encryption.s3.materials.DecryptionMaterials;
import software.amazon.encryption.s3.materials.EncryptedDataKey;
import software.amazon.encryption.s3.materials.EncryptionMaterials;
import software.amazon.encryption.s3.materials.Keyring;

/**
 * Gives Hadoop's S3A connector the key for each object: by the rules of the configuration when it is
 * written, by its stored description when it is read.
 *
 * <p>Named in {@code fs.s3a.encryption.cse.custom.keyring.class.name}, with {@code
 * fs.s3a.encryption.algorithm=CSE-CUSTOM}; configured by the same {@code emrkeys.*} properties as
 * {@link S3EncryptionMaterialsProvider}. The data key is wrapped and unwrapped by the S3 Encryption
 * Client's own keyrings, so that its formats, key commitment among them, stay its own. Works with
 * releases 3.1 to 4.0 of that client.
 *
 * <p>S3A makes two keyrings for each file system. All that are configured alike share their keys.
 * Thread-safe.
 */
public final class S3AKeyring implements Keyring, Configurable, AutoCloseable {
  private static final Log LOG = Log.of(S3AKeyring.class);
  private static final String INTERCEPTORS = "fs.s3a.audit.execution.interceptors";
  private static final String INTERCEPTOR = "org.emrkeys.S3AReadInterceptor";
  private static final AtomicBoolean WARNED = new AtomicBoolean();

  private volatile ConfiguredProvider provider = new ConfiguredProvider(Client.S3A, LOG);

  /** Why the last {@link #setConf} did not succeed; null if it did, or before the first call. */
  private volatile EmrKeysException failure;

  /** A keyring that must be configured by {@link #setConf} before it is used. */
  public S3AKeyring() {}

  /**
   * A configured keyring.
   *
   * @param conf the Hadoop configuration
   * @throws EmrKeysException with every problem found, each naming its property and the remedy
   */
  public S3AKeyring(Configuration conf) {
    setConf(conf);
    if (failure != null) {
      throw failure;
    }
  }

  /**
   * Reads the configuration and loads all keys, unless a keyring with the same ones is in use.
   *
   * <p>Does not throw what is wrong with the configuration: S3A would hide it behind a complaint
   * about the number of arguments. Instead it is logged, and every later call of {@link #onEncrypt}
   * and {@link #onDecrypt} throws it, until a {@code setConf} succeeds.
   *
   * <p>The first call in a JVM that succeeds also installs the JCE provider {@link
   * org.emrkeys.jce.EmrKeysProvider}, as {@code emrkeys.jce.install} says.
   *
   * @param conf the Hadoop configuration
   * @throws EmrKeysException {@code NOT_CONFIGURED} for null
   */
  @Override
  public void setConf(Configuration conf) {
    HadoopSettings settings = new HadoopSettings(conf);
    try {
      provider = ConfiguredProvider.shared(Client.S3A, settings, LOG);
      failure = null;
      warnOfShortReads(conf);
    } catch (EmrKeysException e) {
      failure = e;
      LOG.error("emrkeys: no object can be read or written: " + e.getMessage());
    }
  }

  /** Says once in a JVM that reads may end too early. */
  private static void warnOfShortReads(Configuration conf) {
    if (!conf.get(INTERCEPTORS, "").contains(INTERCEPTOR) && WARNED.compareAndSet(false, true)) {
      LOG.warn(
          "emrkeys: " + INTERCEPTORS + " has no " + INTERCEPTOR + ": now and then a read takes the"
              + " first bytes of an answer for the end of the file (docs/s3a.md)");
    }
  }

  /** Gives the result of {@code call} on the configured provider. */
  private KeyMaterials ask(Function<ProviderHandle, KeyMaterials> call) {
    EmrKeysException failed = failure;
    if (failed != null) {
      throw Refusals.of(new EmrKeysException(failed.code(), failed.getMessage(), failed));
    }
    return Refusals.ask(provider, call);
  }

  /**
   * The configuration in use, which may be that of another keyring that is configured alike.
   *
   * @return null before {@link #setConf} succeeded
   */
  @Override
  public Configuration getConf() {
    return provider.configuration();
  }

  /**
   * Adds a data key, wrapped under the key that the rules give for the object.
   *
   * @param materials whose request says which object is written
   * @return the materials with the data key, the wrapped data key, and the description to store
   * @throws EmrKeysException if no key may be used, and why
   */
  @Override
  public EncryptionMaterials onEncrypt(EncryptionMaterials materials) {
    S3Request request = materials.s3Request();
    KeyMaterials found =
        ask(handle -> handle.write(field(request, "Bucket"), field(request, "Key")));
    EncryptionMaterials made = Delegates.of(found).onEncrypt(materials);
    Function<Object, EncryptionMaterials> described =
        key -> Envelopes.describe(made, found.description());
    // With KMS the description would be stored as its encryption context, and the client refuses to read one that it
    // does not know.
    return found.match(described::apply, described::apply, kms -> made);
  }

  /**
   * Unwraps an object's data key with the key that its stored description says.
   *
   * @param materials with the stored description
   * @param encryptedDataKeys the wrapped data key; the client has one for each object
   * @return the materials with the data key
   * @throws EmrKeysException if no key may be used, and why; {@code LEGACY_WRAP} and {@code
   *     CONTENT_UNSUPPORTED} for objects that S3A should not read
   */
  @Override
  public DecryptionMaterials onDecrypt(
      DecryptionMaterials materials, List<EncryptedDataKey> encryptedDataKeys) {
    String wrap =
        encryptedDataKeys.size() == 1 ? Envelopes.wrapOf(encryptedDataKeys.get(0)) : null;
    String content = materials.algorithmSuite().cipherName();
    Map<String, String> stored = Envelopes.description(materials);
    S3Request request = materials.s3Request();
    KeyMaterials found =
        ask(
            handle ->
                handle.read(
                    field(request, "Bucket"), field(request, "Key"), wrap, content, stored));
    return found.match(
        key -> unwrap(found, materials, encryptedDataKeys, wrap),
        pair -> unwrap(found, materials, encryptedDataKeys, wrap),
        kms -> Delegates.of(found).onDecrypt(materials, encryptedDataKeys));
  }

  /** Unwraps with a key that is here: a failure is the envelope's, and lasts. */
  private static DecryptionMaterials unwrap(
      KeyMaterials found,
      DecryptionMaterials materials,
      List<EncryptedDataKey> encryptedDataKeys,
      String wrap) {
    try {
      return Delegates.of(found).onDecrypt(materials, encryptedDataKeys);
    } catch (RuntimeException e) {
      S3Request request = materials.s3Request();
      throw Refusals.lasting(
          EmrKeysException.of(
              "WRAPPED_KEY_INVALID",
              "the data key of s3a://" + field(request, "Bucket") + "/" + field(request, "Key")
                  + ", wrapped by " + wrap + ", cannot be unwrapped with the key that the object's"
                  + " description " + found.description() + " leads to",
              "That key is of another type, or is not the one that wrapped it, or the object's"
                  + " metadata was changed; `emrkeys inspect URI` shows the"
                  + " envelope.",
              e));
    }
  }

  /**
   * Releases the keys, if no other keyring that is configured alike uses them. {@link #setConf} opens
   * the keyring again; until then every call fails with {@code NOT_CONFIGURED}. S3A closes no
   * keyrings; one that it forgets is released after it was collected.
   */
  @Override
  public void close() {
    ConfiguredProvider old = provider;
    ConfiguredProvider closed = new ConfiguredProvider(Client.S3A, LOG);
    closed.close();
    provider = closed;
    failure = null;
    old.close();
  }

  /** Null where the request is unknown or of a kind without the field. */
  private static String field(S3Request request, String name) {
    return request == null ? null : request.getValueForField(name, String.class).orElse(null);
  }
}
