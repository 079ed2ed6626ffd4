package org.emrkeys.provider;

import java.io.Serializable;

/** The outcome of the work on an object. Immutable. Internal. */
public final class ObjectResult implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String key;
  private final String outcome;
  private final String code;
  private final long bytes;
  private final String line;

  /**
   * A result.
   *
   * @param key of the object
   * @param outcome in a word that reports count by
   * @param code of the error; the empty string for work that did not fail
   * @param bytes of content that were read and written for it
   * @param line of a report, in JSON, which has the outcome too
   */
  public ObjectResult(String key, String outcome, String code, long bytes, String line) {
    this.key = key;
    this.outcome = outcome;
    this.code = code;
    this.bytes = bytes;
    this.line = line;
  }

  /**
   * The key of the object.
   *
   * @return the key
   */
  public String key() {
    return key;
  }

  /**
   * The outcome.
   *
   * @return a word that reports count by
   */
  public String outcome() {
    return outcome;
  }

  /**
   * The code of the error.
   *
   * @return the empty string for work that did not fail
   */
  public String code() {
    return code;
  }

  /**
   * The bytes of content that were read and written for it.
   *
   * @return 0 for work that changes metadata alone
   */
  public long bytes() {
    return bytes;
  }

  /**
   * The line of a report.
   *
   * @return JSON
   */
  public String line() {
    return line;
  }
}
