package org.emrkeys.doctor;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Wire;

/**
 * The findings of checks, and how they are printed. The core has the same in Rust ({@code inspect::Finding}); this
 * class serves where no native library loads. Not thread-safe.
 */
final class Findings {
  /** How bad a finding is, in the words of the core. */
  enum Level {
    OK("ok"),
    NOTE("note"),
    WARNING("warning"),
    FAIL("FAIL");

    final String word;

    Level(String word) {
      this.word = word;
    }

    /** The level that the core names so; another word is a defect. */
    static Level of(String word) {
      for (Level level : values()) {
        if (level.word.equals(word)) {
          return level;
        }
      }
      throw Wire.defect(null);
    }
  }

  private static final class Finding {
    final String check;
    final Level level;
    final String message;
    final String remedy;

    Finding(String check, Level level, String message, String remedy) {
      this.check = check;
      this.level = level;
      this.message = message;
      this.remedy = remedy;
    }
  }

  private final List<Finding> all = new ArrayList<>();

  /** Adds the result of one check; {@code remedy} may be null. */
  void add(String check, Level level, String message, String remedy) {
    all.add(new Finding(check, level, message, remedy));
  }

  /** Adds the core's findings, as {@code Natives.checks} has them. */
  void read(Wire.Decoder in) {
    for (int left = in.count(16); left > 0; left--) {
      add(in.string(), Level.of(in.string()), in.string(), in.string());
    }
  }

  /** Adds each problem of a failure; a message of several has a line for each below the first. */
  void failure(String check, EmrKeysException e) {
    String[] lines = String.valueOf(e.getMessage()).split("\n");
    for (int i = lines.length == 1 ? 0 : 1; i < lines.length; i++) {
      String line = lines[i].trim();
      int code = line.indexOf("]. ");
      String message = code < 0 ? line : line.substring(0, code + 1);
      add(check, Level.FAIL, message, code < 0 ? "See docs." : line.substring(code + 3));
    }
  }

  /** The number of findings of a level. */
  long count(Level level) {
    return all.stream().filter(found -> found.level == level).count();
  }

  /** A line for each finding and its remedy, in the form of {@code emrkeys doctor}. */
  String text() {
    StringBuilder text = new StringBuilder();
    for (Finding found : all) {
      text.append(String.format("%-8s %-20s %s%n", found.level.word, found.check, found.message));
      if (found.remedy != null) {
        text.append(String.format("%30s%s%n", "", found.remedy));
      }
    }
    return text.append(String.format(
            "failures: %d, warnings: %d%n", count(Level.FAIL), count(Level.WARNING)))
        .toString();
  }

  /** The document of {@code emrkeys doctor --output json}. */
  String json() {
    String checks =
        all.stream()
            .map(
                found ->
                    "    {\"check\": " + quoted(found.check)
                        + ", \"level\": " + quoted(found.level.word.toLowerCase(Locale.ROOT))
                        + ", \"message\": " + quoted(found.message)
                        + ", \"remedy\": " + quoted(found.remedy) + "}")
            .collect(Collectors.joining(",\n"));
    return "{\n  \"ok\": " + (count(Level.FAIL) == 0)
        + ",\n  \"failures\": " + count(Level.FAIL)
        + ",\n  \"warnings\": " + count(Level.WARNING)
        + ",\n  \"checks\": [\n" + checks + "\n  ]\n}\n";
  }

  /** RFC 8259, 7. */
  static String quoted(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20 || Character.isSurrogate(c)) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }
}
