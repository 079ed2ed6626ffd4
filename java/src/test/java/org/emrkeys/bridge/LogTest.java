package org.emrkeys.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Class paths with one logging library each, and with none; all of them end in the JDK's. */
class LogTest extends Handler {
  private static final String NAME = LogTest.class.getName();
  private static final String COMMONS = "org.apache.commons.logging.LogFactory";

  private final List<String> lines = new ArrayList<>();

  @Override
  public void publish(LogRecord record) {
    lines.add(record.getLevel() + " " + record.getMessage());
  }

  @Override
  public void flush() {}

  @Override
  public void close() {}

  private static URL jarOf(String type) throws ClassNotFoundException {
    return Class.forName(type).getProtectionDomain().getCodeSource().getLocation();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "commons-logging", "slf4j"})
  void linesReachTheLibraryThatIsThere(String library) throws Exception {
    List<URL> jars = new ArrayList<>(Collections.singletonList(jarOf(Log.class.getName())));
    if (library.equals("commons-logging")) {
      jars.add(jarOf(COMMONS));
    } else if (library.equals("slf4j")) {
      jars.add(jarOf("org.slf4j.LoggerFactory"));
      jars.add(jarOf("org.slf4j.impl.StaticLoggerBinder"));
    }
    Logger logger = Logger.getLogger(NAME);
    logger.setUseParentHandlers(false);
    logger.addHandler(this);
    try (URLClassLoader loader =
        new URLClassLoader(
            jars.toArray(new URL[0]), ClassLoader.getSystemClassLoader().getParent())) {
      if (!library.equals("commons-logging")) {
        assertThrows(ClassNotFoundException.class, () -> loader.loadClass(COMMONS));
      }
      Class<?> type = loader.loadClass(Log.class.getName());
      Object log = type.getMethod("of", String.class).invoke(null, NAME);
      assertEquals(true, type.getMethod("isInfoEnabled").invoke(log));
      for (String level : new String[] {"info", "warn", "error"}) {
        type.getMethod(level, String.class).invoke(log, "a line");
      }
    } finally {
      logger.removeHandler(this);
    }
    assertEquals(Arrays.asList("INFO a line", "WARNING a line", "SEVERE a line"), lines);
  }
}
