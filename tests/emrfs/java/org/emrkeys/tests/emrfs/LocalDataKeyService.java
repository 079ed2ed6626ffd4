package org.emrkeys.tests.emrfs;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Base64;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** The data key service of the local servers, and a client that asks it as its own provider does. */
public final class LocalDataKeyService {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final LocalAws aws;
  private final JsonNode answer;

  private LocalDataKeyService(LocalAws aws, JsonNode answer) {
    this.aws = aws;
    this.answer = answer;
  }

  /** Starts it, where it does not run yet, with new keys of {@code keyBytes} from now on. */
  public static LocalDataKeyService start(LocalAws aws, int keyBytes) throws IOException {
    String request = "{\"key_bytes\": " + keyBytes + "}";
    return new LocalDataKeyService(
        aws, JSON.readTree(aws.control("POST", "data-key-service", request)));
  }

  /** Takes it down; it comes back at the same address. */
  public void stop() throws IOException {
    aws.control("DELETE", "data-key-service", null);
  }

  /** Wraps under a new master key from now on. */
  public void rotate() throws IOException {
    aws.control("POST", "data-key-service/rotate", "{}");
  }

  public String url() {
    return answer.get("url").asText();
  }

  /** The password of the PKCS#12 files. */
  public String password() {
    return answer.get("password").asText();
  }

  /** One of the files that {@code tests/servers/README.md} names. */
  public byte[] file(String name) {
    return Base64.getDecoder().decode(answer.get("files").get(name).asText());
  }

  /** A new key: {@code dataKeyEncryptionKeyId}, {@code plaintextDataKey}, {@code ciphertextDataKey}. */
  public JsonNode generate() throws IOException, GeneralSecurityException {
    return exchange("/datakey", null);
  }

  /** The key that {@code ciphertext} holds. */
  public JsonNode decrypt(String keyId, String ciphertext)
      throws IOException, GeneralSecurityException {
    String id = URLEncoder.encode(keyId, "US-ASCII");
    return exchange("/datakey/actions/decrypt?keyId=" + id, ciphertext);
  }

  private JsonNode exchange(String path, String body)
      throws IOException, GeneralSecurityException {
    HttpsURLConnection connection = (HttpsURLConnection) new URL(url() + path).openConnection();
    connection.setSSLSocketFactory(tls().getSocketFactory());
    if (body != null) {
      connection.setRequestMethod("POST");
      connection.setRequestProperty("Content-Type", "text/plain");
      connection.setDoOutput(true);
      connection.getOutputStream().write(body.getBytes(StandardCharsets.US_ASCII));
    }
    try (InputStream in = connection.getInputStream()) {
      return JSON.readTree(EmrfsStandIn.readAll(in));
    }
  }

  private SSLContext tls() throws IOException, GeneralSecurityException {
    char[] password = password().toCharArray();
    KeyStore identity = KeyStore.getInstance("PKCS12");
    identity.load(new ByteArrayInputStream(file("client.p12")), password);
    KeyManagerFactory keys =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(identity, password);
    KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
    trusted.load(null, null);
    trusted.setCertificateEntry(
        "ca",
        CertificateFactory.getInstance("X.509")
            .generateCertificate(new ByteArrayInputStream(file("ca.pem"))));
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }
}
