package org.emrkeys;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.support.Codes;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

/** The audit log: who was given which key for what. */
class AuditTest {
  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes key = files.aes("k", 256);

  AuditTest() throws IOException {}

  /** Asks for a write, a read, and for what is refused. */
  private static void ask(Configuration conf) {
    S3EncryptionMaterialsProvider provider = new S3EncryptionMaterialsProvider();
    provider.setConf(conf);
    provider.getEncryptionMaterials(Collections.singletonMap("Path", "s3://lake/a \"b\""));
    Map<String, String> stored = provider.getEncryptionMaterials().getMaterialsDescription();
    provider.getEncryptionMaterials(stored);
    Codes.assertCode(
        "KEY_NOT_CONFIGURED",
        () ->
            provider.getEncryptionMaterials(
                Collections.singletonMap("emrkeys.key", "someone's")));
  }

  private static void assertLines(List<String> lines) {
    assertEquals(4, lines.size(), lines.toString());
    assertTrue(
        lines.get(0).contains("\"purpose\":\"encrypt\"")
            && lines.get(0).contains("\"uri\":\"s3://lake/a \\\"b\\\"\"")
            && lines.get(0).contains("\"key\":\"k\"")
            && lines.get(0).contains("\"source\":\"aes\"")
            && lines.get(0).contains("\"version\":\"fp1-")
            && lines.get(0).contains("\"outcome\":\"ok\""),
        lines.get(0));
    assertTrue(lines.get(2).contains("\"purpose\":\"decrypt\""), lines.get(2));
    assertTrue(lines.get(3).contains("\"outcome\":\"KEY_NOT_CONFIGURED\""), lines.get(3));
  }

  @Test
  void theLogGetsALineForEachRequest() {
    try (Logged logged = new Logged()) {
      ask(Conf.with(Conf.aes(key), "emrkeys.audit", "log"));
      assertLines(
          logged.at(Level.INFO).stream()
              .filter(line -> line.startsWith("{"))
              .collect(Collectors.toList()));
    }
  }

  @Test
  void aFileGetsALineForEachRequest() throws IOException {
    Path file = files.folder().resolve("audit.json");
    ask(Conf.with(Conf.aes(key), "emrkeys.audit", file.toUri().toString()));
    assertLines(Files.readAllLines(file, StandardCharsets.UTF_8));
  }

  @Test
  void itIsOffUnlessAskedFor() {
    try (Logged logged = new Logged()) {
      ask(Conf.aes(key));
      assertFalse(logged.all().stream().anyMatch(line -> line.startsWith("{")));
    }
  }

  @Test
  void withoutARecordThereIsNoKey() {
    Codes.assertCode(
        "AUDIT_UNAVAILABLE",
        () -> ask(Conf.with(Conf.aes(key), "emrkeys.audit", "file:///nonexistent/audit.json")));
    Codes.assertCode(
        "AUDIT_UNAVAILABLE",
        () -> ask(Conf.with(Conf.aes(key), "emrkeys.audit", "file:///dev/full")));
    Codes.assertCode(
        "INVALID_VALUE", () -> ask(Conf.with(Conf.aes(key), "emrkeys.audit", "syslog")));
  }
}
