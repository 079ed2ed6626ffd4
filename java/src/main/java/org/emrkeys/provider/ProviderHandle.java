package org.emrkeys.provider;

import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;
import javax.management.ObjectName;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/**
 * Owns one provider of the native core. Internal.
 *
 * <p>Thread-safe. Closed once; use after that is an {@link IllegalStateException}. A handle that is
 * forgotten is closed by the next {@link #open} after the garbage collector found it: no thread of
 * ours waits for it, because a thread would keep a class loader, and sometimes a JVM, alive.
 */
public final class ProviderHandle implements AutoCloseable {
  /**
   * Far above anything that a store of metadata takes (2 KiB in S3), far below what would hurt to
   * copy.
   */
  private static final int MAX_DESCRIPTION = 1 << 20;

  private static final ReferenceQueue<ProviderHandle> FORGOTTEN = new ReferenceQueue<>();

  /** Phantom references work only while they are reachable themselves. */
  private static final Set<Owned> OWNED = ConcurrentHashMap.newKeySet();

  private final Owned owned;
  private final Report report;
  private volatile boolean fence;

  private ProviderHandle(Usage usage, long handle, Report report) {
    this.owned = new Owned(this, handle);
    this.report = report;
    OWNED.add(owned);
    owned.show(usage, this);
  }

