package org.emrkeys;

import java.nio.ByteBuffer;
import java.util.Optional;
import org.reactivestreams.Publisher;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;

/**
 * Keeps reads of S3A from ending before they begin.
 *
 * <p>Named in {@code fs.s3a.audit.execution.interceptors}. To decrypt a part of an object, the S3
 * Encryption Client asks for up to 31 bytes more before it, and skips them. If the body of the answer
 * arrives in pieces of which the first is shorter than that, the client takes it for the end: the
 * reader finds the end of the file where there is none. Where the first piece ends depends on the
 * length of the headers, buffers and the network. All releases up to 4.0.1 have this defect (<a
 * href="https://github.com/aws/amazon-s3-encryption-client-java/issues/517">issue 517</a>, class
 * {@code AdjustedRangeSubscriber}).
 *
 * <p>This class joins the first pieces of such an answer until there are 32 bytes. Nothing else about
 * requests and answers changes. Stateless; thread-safe.
 */
public final class S3AReadInterceptor implements ExecutionInterceptor {
  /** The most that is skipped is one block of AES and what comes before the range in the next: 31 bytes. */
  private static final int FIRST_PIECE_BYTES = 32;

  /** For S3A, which makes it by name. */
  public S3AReadInterceptor() {}

  @Override
  public Optional<Publisher<ByteBuffer>> modifyAsyncHttpResponseContent(
      Context.ModifyHttpResponse context, ExecutionAttributes attributes) {
    SdkRequest request = context.request();
    Optional<Publisher<ByteBuffer>> content = context.responsePublisher();
    if (!(request instanceof GetObjectRequest) || ((GetObjectRequest) request).range() == null) {
      return content;
    }
    return content.map(pieces -> reader -> pieces.subscribe(new Joining(reader)));
  }

  /** One answer. Its methods are never called at the same time (Reactive Streams, 1.3). */
  private static final class Joining implements Subscriber<ByteBuffer> {
    private final Subscriber<? super ByteBuffer> reader;
    private Subscription pieces;
    private ByteBuffer held = ByteBuffer.allocate(0);
    private boolean begun;

    Joining(Subscriber<? super ByteBuffer> reader) {
      this.reader = reader;
    }

    @Override
    public void onSubscribe(Subscription subscription) {
      pieces = subscription;
      reader.onSubscribe(subscription);
    }

    @Override
    public void onNext(ByteBuffer piece) {
      if (begun) {
        reader.onNext(piece);
        return;
      }
      ByteBuffer joined = ByteBuffer.allocate(held.remaining() + piece.remaining());
      joined.put(held).put(piece).flip();
      held = joined;
      if (joined.remaining() < FIRST_PIECE_BYTES) {
        pieces.request(1); // in place of this one, which the reader asked for and has not got
        return;
      }
      begun = true;
      reader.onNext(joined);
    }

    @Override
    public void onError(Throwable thrown) {
      reader.onError(thrown);
    }

    @Override
    public void onComplete() {
      if (!begun && held.hasRemaining()) {
        begun = true;
        reader.onNext(held);
      }
      reader.onComplete();
    }
  }
}
