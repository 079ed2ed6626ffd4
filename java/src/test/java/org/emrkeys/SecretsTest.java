package org.emrkeys;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Collections;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.provider.BoundaryTest;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

/** A canary among the keys shows up nowhere. */
class SecretsTest {
  private static final String CANARY = "canary-canary!canary-canary!32-b";

  private final KeyFiles files = KeyFiles.create();
  private final StringBuilder seen = new StringBuilder();

  SecretsTest() throws IOException {}

  private void see(Object object) {
    seen.append(object).append('\n');
  }

  private void see(Throwable thrown) {
    StringWriter text = new StringWriter();
    thrown.printStackTrace(new PrintWriter(text, true));
    see(text.toString());
  }

  private void assertNoCanary() {
    byte[] secret = CANARY.getBytes(UTF_8);
    StringBuilder hex = new StringBuilder();
    StringBuilder decimal = new StringBuilder();
    for (byte b : secret) {
      hex.append(String.format("%02x", b));
      decimal.append(decimal.length() == 0 ? "" : ", ").append(b);
    }
    String text = seen.toString();
    String base64 = Base64.getEncoder().encodeToString(secret);
    for (String form :
        new String[] {"canary-", hex.substring(0, 16), decimal.substring(0, 24), base64}) {
      assertTrue(!text.toLowerCase().contains(form.toLowerCase()), form);
    }
  }

  @Test
  void noSecretShowsInLogsExceptionsOrText() throws IOException {
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    try (Logged logged = new Logged();
        PrintStream both = new PrintStream(printed, true, "UTF-8")) {
      System.setOut(both);
      System.setErr(both);
      Path file = files.file("key", CANARY.getBytes(UTF_8));
      Configuration conf = Conf.with(Conf.aes(file), "emrkeys.key.k.encoding", "raw");
      S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
      provider.setConf(conf);
      assertEquals(
          CANARY,
          new String(
              provider.getEncryptionMaterials().getSymmetricKey().getEncoded(), UTF_8));
      provider.refresh();
      see(provider);
      see(provider.getEncryptionMaterials().getMaterialsDescription());
      see(new ConfiguredProvider(org.emrkeys.provider.Client.S3, null));
      LocalDiskEncryptionMaterialsProvider disk = new LocalDiskEncryptionMaterialsProvider();
      disk.setConf(conf);
      see(disk);
      see(disk.getEncryptionMaterials(Collections.emptyMap()).getMaterialsDescription());
      for (String[] change :
          new String[][] {
            {"emrkeys.key.k.encoding", "hex"},
            {"emrkeys.key.k.encoding", "base64"},
            {"emrkeys.key.k.type", "rsa"},
            {"emrkeys.key.k.file", file + "\u0000"},
            {"emrkeys.key.k.credential", "alias"},
          }) {
        Configuration wrong = Conf.with(conf, change);
        see(
            assertThrows(
                EmrKeysException.class,
                () -> new S3EncryptionMaterialsProvider().setConf(wrong),
                change[1]));
      }
      Configuration plain =
          Conf.with(conf, "emrkeys.key.k.file", null, "emrkeys.key.k.credential", "a", "a", CANARY);
      see(
          assertThrows(
              EmrKeysException.class, () -> new S3EncryptionMaterialsProvider().setConf(plain)));
      see(BoundaryTest.panic());
      see(logged.all());
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
    see(printed.toString("UTF-8"));
    assertNoCanary();
  }
}
