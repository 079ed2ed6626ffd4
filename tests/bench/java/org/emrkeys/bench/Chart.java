package org.emrkeys.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
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
      chart.panel("encrypt", "aes-gcm-encrypt", mib, CRYPTO_NAMES);
      chart.panel("decrypt, released as it comes", "aes-gcm-decrypt-streaming", mib, CRYPTO_NAMES);
      chart.panel("decrypt, released when verified", "aes-gcm-decrypt-verified", mib, CRYPTO_NAMES);
      chart.write(Paths.get(args[1], "crypto.svg"));
    }
    Path objects = Paths.get(args[0], "objects.json");
    if (Files.exists(objects)) {
      Chart chart = new Chart(objects, "256 MiB through the V2 encryption client of SDK v1, GB/s");
      int size = 256 << 20;
      chart.panel("get, heap of 96 MiB", "object-get-96m", size, OBJECT_NAMES);
      chart.panel("get, heap of 1 GiB", "object-get", size, OBJECT_NAMES);
      chart.panel("put, heap of 1 GiB", "object-put", size, OBJECT_NAMES);
      chart.write(Paths.get(args[1], "objects.svg"));
    }
  }

  private void panel(String title, String name, int size, String[][] providers) {
    double longest = 0;
    for (String[] provider : providers) {
      longest = Math.max(longest, value(name, size, provider[0]));
    }
    y += 22;
    text(16, y, "bold 13px", "start", title);
    y += 8;
    for (String[] provider : providers) {
      double value = value(name, size, provider[0]);
      if (Double.isNaN(value)) {
        continue;
      }
      double width = Math.max(1, value / longest * LONGEST);
      boolean ours = provider[0].equals("emrkeys");
      text(LEFT - 8, y + 13, "12px", "end", provider[1]);
      svg.append(
          String.format(
              Locale.ROOT,
              "<rect x='%d' y='%d' width='%.1f' height='%d' fill='%s'/>%n",
              LEFT, y, width, BAR, ours ? "#c2410c" : "#94a3b8"));
      text(
          (int) (LEFT + width + 6), y + 13, "12px", "start", String.format(Locale.ROOT, "%.2f", value));
      y += STEP;
    }
  }

  private double value(String name, int size, String provider) {
    for (JsonNode row : results) {
      if (row.get("case").asText().equals(name)
          && row.get("size").asInt() == size
          && row.get("threads").asInt() == 1
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
