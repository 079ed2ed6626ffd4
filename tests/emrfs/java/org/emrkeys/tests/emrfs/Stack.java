package org.emrkeys.tests.emrfs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.amazonaws.util.IOUtils;
import java.io.IOException;
import java.io.InputStream;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The setup that all end-to-end tests share: one server for the JVM, buckets, contents and assertions. */
public final class Stack {
  private static final AtomicInteger NEXT = new AtomicInteger();
  private static LocalAws aws;

  private Stack() {}

  /** The local servers, started on first need; they end with the JVM. */
  public static synchronized LocalAws aws() throws IOException {
    if (aws == null) {
      aws = LocalAws.start();
    }
    return aws;
  }

  /** A new bucket. */
  public static String bucket() throws IOException {
    String name = "bucket-" + NEXT.incrementAndGet() + "-" + Long.toHexString(System.nanoTime());
    aws().s3().createBucket(name);
    return name;
  }

  /** Bytes that look random and are the same for the same size. */
  public static byte[] content(int size) {
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    return bytes;
  }

  /** Checks that nothing lies in S3 in {@code bucket}. */
  public static void assertNothingStored(String bucket) throws IOException {
    assertEquals(
        0, aws().s3().listObjects(bucket).getObjectSummaries().size(), "something was stored");
  }

  /** Has the servers fail as {@code json} says, see {@code tests/servers/README.md}. */
  public static void fault(String json) throws IOException {
    aws().control("POST", "faults", json);
  }

  public static void noFaults() throws IOException {
    aws().control("DELETE", "faults", null);
  }

  /** How often {@code operation}, such as {@code kms.Decrypt}, was asked for so far. */
  public static int calls(String operation) throws IOException {
    Matcher count =
        Pattern.compile("\"" + Pattern.quote(operation) + "\": (\\d+)")
            .matcher(aws().control("GET", "calls", null));
    return count.find() ? Integer.parseInt(count.group(1)) : 0;
  }

  public static StoredObject stored(String uri) throws IOException {
    return StoredObject.read(aws(), uri);
  }

  /** The bytes as S3 holds them. */
  public static byte[] storedBytes(String uri) throws IOException {
    String[] location = uri.substring("s3://".length()).split("/", 2);
    try (InputStream in = aws().s3().getObject(location[0], location[1]).getObjectContent()) {
      return IOUtils.toByteArray(in);
    }
  }
}
