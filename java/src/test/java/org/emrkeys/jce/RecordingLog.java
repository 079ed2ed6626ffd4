package org.emrkeys.jce;

import java.util.ArrayList;
import java.util.List;
import org.apache.commons.logging.Log;

/** Keeps what is logged. Public, for classes of another class loader call it. */
public final class RecordingLog implements Log {
  final List<String> infos = new ArrayList<>();
  final List<String> warnings = new ArrayList<>();

  @Override
  public void info(Object message) {
    infos.add(String.valueOf(message));
  }

  @Override
  public void warn(Object message) {
    warnings.add(String.valueOf(message));
  }

  @Override
  public void info(Object message, Throwable t) {
    info(message);
  }

  @Override
  public void warn(Object message, Throwable t) {
    warn(message);
  }

  @Override
  public void error(Object message) {
    throw new AssertionError(message);
  }

  @Override
  public void error(Object message, Throwable t) {
    throw new AssertionError(String.valueOf(message), t);
  }

  @Override
  public void fatal(Object message) {
    error(message);
  }

  @Override
  public void fatal(Object message, Throwable t) {
    error(message, t);
  }

  @Override
  public void debug(Object message) {}

  @Override
  public void debug(Object message, Throwable t) {}

  @Override
  public void trace(Object message) {}

  @Override
  public void trace(Object message, Throwable t) {}

  @Override
  public boolean isDebugEnabled() {
    return false;
  }

  @Override
  public boolean isErrorEnabled() {
    return true;
  }

  @Override
  public boolean isFatalEnabled() {
    return true;
  }

  @Override
  public boolean isInfoEnabled() {
    return true;
  }

  @Override
  public boolean isTraceEnabled() {
    return false;
  }

  @Override
  public boolean isWarnEnabled() {
    return true;
  }
}
