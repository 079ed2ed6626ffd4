package org.emrkeys.s3a;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.kms.KmsClientBuilder;
import software.amazon.encryption.s3.materials.Keyring;
import software.amazon.encryption.s3.materials.KmsKeyring;

/**
 * Keyrings for keys of type {@code kms}, with which the client calls KMS for each object. A class of
 * its own, so that KMS's classes are needed only where there is such a key.
 */
final class KmsDelegates {
  /** One client for each region, shared by all keyrings and never closed. */
  private static final Map<String, KmsClient> CLIENTS = new ConcurrentHashMap<>();

  private KmsDelegates() {}

  static Keyring of(String keyId) {
    return KmsKeyring.builder()
        .enableLegacyWrappingAlgorithms(true)
        .kmsClient(CLIENTS.computeIfAbsent(region(keyId), KmsDelegates::client))
        .wrappingKeyId(keyId)
        .build();
  }

  private static KmsClient client(String region) {
    KmsClientBuilder builder = KmsClient.builder();
    return (region.isEmpty() ? builder : builder.region(Region.of(region))).build();
  }

  /** The fourth part of an ARN. Empty for other ids: then AWS's default chain knows the region. */
  private static String region(String keyId) {
    String[] parts = keyId.split(":", 6);
    return parts.length == 6 && parts[0].equals("arn") ? parts[3] : "";
  }
}
