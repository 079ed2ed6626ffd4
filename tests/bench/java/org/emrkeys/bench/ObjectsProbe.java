package org.emrkeys.bench;

import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3ClientBuilder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientBuilder;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2Builder;
import com.amazonaws.services.s3.model.CryptoConfiguration;
import com.amazonaws.services.s3.model.CryptoConfigurationV2;
import com.amazonaws.services.s3.model.CryptoMode;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.S3Object;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.S3EncryptionMaterialsProvider;

/**
 * One put or get in a JVM of its own, after two small ones: {@code put|get BYTES
 * emrkeys|stock|plain|emrkeys-cbc|stock-cbc PORT}.
 *
 * <p>Prints wall seconds, CPU seconds, peak heap bytes, peak resident bytes.
 */
public final class ObjectsProbe {
  private static final int WARM_UP = 16 << 20;
  private static final String BUCKET = "bench";

  /** The same for all, so that what one JVM puts the next one gets. */
  private static final byte[] KEY = "thirty-two bytes that are a key.".getBytes(StandardCharsets.US_ASCII);

  private ObjectsProbe() {}

  public static void main(String[] args) throws Exception {
    boolean put = args[0].equals("put");
    long size = Long.parseLong(args[1]);
    AmazonS3 s3 = client(args[2], "http://127.0.0.1:" + args[3]);
    String name = args[2] + "-" + size;
    // The encryption client reads from the connection in pieces of 2 KiB whatever it is asked for; without it we do, so
    // that what is left is what no cipher can change.
    int pieces = args[2].equals("plain") ? 2 << 10 : 64 << 10;
    for (int i = 0; i < 2; i++) {
      put(s3, "warm-" + name, WARM_UP);
      get(s3, "warm-" + name, WARM_UP, pieces, true);
    }
    System.gc();
    ManagementFactory.getMemoryPoolMXBeans().forEach(MemoryPoolMXBean::resetPeakUsage);
    OperatingSystemMXBean system =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = system.getProcessCpuTime();
    long start = System.nanoTime();
    if (put) {
      put(s3, name, size);
    } else {
      get(s3, name, size, pieces, false);
    }
    double wall = (System.nanoTime() - start) / 1e9;
    System.out.println(
        wall + " " + (system.getProcessCpuTime() - cpu) / 1e9 + " " + peakHeap() + " " + peakResident());
  }

  private static AmazonS3 client(String provider, String endpoint) throws IOException {
    AWSStaticCredentialsProvider credentials =
        new AWSStaticCredentialsProvider(new BasicAWSCredentials("test", "test"));
    EndpointConfiguration server = new EndpointConfiguration(endpoint, "us-east-1");
    if (provider.equals("plain")) {
      return AmazonS3ClientBuilder.standard()
          .withCredentials(credentials)
          .withEndpointConfiguration(server)
          .withPathStyleAccessEnabled(true)
          .build();
    }
    Configuration conf = new Site(KEY).configuration(1);
    conf.set("emrkeys.jce.install", provider.startsWith("emrkeys") ? "first" : "off");
    S3EncryptionMaterialsProvider materials = new S3EncryptionMaterialsProvider();
    materials.setConf(conf);
    if (provider.endsWith("-cbc")) {
      return AmazonS3EncryptionClientBuilder.standard()
          .withCredentials(credentials)
          .withEndpointConfiguration(server)
          .withPathStyleAccessEnabled(true)
          .withEncryptionMaterials(materials)
          .withCryptoConfiguration(new CryptoConfiguration(CryptoMode.EncryptionOnly))
          .build();
    }
    return AmazonS3EncryptionClientV2Builder.standard()
        .withCredentials(credentials)
        .withEndpointConfiguration(server)
        .withPathStyleAccessEnabled(true)
        .withEncryptionMaterialsProvider(materials)
        .withCryptoConfiguration(
            new CryptoConfigurationV2(CryptoMode.StrictAuthenticatedEncryption))
        .build();
  }

  private static void put(AmazonS3 s3, String name, long size) {
    ObjectMetadata metadata = new ObjectMetadata();
    metadata.setContentLength(size);
    s3.putObject(BUCKET, name, new Pattern(size), metadata);
  }

  private static void get(AmazonS3 s3, String name, long size, int pieces, boolean compare)
      throws IOException {
    byte[] buffer = new byte[pieces];
    long at = 0;
    try (S3Object object = s3.getObject(BUCKET, name);
        InputStream in = object.getObjectContent()) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        for (int i = 0; compare && i < n; i++) {
          if (buffer[i] != Pattern.at(at + i)) {
            throw new IOException("not what was put");
          }
        }
        at += n;
      }
    }
    if (at != size) {
      throw new IOException(at + " bytes of " + size);
    }
  }

  /** Bytes that need no memory, and can be read again where the SDK has to. */
  private static final class Pattern extends InputStream {
    private static final int PERIOD = 64 << 10;
    private static final byte[] BYTES = new byte[2 * PERIOD];

    static {
      for (int i = 0; i < BYTES.length; i++) {
        BYTES[i] = at(i);
      }
    }

    private final long size;
    private long position;
    private long marked;

    Pattern(long size) {
      this.size = size;
    }

    static byte at(long position) {
      int i = (int) (position % PERIOD);
      return (byte) (i * 31 ^ i >> 8);
    }

    @Override
    public int read() {
      return position == size ? -1 : at(position++) & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) {
      if (position == size) {
        return -1;
      }
      int now = (int) Math.min(Math.min(length, PERIOD), size - position);
      System.arraycopy(BYTES, (int) (position % PERIOD), buffer, offset, now);
      position += now;
      return now;
    }

    @Override
    public boolean markSupported() {
      return true;
    }

    @Override
    public void mark(int limit) {
      marked = position;
    }

    @Override
    public void reset() {
      position = marked;
    }
  }

  private static long peakHeap() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .mapToLong(pool -> pool.getPeakUsage().getUsed())
        .sum();
  }

  private static long peakResident() throws IOException {
    for (String line : Files.readAllLines(Paths.get("/proc/self/status"), StandardCharsets.UTF_8)) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    throw new IOException("/proc/self/status has no VmHWM");
  }
}
