package org.emrkeys.tests.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.emrkeys.tests.demo.Demo;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Stack;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo's verdict: it can say no. */
@Tag("once") // it is about the demo
class DemoTest {
  @TempDir Path folder;

  @BeforeEach
  void files() throws IOException {
    // The demo is for the newest SDK; that of 2019, with which the suites run again, has no V2 client.
    assumeTrue(Mode.V2_AUTHENTICATED.isAvailable(), "the demo needs the V2 client of the SDK");
    Files.write(folder.resolve("A.java"), Stack.content(100));
    Files.write(folder.resolve("b.md"), Stack.content(200));
    Files.write(folder.resolve("c.bin"), Stack.content(300));
    Files.write(Files.createDirectory(folder.resolve("build")).resolve("d"), new byte[1]);
  }

  @AfterEach
  void noMoreFaults() throws IOException {
    Stack.aws().control("DELETE", "faults", null);
  }

  /** Runs {@code hook} when all is written and nothing is read back yet. */
  private int run(ByteArrayOutputStream captured, final Runnable hook) throws Exception {
    PrintStream out =
        new PrintStream(captured, true, "UTF-8") {
          @Override
          public void println(String line) {
            super.println(line);
            if (line.startsWith("written: 3 of 3")) {
              hook.run();
            }
          }
        };
    return Demo.run(new String[] {folder.toString()}, out);
  }

  private static String lastLine(ByteArrayOutputStream captured) {
    String[] lines = new String(captured.toByteArray(), StandardCharsets.UTF_8).split("\\R");
    return lines[lines.length - 1];
  }

  @Test
  void everyFileIsReadBackUnderItsOwnKindOfKey() throws Exception {
    ByteArrayOutputStream captured = new ByteArrayOutputStream();
    Path table = folder.resolve("build/objects.tsv");
    String[] arguments = {"--table", table.toString(), folder.toString()};
    PrintStream out = new PrintStream(captured, true, "UTF-8");
    assertEquals(0, Demo.run(arguments, out));
    assertEquals("demo: 3 objects, 600 bytes, 3 keys, 0 mismatches", lastLine(captured));
    List<String> rows = Files.readAllLines(table, StandardCharsets.UTF_8);
    assertEquals(4, rows.size());
    assertTrue(rows.get(1).startsWith("s3://emrkeys-demo/code/A.java\tcode\tcode-key\tAESWrap\t"));
    assertTrue(
        rows.get(2).startsWith("s3://emrkeys-demo/documents/b.md\tdocuments\tdocuments-key\tRSA/"));
    assertTrue(rows.get(3).startsWith("s3://emrkeys-demo/data/c.bin\tdata\tarn:aws:kms:"));
  }

  @Test
  void aDifferenceIsAMismatch() throws Exception {
    ByteArrayOutputStream captured = new ByteArrayOutputStream();
    int status =
        run(
            captured,
            () -> {
              try {
                Files.write(folder.resolve("b.md"), Stack.content(201));
              } catch (IOException problem) {
                throw new UncheckedIOException(problem);
              }
            });
    assertEquals(1, status);
    assertEquals("demo: 3 objects, 600 bytes, 3 keys, 1 mismatches", lastLine(captured));
  }

  @Test
  void anObjectThatCannotBeReadIsAMismatch() throws Exception {
    Stack.aws()
        .control(
            "POST",
            "faults",
            "{\"service\": \"s3\", \"op\": \"GetObject\", \"resource\": \"emrkeys-demo/data/c.bin\","
                + " \"count\": null, \"status\": 403, \"code\": \"AccessDenied\"}");
    ByteArrayOutputStream captured = new ByteArrayOutputStream();
    assertEquals(1, run(captured, () -> {}));
    assertEquals("demo: 3 objects, 300 bytes, 3 keys, 1 mismatches", lastLine(captured));
  }

  @Test
  void aFolderWithoutFilesIsRefused() throws Exception {
    ByteArrayOutputStream captured = new ByteArrayOutputStream();
    String empty = Files.createDirectory(folder.resolve("empty")).toString();
    PrintStream out = new PrintStream(captured, true, "UTF-8");
    assertEquals(2, Demo.run(new String[] {empty}, out));
    assertEquals(2, Demo.run(new String[] {empty + "/absent"}, out));
  }
}
