package org.emrkeys.provider;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import org.apache.commons.logging.Log;
import org.apache.commons.logging.LogFactory;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.jce.JceInstaller;

/**
 * What the classes that users name have in common: configured, refreshed and asked for materials at
 * any time by any thread. Internal.
 *
 * <p>Logs through commons-logging: hadoop-common 2.7 to 3.4 and every 1.x of the AWS SDK depend on
 * it, so it is there wherever the classes that we implement are. Slf4j is not, on a class path of
 * the SDK alone.
 */
public final class ConfiguredProvider {
  /** By what decides them. Weak: a provider lives as long as somebody asks it. Guarded by itself. */
  private static final Map<String, WeakReference<ConfiguredProvider>> SHARED = new HashMap<>();

  /** Objects of an order between which the audit log is written: what waits for that is bounded. */
  private static final int SLICE = 64;

  private final Usage usage;
  private final Log log;

  /** Null until {@link #configure} succeeded. Replaced as a whole, under this object's lock. */
  private volatile Configured current;

  /**
   * Of the last {@link #configure} before the first that succeeded, for those who ask all the same.
   */
  private volatile EmrKeysException lastFailure;

  /**
   * A provider without configuration.
   *
   * @param usage who asks
   * @param log where the one line goes that a start or a refresh gives, and its warnings
   */
  public ConfiguredProvider(Usage usage, Log log) {
    this.usage = usage;
    this.log = log;
  }

  /**
   * A configured provider for one of many clients that are configured alike: one for all of them.
   *
   * @param usage who asks
   * @param conf the Configuration, not null
   * @param log as for the constructor; that of the first of them is used
   * @return the provider
   * @throws EmrKeysException as {@link #configure}
   */
  public static ConfiguredProvider shared(Usage usage, Configuration conf, Log log) {
    synchronized (SHARED) {
      SHARED.values().removeIf(provider -> provider.get() == null);
      String identity = ProviderHandle.identity(usage, new HadoopSettings(conf));
      WeakReference<ConfiguredProvider> known = SHARED.get(identity);
      ConfiguredProvider provider = known == null ? null : known.get();
      if (provider == null) {
        provider = new ConfiguredProvider(usage, log);
        provider.configure(conf);
        SHARED.put(identity, new WeakReference<>(provider));
      }
      return provider;
    }
  }

  /**
   * Configures it, again if that was done before.
   *
   * @param conf the Configuration; {@link #refresh} reads the same one again
   * @throws EmrKeysException {@code NOT_CONFIGURED} for null, else with all that is wrong; then the
   *     provider stays as it was
   */
  public synchronized void configure(Configuration conf) {
    try {
      if (conf == null) {
        throw EmrKeysException.of(
            "NOT_CONFIGURED",
            "setConf was called with null",
            "Call it with the Hadoop configuration that has the emrkeys properties.",
            null);
      }
      HadoopSettings settings = new HadoopSettings(conf);
      ProviderHandle handle = ProviderHandle.open(usage, settings);
      Configured old = current;
      current = new Configured(settings, handle);
      lastFailure = null;
      tell(handle.report());
      if (usage != Usage.LOCAL_DISK) {
        // Local disks are encrypted by the kernel: nothing there would ask for it.
        JceInstaller.install(handle.report().jce(), log);
      }
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

  /**
   * The Configuration in use.
   *
   * @return null before the first {@link #configure} that succeeded
   */
  public Configuration configuration() {
    Configured configured = current;
    return configured == null ? null : configured.settings.configuration();
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
      tell(configured.handle.refresh(usage, configured.settings));
    } catch (EmrKeysException e) {
      log.warn("emrkeys: refresh failed, the keys from before stay in use: " + e.getMessage());
      throw e;
    }
  }

  /**
   * The materials for the client's call without an argument.
   *
   * @return never null
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #configure}, else as the core
   *     says
   */
  public KeyMaterials materials() {
    return ask(ProviderHandle::materials);
  }

  /**
   * The materials for a description.
   *
   * @param description what the client hands over
   * @return null where the description is null and no legacy key is configured
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #configure}, else as the core
   *     says
   */
  public KeyMaterials materials(Map<String, String> description) {
    return ask(handle -> handle.materials(description));
  }

  /**
   * The materials for a write.
   *
   * @param bucket of the object
   * @param key of the object, as S3 has it
   * @return never null
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #configure}, else as the core
   *     says
   */
  public KeyMaterials write(String bucket, String key) {
    return ask(handle -> handle.write(bucket, key));
  }

  /**
   * The materials for a read.
   *
   * @param bucket of the object, for the audit log; null where it is not known
   * @param key of the object, likewise
   * @param wrap how the data key is wrapped
   * @param content the cipher of the content
   * @param stored the stored description
   * @return never null
   * @throws EmrKeysException {@code NOT_CONFIGURED} before {@link #configure}, else as the core
   *     says
   */
  public KeyMaterials read(
      String bucket, String key, String wrap, String content, Map<String, String> stored) {
    return ask(handle -> handle.read(bucket, key, wrap, content, stored));
  }

  /**
   * Objects whose keys begin with a prefix.
   *
   * @param prefix URI
   * @param inventory URI of the {@code manifest.json} of an S3 Inventory that has them, or the empty
   *     string: the prefix is listed
   * @param after the mark of an earlier listing behind which to begin, or the empty string
   * @return the listing, to be closed
   * @throws EmrKeysException if S3 refuses or does not answer, {@code INVALID_INVENTORY}, {@code
   *     INVALID_URI}
   */
  public ObjectListing list(String prefix, String inventory, String after) {
    return ask(handle -> handle.list(prefix, inventory, after));
  }

  /**
   * Wraps the data keys of objects under another key. Blocks.
   *
   * @param order what to do, and with which objects
   * @return for each object its outcome and the line of a report, in no order
   */
  public List<String[]> rewrap(RewrapOrder order) {
    List<String[]> results = new ArrayList<>();
    for (RewrapOrder slice : order.slices(SLICE)) {
      results.addAll(ask(handle -> handle.rewrap(slice)));
    }
    return results;
  }

  private <T> T ask(Function<ProviderHandle, T> call) {
    while (true) {
      Configured configured = configured();
      try {
        return configured.ask(call, log);
      } catch (IllegalStateException e) {
        // Closed between the two lines above, by a new configuration; anything else is not ours to
        // hide.
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

  private void tell(Report report) {
    if (log.isInfoEnabled()) {
      log.info(report.summary() + "; native library " + NativeLoader.description());
    }
    report.warnings().forEach(log::warn);
  }

  private static final class Configured {
    private static final Log AUDIT = LogFactory.getLog("org.emrkeys.audit");

    final HadoopSettings settings;
    final ProviderHandle handle;
    private final boolean audits;
    private final long statsNanos;
    private final AtomicLong statsLogged = new AtomicLong(System.nanoTime());

    Configured(HadoopSettings settings, ProviderHandle handle) {
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
