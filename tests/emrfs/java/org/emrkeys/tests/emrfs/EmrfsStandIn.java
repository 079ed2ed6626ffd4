package org.emrkeys.tests.emrfs;

import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3EncryptionClient;
import com.amazonaws.services.s3.AmazonS3EncryptionClientBuilder;
import com.amazonaws.services.s3.model.CompleteMultipartUploadRequest;
import com.amazonaws.services.s3.model.CopyObjectRequest;
import com.amazonaws.services.s3.model.CryptoConfiguration;
import com.amazonaws.services.s3.model.CryptoStorageMode;
import com.amazonaws.services.s3.model.EncryptedInitiateMultipartUploadRequest;
import com.amazonaws.services.s3.model.EncryptedPutObjectRequest;
import com.amazonaws.services.s3.model.EncryptionMaterials;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.GetObjectRequest;
import com.amazonaws.services.s3.model.InitiateMultipartUploadRequest;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.PartETag;
import com.amazonaws.services.s3.model.PutInstructionFileRequest;
import com.amazonaws.services.s3.model.PutObjectRequest;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.services.s3.model.S3ObjectId;
import com.amazonaws.services.s3.model.UploadPartRequest;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.security.Security;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.util.ReflectionUtils;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Stands in for EMRFS, whose source is closed and which cannot be had outside Amazon EMR.
 *
 * <p>It does what EMRFS is known to do with a key provider: it makes the class that {@value #PROVIDER}
 * names by Hadoop's {@link ReflectionUtils#newInstance}, which hands over the configuration; it passes
 * {@code Path}, {@code DstPath} and {@code JobflowId} on writes where {@value #DESCRIPTION} is true; and it
 * gives the provider to the AWS SDK's own encryption clients, which it does not change in any way.
 *
 * <p>It cannot show: the relocated package name of EMRFS's SDK, EMRFS's retries, consistent view, output
 * committers and multipart thresholds, which crypto mode an EMR release chooses, whether EMRFS passes the
 * location percent-encoded, and anything of IAM. {@code tests/README.md} says more.
 *
 * <p>Thread-safe where the provider is.
 */
public final class EmrfsStandIn implements Closeable {
  public static final String PROVIDER = "fs.s3.cse.encryptionMaterialsProvider";
  public static final String DESCRIPTION = "fs.s3.cse.materialsDescription.enabled";
  public static final String STORAGE_MODE = "fs.s3.cse.cryptoStorageMode";
  public static final String ENCRYPTION_V2 = "fs.s3.cse.encryptionV2.enabled";

  /** From which size on EMRFS uploads in parts, and their size, in bytes. */
  public static final String SPLIT_SIZE = "fs.s3n.multipart.uploads.split.size";

  /** EMRFS's default of {@value #SPLIT_SIZE}, as a public listing of its classes has it. */
  public static final int DEFAULT_SPLIT_SIZE = 128 << 20;

  /** The least size of a part but the last; a multiple of the cipher's block as the clients demand. */
  public static final int PART_SIZE = 5 << 20;

  private static final String INSTRUCTION_SUFFIX = ".instruction";

  static {
    // The clients ask for AES/GCM from the provider named "BC". EMR has Bouncy Castle on its class path.
    if (Security.getProvider(BouncyCastleProvider.PROVIDER_NAME) == null) {
      Security.addProvider(new BouncyCastleProvider());
    }
  }

  private final EncryptionMaterialsProvider provider;
  private final AmazonS3 client;
  private final boolean describes;
  private final int splitSize;
  private final String jobFlowId;

  /**
   * Makes the provider and the client.
   *
   * @param conf emrfs-site and core-site in one, as EMRFS has them
   * @param mode must agree with {@value #ENCRYPTION_V2}; see {@link Mode#applyTo}
   * @param jobFlowId the cluster's id, {@code j-…}
   * @throws RuntimeException whatever the provider's {@code setConf} throws
   */
  public EmrfsStandIn(LocalAws aws, Configuration conf, Mode mode, String jobFlowId) {
    if (conf.getBoolean(ENCRYPTION_V2, false) != mode.isV2()) {
      throw new IllegalArgumentException(ENCRYPTION_V2 + " says otherwise than " + mode);
    }
    Class<? extends EncryptionMaterialsProvider> type =
        conf.getClass(PROVIDER, null, EncryptionMaterialsProvider.class);
    if (type == null) {
      throw new IllegalArgumentException(PROVIDER + " is not set");
    }
    this.provider = ReflectionUtils.newInstance(type, conf);
    this.describes = conf.getBoolean(DESCRIPTION, false);
    this.splitSize = conf.getInt(SPLIT_SIZE, DEFAULT_SPLIT_SIZE);
    this.jobFlowId = jobFlowId;
    CryptoStorageMode storage =
        CryptoStorageMode.valueOf(
            conf.get(STORAGE_MODE, CryptoStorageMode.ObjectMetadata.toString()));
    this.client =
        mode.isV2()
            ? V2Client.create(aws, provider, mode, storage)
            : aws.configure(AmazonS3EncryptionClientBuilder.standard())
                .withEncryptionMaterials(provider)
                .withCryptoConfiguration(
                    new CryptoConfiguration(mode.cryptoMode()).withStorageMode(storage))
                .withKmsClient(aws.kms())
                .build();
  }

  /** The provider under test, as {@link ReflectionUtils} made it. */
  public EncryptionMaterialsProvider provider() {
    return provider;
  }

  /**
   * Writes an object as EMRFS does: in one request, whose envelope keeps the length of the content, or beyond {@value
   * #SPLIT_SIZE} in parts, whose envelope does not.
   */
  public void write(String uri, InputStream content, long length) {
    if (length <= splitSize) {
      put(uri, content, length);
    } else {
      putMultipart(uri, content, length, splitSize);
    }
  }

  /** Writes an object in one request. */
  public void put(String uri, byte[] content) {
    put(uri, new ByteArrayInputStream(content), content.length, describe(uri, null));
  }

  /** Writes an object of {@code length} bytes in one request. */
  public void put(String uri, InputStream content, long length) {
    put(uri, content, length, describe(uri, null));
  }

  private void put(String uri, InputStream content, long length, Map<String, String> description) {
    S3Uri to = S3Uri.parse(uri);
    ObjectMetadata metadata = new ObjectMetadata();
    metadata.setContentLength(length);
    if (description == null) {
      client.putObject(new PutObjectRequest(to.bucket, to.key, content, metadata));
    } else {
      EncryptedPutObjectRequest request =
          new EncryptedPutObjectRequest(to.bucket, to.key, content, metadata);
      request.setMaterialsDescription(description);
      client.putObject(request);
    }
  }

  /** Writes an object in parts of {@link #PART_SIZE}, one after the other as encryption demands. */
  public void putMultipart(String uri, byte[] content) {
    putMultipart(uri, new ByteArrayInputStream(content), content.length, PART_SIZE);
  }

  private void putMultipart(String uri, InputStream content, long length, int partSize) {
    S3Uri to = S3Uri.parse(uri);
    Map<String, String> description = describe(uri, null);
    InitiateMultipartUploadRequest initiate;
    if (description == null) {
      initiate = new InitiateMultipartUploadRequest(to.bucket, to.key);
    } else {
      EncryptedInitiateMultipartUploadRequest encrypted =
          new EncryptedInitiateMultipartUploadRequest(to.bucket, to.key);
      encrypted.setMaterialsDescription(description);
      initiate = encrypted;
    }
    String upload = client.initiateMultipartUpload(initiate).getUploadId();
    List<PartETag> parts = new ArrayList<>();
    long offset = 0;
    do {
      long size = Math.min(partSize, length - offset);
      UploadPartRequest part =
          new UploadPartRequest()
              .withBucketName(to.bucket)
              .withKey(to.key)
              .withUploadId(upload)
              .withPartNumber(parts.size() + 1)
              .withPartSize(size)
              .withInputStream(new BoundedInputStream(content, size))
              .withLastPart(offset + size == length);
      parts.add(client.uploadPart(part).getPartETag());
      offset += size;
    } while (offset < length);
    client.completeMultipartUpload(
        new CompleteMultipartUploadRequest(to.bucket, to.key, upload, parts));
  }

  /** Reads an object whole. */
  public byte[] get(String uri) throws IOException {
    try (InputStream content = open(uri)) {
      return readAll(content);
    }
  }

  /** Opens an object for reading; the caller closes the stream. */
  public InputStream open(String uri) {
    S3Uri from = S3Uri.parse(uri);
    return client.getObject(new GetObjectRequest(from.bucket, from.key)).getObjectContent();
  }

  /** Reads the bytes {@code first} to {@code last}, both included. */
  public byte[] getRange(String uri, long first, long last) throws IOException {
    S3Uri from = S3Uri.parse(uri);
    GetObjectRequest request = new GetObjectRequest(from.bucket, from.key).withRange(first, last);
    try (S3Object object = client.getObject(request)) {
      return readAll(object.getObjectContent());
    }
  }

  /**
   * Copies within S3, which is also how a rename begins: ciphertext and envelope move as they are and no
   * key is asked for, so the copy keeps the key of its source.
   */
  public void copy(String fromUri, String toUri) {
    S3Uri from = S3Uri.parse(fromUri);
    S3Uri to = S3Uri.parse(toUri);
    client.copyObject(new CopyObjectRequest(from.bucket, from.key, to.bucket, to.key));
    String instruction = from.key + INSTRUCTION_SUFFIX;
    if (client.doesObjectExist(from.bucket, instruction)) {
      client.copyObject(
          new CopyObjectRequest(from.bucket, instruction, to.bucket, to.key + INSTRUCTION_SUFFIX));
    }
  }

  /**
   * Copies by reading and writing, with {@code Path} and {@code DstPath} in the description. That EMRFS
   * knows both names is known; that it uses them in this way is our reading.
   */
  public void copyThroughClient(String fromUri, String toUri) throws IOException {
    byte[] content = get(fromUri);
    put(toUri, new ByteArrayInputStream(content), content.length, describe(fromUri, toUri));
  }

  /**
   * Re-wraps an object's data key as the SDK can: its client writes an instruction file with a new
   * envelope. It asks the provider for the old key with the stored description, and for the new one
   * with {@code description}.
   */
  public void putInstructionFile(String uri, Map<String, String> description) {
    S3Uri at = S3Uri.parse(uri);
    S3ObjectId id = new S3ObjectId(at.bucket, at.key);
    // The suffix of instruction files that reads look for by themselves.
    put(new PutInstructionFileRequest(id, description, "instruction"));
  }

  /** As above, with the materials of the new key in place of a description. */
  public void putInstructionFile(String uri, EncryptionMaterials materials) {
    S3Uri at = S3Uri.parse(uri);
    put(new PutInstructionFileRequest(new S3ObjectId(at.bucket, at.key), materials, "instruction"));
  }

  private void put(PutInstructionFileRequest request) {
    if (client instanceof AmazonS3EncryptionClient) {
      ((AmazonS3EncryptionClient) client).putInstructionFile(request);
    } else {
      V2Client.putInstructionFile(client, request);
    }
  }

  private Map<String, String> describe(String path, String destination) {
    if (!describes) {
      return null;
    }
    Map<String, String> description = new LinkedHashMap<>();
    description.put("Path", path);
    if (destination != null) {
      description.put("DstPath", destination);
    }
    description.put("JobflowId", jobFlowId);
    return description;
  }

  static byte[] readAll(InputStream in) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    byte[] buffer = new byte[64 * 1024];
    for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
      out.write(buffer, 0, n);
    }
    return out.toByteArray();
  }

  /** Shuts the client down, and the provider where it can be closed. */
  @Override
  public void close() throws IOException {
    client.shutdown(); // leaves the KMS client alone, which it did not make
    if (provider instanceof Closeable) {
      ((Closeable) provider).close();
    }
  }
}
