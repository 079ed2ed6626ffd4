package org.emrkeys.bench;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.TableKeys;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** One call of the SDK: materials for a request, through the Java shim, JNI and the core, and back. */
@State(Scope.Benchmark)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class MaterialsBenchmark {
  private S3EncryptionMaterialsProvider provider;
  private final Map<String, String> newObject = Site.newObject();
  private Map<String, String> storedObject;
  private final byte[] tableKey = new byte[16];
  private TableKeys tableKeys;
  private String keyName;
  private byte[] wrappedKey;

  /** One provider for all threads, as EMRFS has it. */
  @Setup
  public void open() throws IOException {
    provider = new S3EncryptionMaterialsProvider();
    provider.setConf(new Site().configuration(10));
    storedObject = provider.getEncryptionMaterials(newObject).getMaterialsDescription();
    tableKeys = TableKeys.of(new HadoopSettings(new Site().configuration(10)), Log.of("bench"));
    keyName = storedObject.get("emrkeys.key");
    wrappedKey = wrapTableKey();
  }

  /** A write: the key by rule. */
  @Benchmark
  public EncryptionMaterials encrypt() {
    return provider.getEncryptionMaterials(newObject);
  }

  /** A read: the key by the stored description. */
  @Benchmark
  public EncryptionMaterials decrypt() {
    return provider.getEncryptionMaterials(storedObject);
  }

  /** A key of a Parquet file, wrapped under a key that is named. */
  @Benchmark
  public byte[] wrapTableKey() {
    return tableKeys.wrap("parquet", keyName, tableKey);
  }

  /** The same back. */
  @Benchmark
  public byte[] unwrapTableKey() {
    return tableKeys.unwrap("parquet", keyName, wrappedKey);
  }
}
