package org.emrkeys.s3a;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * The values that were used last, each for a limited time after it was put. Internal. Thread-safe.
 *
 * @param <K> of what
 * @param <V> what is remembered
 */
final class Recent<K, V> {
  private final Map<K, Dated<V>> values;
  private final long maxAge;
  private final LongSupplier clock;

  /**
   * Remembers nothing yet.
   *
   * @param count the most values
   * @param maxAge seconds after which a value is forgotten, however often it is used
   * @param clock in nanoseconds, as {@link System#nanoTime}
   */
  Recent(int count, long maxAge, LongSupplier clock) {
    this.maxAge = TimeUnit.SECONDS.toNanos(maxAge);
    this.clock = clock;
    this.values =
        new LinkedHashMap<K, Dated<V>>(16, 0.75f, true) {
          private static final long serialVersionUID = 1;

          @Override
          protected boolean removeEldestEntry(Map.Entry<K, Dated<V>> eldest) {
            return size() > count;
          }
        };
  }

  private static final class Dated<V> {
    final V value;
    final long since;

    Dated(V value, long since) {
      this.value = value;
      this.since = since;
    }
  }

  /** The value; null if nothing is remembered, or only what is too old. */
  synchronized V get(K of) {
    Dated<V> known = values.get(of);
    if (known != null && isOld(known)) {
      values.remove(of);
      return null;
    }
    return known == null ? null : known.value;
  }

  /** Remembers a value, and drops those that are too old and were not asked for since. */
  synchronized void put(K of, V value) {
    Iterator<Dated<V>> longestUnused = values.values().iterator();
    while (longestUnused.hasNext() && isOld(longestUnused.next())) {
      longestUnused.remove();
    }
    values.put(of, new Dated<>(value, clock.getAsLong()));
  }

  private boolean isOld(Dated<V> known) {
    return clock.getAsLong() - known.since > maxAge;
  }

  synchronized int size() {
    return values.size();
  }
}
