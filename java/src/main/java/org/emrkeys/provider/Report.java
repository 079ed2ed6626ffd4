package org.emrkeys.provider;

import java.util.Collections;
import java.util.List;
import org.emrkeys.bridge.Wire;
import org.emrkeys.jce.JceSettings;

/** The results of a start or a refresh. Internal, immutable. */
public final class Report {
  private final String summary;
  private final List<String> warnings;
  private final JceSettings jce;
  private final boolean auditToLog;
  private final long statsMillis;

  private Report(Wire.Decoder in) {
    summary = in.string();
    warnings = Collections.unmodifiableList(in.strings());
    jce = JceSettings.of(in.u8(), in.u8(), in.i64(), in.u8(), in.u8() != 0);
    auditToLog = in.u8() != 0;
    statsMillis = in.i64();
  }

  static Report read(Wire.Decoder in) {
    return new Report(in);
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
   * Things to change that keep nothing from working.
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
  public JceSettings jce() {
    return jce;
  }

  /**
   * Whether the lines of the audit log go to a logger.
   *
   * @return true for {@code emrkeys.audit=log}
   */
  boolean auditToLog() {
    return auditToLog;
  }

  /**
   * How often counters are logged.
   *
   * @return milliseconds; 0: never
   */
  long statsMillis() {
    return statsMillis;
  }
}
