package org.emrkeys.provider;

import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.jce.JceInstaller;

/**
 * The part that the classes that users name have in common: configured, refreshed, asked for
 * materials and closed at any time by any thread. Internal.
 */
public final class ConfiguredProvider implements AutoCloseable {
  /** Objects of an order between which the audit log is written: what waits for that is bounded. */
  private static final int SLICE = 64;

  private final Client client;
  private final Log log;

  /** Null until {@link #configure} succeeded. Replaced as a whole, under this object's lock. */
  private volatile Configured current;

  /**
   * The failure of the last {@link #configure} before the first that succeeded; later calls report it.
   */
  private volatile EmrKeysException lastFailure;

  private volatile boolean closed;

  /** Of {@link SharedProviders}; null if it is not shared. */
  private String identity;

  /**
   * A provider without configuration.
   *
   * @param client who asks
   * @param log gets one line for each start and refresh, and their warnings
   */
  public ConfiguredProvider(Client client, Log log) {
    this.client = client;
    this.log = log;
  }

  /**
   * A configured provider for one of many clients that are configured alike: one for all of them.
   *
   * @param client who asks
   * @param settings the configuration
   * @param log as for the constructor; that of the first of them is used
   * @return the provider; each client closes it once
   * @throws EmrKeysException as {@link #configure}; {@code INTERRUPTED} if this thread was interrupted
   *     while another opened the same
   */
  public static ConfiguredProvider shared(Client client, Settings settings, Log log) {
    String identity = ProviderHandle.identity(client, settings);
    return SharedProviders.join(
        identity,
        () -> {
          ConfiguredProvider provider = new ConfiguredProvider(client, log);
          provider.identity = identity;
          provider.configure(settings);
          return provider;
        });
  }

  /**
   * Configures it, again if that was done before.
   *
   * @param settings the configuration; {@link #refresh} reads the same one again
   * @throws EmrKeysException with all that is wrong; then the provider stays as it was
   */
  public synchronized void configure(Settings settings) {
    try {
      ProviderHandle handle = open(settings);
      Configured old = current;
      current = new Configured(settings, handle);
      lastFailure = null;
      closed = false;
      logReport(handle.report());
      if (old != null) {
        old.handle.close();
      }
    } catch (EmrKeysException e) {
      if (current == null) {
        lastFailure = e;
      }
      throw e;
    }
  }

  private ProviderHandle open(Settings settings) {
    ProviderHandle handle = ProviderHandle.open(client, settings);
    try {
      if (client != Client.LOCAL_DISK) {
        // Local disks are encrypted by the kernel: nothing there would ask for it.
        JceInstaller.install(handle.report().jce(), client == Client.S3, log);
      }
      return handle;
    } catch (RuntimeException e) {
      handle.close();
      throw e;
    }
  }

  /**
   * Releases the keys, if this is not shared or the last client of those that share it closes it.
   * Calls under way come to their end. {@link #configure} opens it again.
   */
  @Override
  public void close() {
    if (SharedProviders.leave(identity, this)) {
      release();
    }
  }

  private synchronized void release() {
    Configured old = current;
    closed = true;
    current = null;
    if (old != null) {
      old.handle.close();
    }
  }

  /**
   * The Configuration in use, of a provider that was configured by {@link HadoopSettings}.
   *
   * @return null before the first {@link #configure} that succeeded, and after {@link #close}
   */
  public Configuration configuration() {
    Configured configured = current;
    return configured == null ? null : ((HadoopSettings) configured.settings).configuration();
  }

  /**
   * Reads configuration and keys again and swaps them in at once.
   *
   * @throws EmrKeysException with all that is wrong; then everything stays as it was and goes on
   *     working
   */
  public synchronized void refresh() {
    Configured configured = configured();
    try {
      logReport(configured.handle.refresh(configured.settings));
    } catch (EmrKeysException e) {
      log.warn("emrkeys: refresh failed, the keys from before stay in use: " + e.getMessage());
      throw e;
    }
  }

  /**
   * Does the work of an order on its objects. Blocks.
   *
   * @param order the objects, and what to do with them
   * @param each gets the results, some at a time and in no order, for each object once
   */
  public void run(ObjectOrder order, Consumer<List<ObjectResult>> each) {
    for (ObjectOrder slice : order.slices(SLICE)) {
      each.accept(ask(handle -> handle.run(slice)));
    }
  }

  /**
   * Asks the provider that is configured at this moment.
   *
   * @param call one of the methods of {@link ProviderHandle}
   * @param <T> its result
   * @return the result of the call
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #configure} and after {@link
   *     #close}, else as the call
   */
  public <T> T ask(Function<ProviderHandle, T> call) {
    while (true) {
      Configured configured = configured();
      try {
        return configured.ask(call, log);
      } catch (IllegalStateException e) {
        // A new configuration or close() closed it between the two lines above.
        if (configured == current) {
          throw e;
        }
      }
    }
  }

  private Configured configured() {
    Configured configured = current;
    if (configured != null) {
      return configured;
    }
    if (closed) {
      throw EmrKeysException.of(
          "NOT_CONFIGURED", "the provider was used after it was closed", "Call setConf again.", null);
    }
    EmrKeysException failure = lastFailure;
    throw failure == null
        ? EmrKeysException.of(
            "NOT_CONFIGURED",
            "the provider was used before it was configured",
            "Call setConf first, as Hadoop's ReflectionUtils.newInstance does.",
            null)
        : EmrKeysException.of(
            "NOT_CONFIGURED",
            "the provider was used although its configuration had failed ("
                + failure.getMessage()
                + ")",
            "Correct the configuration and call setConf again.",
            failure);
  }

  private void logReport(Report report) {
    if (log.isInfoEnabled()) {
      log.info(report.summary() + "; native library " + NativeLoader.description());
    }
    report.warnings().forEach(log::warn);
  }

  private static final class Configured {
    private static final Log AUDIT = Log.of("org.emrkeys.audit");

    final Settings settings;
    final ProviderHandle handle;
    private final boolean audits;
    private final long statsNanos;
    private final AtomicLong statsLogged = new AtomicLong(System.nanoTime());

    Configured(Settings settings, ProviderHandle handle) {
      this.settings = settings;
      this.handle = handle;
      this.audits = handle.report().auditToLog();
      this.statsNanos = TimeUnit.MILLISECONDS.toNanos(handle.report().statsMillis());
    }

    <T> T ask(Function<ProviderHandle, T> call, Log log) {
      try {
        return call.apply(handle);
      } finally {
        if (audits) {
          handle.audit().forEach(AUDIT::info);
        }
        long last = statsLogged.get();
        long now = System.nanoTime();
        if (statsNanos > 0
            && now - last >= statsNanos
            && statsLogged.compareAndSet(last, now)
            && log.isInfoEnabled()) {
          handle.counters().forEach(counters -> log.info("emrkeys: " + counters));
        }
      }
    }
  }
}
