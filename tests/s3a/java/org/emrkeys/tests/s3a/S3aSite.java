package org.emrkeys.tests.s3a;

import com.amazonaws.util.IOUtils;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;

/**
 * A core-site that has S3A encrypt by emrkeys on the local servers. The keys and rules are those of a
 * {@link Site}: a cluster that moves from EMRFS takes them along.
 */
final class S3aSite {
  static final String KEYRING = "fs.s3a.encryption.cse.custom.keyring.class.name";
  static final String INTERCEPTORS = "fs.s3a.audit.execution.interceptors";

  private S3aSite() {}

  /** Configures S3A, with the emrkeys properties of {@code site}. */
  static Configuration of(Site site) throws IOException {
    Configuration conf = new Configuration();
    site.configuration().forEach(property -> conf.set(property.getKey(), property.getValue()));
    // Of EMRFS's own properties S3A knows nothing.
    conf.unset("fs.s3.cse.enabled");
    conf.set("fs.s3a.encryption.algorithm", "CSE-CUSTOM");
    conf.set(KEYRING, "org.emrkeys.S3AKeyring");
    conf.set(INTERCEPTORS, "org.emrkeys.S3AReadInterceptor");
    // Hadoop 3.4.3's own choice knows nothing of encryption: it misses the tag at the end of each object.
    conf.set("fs.s3a.input.stream.type", "classic");
    conf.set("fs.s3a.endpoint", Stack.aws().endpoint());
    conf.set("fs.s3a.endpoint.region", LocalAws.REGION);
    conf.set("fs.s3a.access.key", "test");
    conf.set("fs.s3a.secret.key", "test");
    conf.setBoolean("fs.s3a.path.style.access", true);
    conf.setBoolean("fs.s3a.connection.ssl.enabled", false);
    conf.setInt("fs.s3a.multipart.size", 5 << 20);
    conf.setInt("fs.s3a.multipart.threshold", 5 << 20);
    // A read that fails is not tried for long.
    conf.setInt("fs.s3a.attempts.maximum", 1);
    conf.setInt("fs.s3a.retry.limit", 1);
    conf.set("fs.s3a.retry.interval", "10ms");
    conf.set("fs.s3a.connection.acquisition.timeout", "10s");
    conf.set("fs.s3a.fast.upload.buffer", "bytebuffer");
    conf.set("fs.defaultFS", "file:///");
    conf.set("hadoop.tmp.dir", System.getProperty("java.io.tmpdir") + "/emrkeys-s3a");
    return conf;
  }

  /**
   * A file system of its own, so that nothing is shared with other tests. It is left open: closing
   * one takes seconds in which the SDK's asynchronous client waits for quiet, and its threads end
   * with the JVM.
   */
  static FileSystem fileSystem(Configuration conf, String bucket) throws IOException {
    return FileSystem.newInstance(URI.create("s3a://" + bucket), conf);
  }

  static void write(FileSystem files, String path, byte[] content) throws IOException {
    try (OutputStream out = files.create(new Path(path))) {
      out.write(content);
    }
  }

  static byte[] read(FileSystem files, String path) throws IOException {
    try (FSDataInputStream in = files.open(new Path(path))) {
      return IOUtils.toByteArray(in);
    }
  }

  /** Whether the S3 Encryption Client under test writes, and only reads, objects that commit to their data key. */
  static boolean writesCommitment() {
    return System.getProperty("emrkeys.test.stack").startsWith("4.");
  }

  /** The message of {@code thrown} and of all its causes. */
  static String messages(Throwable thrown) {
    StringBuilder text = new StringBuilder();
    for (Throwable at = thrown; at != null; at = at.getCause()) {
      text.append(at).append('\n');
    }
    return text.toString();
  }
}
