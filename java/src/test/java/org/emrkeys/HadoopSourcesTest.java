package org.emrkeys;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.security.alias.CredentialProvider;
import org.apache.hadoop.security.alias.CredentialProviderFactory;
import org.emrkeys.tests.support.Hadoop;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

/** Key material that only Hadoop can open: its file systems and its credential providers. */
class HadoopSourcesTest {
  private static final String HEX =
      "8f0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes key = files.aes("k", 256);

  HadoopSourcesTest() throws IOException {}

  private static S3EncryptionMaterialsProvider configured(Configuration conf) {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(conf);
    return provider;
  }

  /** Stands in for HDFS: Hadoop code under a scheme that the native side cannot open. */
  public static final class OtherFileSystem extends RawLocalFileSystem {
    static final AtomicInteger OPEN = new AtomicInteger();

    @Override
    public void initialize(URI uri, Configuration conf) throws IOException {
      super.initialize(uri, conf);
      OPEN.incrementAndGet();
    }

    @Override
    public URI getUri() {
      return URI.create("hdfs:///");
    }

    @Override
    public FileStatus getFileStatus(org.apache.hadoop.fs.Path path) throws IOException {
      File file = pathToFile(path);
      if (!file.exists()) {
        throw new FileNotFoundException(path.toString());
      }
      String mode =
          PosixFilePermissions.toString(Files.getPosixFilePermissions(file.toPath()));
      return new FileStatus(
          file.length(),
          file.isDirectory(),
          1,
          1 << 20,
          file.lastModified(),
          0,
          FsPermission.valueOf("-" + mode),
          "owner",
          "group",
          path);
    }

    @Override
    protected void checkPath(org.apache.hadoop.fs.Path path) {}

    @Override
    public File pathToFile(org.apache.hadoop.fs.Path path) {
      return new File(path.toUri().getPath());
    }

    @Override
    public void close() throws IOException {
      OPEN.decrementAndGet();
      super.close();
    }
  }

  @Nested
  class FileSystems {
    @BeforeEach
    void hadoopRuns() {
      Hadoop.assumeItRunsHere();
    }

    private Configuration from(String path) {
      Configuration conf = Conf.with(Conf.aes(key), "emrkeys.key.k.file", "hdfs://" + path);
      conf.setClass("fs.hdfs.impl", OtherFileSystem.class, FileSystem.class);
      return conf;
    }

    @Test
    void aKeyIsReadAndTheFileSystemClosed() {
      int before = OtherFileSystem.OPEN.get();
      assertArrayEquals(
          key.bytes(),
          configured(from(key.file.toString()))
              .getEncryptionMaterials()
              .getSymmetricKey()
              .getEncoded());
      assertEquals(before, OtherFileSystem.OPEN.get());
    }

    @Test
    void whatIsNotThereIsToldFromWhatCannotBeRead() {
      assertCode("KEY_FILE_NOT_FOUND", () -> configured(from(key.file + ".absent")));
      assertCode("KEY_FILE_UNREADABLE", () -> configured(from(files.folder().toString())));
    }

    private void assertPermissionsMatter(Configuration conf) throws IOException {
      Files.setPosixFilePermissions(key.file, PosixFilePermissions.fromString("rw-r-----"));
      configured(conf).close();
      for (String lax : new String[] {"rw-r--r--", "rw-rw----", "rw-----w-"}) {
        Files.setPosixFilePermissions(key.file, PosixFilePermissions.fromString(lax));
        assertCode("KEY_FILE_PERMISSIONS", () -> configured(conf));
      }
    }

    @Test
    void aSecretThatOthersMayReadOrReplaceIsRefused() throws IOException {
      assertPermissionsMatter(from(key.file.toString()));
    }

    @Test
    void soItIsBehindAMountPoint() throws IOException {
      String mount = "fs.viewfs.mounttable.keys.link./keys";
      assertPermissionsMatter(
          Conf.with(
              Conf.aes(key),
              mount, files.folder().toUri().toString(),
              "emrkeys.key.k.file", "viewfs://keys/keys/" + key.file.getFileName()));
    }

    @Test
    void aFileLargerThanAnyKeyIsRefused() throws IOException {
      Path large = files.file("large", new byte[70_000]);
      assertCode("KEY_FILE_TOO_LARGE", () -> configured(from(large.toString())));
    }

