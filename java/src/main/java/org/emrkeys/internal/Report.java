package org.emrkeys.internal;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.emrkeys.jce.JceSettings;

/** What a start or a refresh has to say. Internal, immutable. */
public final class Report {
  private final String summary;
  private final List<String> warnings;
  private final JceSettings jce;

  private Report(String summary, List<String> warnings, JceSettings jce) {
    this.summary = summary;
    this.warnings = Collections.unmodifiableList(warnings);
    this.jce = jce;
  }

  static Report read(Wire.Decoder in) {
    String summary = in.string();
    int count = in.count(4);
    List<String> warnings = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      warnings.add(in.string());
    }
    JceSettings jce = JceSettings.of(in.u8(), in.u8(), in.i64(), in.u8(), in.u8() != 0);
    return new Report(summary, warnings, jce);
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

  /**
   * How the JCE provider is to be set up.
   *
   * @return never null
   */
  JceSettings jce() {
    return jce;
  }
}
