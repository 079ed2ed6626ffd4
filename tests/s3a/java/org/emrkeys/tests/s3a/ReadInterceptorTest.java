package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.reactivestreams.Publisher;
import software.amazon.awssdk.core.async.SdkPublisher;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;

/** Reads by range, of answers whose body arrives in small pieces at first. */
class ReadInterceptorTest {
  private static final int[] POSITIONS = {0, 1, 15, 16, 17, 31, 33, 1000, 99_990, 199_999};

  private final String bucket = Stack.bucket();
  private final Path path = new Path("s3a://" + bucket + "/object");
  private final byte[] content = Stack.content(200_000);
  private final Configuration conf;

  ReadInterceptorTest() throws Exception {
    conf = S3aSite.of(Site.plain().aes("k", KeyFiles.create().aes("k", 256)).defaultKey("k"));
    S3aSite.write(S3aSite.fileSystem(conf, bucket), path.toString(), content);
    // The SDK hands what arrives to the last one first.
    conf.set(S3aSite.INTERCEPTORS, conf.get(S3aSite.INTERCEPTORS) + "," + Network.class.getName());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 16, 30, 31, 32, 500})
  void aRangeIsReadWhateverTheFirstPiecesOfItsAnswerAre(int pieceBytes) throws Exception {
    conf.setInt(Network.PIECE_BYTES, pieceBytes);
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    int cutBefore = Network.CUT.get();
    for (int position : POSITIONS) {
      byte[] found = new byte[Math.min(5000, content.length - position)];
      try (FSDataInputStream in = files.open(path)) {
        in.readFully(position, found);
      }
      byte[] wanted = Arrays.copyOfRange(content, position, position + found.length);
      assertArrayEquals(wanted, found, "at " + position);
    }
    assertEquals(POSITIONS.length, Network.CUT.get() - cutBefore);
    assertArrayEquals(content, S3aSite.read(files, path.toString()));
  }

  /** Why there is an interceptor. Once this fails, the client has been mended and needs none. */
  @Test
  void withoutItTheClientTakesAShortFirstPieceForTheEndOfTheFile() throws Exception {
    conf.set(S3aSite.INTERCEPTORS, Network.class.getName());
    conf.setInt(Network.PIECE_BYTES, 5);
    try (FSDataInputStream in = S3aSite.fileSystem(conf, bucket).open(path)) {
      assertEquals(-1, in.read(1000, new byte[100], 0, 100));
    }
  }

  /** In place of a network that delivers the first bytes of each answer in four pieces of a given length. */
  public static final class Network implements ExecutionInterceptor, Configurable {
    static final String PIECE_BYTES = "test.network.piece-bytes";
    static final AtomicInteger CUT = new AtomicInteger(); // answers so far
    private static final int PIECES = 4;

    private Configuration conf;

    @Override
    public void setConf(Configuration conf) {
      this.conf = conf;
    }

    @Override
    public Configuration getConf() {
      return conf;
    }

    @Override
    public Optional<Publisher<ByteBuffer>> modifyAsyncHttpResponseContent(
        Context.ModifyHttpResponse context, ExecutionAttributes attributes) {
      boolean get = context.request() instanceof GetObjectRequest;
      return context.responsePublisher().map(body -> get ? cut(body) : body);
    }

    private SdkPublisher<ByteBuffer> cut(Publisher<ByteBuffer> body) {
      CUT.incrementAndGet();
      AtomicInteger left = new AtomicInteger(PIECES);
      return SdkPublisher.adapt(body).flatMapIterable(arrived -> cut(arrived, left));
    }

    private List<ByteBuffer> cut(ByteBuffer arrived, AtomicInteger left) {
      int pieceBytes = conf.getInt(PIECE_BYTES, 0);
      List<ByteBuffer> pieces = new ArrayList<>();
      while (arrived.remaining() > pieceBytes && left.getAndDecrement() > 0) {
        ByteBuffer piece = arrived.duplicate();
        piece.limit(piece.position() + pieceBytes);
        arrived.position(piece.limit());
        pieces.add(piece);
      }
      pieces.add(arrived);
      return pieces;
    }
  }
}
