package org.emrkeys;

import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.s3a.Refusals;
import org.emrkeys.s3a.StoredForm;
import org.reactivestreams.Publisher;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.core.ClientType;
import software.amazon.awssdk.core.SdkRequest;
import software.amazon.awssdk.core.SdkResponse;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;

/**
 * Corrects and refuses reads of S3A that would otherwise end too early or give wrong data.
 *
 * <p>Named in {@code fs.s3a.audit.execution.interceptors}. Stateless but for the configuration;
 * thread-safe. It changes nothing else about requests and answers.
 *
 * <p><b>Short first pieces.</b> To decrypt a part of an object, the S3 Encryption Client asks for up
 * to 31 bytes more before it, and skips them. If the body of the answer arrives in pieces of which
 * the first is shorter than that, the client takes it for the end: the reader finds the end of the
 * file too early. Where the first piece ends depends on the length of the headers, buffers
 * and the network. All releases up to 4.0.1 have this defect (<a
 * href="https://github.com/aws/amazon-s3-encryption-client-java/issues/517">issue 517</a>, class
 * {@code AdjustedRangeSubscriber}). This class joins the first pieces of such an answer until there
 * are 32 bytes.
 *
 * <p><b>Lengths.</b> S3A takes 16 bytes from the length of every object. The padding of AES-CBC has 1
 * to 16: an object of 1 to 15 bytes in AES-CBC is empty to S3A, which then reads nothing and reports
 * nothing. In the answer that S3A makes a status of, this class corrects the length by the one that the
 * writer stored, so that S3A asks for the content and the keyring refuses it.
 *
 * <p><b>Ciphertext.</b> With {@code fs.s3a.encryption.cse.v1.compatibility.enabled} S3A reads through a
 * client without encryption whatever it does not know as encrypted: AES-CBC, the format of release 4
 * of the S3 Encryption Client, and objects with an instruction file. This class refuses those reads
 * ({@code CONTENT_UNSUPPORTED}).
 */
public final class S3AReadInterceptor implements ExecutionInterceptor, Configurable {
  /** The most that is skipped is one block of AES and what comes before the range in the next: 31 bytes. */
  private static final int FIRST_PIECE_BYTES = 32;

  private static final String ALGORITHM = "fs.s3a.encryption.algorithm";
  private static final String V1_COMPATIBILITY =
      "fs.s3a.encryption.cse.v1.compatibility.enabled";

  private volatile Configuration conf;

  /** For S3A, which makes it by name. */
  public S3AReadInterceptor() {}

  /**
   * Takes the configuration of the file system: without client-side encryption in it, S3A reads what
   * is stored, and lengths and ciphertext are left alone.
   *
   * @param conf the configuration of one bucket
   */
  @Override
  public void setConf(Configuration conf) {
    this.conf = conf;
  }

  /**
   * The configuration of the file system.
   *
   * @return null before {@link #setConf}
   */
  @Override
  public Configuration getConf() {
    return conf;
  }

  private boolean isOn(boolean v1Compatibility) {
    Configuration now = conf;
    return now != null
        && now.getTrimmed(ALGORITHM, "").startsWith("CSE")
        && now.getBoolean(V1_COMPATIBILITY, false) == v1Compatibility;
  }

  private static boolean isSync(ExecutionAttributes attributes) {
    return attributes.getAttribute(SdkExecutionAttribute.CLIENT_TYPE) == ClientType.SYNC;
  }

  /** Corrects the length in answers to the HEAD requests of which S3A makes statuses: its synchronous client's. */
  @Override
  public SdkResponse modifyResponse(
      Context.ModifyResponse context, ExecutionAttributes attributes) {
    SdkResponse response = context.response();
    if (!(response instanceof HeadObjectResponse) || !isSync(attributes) || !isOn(false)) {
      return response;
    }
    HeadObjectResponse head = (HeadObjectResponse) response;
    if (head.contentLength() == null) {
      return head;
    }
    OptionalLong length = new StoredForm(head.metadata()).contentLength(head.contentLength());
    return length.isPresent()
        ? head.toBuilder().contentLength(length.getAsLong() + StoredForm.TAG_BYTES).build()
        : head;
  }

  /** Refuses ciphertext: reads through the encrypting client are asynchronous, so this is the other one. */
  @Override
  public void afterUnmarshalling(
      Context.AfterUnmarshalling context, ExecutionAttributes attributes) {
    if (!(context.response() instanceof GetObjectResponse) || !isSync(attributes) || !isOn(true)) {
      return;
    }
    StoredForm form = new StoredForm(((GetObjectResponse) context.response()).metadata());
    if (form.isEncrypted() && !form.isKnownToHadoop()) {
      GetObjectRequest request = (GetObjectRequest) context.request();
      throw Refusals.lasting(
          EmrKeysException.of(
              "CONTENT_UNSUPPORTED",
              "s3a://" + request.bucket() + "/" + request.key() + " is encrypted in a form that S3A"
                  + " does not know, and S3A would hand out the ciphertext",
              "Set " + V1_COMPATIBILITY + "=false, so that S3A asks the keyring; docs/s3a.md says"
                  + " which client reads the object.",
              null));
    }
  }

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
