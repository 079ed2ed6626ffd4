package org.emrkeys.tests.emrfs;

import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.util.json.Jackson;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.Collections;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;

/** One object as S3 has it, read without any key: the envelope that the client wrote. */
public final class StoredObject {
  private static final String INSTRUCTION_SUFFIX = ".instruction";

  private final Map<String, String> envelope;
  private final Map<String, String> userMetadata;
  private final long length;

  private StoredObject(Map<String, String> envelope, Map<String, String> metadata, long length) {
    this.envelope = envelope;
    this.userMetadata = metadata;
    this.length = length;
  }

  /** Reads the metadata of {@code uri}, and its instruction file where the metadata has no envelope. */
  public static StoredObject read(LocalAws aws, String uri) {
    S3Uri location = S3Uri.parse(uri);
    AmazonS3 s3 = aws.s3();
    ObjectMetadata metadata = s3.getObjectMetadata(location.bucket, location.key);
    Map<String, String> user = new TreeMap<>(metadata.getUserMetadata());
    Map<String, String> envelope = user;
    String instruction = location.key + INSTRUCTION_SUFFIX;
    if (!isEnvelope(user) && s3.doesObjectExist(location.bucket, instruction)) {
      envelope = parse(s3.getObjectAsString(location.bucket, instruction));
    }
    return new StoredObject(envelope, user, metadata.getContentLength());
  }

  private static boolean isEnvelope(Map<String, String> metadata) {
    return metadata.containsKey("x-amz-key-v2") || metadata.containsKey("x-amz-key");
  }

  /** Whether the object was encrypted by one of the SDK's clients. */
  public boolean isEncrypted() {
    return isEnvelope(envelope);
  }

  /** Whether the envelope lies in an instruction file. */
  public boolean hasInstructionFile() {
    return envelope != userMetadata;
  }

  /** The length of the ciphertext in bytes. */
  public long length() {
    return length;
  }

  /** The object's own user metadata. */
  public Map<String, String> userMetadata() {
    return Collections.unmodifiableMap(userMetadata);
  }

  /** How the data key is wrapped, as stored: {@code AESWrap}, {@code kms}, {@code AES/GCM}, … */
  public String wrapAlgorithm() {
    String algorithm = envelope.get("x-amz-wrap-alg");
    if (algorithm != null) {
      return algorithm;
    }
    // The oldest format stores no name; it has one wrap for each kind of key.
    return envelope.containsKey("x-amz-key") ? "unnamed (V1 EncryptionOnly)" : "none";
  }

  /** How the content is encrypted, as stored; null in the oldest format, which is AES-CBC. */
  public String contentAlgorithm() {
    return envelope.get("x-amz-cek-alg");
  }

  /** Whether the content has a tag. */
  public boolean isAuthenticated() {
    return "AES/GCM/NoPadding".equals(contentAlgorithm());
  }

  /** The stored materials description. */
  public Map<String, String> description() {
    String json = envelope.get("x-amz-matdesc");
    return json == null ? Collections.<String, String>emptyMap() : parse(json);
  }

  /** The stored materials description, as the text that S3 holds. */
  public String descriptionText() {
    String json = envelope.get("x-amz-matdesc");
    return json == null ? "" : json;
  }

  private static Map<String, String> parse(String json) {
    Map<String, String> map = new TreeMap<>();
    JsonNode node = Jackson.jsonNodeOf(json);
    for (Iterator<Map.Entry<String, JsonNode>> fields = node.fields(); fields.hasNext(); ) {
      Map.Entry<String, JsonNode> field = fields.next();
      map.put(field.getKey(), field.getValue().asText());
    }
    return map;
  }
}
