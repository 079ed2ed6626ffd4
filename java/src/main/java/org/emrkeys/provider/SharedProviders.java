package org.emrkeys.provider;

import java.lang.ref.WeakReference;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;
import org.emrkeys.EmrKeysException;

/**
 * The providers that clients which are configured alike have in common. Thread-safe.
 *
 * <p>One thread opens the provider of a configuration, and the others that want the same wait for it.
 * Nobody waits for the provider of another configuration.
 */
final class SharedProviders {
  /** By {@link ProviderHandle#identity}. Guards itself and every slot; nobody waits while holding it. */
  private static final Map<String, Slot> SLOTS = new HashMap<>();

  private SharedProviders() {}

  /** A provider, or the call that opens it. */
  private static final class Slot {
    /** Ends with the call; its failure is that of all who wait. */
    final CompletableFuture<Void> opening = new CompletableFuture<>();

    /** Weak: a provider lives as long as a client refers to it. Null while it is opened. */
    WeakReference<ConfiguredProvider> provider;

    int clients;

    ConfiguredProvider open() {
      return provider == null ? null : provider.get();
    }

    boolean isForgotten() {
      return provider != null && provider.get() == null;
    }
  }

  /**
   * The provider of an identity, for one client more.
   *
   * @param identity as {@link ProviderHandle#identity} gives it
   * @param open opens a provider, if none is open
   * @return the provider; each client {@link #leave}s it once
   * @throws EmrKeysException as {@code open}, on whichever thread it was called; {@code INTERRUPTED}
   *     if this thread was interrupted while it waited for another
   */
  static ConfiguredProvider join(String identity, Supplier<ConfiguredProvider> open) {
    while (true) {
      Slot slot;
      synchronized (SLOTS) {
        SLOTS.values().removeIf(Slot::isForgotten);
        slot = SLOTS.get(identity);
        ConfiguredProvider provider = slot == null ? null : slot.open();
        if (provider != null) {
          slot.clients++;
          return provider;
        }
        if (slot == null) {
          SLOTS.put(identity, new Slot());
        }
      }
      if (slot == null) {
        return lead(identity, open);
      }
      await(slot.opening);
    }
  }

  /** Opens the provider of the slot that this thread made. */
  private static ConfiguredProvider lead(String identity, Supplier<ConfiguredProvider> open) {
    ConfiguredProvider provider = null;
    Throwable failure = null;
    try {
      provider = open.get();
      return provider;
    } catch (RuntimeException | Error e) {
      failure = e;
      throw e;
    } finally {
      Slot slot;
      synchronized (SLOTS) {
        slot = SLOTS.get(identity);
        if (provider == null) {
          SLOTS.remove(identity);
        } else {
          slot.provider = new WeakReference<>(provider);
          slot.clients = 1;
        }
      }
      if (failure == null) {
        slot.opening.complete(null);
      } else {
        slot.opening.completeExceptionally(failure);
      }
    }
  }

  /** Returns once the call has ended, unless with a failure that this thread would have, too. */
  private static void await(CompletableFuture<Void> opening) {
    try {
      opening.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw EmrKeysException.of(
          "INTERRUPTED",
          "the thread was interrupted while it waited for another that opens the same keys",
          "Try again if the work is to go on.",
          e);
    } catch (ExecutionException e) {
      Throwable failure = e.getCause();
      // Others were interrupted, or ran out of memory: this thread may have more luck.
      if (failure instanceof EmrKeysException) {
        EmrKeysException refused = (EmrKeysException) failure;
        if (!refused.code().equals("INTERRUPTED")) {
          throw new EmrKeysException(refused.code(), refused.getMessage(), refused);
        }
      }
    }
  }

  /**
   * Takes one client off a provider.
   *
   * @param identity with which it was joined; null if it is not shared
   * @param provider that was joined
   * @return whether no client is left
   */
  static boolean leave(String identity, ConfiguredProvider provider) {
    synchronized (SLOTS) {
      Slot slot = SLOTS.get(identity);
      if (slot == null || slot.open() != provider) {
        return true;
      }
      if (--slot.clients > 0) {
        return false;
      }
      SLOTS.remove(identity);
      return true;
    }
  }
}
