package org.emrkeys.bridge;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.commons.logging.LogFactory;
import org.slf4j.LoggerFactory;

/**
 * A log of the host, by whichever logging library is there. Internal. As thread-safe as that library.
 *
 * <p>First commons-logging: hadoop-common 2.7 to 3.4 and every 1.x of the AWS SDK depend on it, and slf4j
 * is not on a class path of that SDK alone. Then slf4j, on which Iceberg depends. Last the JDK's own.
 */
public final class Log {
  /** In the order in which they are tried. A lambda links a library when it runs, and no earlier. */
  private static final List<Function<String, Log>> LIBRARIES =
      Collections.unmodifiableList(
          Arrays.asList(
              name -> {
                org.apache.commons.logging.Log log = LogFactory.getLog(name);
                return new Log(log::isInfoEnabled, log::info, log::warn, log::error);
              },
              name -> {
                org.slf4j.Logger log = LoggerFactory.getLogger(name);
                return new Log(log::isInfoEnabled, log::info, log::warn, log::error);
              }));

  private final BooleanSupplier informs;
  private final Consumer<String> info;
  private final Consumer<String> warn;
  private final Consumer<String> error;

  /**
   * A log that hands its lines over.
   *
   * @param informs whether {@code info} keeps lines at present
   * @param info gets lines on what was done
   * @param warn gets lines on what should be changed
   * @param error gets lines on what does not work
   */
  public Log(
      BooleanSupplier informs,
      Consumer<String> info,
      Consumer<String> warn,
      Consumer<String> error) {
    this.informs = informs;
    this.info = info;
    this.warn = warn;
    this.error = error;
  }

  /**
   * The log of a class.
   *
   * @param owner whose name it has
   * @return never null
   */
  public static Log of(Class<?> owner) {
    return of(owner.getName());
  }

  /**
   * The log of a name.
   *
   * @param name as the host configures it
   * @return never null
   */
  public static Log of(String name) {
    for (Function<String, Log> library : LIBRARIES) {
      try {
        return library.apply(name);
      } catch (LinkageError absent) {
        continue;
      }
    }
    Logger log = Logger.getLogger(name);
    return new Log(() -> log.isLoggable(Level.INFO), log::info, log::warning, log::severe);
  }

  /**
   * Whether {@link #info} keeps lines at present.
   *
   * @return whether it is worth making one
   */
  public boolean isInfoEnabled() {
    return informs.getAsBoolean();
  }

  /**
   * Says what was done.
   *
   * @param line for people, without a secret
   */
  public void info(String line) {
    info.accept(line);
  }

  /**
   * Says what should be changed.
   *
   * @param line for people, without a secret
   */
  public void warn(String line) {
    warn.accept(line);
  }

  /**
   * Says what does not work.
   *
   * @param line for people, without a secret
   */
  public void error(String line) {
    error.accept(line);
  }
}