  /**
   * What decides what {@link #open} opens: the properties, and what is behind those that Java reads.
   *
   * @param usage who asks
   * @param settings what it would be configured with
   * @return SHA-256 in Base64
   * @throws EmrKeysException as {@link #open}
   */
  static String identity(Usage usage, HadoopSettings settings) {
    NativeLoader.load(settings.nativeFolder());
    byte[] properties = settings.properties();
    byte[] inputs = settings.inputs(Wire.response(Natives.plan(usage.number(), properties)));
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update((byte) usage.number());
      digest.update(properties);
      // Two byte sequences in a row are told apart by the counts in them.
      return Base64.getEncoder().encodeToString(digest.digest(inputs));
    } catch (NoSuchAlgorithmException e) {
      throw Wire.defect(e);
    } finally {
      Arrays.fill(inputs, (byte) 0);
    }
  }

  /**
   * Loads the native library, if that was not done, and opens a provider.
   *
   * @param usage who asks
   * @param settings what it is configured with
   * @return the owner of the provider
   * @throws EmrKeysException if the library cannot be loaded, or with every problem of the
   *     configuration or of the keys
   */
  public static ProviderHandle open(Usage usage, HadoopSettings settings) {
    NativeLoader.load(settings.nativeFolder());
    closeForgotten();
    byte[] properties = settings.properties();
    byte[] inputs = settings.inputs(Wire.response(Natives.plan(usage.number(), properties)));
    try {
      Wire.Decoder in = Wire.response(Natives.open(usage.number(), properties, inputs));
      long handle = in.i64();
      return new ProviderHandle(usage, handle, Report.read(in));
    } finally {
      Arrays.fill(inputs, (byte) 0);
    }
  }

  /**
   * Reads configuration and keys again and swaps them in at once.
   *
   * @param usage who asks; the one of {@link #open}
   * @param settings what it is configured with now
   * @return what there is to say
   * @throws EmrKeysException as {@link #open}; then everything stays as it was
   * @throws IllegalStateException after {@link #close}
   */
  public Report refresh(Usage usage, HadoopSettings settings) {
    owned.check();
    byte[] properties = settings.properties();
    byte[] inputs = settings.inputs(Wire.response(Natives.plan(usage.number(), properties)));
    try {
      Report refreshed = Report.read(answer(Natives.refresh(owned.handle, properties, inputs)));
      owned.show(usage, this);
      return refreshed;
    } finally {
      Arrays.fill(inputs, (byte) 0);
    }
  }

  /**
   * The materials for the client's call without an argument.
   *
   * @return never null
   * @throws EmrKeysException if there are none, or none that may be used
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials materials() {
    return ask(null);
  }

  /**
   * The materials for a description.
   *
   * @param description what the client hands over
   * @return null where the description is null and no legacy key is configured
   * @throws EmrKeysException if there are none, or none that may be used
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials materials(Map<String, String> description) {
    return ask(encode(out -> out.map(description)));
  }

  /**
   * The materials for a write.
   *
   * @param bucket of the object
   * @param key of the object, as S3 has it
   * @return never null
   * @throws EmrKeysException if there are none
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials write(String bucket, String key) {
    owned.check();
    byte[] object = new Wire.Encoder().string(bucket).string(key).toBytes();
    return materials(Natives.write(owned.handle, object));
  }

  /**
   * The materials for a read.
   *
   * @param wrap how the data key is wrapped
   * @param content the cipher of the content
   * @param stored the stored description
   * @return never null
   * @throws EmrKeysException if there are none, or none that may be used for such a wrap and content
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials read(
      String bucket, String key, String wrap, String content, Map<String, String> stored) {
    owned.check();
    byte[] envelope =
        encode(
            out ->
                out.string(wrap)
                    .string(content)
                    .map(stored)
                    .string(bucket == null ? "" : bucket)
                    .string(key == null ? "" : key));
    return materials(Natives.read(owned.handle, envelope));
  }

  /** As {@link ConfiguredProvider#list}; an {@link IllegalStateException} after {@link #close}. */
  ObjectListing list(String prefix, String inventory, String after) {
    owned.check();
    byte[] objects = new Wire.Encoder().string(prefix).string(inventory).string(after).toBytes();
    return new ObjectListing(answer(Natives.list(owned.handle, objects)).i64());
  }

  /**
   * Wraps the data keys of objects under another key.
   *
   * @param order what to do, and with which objects
   * @return for each object its outcome and the line of a report, in no order
   * @throws IllegalStateException after {@link #close}
   */
  List<String[]> rewrap(RewrapOrder order) {
    owned.check();
    Wire.Decoder in = answer(Natives.rewrap(owned.handle, order.encode()));
    int count = in.count(8);
    List<String[]> results = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      results.add(new String[] {in.string(), in.string()});
    }
    return results;
  }

  private KeyMaterials ask(byte[] description) {
    owned.check();
    return materials(Natives.materials(owned.handle, description));
  }

  private KeyMaterials materials(byte[] response) {
    try {
      return KeyMaterials.read(answer(response));
    } finally {
      if (response != null) {
        Arrays.fill(response, (byte) 0);
      }
    }
  }

  /**
   * What the keys of key services asked for so far.
   *
   * @return by key; empty after {@link #close}
   */
  List<KeyCounters> counters() {
    try {
      owned.check();
      return KeyCounters.read(answer(Natives.stats(owned.handle)));
    } catch (IllegalStateException closed) {
      return Collections.emptyList();
    }
  }

  /**
   * Lines of the audit log that wait to be logged; the next call does not have them.
   *
   * @return oldest first
   */
  List<String> audit() {
    owned.check();
    return answer(Natives.audit(owned.handle)).strings();
  }

  private static byte[] encode(UnaryOperator<Wire.Encoder> description) {
    // Nothing to wipe: a description holds no secret.
    try {
      return description.apply(new Wire.Encoder(MAX_DESCRIPTION)).toBytes();
    } catch (Wire.TooLarge e) {
      throw EmrKeysException.of(
          "DESCRIPTION_TOO_LARGE",
          "the materials description is larger than " + MAX_DESCRIPTION + " bytes",
          "S3 stores at most 2 KiB of user metadata; hand over less.",
          null);
    }
  }

  /**
   * A provider that the native side does not know any more was closed by another thread meanwhile.
   */
  private Wire.Decoder answer(byte[] response) {
    try {
      return Wire.response(response);
    } catch (EmrKeysException e) {
      if (e.code().equals("CLOSED")) {
        throw new IllegalStateException(e.getMessage(), e);
      }
      throw e;
    } finally {
      keepAlive();
    }
  }

  /**
   * Keeps this object from being found forgotten, and so closed, while a call that uses only its
   * number is under way. Java 8 has no {@code Reference.reachabilityFence}; a volatile read cannot
   * be left out and needs the object.
   */
  private void keepAlive() {
    if (fence) {
      throw new AssertionError();
    }
  }

  /**
   * What there was to say when it was opened.
   *
   * @return the report
   */
  public Report report() {
    return report;
  }

  /**
   * Closes the provider; its keys are zeroized when the last call under way is over. Further calls
   * do nothing.
   */
  @Override
  public void close() {
    owned.close();
  }

  /** Closes what the garbage collector found. */
  static void closeForgotten() {
    Reference<? extends ProviderHandle> found;
    while ((found = FORGOTTEN.poll()) != null) {
      ((Owned) found).close();
    }
  }

  /** How many providers are open, forgotten ones included. */
  static int open() {
    return OWNED.size();
  }

  private static final class Owned extends PhantomReference<ProviderHandle> {
    private final long handle;
    private final AtomicBoolean closed = new AtomicBoolean();

    /** What JMX shows of it. Guarded by this. */
    private List<ObjectName> beans = Collections.emptyList();

    Owned(ProviderHandle owner, long handle) {
      super(owner, FORGOTTEN);
      this.handle = handle;
    }

    void check() {
      if (closed.get()) {
        throw new IllegalStateException(
            "the provider is closed [CLOSED]. Make a new one with setConf.");
      }
    }

    /** Shows by JMX the keys that there are now, and no others. */
    synchronized void show(Usage usage, ProviderHandle owner) {
      hide();
      beans = KeysMBeans.register(usage, owner, handle);
    }

    private synchronized void hide() {
      KeysMBeans.unregister(beans);
      beans = Collections.emptyList();
    }

    void close() {
      if (closed.compareAndSet(false, true)) {
        OWNED.remove(this);
        clear();
        hide();
        if (Natives.close(handle) < 0) {
          throw Wire.defect(null);
        }
      }
    }
  }
}
