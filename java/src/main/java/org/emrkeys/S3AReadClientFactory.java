package org.emrkeys;

import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.fs.s3a.DefaultS3ClientFactory;
import org.emrkeys.bridge.Log;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.s3a.ContentKeys;
import org.emrkeys.s3a.ReadAsyncClient;
import org.emrkeys.s3a.ReadClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * Has S3A read the objects of every S3 encryption client, AES-CBC and instruction files among them, in
 * ranges and with their true lengths, and write none.
 *
 * <p>Named in {@code fs.s3a.s3.client.factory.impl}, for all buckets or for one, with no {@code
 * fs.s3a.encryption.algorithm}: with client-side encryption S3A takes a client factory of its own. To S3A
 * the bucket then looks unencrypted. Configured by the same {@code emrkeys.*} properties as {@link
 * S3AKeyring}; AES-CBC and older wraps need {@code emrkeys.s3a.allow-legacy=true}. Objects that no client
 * encrypted are read as they are.
 *
 * <p><b>Nothing of a range is authenticated</b>, as with S3A's own client-side encryption. Every write of
 * content is refused, because it would be plaintext ({@code CONTENT_UNSUPPORTED}).
 */
public final class S3AReadClientFactory extends DefaultS3ClientFactory {
  private static final Log LOG = Log.of(S3AReadClientFactory.class);
  private static final String ALGORITHM = "fs.s3a.encryption.algorithm";

  /** For S3A, which makes it by name and hands over the configuration of the bucket. */
  public S3AReadClientFactory() {}

  /**
   * The client that decrypts.
   *
   * @param uri of the file system
   * @param parameters of S3A
   * @throws IOException if S3A cannot make its own client; if the configuration of emrkeys is not valid,
   *     with its code and every problem found
   */
  @Override
  public S3Client createS3Client(URI uri, S3ClientCreationParameters parameters)
      throws IOException {
    if (getConf().getTrimmed(ALGORITHM, "").startsWith("CSE")) {
      throw new IOException(
          ALGORITHM + " is set, so that the client decrypts already. Remove it where "
              + S3AReadClientFactory.class.getName() + " reads.");
    }
    ConfiguredProvider provider;
    try {
      provider = ConfiguredProvider.shared(Client.S3A, new HadoopSettings(getConf()), LOG);
    } catch (EmrKeysException e) {
      throw new IOException(e.getMessage(), e);
    }
    S3Client stored = super.createS3Client(uri, parameters);
    return new ReadClient(stored, new ContentKeys(stored, provider));
  }

  /**
   * The client by which S3A copies objects within S3, as they are stored.
   *
   * @param uri of the file system
   * @param parameters of S3A
   * @throws IOException as S3A's own
   */
  @Override
  public S3AsyncClient createS3AsyncClient(URI uri, S3ClientCreationParameters parameters)
      throws IOException {
    return new ReadAsyncClient(super.createS3AsyncClient(uri, parameters));
  }
}
