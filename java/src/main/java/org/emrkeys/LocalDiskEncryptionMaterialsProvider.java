package org.emrkeys;

import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionContext;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterials;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterialsProvider;
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
 * Gives EMR the key of the cluster's local disks: always the one of {@code emrkeys.local-disk.key},
 * which is symmetric.
 *
 * <p>The name of the key's algorithm follows the EMR release ({@code
 * emrkeys.local-disk.emr-release}). Thread-safe.
 */
public final class LocalDiskEncryptionMaterialsProvider extends EncryptionMaterialsProvider
    implements Configurable, AutoCloseable {
  private final ConfiguredProvider provider =
      new ConfiguredProvider(
          Client.LOCAL_DISK, Log.of(LocalDiskEncryptionMaterialsProvider.class));

  /** A provider that must be configured by {@link #setConf} before it is used. */
  public LocalDiskEncryptionMaterialsProvider() {}

  /**
   * Reads the configuration and loads the key. May be called again; what is under way is not
   * disturbed.
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
   * Reads the same configuration object and the key again and swaps it in at once.
   *
   * @throws EmrKeysException with every problem found; then what worked before goes on working
   */
  public void refresh() {
    provider.refresh();
  }

  /**
   * The key for new volumes.
   *
   * @param context what EMR says of the volume; the key does not depend on it
   * @return never null
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #setConf}
   */
  @Override
  public EncryptionMaterials getEncryptionMaterials(EncryptionContext context) {
    return materials(provider.ask(ProviderHandle::materials));
  }

  /**
   * The key for a description that materials of this class had.
   *
   * @param description as it was stored; null or empty is a new volume
   * @return never null
   * @throws EmrKeysException if the description is of no version of the key
   */
  @Override
  public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
    return materials(provider.ask(handle -> handle.materials(description)));
  }

  /**
   * Releases the key and ends what works for it in the background. {@link #setConf} opens the
   * provider again; until then every call fails with {@code NOT_CONFIGURED}. A provider that is not
   * closed is released after it was collected.
   */
  @Override
  public void close() {
    provider.close();
  }

  private static EncryptionMaterials materials(KeyMaterials found) {
    return found
        .match(EncryptionMaterials::new, pair -> notSymmetric(), kms -> notSymmetric())
        .withDescriptions(found.description());
  }

  /** The core refuses such a key at start already. */
  private static EncryptionMaterials notSymmetric() {
    throw EmrKeysException.of(
        "KEY_NOT_SYMMETRIC",
        "the key of local disks is not symmetric",
        "Set emrkeys.local-disk.key to one that is.",
        null);
  }
}
