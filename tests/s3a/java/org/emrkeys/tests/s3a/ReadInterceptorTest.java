package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.Arrays;
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

/** Reads by range, of answers whose body begins with a piece of a few bytes. */
class ReadInterceptorTest {
  private static final int[] POSITIONS = {0, 1, 15, 16, 17, 31, 33, 1000, 99_990, 199_999};

  private final String bucket = Stack.bucket();
  private final Path path = new Path("s3a://" + bucket + "/object");
  private final byte[] content = Stack.content(200_000);
  private final Configuration conf;

  ReadInterceptorTest() throws Exception {
    conf = S3aSite.of(Site.plain().aes("k", KeyFiles.create().aes("k", 256)).defaultKey("k"));
    S3aSite.write(S3aSite.fileSystem(conf, bucket), path.toString(), content);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 16, 30, 31, 32, 500})
  void aRangeIsReadWhateverTheFirstPieceOfItsAnswerIs(int first) throws Exception {
    try (SplittingProxy proxy = new SplittingProxy(first)) {
      FileSystem files = proxy.fileSystem();
      for (int position : POSITIONS) {
        byte[] found = new byte[Math.min(5000, content.length - position)];
        try (FSDataInputStream in = files.open(path)) {
          in.readFully(position, found);
        }
        byte[] wanted = Arrays.copyOfRange(content, position, position + found.length);
        assertArrayEquals(wanted, found, "at " + position);
      }
      assertArrayEquals(content, S3aSite.read(files, path.toString()));
    }
  }

  /** Why there is an interceptor. Once this fails, the client has been mended and needs none. */
  @Test
  void withoutItTheClientTakesAShortFirstPieceForTheEndOfTheFile() throws Exception {
    conf.unset(S3aSite.INTERCEPTORS);
    try (SplittingProxy proxy = new SplittingProxy(5);
        FSDataInputStream in = proxy.fileSystem().open(path)) {
      int ended = 0;
      for (int number = 0; number < 10; number++) {
        ended += in.read(1000 + number * 10_000, new byte[100], 0, 100) < 0 ? 1 : 0;
      }
      assertNotEquals(0, ended); // where the machine was slow both pieces were there at once
    }
  }

  /** Passes everything on, and after the head and the first bytes of the body of each answer waits a moment. */
  private final class SplittingProxy implements Closeable {
    private static final int PAUSE_MILLIS = 30;

    private final int first;
    private final URI server = URI.create(Stack.aws().endpoint());
    private final ServerSocket socket = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());

    SplittingProxy(int first) throws IOException {
      this.first = first;
      start(
          () -> {
            while (true) {
              Socket client = socket.accept();
              Socket upstream = new Socket(server.getHost(), server.getPort());
              client.setTcpNoDelay(true);
              start(() -> copy(client, upstream, false));
              start(() -> copy(upstream, client, true));
            }
          });
    }

    FileSystem fileSystem() throws IOException {
      conf.set("fs.s3a.endpoint", "http://127.0.0.1:" + socket.getLocalPort());
      return S3aSite.fileSystem(conf, bucket);
    }

    private void copy(Socket from, Socket to, boolean split) throws Exception {
      byte[] buffer = new byte[1 << 16];
      try (Socket in = from; Socket out = to) {
        InputStream input = in.getInputStream();
        OutputStream output = out.getOutputStream();
        int toPause = 0; // bytes until then; none: no pause
        for (int length = input.read(buffer); length >= 0; length = input.read(buffer)) {
          int head = split ? endOfHead(buffer, length) : 0;
          toPause = head > 0 ? head + first : toPause;
          int start = 0;
          if (0 < toPause && toPause < length) {
            output.write(buffer, 0, toPause);
            output.flush();
            Thread.sleep(PAUSE_MILLIS);
            start = toPause;
          }
          toPause = Math.max(0, toPause - length);
          output.write(buffer, start, length - start);
          output.flush();
        }
      }
    }

    private int endOfHead(byte[] buffer, int length) {
      for (int at = 3; at < length; at++) {
        if (buffer[at] == '\n' && buffer[at - 1] == '\r' && buffer[at - 2] == '\n') {
          return at + 1;
        }
      }
      return 0;
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }

  private interface Work {
    void run() throws Exception;
  }

  /** In the background, until a connection ends it. */
  private static void start(Work work) {
    Thread thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (Exception e) {
                // The connection or the proxy was closed.
              }
            });
    thread.setDaemon(true);
    thread.start();
  }
}
