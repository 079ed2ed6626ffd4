package org.emrkeys.provider;

import java.util.Map;
import java.util.TreeMap;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Wire;

/**
 * Properties by themselves, for a host without Hadoop. Internal. Immutable.
 *
 * <p>What only Hadoop has is refused, and never passed over: its file systems, its credential providers,
 * and variables in values, which its {@code Configuration} would expand.
 */
public final class PlainSettings extends Settings {
  private static final String ABSENT = ", and Hadoop is not on the class path: ";

  private final Map<String, String> properties;

  /**
   * The settings of these properties.
   *
   * @param properties by name; they are copied
   */
  public PlainSettings(Map<String, String> properties) {
    this.properties = new TreeMap<>(properties);
  }

  @Override
  String value(String name) {
    String value = properties.get(name);
    if (value != null && value.contains("${")) {
      throw EmrKeysException.of(
          "INVALID_VALUE",
          name + ": only Hadoop expands the variable in it, and Hadoop is not on the class path",
          "Write the value out.",
          null);
    }
    return value;
  }

  @Override
  Map<String, String> beginningWith(String... prefixes) {
    Map<String, String> found = new TreeMap<>();
    for (String name : properties.keySet()) {
      for (String prefix : prefixes) {
        if (name.startsWith(prefix)) {
          found.put(name, value(name));
        }
      }
    }
    return found;
  }

  @Override
  void file(String uri, Wire.Encoder out) {
    failed("only Hadoop can read it" + ABSENT + "name a copy by file: or s3:", out);
  }

  @Override
  void credential(String alias, Wire.Encoder out) {
    failed("only Hadoop has credential providers" + ABSENT + "name a key file instead", out);
  }
}
