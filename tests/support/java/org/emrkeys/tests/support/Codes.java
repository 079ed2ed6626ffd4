package org.emrkeys.tests.support;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.emrkeys.EmrKeysException;
import org.junit.jupiter.api.function.Executable;

/** Assertions on error codes. */
public final class Codes {
  private Codes() {}

  /** Checks that {@code action} is refused with {@code code}, and that its message shows it. */
  public static EmrKeysException assertCode(String code, Executable action) {
    EmrKeysException thrown = assertThrows(EmrKeysException.class, action);
    assertEquals(code, thrown.code(), thrown.getMessage());
    assertTrue(thrown.getMessage().contains("[" + code + "]"), thrown.getMessage());
    return thrown;
  }
}