    @Test
    void aSchemeThatHadoopDoesNotKnowIsRefusedByName() {
      Configuration conf = Conf.with(Conf.aes(key), "emrkeys.key.k.file", "nofs://host/key");
      EmrKeysException refusal = assertCode("KEY_FILE_UNREADABLE", () -> configured(conf));
      assertTrue(refusal.getMessage().contains("emrkeys.key.k.file"), refusal.getMessage());
    }
  }

  @Nested
  class Credentials {
    private final Configuration conf =
        Conf.with(
            Conf.aes(key),
            "emrkeys.key.k.file", null,
            "emrkeys.key.k.credential", "lake.key",
            "emrkeys.key.k.encoding", "hex");

    private void store(Configuration store, String alias, String secret) throws IOException {
      Hadoop.assumeItRunsHere();
      store.set(
          "hadoop.security.credential.provider.path",
          "localjceks://file" + files.folder().resolve("store.jceks"));
      CredentialProvider provider = CredentialProviderFactory.getProviders(store).get(0);
      provider.createCredentialEntry(alias, secret.toCharArray());
      provider.flush();
    }

    @Test
    void aKeyIsReadFromACredentialStore() throws IOException {
      store(conf, "lake.key", HEX);
      byte[] found =
          configured(conf).getEncryptionMaterials().getSymmetricKey().getEncoded();
      assertEquals(HEX, String.format("%064x", new java.math.BigInteger(1, found)));
    }

    @Test
    void anAliasThatNoStoreKnowsIsRefused() {
      assertCode("CREDENTIAL_NOT_FOUND", () -> configured(conf));
    }

    @Test
    void aSecretInASiteFileIsRefusedUnlessAllowed() {
      Configuration plain = Conf.with(conf, "lake.key", HEX);
      EmrKeysException refusal = assertCode("PLAINTEXT_SECRET", () -> configured(plain));
      assertTrue(!refusal.getMessage().contains(HEX), "the message shows the secret");
      plain.set("emrkeys.allow-plaintext-secrets", "true");
      configured(plain).getEncryptionMaterials();
    }

    /** The key of the core's tests, so that the two parsers are tested on the same bytes. */
    private Configuration encryptedKey() throws IOException {
      Path data = Paths.get(System.getProperty("emrkeys.test.keys"));
      return Conf.with(
          Conf.rsa(
              files.file("spki.pem", Files.readAllBytes(data.resolve("spki.pem"))),
              files.file("key.pem", Files.readAllBytes(data.resolve("enc-aes256-sha256.pem")))),
          "emrkeys.key.k.password-credential", "lake.password");
    }

    @Test
    void anEncryptedPrivateKeyOpensWithAPasswordFromACredentialStore() throws IOException {
      Configuration encrypted = encryptedKey();
      store(encrypted, "lake.password", "correct");
      assertEquals(
          "PKCS#8",
          configured(encrypted).getEncryptionMaterials().getKeyPair().getPrivate().getFormat());
    }

    @Test
    void aWrongPasswordIsRefusedAndNotShown() throws IOException {
      Configuration encrypted = encryptedKey();
      encrypted.set("lake.password", "canary-password");
      encrypted.set("emrkeys.allow-plaintext-secrets", "true");
      EmrKeysException refusal = assertCode("KEY_PASSWORD", () -> configured(encrypted));
      assertTrue(!refusal.getMessage().contains("canary"), "the message shows the secret");
    }

    @Test
    void noPasswordIsRefused() throws IOException {
      Configuration encrypted = encryptedKey();
      encrypted.unset("emrkeys.key.k.password-credential");
      assertCode("KEY_PASSWORD", () -> configured(encrypted));
    }

    @Test
    void aCredentialThatIsNoKeyIsRefusedAndNotShown() {
      Configuration plain =
          Conf.with(
              conf, "lake.key", "canary-not-hex", "emrkeys.allow-plaintext-secrets", "true");
      EmrKeysException refusal = assertCode("KEY_MATERIAL_INVALID", () -> configured(plain));
      assertTrue(!refusal.getMessage().contains("canary"), "the message shows the secret");
    }
  }
}
