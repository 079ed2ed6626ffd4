package org.emrkeys.tests.emrfs;

/** {@code s3://bucket/key} taken apart. The key is everything after the slash, as it stands. */
final class S3Uri {
  final String bucket;
  final String key;

  private S3Uri(String bucket, String key) {
    this.bucket = bucket;
    this.key = key;
  }

  static S3Uri parse(String uri) {
    // java.net.URI refuses spaces and decodes percent signs; object keys have both.
    int bucketAt = uri.indexOf("://") + 3;
    int slash = uri.indexOf('/', bucketAt);
    if (!uri.startsWith("s3") || bucketAt < 3 || slash <= bucketAt || slash + 1 == uri.length()) {
      throw new IllegalArgumentException("not the URI of an S3 object: " + uri);
    }
    return new S3Uri(uri.substring(bucketAt, slash), uri.substring(slash + 1));
  }
}
