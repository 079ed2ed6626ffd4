package org.emrkeys.tests.emrfs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** The operator's tool, as its binary. The system property {@code emrkeys.test.cli} names it. */
public final class Cli {
  private static final int SECONDS = 60;

  private Cli() {}

  /** What a command printed, and its exit code. */
  public static final class Result {
    public final int code;
    public final String text;

    private Result(int code, String text) {
      this.code = code;
      this.text = text;
    }
  }

  /** Runs {@code emrkeys} with these arguments against the local servers. */
  public static Result run(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("emrkeys.test.cli", "target/debug/emrkeys"));
    command.addAll(Arrays.asList(arguments));
    command.add("--endpoint-url");
    command.add(Stack.aws().endpoint());
    Path output = Files.createTempFile("emrkeys-cli", ".txt");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .redirectInput(new File("/dev/null"))
              .start();
      if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException(command + " did not end within " + SECONDS + " seconds");
      }
      String text = new String(Files.readAllBytes(output), StandardCharsets.UTF_8);
      return new Result(process.exitValue(), text);
    } finally {
      Files.delete(output);
    }
  }

  /** Runs what has to succeed, and returns what it printed. */
  public static String succeed(String... arguments) throws IOException, InterruptedException {
    Result result = run(arguments);
    assertEquals(0, result.code, result.text);
    return result.text;
  }
}
