package org.emrkeys.tests.emrfs;

import com.amazonaws.regions.RegionUtils;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2;
import com.amazonaws.services.s3.AmazonS3EncryptionClientV2Builder;
import com.amazonaws.services.s3.model.CryptoConfigurationV2;
import com.amazonaws.services.s3.model.CryptoRangeGetMode;
import com.amazonaws.services.s3.model.CryptoStorageMode;
import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import com.amazonaws.services.s3.model.PutInstructionFileRequest;

/** All that names the V2 client, in a class of its own: an SDK before 1.11.838 never loads it. */
final class V2Client {
  private V2Client() {}

  static AmazonS3 create(
      LocalAws aws, EncryptionMaterialsProvider provider, Mode mode, CryptoStorageMode storage) {
    CryptoConfigurationV2 crypto =
        new CryptoConfigurationV2(mode.cryptoMode())
            .withStorageMode(storage)
            // The client makes a KMS client even where no KMS key is used.
            .withAwsKmsRegion(RegionUtils.getRegion(LocalAws.REGION));
    if (!mode.isStrict()) {
      // Readers of columnar files live on ranges; V2 refuses them by default.
      crypto.setRangeGetMode(CryptoRangeGetMode.ALL);
    }
    return aws.configure(AmazonS3EncryptionClientV2Builder.standard())
        .withCryptoConfiguration(crypto)
        .withEncryptionMaterialsProvider(provider)
        .withKmsClient(aws.kms())
        .build();
  }

  static void putInstructionFile(AmazonS3 client, PutInstructionFileRequest request) {
    ((AmazonS3EncryptionClientV2) client).putInstructionFile(request);
  }
}
