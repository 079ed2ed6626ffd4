package org.emrkeys.tests.emrfs;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;

/**
 * A provider without emrkeys: hands out fixed materials, as {@code StaticEncryptionMaterialsProvider} and
 * {@code KMSEncryptionMaterialsProvider} do, and as AWS's RSA provider does with its one key pair. It
 * writes what emrkeys must read, reads what emrkeys wrote, and records how it is called.
 *
 * <p>The class is made by name, so materials come through a registry: {@link #install}.
 */
public final class PlainProvider implements EncryptionMaterialsProvider, Configurable {
  private static final String NAME = "test.plain-provider.name";
  private static final Map<String, EncryptionMaterials> MATERIALS = new ConcurrentHashMap<>();

  private final List<Map<String, String>> calls =
      Collections.synchronizedList(new ArrayList<Map<String, String>>());
  private Configuration conf;
  private EncryptionMaterials materials;

  /** Makes {@code site} use this class with {@code materials}. */
  public static Site install(Site site, EncryptionMaterials materials) {
    String name = "materials-" + System.identityHashCode(materials) + "-" + MATERIALS.size();
    MATERIALS.put(name, materials);
    return site.provider(PlainProvider.class).set(NAME, name);
  }

  /** The maps that came in, null for a call without one. */
  public List<Map<String, String>> calls() {
    return calls;
  }

  @Override
  public void setConf(Configuration conf) {
    this.conf = conf;
    this.materials = conf == null ? null : MATERIALS.get(conf.get(NAME));
  }

  @Override
  public Configuration getConf() {
    return conf;
  }

  @Override
  public EncryptionMaterials getEncryptionMaterials() {
    calls.add(null);
    return materials;
  }

  @Override
  public EncryptionMaterials getEncryptionMaterials(Map<String, String> description) {
    calls.add(description == null ? null : new HashMap<>(description));
    return materials;
  }

  @Override
  public void refresh() {}
}
