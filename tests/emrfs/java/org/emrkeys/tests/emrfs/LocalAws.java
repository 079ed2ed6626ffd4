package org.emrkeys.tests.emrfs;

import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.kms.AWSKMS;
import com.amazonaws.services.kms.AWSKMSClientBuilder;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3Builder;
import com.amazonaws.services.s3.AmazonS3ClientBuilder;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The local S3 and KMS servers of {@code tests/servers}, and plain clients for them.
 *
 * <p>System properties: {@code emrkeys.test.endpoint} names a server that is running already; else
 * {@code emrkeys.test.python} (default {@code python3}) starts one from the folder {@code
 * emrkeys.test.servers} (default {@code tests/servers}). A started server ends with this JVM, however
 * that ends. Thread-safe.
 */
public final class LocalAws implements Closeable {
  public static final String REGION = "us-east-1";
  private static final String READY = "localaws ready on ";

  // Held, for java.util.logging forgets the level of a logger that nobody holds. The clients warn of
  // their own age at every construction.
  private static final Logger SDK_LOG = Logger.getLogger("com.amazonaws");

  static {
    SDK_LOG.setLevel(Level.SEVERE);
  }

  private final String endpoint;
  private final Process process;
  private final AmazonS3 s3;
  private final AWSKMS kms;

  private LocalAws(String endpoint, Process process) {
    this.endpoint = endpoint;
    this.process = process;
    this.s3 = configure(AmazonS3ClientBuilder.standard()).build();
    this.kms =
        AWSKMSClientBuilder.standard()
            .withEndpointConfiguration(new EndpointConfiguration(endpoint, REGION))
            .withCredentials(credentials())
            .build();
  }

  /** Connects to the server, starting it where none is named. */
  public static LocalAws start() throws IOException {
    String running = System.getProperty("emrkeys.test.endpoint", "");
    if (!running.isEmpty()) {
      return new LocalAws(running, null);
    }
    File folder = new File(System.getProperty("emrkeys.test.servers", "tests/servers"));
    String python = System.getProperty("emrkeys.test.python", "python3");
    // Standard input stays open for as long as this process lives: the server ends when it closes.
    Process process =
        new ProcessBuilder(python, "-m", "localaws", "--until-stdin-closes")
            .directory(folder)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String line =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))
            .readLine();
    if (line == null || !line.startsWith(READY)) {
      process.destroyForcibly();
      throw new IOException(
          "the local S3 and KMS servers did not start ("
              + python
              + " -m localaws in "
              + folder.getAbsolutePath()
              + "); emrkeys.test.python must name a Python with tests/servers/requirements.txt");
    }
    return new LocalAws("http://" + line.substring(READY.length()), process);
  }

  /** {@code http://127.0.0.1:port}, for S3 and KMS alike. */
  public String endpoint() {
    return endpoint;
  }

  /** An S3 client that encrypts and decrypts nothing: it sees what is stored. */
  public AmazonS3 s3() {
    return s3;
  }

  public AWSKMS kms() {
    return kms;
  }

  /** Makes a symmetric KMS key and returns its ARN. */
  public String createKmsKey() {
    return kms.createKey().getKeyMetadata().getArn();
  }

  /**
   * A request to the server's control API; see {@code tests/servers/README.md}.
   *
   * @param what such as {@code faults} or {@code calls}
   * @param json the body, or null
   * @return the answer's JSON text
   */
  public String control(String method, String what, String json) throws IOException {
    HttpURLConnection connection =
        (HttpURLConnection) new URL(endpoint + "/__control/" + what).openConnection();
    connection.setRequestMethod(method);
    if (json != null) {
      connection.setDoOutput(true);
      connection.getOutputStream().write(json.getBytes(StandardCharsets.UTF_8));
    }
    try (InputStream answer = connection.getInputStream()) {
      return new String(EmrfsStandIn.readAll(answer), StandardCharsets.UTF_8);
    }
  }

  /** Points a client builder at the local server. */
  <B extends AmazonS3Builder<B, ?>> B configure(B builder) {
    return builder
        .withEndpointConfiguration(new EndpointConfiguration(endpoint, REGION))
        .withCredentials(credentials())
        .withPathStyleAccessEnabled(true);
  }

  private static AWSStaticCredentialsProvider credentials() {
    return new AWSStaticCredentialsProvider(new BasicAWSCredentials("test", "test"));
  }

  @Override
  public void close() throws IOException {
    s3.shutdown();
    kms.shutdown();
    if (process == null) {
      return;
    }
    process.getOutputStream().close();
    try {
      if (!process.waitFor(5, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException interrupted) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
