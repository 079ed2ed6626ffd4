package org.emrkeys.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Draws the charts of the docs: {@code Chart FOLDER-OF-RESULTS FOLDER-OF-CHARTS}. Bars with their
 * figures need no more than rectangles and text, so this writes SVG itself.
 */
public final class Chart {
  private static final int WIDTH = 760;
  private static final int BAR = 18;
  private static final int STEP = 23;
  private static final int LEFT = 150;
  private static final int LONGEST = 480;

  private static final String[][] CRYPTO_NAMES = {
    {"emrkeys", "emrkeys"},
    {"aws-lc", "raw AWS-LC"},
    {"accp", "Amazon Corretto"},
    {"conscrypt", "Conscrypt"},
    {"sunjce", "SunJCE"},
    {"bc", "Bouncy Castle"},
  };

  private static final String[][] OBJECT_NAMES = {
    {"emrkeys", "emrkeys"}, {"stock", "as it comes"}, {"plain", "not encrypted"},
  };

  private static final String[][] KMS_NAMES = {
    {"keyring", "keyring"}, {"kms-cached", "kms-cached"}, {"kms", "kms (EMRFS's own)"},
  };

  private static final List<String> OURS = Arrays.asList("emrkeys", "keyring", "kms-cached");

  private final StringBuilder svg = new StringBuilder();
  private final JsonNode results;
  private int y = 58;

  private Chart(Path json, String title) throws IOException {
    JsonNode root = new ObjectMapper().readTree(json.toFile());
    results = root.get("results");
    JsonNode machine = root.get("machine");
    text(16, 26, "bold 16px", "start", title);
    text(
        16, 44, "12px", "start",
        machine.get("cpu").asText()
            + (machine.get("vaes").asBoolean() ? " with VAES, " : ", ")
            + machine.get("java").asText());
  }

  public static void main(String[] args) throws IOException {
    Path crypto = Paths.get(args[0], "crypto.json");
    if (Files.exists(crypto)) {
      Chart chart = new Chart(crypto, "AES-256-GCM of 1 MiB in updates of 64 KiB, one thread, GB/s");
      int mib = 1 << 20;
      chart.panel("encrypt", "aes-gcm-encrypt", mib, 1, CRYPTO_NAMES);
      chart.panel(
          "decrypt, released as it comes", "aes-gcm-decrypt-streaming", mib, 1, CRYPTO_NAMES);
      chart.panel(
          "decrypt, released when verified", "aes-gcm-decrypt-verified", mib, 1, CRYPTO_NAMES);
      chart.write(Paths.get(args[1], "crypto.svg"));
    }
    Path objects = Paths.get(args[0], "objects.json");
    if (Files.exists(objects)) {
      Chart chart = new Chart(objects, "256 MiB through the V2 encryption client of SDK v1, GB/s");
      int size = 256 << 20;
      chart.panel("get, heap of 96 MiB", "object-get-96m", size, 1, OBJECT_NAMES);
      chart.panel("get, heap of 1 GiB", "object-get", size, 1, OBJECT_NAMES);
      chart.panel("put, heap of 1 GiB", "object-put", size, 1, OBJECT_NAMES);
      chart.write(Paths.get(args[1], "objects.svg"));
    }
    Path kms = Paths.get(args[0], "kms.json");
    if (Files.exists(kms)) {
      Chart chart = new Chart(kms, "10,000 objects written and read; KMS with 10 ms and 100 calls/s");
      chart.panel("calls of KMS", "kms-calls", 10_000, 16, KMS_NAMES);
      chart.panel("seconds, 16 threads", "kms-job", 10_000, 16, KMS_NAMES);
      chart.panel(
          "calls of KMS, 1,000 executors with 1,000 objects each (simulated)",
          "fleet-calls", 2_000_000, 1000, KMS_NAMES);
      chart.write(Paths.get(args[1], "kms.svg"));
    }
  }

  private void panel(String title, String name, int size, int threads, String[][] providers) {
    double longest = 0;
    for (String[] provider : providers) {
      longest = Math.max(longest, value(name, size, threads, provider[0]));
    }
    y += 22;
    text(16, y, "bold 13px", "start", title);
    y += 8;
    for (String[] provider : providers) {
      double value = value(name, size, threads, provider[0]);
      if (Double.isNaN(value)) {
        continue;
      }
      double width = Math.max(1, value / longest * LONGEST);
      boolean ours = OURS.contains(provider[0]);
      text(LEFT - 8, y + 13, "12px", "end", provider[1]);
      svg.append(
          String.format(
              Locale.ROOT,
              "<rect x='%d' y='%d' width='%.1f' height='%d' fill='%s'/>%n",
              LEFT, y, width, BAR, ours ? "#c2410c" : "#94a3b8"));
      text(
          (int) (LEFT + width + 6), y + 13, "12px", "start",
          String.format(Locale.ROOT, value == Math.rint(value) ? "%,.0f" : "%.2f", value));
      y += STEP;
    }
  }

  private double value(String name, int size, int threads, String provider) {
    for (JsonNode row : results) {
      if (row.get("case").asText().equals(name)
          && row.get("size").asInt() == size
          && row.get("threads").asInt() == threads
          && row.get("provider").asText().equals(provider)) {
        return row.get("value").asDouble();
      }
    }
    return Double.NaN;
  }

  private void text(int x, int y, String font, String anchor, String text) {
    svg.append(
        String.format(
            "<text x='%d' y='%d' style='font:%s sans-serif' text-anchor='%s'>%s</text>%n",
            x, y, font, anchor, text.replace("&", "&amp;").replace("<", "&lt;")));
  }

  private void write(Path file) throws IOException {
    int height = y + 12;
    String whole =
        String.format(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d'>%n"
                + "<rect width='%d' height='%d' fill='white'/>%n%s</svg>%n",
            WIDTH, height, WIDTH, WIDTH, height, svg);
    Files.write(file, whole.getBytes(StandardCharsets.UTF_8));
  }
}
