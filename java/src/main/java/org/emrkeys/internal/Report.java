package org.emrkeys.internal;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What a start or a refresh has to say. Internal, immutable. */
public final class Report {
  private final String summary;
  private final List<String> warnings;

  private Report(String summary, List<String> warnings) {
    this.summary = summary;
    this.warnings = Collections.unmodifiableList(warnings);
  }

  static Report read(Wire.Decoder in) {
    String summary = in.string();
    int count = in.count(4);
    List<String> warnings = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      warnings.add(in.string());
    }
    return new Report(summary, warnings);
  }

  /**
   * One line: version, keys and rules by name.
   *
   * @return the line
   */
  public String summary() {
    return summary;
  }

  /**
   * What should be changed and keeps nothing from working.
   *
   * @return one line each
   */
  public List<String> warnings() {
    return warnings;
  }
}
