package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.security.KeyStore;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.zip.CRC32;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * HTTPS within this JVM, with our provider before all others: the JDK's TLS then takes AES-GCM from
 * it, on both sides. {@code emrkeys.test.tls-megabytes}: how much goes through.
 *
 * <p>{@code tls.p12} was made by {@code keytool -genkeypair} for {@code localhost}, for this test.
 */
class HttpsTest {
  private static final int MEGABYTES = Integer.getInteger("emrkeys.test.tls-megabytes", 64);
  private static final byte[] CHUNK = new byte[1 << 20];

  static {
    new Random(1).nextBytes(CHUNK);
  }

  @AfterEach
  void uninstall() {
    EmrKeysProvider.uninstall();
  }

  @ParameterizedTest
  @CsvSource({
    "TLSv1.2, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLSv1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLSv1.3, TLS_AES_256_GCM_SHA384",
    "TLSv1.3, TLS_AES_128_GCM_SHA256",
  })
  void aLargeResponseArrivesAsItWasSent(String protocol, String suite) throws Exception {
    double with = 0;
    double without = 0;
    for (int round = 0;
        round < 2;
        round++) { // the better of two: the first one has all compilation
      without = Math.max(without, transfer(protocol, suite, MEGABYTES));
      RecordingLog log = new RecordingLog();
      JceInstaller.install(JceSettings.of(0, 1, 1L << 30, 0, false), true, log.log);
      assertEquals(0, log.warnings.size(), log.warnings.toString());
      long before = NativeHandle.made();
      with = Math.max(with, transfer(protocol, suite, MEGABYTES));
      assertTrue(
          NativeHandle.made() >= before + 2, "TLS did not ask for our AES-GCM on both sides");
      EmrKeysProvider.uninstall();
    }
    System.out.printf(
        "%s %s, %d MB: %.0f MB/s with our provider first, %.0f MB/s without%n",
        protocol, suite, MEGABYTES, with, without);
  }

  /** MB/s. */
  private static double transfer(String protocol, String suite, int megabytes) throws Exception {
    SSLContext context = context(protocol);
    InetAddress loopback = InetAddress.getLoopbackAddress();
    HttpsServer server = HttpsServer.create(new InetSocketAddress(loopback, 0), 0);
    ExecutorService threads = Executors.newCachedThreadPool();
    server.setExecutor(threads);
    server.setHttpsConfigurator(
        new HttpsConfigurator(context) {
          @Override
          public void configure(HttpsParameters parameters) {
            SSLParameters ssl = context.getDefaultSSLParameters();
            ssl.setProtocols(new String[] {protocol});
            ssl.setCipherSuites(new String[] {suite});
            parameters.setSSLParameters(ssl);
          }
        });
    server.createContext(
        "/",
        exchange -> {
          exchange.sendResponseHeaders(200, (long) megabytes * CHUNK.length);
          try (OutputStream out = exchange.getResponseBody()) {
            for (int i = 0; i < megabytes; i++) {
              CHUNK[0] = (byte) i;
              out.write(CHUNK);
            }
          }
        });
    server.start();
    try {
      URL url = new URL("https", loopback.getHostAddress(), server.getAddress().getPort(), "/");
      HttpsURLConnection connection = (HttpsURLConnection) url.openConnection();
      connection.setSSLSocketFactory(context.getSocketFactory());
      connection.setRequestProperty("Connection", "close");
      long start = System.nanoTime();
      CRC32 received = new CRC32();
      long length = 0;
      try (InputStream in = connection.getInputStream()) {
        assertEquals(suite, connection.getCipherSuite());
        byte[] buffer = new byte[1 << 16];
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          received.update(buffer, 0, n);
          length += n;
        }
      }
      double seconds = (System.nanoTime() - start) / 1e9;
      assertEquals((long) megabytes * CHUNK.length, length);
      CRC32 sent = new CRC32();
      for (int i = 0; i < megabytes; i++) {
        CHUNK[0] = (byte) i;
        sent.update(CHUNK);
      }
      assertEquals(sent.getValue(), received.getValue());
      return megabytes / seconds;
    } finally {
      server.stop(0);
      threads.shutdownNow();
    }
  }

  private static SSLContext context(String protocol) throws Exception {
    char[] password = "changeit".toCharArray();
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = HttpsTest.class.getResourceAsStream("tls.p12")) {
      store.load(in, password);
    }
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(store, password);
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("tls", store.getCertificate("tls"));
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance(protocol);
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }
}
