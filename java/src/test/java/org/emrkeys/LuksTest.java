package org.emrkeys;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionContext;
import com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterialsProvider;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.util.ReflectionUtils;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The key of local disks opens a LUKS2 volume, which is what EMR encrypts local disks with. How EMR turns
 * the key into a passphrase is not public: here its bytes are one.
 *
 * <p>The volume is a file and only its key slots are used, so neither root nor a device mapper is
 * needed; cryptsetup is.
 */
class LuksTest {
  private static final long VOLUME_BYTES = 32 << 20;
  private static final int WRONG_KEY = 2;

  private final KeyFiles files = KeyFiles.create();
  private final Path volume = files.file("volume", new byte[0]);

  LuksTest() throws IOException {}

  @BeforeAll
  static void cryptsetupIsThere() {
    boolean found =
        Arrays.stream((System.getenv("PATH") + ":/usr/sbin:/sbin").split(":"))
            .anyMatch(folder -> new File(folder, "cryptsetup").canExecute());
    assumeTrue(found, "cryptsetup is not installed");
  }

  @Test
  void theSameConfigurationOpensTheVolumeAfterARestartAndAnotherDoesNot() throws Exception {
    Configuration conf = configuration(files.aes("disk", 256));
    try (RandomAccessFile image = new RandomAccessFile(volume.toFile(), "rw")) {
      image.setLength(VOLUME_BYTES);
    }
    String[] format = {
      "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"
    };
    assertEquals(0, cryptsetup(key(conf), format));
    assertEquals(0, cryptsetup(key(conf), "open", "--test-passphrase"));
    assertEquals(0, cryptsetup(key(new Configuration(conf)), "open", "--test-passphrase"));

    Configuration changed = configuration(files.aes("other", 256));
    assertEquals(WRONG_KEY, cryptsetup(key(changed), "open", "--test-passphrase"));
  }

  private static Configuration configuration(KeyFiles.Aes key) {
    return Conf.with(
        Conf.aes(key),
        "emrkeys.default.key", null,
        "emrkeys.local-disk.emr-release", "emr-7.5.0");
  }

  /** As a node does after each start: by the class's name, through the SPI. */
  private static byte[] key(Configuration conf) throws ClassNotFoundException {
    EncryptionMaterialsProvider provider =
        (EncryptionMaterialsProvider)
            ReflectionUtils.newInstance(
                Class.forName("org.emrkeys.LocalDiskEncryptionMaterialsProvider"), conf);
    EncryptionContext anyVolume = null;
    return provider.getEncryptionMaterials(anyVolume).getSymmetricKey().getEncoded();
  }

  /** The exit status of cryptsetup, with the key on its standard input. */
  private int cryptsetup(byte[] key, String... command) throws IOException, InterruptedException {
    List<String> line = new ArrayList<>(Arrays.asList("cryptsetup"));
    line.addAll(Arrays.asList(command));
    line.addAll(Arrays.asList("--key-file", "-", volume.toString()));
    ProcessBuilder builder = new ProcessBuilder(line).inheritIO();
    builder.environment().merge("PATH", "/usr/sbin:/sbin", (path, more) -> path + ":" + more);
    Process process = builder.redirectInput(ProcessBuilder.Redirect.PIPE).start();
    try (OutputStream in = process.getOutputStream()) {
      in.write(key);
    }
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "cryptsetup hangs");
    return process.exitValue();
  }
}
