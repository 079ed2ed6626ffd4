package org.emrkeys.s3a;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.AccessDeniedException;
import org.emrkeys.EmrKeysException;

/** Failures in a form that S3A does not try again. Internal. */
public final class Refusals {
  private Refusals() {}

  /**
   * Gives the interrupt of a waiting thread a cause by which S3A knows it for one.
   *
   * @param e the failure
   * @return an exception with its code and message
   */
  public static EmrKeysException interrupted(EmrKeysException e) {
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
