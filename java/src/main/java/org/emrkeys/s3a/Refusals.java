package org.emrkeys.s3a;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.AccessDeniedException;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Function;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.ConfiguredProvider;
import org.emrkeys.provider.ProviderHandle;

/** Failures in a form that S3A does not try again. Internal. */
public final class Refusals {
  /** Codes of what may be over when it is tried again. */
  private static final Set<String> PASSING =
      Collections.unmodifiableSet(
          new HashSet<>(
              Arrays.asList(
                  "SOURCE_UNAVAILABLE", "SOURCE_THROTTLED", "STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE")));

  private Refusals() {}

  /**
   * Asks a provider; a failure is in the form that S3A understands.
   *
   * @param provider asked
   * @param call of it
   * @param <T> type of the answer
   * @return the answer
   * @throws EmrKeysException as the call
   */
  public static <T> T ask(ConfiguredProvider provider, Function<ProviderHandle, T> call) {
    try {
      return provider.ask(call);
    } catch (EmrKeysException e) {
      throw of(e);
    }
  }

  /**
   * Gives a failure the form that S3A understands.
   *
   * @param e the failure
   * @return an exception with its code and message
   */
  public static EmrKeysException of(EmrKeysException e) {
    if (e.code().equals("INTERRUPTED")) {
      return interrupted(e);
    }
    return PASSING.contains(e.code()) ? e : lasting(e);
  }

  /**
   * Gives the interrupt of a waiting thread a cause by which S3A knows it for one.
   *
   * @param e the failure
   * @return an exception with its code and message
   */
  private static EmrKeysException interrupted(EmrKeysException e) {
    return new EmrKeysException(
        e.code(), e.getMessage(), new InterruptedIOException(e.getMessage()));
  }

  /**
   * Gives a failure a cause by which S3A knows that another try is of no use. S3A goes by the
   * innermost cause ({@code ErrorTranslation.maybeExtractIOException} of hadoop-aws), so that causes
   * of the failure itself are suppressed exceptions.
   *
   * @param e the failure
   * @return an exception with its code and message
   */
  public static EmrKeysException lasting(EmrKeysException e) {
    IOException denied = new AccessDeniedException(e.getMessage());
    EmrKeysException lasting = new EmrKeysException(e.code(), e.getMessage(), denied);
    if (e.getCause() != null) {
      lasting.addSuppressed(e.getCause());
    }
    return lasting;
  }
}
