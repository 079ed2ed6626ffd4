package org.emrkeys.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Collects measurements and writes them in the one form of all benchmarks here. */
final class Results {
  private final List<Map<String, Object>> rows = new ArrayList<>();

  /** Adds a row and prints it. {@code size}: what {@code name} scales with (calls, rules, bytes), 0 if nothing. */
  void add(
      String name, long size, int threads, String unit, double value, double min, double max) {
    put(name, size, threads, "emrkeys", unit, value, min, max);
    System.out.printf(
        Locale.ROOT,
        "    %-36s size %8d, %d thread%s: %14.3f %s (%.3f to %.3f)%n",
        name, size, threads, threads == 1 ? " " : "s", value, unit, min, max);
  }

  private void put(
      String name, long size, int threads, String provider, String unit, double value, double min, double max) {
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("case", name);
    row.put("size", size);
    row.put("threads", threads);
    row.put("provider", provider);
    row.put("unit", unit);
    row.put("value", value);
    row.put("min", min);
    row.put("max", max);
    rows.add(row);
  }

  /** Adds the median of {@code samples} of one of several providers, without printing it. Returns it. */
  double addSilently(
      String name, long size, int threads, String provider, String unit, double... samples) {
    double[] sorted = samples.clone();
    Arrays.sort(sorted);
    double median = sorted[sorted.length / 2];
    put(name, size, threads, provider, unit, median, sorted[0], sorted[sorted.length - 1]);
    return median;
  }

  /** Adds the median of {@code samples}. */
  void addMedian(String name, long size, int threads, String unit, double... samples) {
    double[] sorted = samples.clone();
    Arrays.sort(sorted);
    add(name, size, threads, unit, sorted[sorted.length / 2], sorted[0], sorted[sorted.length - 1]);
  }

  void write(Path file) throws IOException {
    StringBuilder json = new StringBuilder("{\n  \"machine\": ");
    append(json, machine());
    json.append(",\n  \"results\": [");
    String separator = "\n    ";
    for (Map<String, Object> row : rows) {
      json.append(separator);
      append(json, row);
      separator = ",\n    ";
    }
    json.append("\n  ]\n}\n");
    Files.createDirectories(file.getParent());
    Files.write(file, json.toString().getBytes(StandardCharsets.UTF_8));
  }

  private static Map<String, Object> machine() throws IOException {
    Map<String, Object> machine = new LinkedHashMap<>();
    machine.put("cpu", procField("/proc/cpuinfo", "model name"));
    machine.put("vaes", hasVaes());
    machine.put("cores", (long) Runtime.getRuntime().availableProcessors());
    machine.put("memory", procField("/proc/meminfo", "MemTotal"));
    machine.put("os", System.getProperty("os.name") + " " + System.getProperty("os.version"));
    machine.put("arch", System.getProperty("os.arch"));
    machine.put(
        "java", System.getProperty("java.vm.name") + " " + System.getProperty("java.version"));
    return machine;
  }

  /** Without these instructions all figures for AES are others, and so are the ratios. */
  static boolean hasVaes() throws IOException {
    return (" " + procField("/proc/cpuinfo", "flags") + " ").contains(" vaes ");
  }

  private static String procField(String file, String field) throws IOException {
    for (String line : Files.readAllLines(Paths.get(file), StandardCharsets.UTF_8)) {
      if (line.startsWith(field)) {
        return line.substring(line.indexOf(':') + 1).trim();
      }
    }
    return "unknown";
  }

  private static void append(StringBuilder json, Map<String, Object> fields) {
    String separator = "{";
    for (Map.Entry<String, Object> field : fields.entrySet()) {
      json.append(separator).append('"').append(field.getKey()).append("\": ");
      if (field.getValue() instanceof String) {
        json.append('"').append(escaped((String) field.getValue())).append('"');
      } else if (field.getValue() instanceof Double) {
        json.append(String.format(Locale.ROOT, "%.3f", field.getValue()));
      } else {
        json.append(field.getValue());
      }
      separator = ", ";
    }
    json.append('}');
  }

  private static String escaped(String text) {
    return text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ");
  }
}
