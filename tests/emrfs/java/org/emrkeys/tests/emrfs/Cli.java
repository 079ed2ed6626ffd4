package org.emrkeys.tests.emrfs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.amazonaws.util.json.Jackson;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The operator's tool, as its binary. The system property {@code emrkeys.test.cli} names it. */
public final class Cli {
  private static final int SECONDS = 60;
  private static final List<String> LEVELS = Arrays.asList("ok", "note", "warning", "fail");

  private Cli() {}

  /** The text that a command printed, and its exit code. */
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
    return run(Collections.emptyMap(), arguments);
  }

  private static Result run(Map<String, String> environment, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("emrkeys.test.cli", "target/debug/emrkeys"));
    command.addAll(Arrays.asList(arguments));
    command.add("--endpoint-url");
    command.add(Stack.aws().endpoint());
    Path output = Files.createTempFile("emrkeys-cli", ".txt");
    try {
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .redirectInput(new File("/dev/null"));
      builder.environment().putAll(environment);
      Process process = builder.start();
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

  /** The same with the keys and rules of {@code site}. */
  public static Result run(Site site, String... arguments)
      throws IOException, InterruptedException {
    return runWith(site, "emrkeys.", arguments);
  }

  private static Result runWith(Site site, String prefix, String... arguments)
      throws IOException, InterruptedException {
    List<String> all = new ArrayList<>(Arrays.asList(arguments));
    site.configuration()
        .forEach(
            property -> {
              if (property.getKey().startsWith(prefix)) {
                all.add("-D" + property.getKey() + "=" + property.getValue());
              }
            });
    return run(all.toArray(new String[0]));
  }

  /** The findings of {@code emrkeys doctor} in the whole of {@code site}, by check, the worst of each. */
  public static Map<String, JsonNode> doctor(Site site, String... options)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(Arrays.asList("doctor", "--output", "json"));
    command.addAll(Arrays.asList(options));
    Result result = runWith(site, "", command.toArray(new String[0]));
    Map<String, JsonNode> found = new LinkedHashMap<>();
    for (JsonNode check : Jackson.jsonNodeOf(behindNotes(result.text, "{")).get("checks")) {
      found.merge(
          check.get("check").asText(),
          check,
          (one, other) -> LEVELS.indexOf(level(one)) >= LEVELS.indexOf(level(other)) ? one : other);
    }
    return found;
  }

  private static String behindNotes(String text, String start) {
    return text.substring(text.indexOf("\n" + start) + 1);
  }

  /** The level of one of doctor's findings. */
  public static String level(JsonNode finding) {
    return finding.get("level").asText();
  }

  /** The site with the properties that {@code emrkeys emr-config classification} prints for it. */
  public static Site classified(Site site, String... options)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(Arrays.asList("emr-config", "classification"));
    command.addAll(Arrays.asList(options));
    Result result = runWith(site, "", command.toArray(new String[0]));
    assertEquals(0, result.code, result.text);
    Site classified = Site.plain();
    Jackson.jsonNodeOf(behindNotes(result.text, "["))
        .get(0)
        .get("Properties")
        .fields()
        .forEachRemaining(
            property -> classified.set(property.getKey(), property.getValue().asText()));
    return classified;
  }

  /** The answer of {@code emrkeys inspect} for one object. */
  public static JsonNode inspect(Site site, String uri) throws IOException, InterruptedException {
    return Jackson.jsonNodeOf(succeed(site, "inspect", uri, "--output", "json")).get(0);
  }

  /** The content of an object, or {@code range} of it as {@code --range} has it, as {@code emrkeys get} writes it. */
  public static byte[] get(Site site, String uri, String... range)
      throws IOException, InterruptedException {
    Path folder = Files.createTempDirectory("emrkeys-get");
    Path file = folder.resolve("content");
    try {
      List<String> command =
          new ArrayList<>(
              Arrays.asList("get", uri, file.toString(), "--allow-unauthenticated"));
      for (String part : range) {
        command.add("--range=" + part);
      }
      succeed(site, command.toArray(new String[0]));
      return Files.readAllBytes(file);
    } finally {
      Files.deleteIfExists(file);
      Files.delete(folder);
    }
  }

  /** Has {@code emrkeys put} write {@code content}. */
  public static void put(Site site, byte[] content, String uri, String... options)
      throws IOException, InterruptedException {
    Path file = Files.createTempFile("emrkeys-put", ".bin");
    try {
      Files.write(file, content);
      List<String> command = new ArrayList<>(Arrays.asList("put", file.toString(), uri));
      command.addAll(Arrays.asList(options));
      succeed(site, command.toArray(new String[0]));
    } finally {
      Files.delete(file);
    }
  }

  /** Runs what has to succeed, and returns what it printed. */
  public static String succeed(String... arguments) throws IOException, InterruptedException {
    return succeeded(run(arguments));
  }

  /** The same as another operator, whose tool remembers in the folder {@code state} the keyrings that it has seen. */
  public static String succeed(Path state, String... arguments)
      throws IOException, InterruptedException {
    return succeeded(run(Collections.singletonMap("XDG_STATE_HOME", state.toString()), arguments));
  }

  /** The same with the keys and rules of {@code site}. */
  public static String succeed(Site site, String... arguments)
      throws IOException, InterruptedException {
    return succeeded(run(site, arguments));
  }

  private static String succeeded(Result result) {
    assertEquals(0, result.code, result.text);
    return result.text;
  }
}
