package org.emrkeys.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.ObjectResult;
import org.emrkeys.tests.support.Hadoop;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointTest {
  private static final String KEY = "raw/a=b: c\n\u00e9.parquet";
  private static final Set<String> IN_DOUBT = Collections.singleton(KEY);

  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void placeFile() {
    Hadoop.assumeItRunsHere();
    file = folder.resolve("mark");
  }

  private Checkpoint read(String identity, String target) throws IOException {
    Checkpoint checkpoint = new Checkpoint(file.toUri().toString(), identity, new Configuration(false));
    checkpoint.read(target, new PrintStream(new ByteArrayOutputStream()));
    return checkpoint;
  }

  private static ObjectResult result(String code) {
    return new ObjectResult(KEY, code.isEmpty() ? "current" : "failed", code, 0, "{}");
  }

  @Test
  void anObjectInDoubtIsRememberedThroughEndsStopsAndRotations() throws IOException {
    Checkpoint first = read("convert", "lake/1");
    first.note(result("REPLACEMENT_NOT_PROVEN"));
    first.stop("lake/1");
    Checkpoint second = read("convert", "lake/1");
    assertEquals(IN_DOUBT, second.doubted());
    assertEquals("", second.after());
    second.done("some mark", "lake/1", Collections.singletonMap("failed", 1L));
    second.end("lake/1");
    Checkpoint third = read("convert", "lake/1");
    assertEquals(IN_DOUBT, third.doubted());
    assertEquals("", third.after(), "a run that ended is not gone on from");
    assertTrue(third.earlier().isEmpty());
    third.note(result("OBJECT_DAMAGED"));
    assertEquals(IN_DOUBT, read("convert", "lake/2").doubted());

    third.note(result(""));
    third.end("lake/1");
    assertFalse(Files.exists(file));
  }

  @Test
  void aStopBeforeARoundLeavesTheCheckpointBeforeIt() throws IOException {
    Checkpoint first = read("convert", "lake/1");
    first.done("some mark", "lake/1", Collections.singletonMap("converted", 5L));
    first.note(result("REPLACEMENT_NOT_PROVEN"));
    first.stop("lake/1");
    Checkpoint second = read("convert", "lake/1");
    assertEquals("some mark", second.after());
    assertEquals(Collections.singletonMap("converted", 5L), second.earlier());
    assertEquals(first.run(), second.run());
  }

  @Test
  void aCheckpointOfAnotherRunIsRefused() throws IOException {
    read("convert", "lake/1").done("some mark", "lake/1", Collections.emptyMap());
    EmrKeysException refused = assertThrows(EmrKeysException.class, () -> read("rewrap", "lake/1"));
    assertEquals("INVALID_VALUE", refused.code());
  }
}
