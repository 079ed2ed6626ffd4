package org.emrkeys.s3a;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.emrkeys.EmrKeysException;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.services.s3.DelegatingS3Client;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CreateMultipartUploadRequest;
import software.amazon.awssdk.services.s3.model.CreateMultipartUploadResponse;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.HeadObjectRequest;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.ListObjectsRequest;
import software.amazon.awssdk.services.s3.model.ListObjectsResponse;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Request;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Response;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.model.UploadPartRequest;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/**
 * An S3 client to which encrypted objects look as they were before encryption: content, ranges, lengths.
 * Internal. Thread-safe.
 *
 * <p>A range asks S3 for whole blocks and the one before them, so that the answer can be decrypted
 * whatever it turns out to be: its metadata, which come with it, decide.
 */
public final class ReadClient extends DelegatingS3Client {
  /** Requests for the envelopes of listed objects at the same time, of all clients of the JVM. */
  private static final int LOOKING = 32;

  private static final int HTTP_RANGE = 416;

  private static final ExecutorService LOOKS = looks();

  private final S3Client stored;
  private final ContentKeys keys;

  /**
   * A client that decrypts.
   *
   * @param stored the client of what is stored; closed with this one
   * @param keys of the content
   */
  public ReadClient(S3Client stored, ContentKeys keys) {
    super(stored);
    this.stored = stored;
    this.keys = keys;
  }

  private static ExecutorService looks() {
    ThreadPoolExecutor pool =
        new ThreadPoolExecutor(
            LOOKING,
            LOOKING,
            10,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            work -> {
              Thread thread = new Thread(work, "emrkeys-lengths");
              thread.setDaemon(true);
              return thread;
            });
    pool.allowCoreThreadTimeOut(true);
    return pool;
  }

  @Override
  public HeadObjectResponse headObject(HeadObjectRequest request) {
    HeadObjectResponse head = stored.headObject(request);
    long length =
        keys.length(
            new ContentKeys.Version(request.bucket(), request.key(), head.eTag()),
            head.contentLength(),
            head.metadata());
    return head.toBuilder().contentLength(length).build();
  }

  @Override
  public ListObjectsV2Response listObjectsV2(ListObjectsV2Request request) {
    ListObjectsV2Response page = stored.listObjectsV2(request);
    return page.toBuilder().contents(corrected(request.bucket(), page.contents())).build();
  }

  @Override
  public ListObjectsResponse listObjects(ListObjectsRequest request) {
    ListObjectsResponse page = stored.listObjects(request);
    return page.toBuilder().contents(corrected(request.bucket(), page.contents())).build();
  }

  /** The objects with the lengths of their content, without instruction files. */
  private List<S3Object> corrected(String bucket, List<S3Object> objects) {
    List<Future<Long>> lengths = new ArrayList<>();
    for (S3Object object : objects) {
      ContentKeys.Version version =
          new ContentKeys.Version(bucket, object.key(), object.eTag());
      lengths.add(LOOKS.submit(() -> keys.listed(version, object.size())));
    }
    List<S3Object> corrected = new ArrayList<>();
    try {
      for (int i = 0; i < objects.size(); i++) {
        long length = lengths.get(i).get();
        if (length >= 0) {
          corrected.add(objects.get(i).toBuilder().size(length).build());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw AbortedException.create("interrupted while the lengths of listed objects are read", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException) {
        throw (RuntimeException) e.getCause();
      }
      throw new IllegalStateException(e.getCause());
    } finally {
      lengths.forEach(length -> length.cancel(true));
    }
    return corrected;
  }

  @Override
  public <T> T getObject(
      GetObjectRequest request, ResponseTransformer<GetObjectResponse, T> transformer) {
    ByteRange asked = ByteRange.parse(request.range());
    ByteRange widened = asked.widened();
    GetObjectRequest wanted =
        asked.isWhole() ? request : request.toBuilder().range(widened.toString()).build();
    ResponseInputStream<GetObjectResponse> body = stored.getObject(wanted);
    try {
      GetObjectResponse response = body.response();
      ContentKeys.Version object =
          new ContentKeys.Version(request.bucket(), request.key(), response.eTag());
      long size = ByteRange.sizeOf(response);
      ByteRange range =
          asked.within(keys.length(object, size, response.metadata())).orElseThrow(this::behindEnd);
      Optional<ContentKey> key = keys.key(object, response.metadata());
      InputStream content = DecryptedStream.of(body, key, widened.first(), range);
      GetObjectResponse.Builder described = response.toBuilder().contentLength(range.length());
      if (!asked.isWhole()) {
        described.contentRange("bytes " + range.first() + "-" + range.last() + "/*");
      }
      return transformer.transform(
          described.build(), AbortableInputStream.create(content, body::abort));
    } catch (Exception e) {
      body.abort();
      if (e instanceof RuntimeException) {
        throw (RuntimeException) e;
      }
      if (e instanceof IOException) {
        throw new UncheckedIOException((IOException) e);
      }
      throw new IllegalStateException(e);
    }
  }

  private RuntimeException behindEnd() {
    return S3Exception.builder()
        .statusCode(HTTP_RANGE)
        .message("the range begins behind the end of the content")
        .build();
  }

  @Override
  public PutObjectResponse putObject(PutObjectRequest request, RequestBody body) {
    // Markers of directories have no content.
    if (body.optionalContentLength().orElse(-1L) != 0) {
      throw refusal(request.bucket(), request.key());
    }
    return stored.putObject(request, body);
  }

  @Override
  public CreateMultipartUploadResponse createMultipartUpload(
      CreateMultipartUploadRequest request) {
    throw refusal(request.bucket(), request.key());
  }

  @Override
  public UploadPartResponse uploadPart(UploadPartRequest request, RequestBody body) {
    throw refusal(request.bucket(), request.key());
  }

  /** Why content is not written. */
  static EmrKeysException refusal(String bucket, String key) {
    return Refusals.lasting(
        EmrKeysException.of(
            "CONTENT_UNSUPPORTED",
            "s3a://" + bucket + "/" + key + " is not written: org.emrkeys.S3AReadClientFactory only"
                + " reads, and S3A would store plaintext",
            "Write to a bucket with fs.s3a.bucket.NAME.encryption.algorithm=CSE-CUSTOM and without"
                + " this client factory.",
            null));
  }
}
