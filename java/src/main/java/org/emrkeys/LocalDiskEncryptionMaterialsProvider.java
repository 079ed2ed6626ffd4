package org.emrkeys;

import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionContext;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterials;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterialsProvider;
import java.util.Map;
import org.apache.commons.logging.LogFactory;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.KeyMaterials;
import org.emrkeys.provider.Usage;

/**
 * Gives EMR the key of the cluster's local disks: always the one of {@code emrkeys.local-disk.key},
 * which is symmetric.
 *
 * <p>The name of the key's algorithm follows the EMR release ({@code
 * emrkeys.local-disk.emr-release}). Thread-safe.
 */
public final class LocalDiskEncryptionMaterialsProvider extends EncryptionMaterialsProvider
    implements Configurable {
  private final ConfiguredProvider provider =
      new ConfiguredProvider(
          Usage.LOCAL_DISK, LogFactory.getLog(LocalDiskEncryptionMaterialsProvider.class));

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
    provider.configure(conf);
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
    return materials(provider.materials());
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
    return materials(provider.materials(description));
  }

  private static EncryptionMaterials materials(KeyMaterials found) {
    if (found.secretKey() == null) {
      // The core refuses this at start; whoever changes that must not make it a null key.
      throw EmrKeysException.of(
          "KEY_NOT_SYMMETRIC",
          "the key of local disks is not symmetric",
          "Set emrkeys.local-disk.key to one that is.",
          null);
    }
    return new EncryptionMaterials(found.secretKey()).withDescriptions(found.description());
  }
}
