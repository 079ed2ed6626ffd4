package org.emrkeys;

import java.util.ArrayList;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Collectors;

/** The lines that emrkeys logs, at any level, between the constructor and {@link #close}. */
final class Logged extends Handler implements AutoCloseable {
  private final Logger logger = Logger.getLogger("org.emrkeys");
  private final List<LogRecord> records = new ArrayList<>();

  Logged() {
    setLevel(Level.ALL);
    logger.setLevel(Level.ALL);
    logger.addHandler(this);
  }

  @Override
  public synchronized void publish(LogRecord record) {
    records.add(record);
  }

  /** The messages of one level. */
  synchronized List<String> at(Level level) {
    return records.stream()
        .filter(record -> record.getLevel().equals(level))
        .map(LogRecord::getMessage)
        .collect(Collectors.toList());
  }

  /** All messages, of all levels. */
  synchronized List<String> all() {
    return records.stream().map(LogRecord::getMessage).collect(Collectors.toList());
  }

  @Override
  public void flush() {}

  @Override
  public void close() {
    logger.removeHandler(this);
    logger.setLevel(null);
  }
}
