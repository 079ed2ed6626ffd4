package org.emrkeys.provider;

import java.util.LinkedHashMap;
import java.util.Map;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;

/**
 * Wraps and unwraps the keys of tables under the keys of one configuration. Internal. Thread-safe.
 *
 * <p>Parquet and Iceberg make clients of their own accord, drop them after some minutes, and close
 * none. So all clients that are configured alike share one provider, and the last few providers are
 * kept for the life of the JVM: what a key service opened is not asked for again with each client.
 */
public final class TableKeys {
  /** Providers that are kept; a JVM rarely has more than one configuration. */
  private static final int KEPT = 8;

  private static final Map<ConfiguredProvider, TableKeys> RECENT =
      new LinkedHashMap<ConfiguredProvider, TableKeys>(KEPT * 2, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<ConfiguredProvider, TableKeys> eldest) {
          return size() > KEPT;
        }
      };

  private final ConfiguredProvider provider;

  private TableKeys(ConfiguredProvider provider) {
    this.provider = provider;
  }

  /**
   * The keys of a configuration.
   *
   * @param settings the configuration
   * @param log gets a line if these keys are not in use yet, and warnings
   * @return never null
   * @throws EmrKeysException with every problem of the configuration
   */
  public static TableKeys of(Settings settings, Log log) {
    ConfiguredProvider provider = ConfiguredProvider.shared(Client.TABLES, settings, log);
    synchronized (RECENT) {
      return RECENT.computeIfAbsent(provider, TableKeys::new);
    }
  }

  /**
   * Wraps a key.
   *
   * @param kind {@code parquet} or {@code iceberg}
   * @param under the name of a configured key, or {@code rule:} and the path of the file
   * @param key 16 to 32 bytes, which stay the caller's
   * @return the wrapped key
   * @throws EmrKeysException if the key cannot be used, and why
   */
  public byte[] wrap(String kind, String under, byte[] key) {
    return provider.ask(handle -> handle.wrapTableKey(kind, under, key));
  }

  /**
   * Unwraps a key.
   *
   * @param kind as it was wrapped
   * @param under as the table says
   * @param wrapped the wrapped key
   * @return the key
   * @throws EmrKeysException if the key cannot be used, and why
   */
  public byte[] unwrap(String kind, String under, byte[] wrapped) {
    return provider.ask(handle -> handle.unwrapTableKey(kind, under, wrapped));
  }
}
