package org.emrkeys.bench;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.emrkeys.S3EncryptionMaterialsProvider;
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

  /** One provider for all threads, as EMRFS has it. */
  @Setup
  public void open() throws IOException {
    provider = new S3EncryptionMaterialsProvider();
    provider.setConf(new Site().configuration(10));
    storedObject = provider.getEncryptionMaterials(newObject).getMaterialsDescription();
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
}
