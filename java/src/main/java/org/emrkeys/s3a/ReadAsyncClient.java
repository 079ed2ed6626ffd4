package org.emrkeys.s3a;

import java.util.concurrent.CompletableFuture;
import org.emrkeys.EmrKeysException;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.services.s3.DelegatingS3AsyncClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.UploadPartRequest;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/**
 * The client by which S3A copies within S3: ciphertext and envelope move as they are. It neither hands out
 * ciphertext nor writes plaintext. Internal. Thread-safe.
 */
public final class ReadAsyncClient extends DelegatingS3AsyncClient {
  /**
   * A client that copies.
   *
   * @param stored the client of what is stored; closed with this one
   */
  public ReadAsyncClient(S3AsyncClient stored) {
    super(stored);
  }

  private static <T> CompletableFuture<T> failed(EmrKeysException e) {
    CompletableFuture<T> failed = new CompletableFuture<>();
    failed.completeExceptionally(e);
    return failed;
  }

  @Override
  public <T> CompletableFuture<T> getObject(
      GetObjectRequest request, AsyncResponseTransformer<GetObjectResponse, T> transformer) {
    return failed(
        Refusals.lasting(
            EmrKeysException.of(
                "CONTENT_UNSUPPORTED",
                "s3a://" + request.bucket() + "/" + request.key() + " is read by S3A's asynchronous"
                    + " client, which would hand out ciphertext",
                "Set fs.s3a.input.stream.type=classic.",
                null)));
  }

  @Override
  public CompletableFuture<PutObjectResponse> putObject(
      PutObjectRequest request, AsyncRequestBody body) {
    return failed(ReadClient.refusal(request.bucket(), request.key()));
  }

  @Override
  public CompletableFuture<UploadPartResponse> uploadPart(
      UploadPartRequest request, AsyncRequestBody body) {
    return failed(ReadClient.refusal(request.bucket(), request.key()));
  }
}
