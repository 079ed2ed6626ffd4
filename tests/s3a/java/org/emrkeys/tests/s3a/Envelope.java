package org.emrkeys.tests.s3a;

import com.amazonaws.services.s3.model.CopyObjectRequest;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.util.json.Jackson;
import java.io.IOException;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.emrkeys.tests.emrfs.Stack;

/** The envelope of an object of the S3 Encryption Client, in its second format or its third. */
final class Envelope {
  private static final String[] WRAPPED = {"x-amz-key-v2", "x-amz-3"};
  private static final String[] DESCRIPTION = {"x-amz-matdesc", "x-amz-m", "x-amz-t"};

  private final String bucket;
  private final String key;
  private final Map<String, String> metadata;

  /** Reads it from the object's metadata. */
  Envelope(String bucket, String key) throws IOException {
    this.bucket = bucket;
    this.key = key;
    this.metadata =
        new TreeMap<>(Stack.aws().s3().getObjectMetadata(bucket, key).getUserMetadata());
  }

  /** Whether it is in the format of release 4, which commits to the key. */
  boolean commits() {
    return metadata.containsKey("x-amz-3");
  }

  /** How the data key is wrapped. */
  String wrap() {
    return metadata.get(commits() ? "x-amz-w" : "x-amz-wrap-alg");
  }

  /** The stored materials description. */
  @SuppressWarnings("unchecked")
  Map<String, String> description() {
    return Arrays.stream(DESCRIPTION)
        .filter(metadata::containsKey)
        .map(name -> (Map<String, String>) Jackson.fromJsonString(metadata.get(name), Map.class))
        .findFirst()
        .orElse(Collections.emptyMap());
  }

  /** Changes a bit of the wrapped data key. */
  void flipWrappedKey() throws IOException {
    String name = commits() ? WRAPPED[1] : WRAPPED[0];
    byte[] wrapped = Base64.getDecoder().decode(metadata.get(name));
    wrapped[wrapped.length / 2] ^= 1;
    store(name, Base64.getEncoder().encodeToString(wrapped));
  }

  /** Changes the text of the stored description. */
  void replaceInDescription(String from, String to) throws IOException {
    for (String name : DESCRIPTION) {
      if (metadata.containsKey(name)) {
        store(name, metadata.get(name).replace(from, to));
      }
    }
  }

  private void store(String name, String value) throws IOException {
    metadata.put(name, value);
    ObjectMetadata replaced = new ObjectMetadata();
    replaced.setUserMetadata(metadata);
    Stack.aws()
        .s3()
        .copyObject(new CopyObjectRequest(bucket, key, bucket, key).withNewObjectMetadata(replaced));
  }
}
