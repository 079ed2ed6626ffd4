package org.emrkeys.provider;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.emrkeys.bridge.Wire;

/** Counters of the requests of one key to its key service, at one moment. Internal, immutable. */
final class KeyCounters {
  /** The attribute for the age of the key that encrypts, in milliseconds; -1 if no key encrypts. */
  static final String AGE = "ageMillis";

  final String key;

  /** Values by name, in the native side's order. */
  final Map<String, Long> values;

  private KeyCounters(String key, Map<String, Long> values) {
    this.key = key;
    this.values = values;
  }

  static List<KeyCounters> read(Wire.Decoder in) {
    int count = in.count(16);
    List<KeyCounters> keys = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      String key = in.string();
      Map<String, Long> values = new LinkedHashMap<>();
      values.put(AGE, in.i64());
      int counters = in.count(12);
      for (int j = 0; j < counters; j++) {
        String name = camelCase(in.string());
        values.put(name, in.i64());
      }
      keys.add(new KeyCounters(key, values));
    }
    return keys;
  }

  /** {@code generate_calls} is {@code generateCalls}, as attributes of MBeans are written. */
  private static String camelCase(String name) {
    StringBuilder result = new StringBuilder();
    for (String word : name.split("_")) {
      result.append(result.length() == 0 ? word.charAt(0) : Character.toUpperCase(word.charAt(0)));
      result.append(word, 1, word.length());
    }
    return result.toString();
  }

  /** For the log. */
  @Override
  public String toString() {
    return "key " + key + " " + values;
  }
}
