package org.emrkeys;

/**
 * Something that emrkeys refuses or cannot do.
 *
 * <p>The message is for people: it names the property at fault and the remedy, and never holds a
 * secret. Programs look at {@link #code()}, whose values are stable and listed in {@code
 * docs/configuration.md}.
 */
public class EmrKeysException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String code;

  /**
   * Makes an exception whose message is complete.
   *
   * @param code the stable code
   * @param message what is wrong and what to do about it, with the code in brackets
   */
  public EmrKeysException(String code, String message) {
    this(code, message, null);
  }

  /**
   * Makes an exception whose message is complete.
   *
   * @param code the stable code
   * @param message what is wrong and what to do about it, with the code in brackets
   * @param cause what brought it about, or null
   */
  public EmrKeysException(String code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /**
   * Makes an exception with the message that all of ours have: {@code what [CODE]. remedy}.
   *
   * @param code the stable code
   * @param what what is wrong, without a full stop
   * @param remedy what to do about it, one or more sentences
   * @param cause what brought it about, or null
   * @return the exception, to be thrown
   */
  public static EmrKeysException of(String code, String what, String remedy, Throwable cause) {
    return new EmrKeysException(code, what + " [" + code + "]. " + remedy, cause);
  }

  /**
   * The kind of failure.
   *
   * @return a stable name such as {@code KEY_FILE_NOT_FOUND}
   */
  public String code() {
    return code;
  }
}
