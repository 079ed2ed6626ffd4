package org.emrkeys;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.KMSEncryptionMaterials;
import java.util.Map;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.KeyMaterials;
import org.emrkeys.provider.ProviderHandle;

/**
 * Gives EMRFS, and any S3 client of the AWS SDK v1 that encrypts on the client's side, the key for
 * each object: by the rules of the configuration when it is written, by its stored description when
 * it is read.
 *
 * <p>Named in {@code fs.s3.cse.encryptionMaterialsProvider}; configured by the {@code emrkeys.*}
 * properties of the Hadoop configuration, or by nothing but the properties of the provider that it
 * replaces. Thread-safe.
 */
public final class S3EncryptionMaterialsProvider
    implements EncryptionMaterialsProvider, Configurable, AutoCloseable {
  private final ConfiguredProvider provider =
      new ConfiguredProvider(Client.S3, Log.of(S3EncryptionMaterialsProvider.class));

  /** A provider that must be configured by {@link #setConf} before it is used. */
  public S3EncryptionMaterialsProvider() {}

  /**
   * Reads the configuration and loads all keys. May be called again; what is under way is not
   * disturbed.
   *
   * <p>The first call in a JVM that succeeds also installs the JCE provider {@link
   * org.emrkeys.jce.EmrKeysProvider}, as {@code emrkeys.jce.install} says; where that fails, it is
   * a warning in the log.
   *
   * @param conf the Hadoop configuration
   * @throws EmrKeysException with every problem found, each naming its property and the remedy;
   *     then the provider stays as it was
   */
  @Override
  public void setConf(Configuration conf) {
    provider.configure(new HadoopSettings(conf));
  }

  /**
   * The configuration in use.
   *
   * @return null before {@link #setConf} succeeded
   */
  @Override
  public Configuration getConf() {
    return provider.configuration();
  }

  /**
   * Reads the same configuration object and all keys again and swaps them in at once.
   *
   * @throws EmrKeysException with every problem found; then what worked before goes on working
   */
  @Override
  public void refresh() {
    provider.refresh();
  }

  /**
   * The materials for a write of which nothing is known: those of {@code emrkeys.default.key}.
   *
   * @return never null
   * @throws EmrKeysException {@code NO_RULE} if there is no default, {@code NOT_CONFIGURED} before
   *     {@link #setConf}
   */
  @Override
  public EncryptionMaterials getEncryptionMaterials() {
    return materials(provider.ask(ProviderHandle::materials));
  }

  /**
   * The materials for a write to the location that the description gives, or for a read of an
   * object with this stored description.
   *
   * @param description as the client hands it over
   * @return null where the description is null and {@code emrkeys.legacy.key} is not set: for a
   *     write the client then asks without an argument, and for a read of an object that has no
   *     description it says that no materials were found
   * @throws EmrKeysException if no key may be used, and why
   */
  @Override
  public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
    KeyMaterials found = provider.ask(handle -> handle.materials(description));
    return found == null ? null : materials(found);
  }

  /**
   * Releases the keys and ends what works for them in the background. {@link #setConf} opens the
   * provider again; until then every call fails with {@code NOT_CONFIGURED}. A provider that is not
   * closed is released after it was collected.
   *
   * <p>The JCE provider stays installed: other clients of the JVM may use it. {@link
   * org.emrkeys.jce.EmrKeysProvider#uninstall} takes it away.
   */
  @Override
  public void close() {
    provider.close();
  }

  private static EncryptionMaterials materials(KeyMaterials found) {
    EncryptionMaterials materials =
        found.match(
            EncryptionMaterials::new, EncryptionMaterials::new, KMSEncryptionMaterials::new);
    // One by one: in SDKs of EMR 5's time addDescriptions replaces what the constructor of KMS
    // materials put in.
    found.description().forEach(materials::addDescription);
    return materials;
  }
}
