package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.S3EncryptionMaterialsProvider;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Stack;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A JVM that uses a key service ends on request, whatever the service does. */
class ExitTest {
  private static final int SECONDS = 20;

  private final LocalAws aws = Stack.aws();

  ExitTest() throws IOException {}

  @AfterEach
  void faultless() throws IOException {
    Stack.noFaults();
  }

  /** In a JVM of its own: {@code WAY ENDPOINT KEY}. */
  static final class Child {
    private Child() {}

    public static void main(String[] args) throws Exception {
      Configuration conf = new Configuration(false);
      conf.set("emrkeys.key.k.type", "kms-cached");
      conf.set("emrkeys.key.k.kms-key-id", args[2]);
      conf.set("emrkeys.key.k.endpoint", args[1]);
      conf.set("emrkeys.default.key", "k");
      // So that the eighth object makes a renewal in the background due.
      conf.set("emrkeys.cache.max-uses", "8");
      S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
      provider.setConf(conf);
      System.out.println("ready");
      switch (args[0]) {
        case "main returns":
          provider.getEncryptionMaterials();
          return;
        case "main returns during a renewal":
          for (int i = 0; i < 8; i++) {
            provider.getEncryptionMaterials();
          }
          return;
        default:
          ask(provider);
          Thread.sleep(500);
          System.exit(0);
      }
    }

    private static void ask(EncryptionMaterialsProvider provider) {
      for (int i = 0; i < 4; i++) {
        Thread thread = new Thread(provider::getEncryptionMaterials);
        thread.setDaemon(true);
        thread.start();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"main returns", "main returns during a renewal", "exit while threads wait for KMS"})
  void theJvmEnds(String way) throws Exception {
    String key = aws.createKmsKey();
    if (!way.equals("main returns")) {
      int first = way.startsWith("main") ? 1 : 0;
      Stack.fault(
          "{\"service\": \"kms\", \"op\": \"GenerateDataKey\", \"count\": null, \"delay\": 30,"
              + " \"after\": "
              + first
              + "}");
    }
    List<String> command = new ArrayList<>();
    command.add(new File(System.getProperty("java.home"), "bin/java").getPath());
    command.addAll(
        Arrays.asList(
            "-cp",
            System.getProperty("java.class.path"),
            Child.class.getName(),
            way,
            aws.endpoint(),
            key));
    Process child =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(new File("/dev/null"))
            .start();
    try {
      assertTrue(child.waitFor(SECONDS, TimeUnit.SECONDS), "it hangs");
      assertEquals(0, child.exitValue());
    } finally {
      child.destroyForcibly();
    }
  }
}
