package org.emrkeys.provider;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeCall;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.NativeOwner;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/**
 * Owns one provider of the native core. Internal.
 *
 * <p>Thread-safe. Closed once; use after that is an {@link IllegalStateException}. A handle that is
 * forgotten is closed by the next {@link #open} after the garbage collector found it.
 */
public final class ProviderHandle implements AutoCloseable {
  /**
   * Far above anything that a store of metadata takes (2 KiB in S3), far below what would hurt to
   * copy.
   */
  private static final int MAX_DESCRIPTION = 1 << 20;

  private final Client client;
  private final long handle;
  private final NativeOwner owner;
  private final Report report;
  private final KeysMBeans beans = new KeysMBeans();
  private volatile boolean fence;

  private ProviderHandle(Client client, long handle, Report report) {
    this.client = client;
    this.handle = handle;
    this.owner = new NativeOwner(this, () -> release(handle));
    this.report = report;
    beans.show(client, this, handle);
  }

  private static void release(long handle) {
    if (Natives.close(handle) < 0) {
      throw Wire.defect(null);
    }
  }

  /**
   * The input of one start or refresh: the configuration, parsed once by the native core, and the
   * inputs that Java opened for it, which may hold secrets and are wiped.
   */
  static final class Start implements AutoCloseable {
    /** The properties, as they crossed. */
    final byte[] properties;

    /** Of the configuration in the native core. */
    final long config;

    final byte[] inputs;

    Start(Client client, Settings settings) {
      this(client, settings, load(settings));
    }

    /** Takes over the properties: they are wiped even if the configuration is refused. */
    Start(Client client, Settings settings, byte[] properties) {
      this.properties = properties;
      long parsed = 0;
      byte[] opened = null;
      try {
        Wire.Decoder in = Wire.response(Natives.configure(client.number(), properties));
        parsed = in.i64();
        opened = settings.inputs(in);
      } finally {
        if (opened == null) {
          Arrays.fill(properties, (byte) 0);
          Natives.discard(parsed);
        }
      }
      config = parsed;
      inputs = opened;
    }

    private static byte[] load(Settings settings) {
      NativeLoader.load(settings.nativeFolder());
      return settings.properties();
    }

    @Override
    public void close() {
      Arrays.fill(properties, (byte) 0);
      Arrays.fill(inputs, (byte) 0);
      Natives.discard(config);
    }
  }

  /**
   * A digest of everything that decides what {@link #open} opens: the properties, and the bytes that
   * Java reads for them.
   *
   * @param client who asks
   * @param settings the configuration
   * @return SHA-256 in Base64
   * @throws EmrKeysException as {@link #open}
   */
  static String identity(Client client, Settings settings) {
    try (Start start = new Start(client, settings)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update((byte) client.number());
      digest.update(start.properties);
      // The counts in two byte sequences keep them apart.
      return Base64.getEncoder().encodeToString(digest.digest(start.inputs));
    } catch (NoSuchAlgorithmException e) {
      throw Wire.defect(e);
    }
  }

  /**
   * Loads the native library, if that was not done, and opens a provider.
   *
   * @param client who asks
   * @param settings the configuration
   * @return the owner of the provider
   * @throws EmrKeysException if the library cannot be loaded, or with every problem of the
   *     configuration or of the keys
   */
  public static ProviderHandle open(Client client, Settings settings) {
    NativeOwner.releaseForgotten();
    try (Start start = new Start(client, settings)) {
      Wire.Decoder in = Wire.response(NativeCall.complete(Natives.open(start.config, start.inputs)));
      long handle = in.i64();
      return new ProviderHandle(client, handle, Report.read(in));
    }
  }

  /**
   * Reads configuration and keys again and swaps them in at once.
   *
   * @param settings the configuration, as it is now
   * @return the report of the refresh
   * @throws EmrKeysException as {@link #open}; then everything stays as it was
   * @throws IllegalStateException after {@link #close}
   */
  public Report refresh(Settings settings) {
    check();
    try (Start start = new Start(client, settings)) {
      byte[] response = NativeCall.complete(Natives.refresh(handle, start.config, start.inputs));
      Report refreshed = Report.read(answer(response));
      beans.show(client, this, handle);
      return refreshed;
    }
  }

  /**
   * The materials for the client's call without an argument.
   *
   * @return never null
   * @throws EmrKeysException if no materials exist, or none that may be used
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
   * @throws EmrKeysException if no materials exist, or none that may be used
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
   * @throws EmrKeysException if no materials exist
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials write(String bucket, String key) {
    check();
    byte[] object = new Wire.Encoder().string(bucket).string(key).toBytes();
    return materials(Natives.write(handle, object));
  }

  /**
   * The materials for a read.
   *
   * @param bucket of the object, for the audit log; null if it is not known
   * @param key of the object, likewise
   * @param wrap how the data key is wrapped
   * @param content the cipher of the content
   * @param stored the stored description
   * @return never null
   * @throws EmrKeysException if no materials exist, or none that may be used for such a wrap and content
   * @throws IllegalStateException after {@link #close}
   */
  public KeyMaterials read(
      String bucket, String key, String wrap, String content, Map<String, String> stored) {
    check();
    byte[] envelope =
        encode(
            out ->
                out.string(wrap)
                    .string(content)
                    .map(stored)
                    .string(bucket == null ? "" : bucket)
                    .string(key == null ? "" : key));
    return materials(Natives.read(handle, envelope));
  }

  /**
   * Wraps a key of a table under a configured key.
   *
   * @param kind {@code parquet} or {@code iceberg}
   * @param under the name of the configured key, or {@code rule:} and the path of the file
   * @param key 16 to 32 bytes, which stay the caller's
   * @return the wrapped key; {@code docs/formats.md} has its form
   * @throws EmrKeysException if the key cannot be used, and why
   * @throws IllegalStateException after {@link #close}
   */
  public byte[] wrapTableKey(String kind, String under, byte[] key) {
    check();
    return tableKey(kind, under, key, message -> Natives.wrapTableKey(handle, message));
  }

  /**
   * Unwraps a key of a table.
   *
   * @param kind as it was wrapped
   * @param under as the table says
   * @param wrapped the wrapped key
   * @return the key, which the caller wipes
   * @throws EmrKeysException if the key cannot be used, and why
   * @throws IllegalStateException after {@link #close}
   */
  public byte[] unwrapTableKey(String kind, String under, byte[] wrapped) {
    check();
    return tableKey(kind, under, wrapped, message -> Natives.unwrapTableKey(handle, message));
  }

  private byte[] tableKey(
      String kind, String under, byte[] key, UnaryOperator<byte[]> call) {
    byte[] message;
    try (Wire.Encoder out = new Wire.Encoder()) {
      message = out.string(kind).string(under).bytes(key).toBytes();
    }
    byte[] response = null;
    try {
      response = NativeCall.complete(call.apply(message));
      return answer(response).bytes();
    } finally {
      Arrays.fill(message, (byte) 0);
      if (response != null) {
        Arrays.fill(response, (byte) 0);
      }
    }
  }

  /**
   * The key of an object's content, for a client that decrypts ranges by itself.
   *
   * @param bucket of the object
   * @param key of the object
   * @param metadata of the user
   * @param instruction the content of the instruction file, or null without one
   * @param as makes something of the answer, whose bytes are overwritten behind it
   * @param <T> what is made
   * @return what was made
   * @throws EmrKeysException as {@link #read}; if the envelope is not valid or cannot be opened
   * @throws IllegalStateException after {@link #close}
   */
  public <T> T contentKey(
      String bucket,
      String key,
      Map<String, String> metadata,
      byte[] instruction,
      Function<Wire.Decoder, T> as) {
    check();
    byte[] object =
        encode(out -> out.string(bucket).string(key).map(metadata).bytes(instruction));
    return wiped(Natives.contentKey(handle, object), as);
  }

  /**
   * Lists objects whose keys begin with a prefix.
   *
   * @param prefix URI
   * @param inventory URI of the {@code manifest.json} of an S3 Inventory that has them, or the empty
   *     string: the prefix is listed
   * @param after the mark of an earlier listing behind which to begin, or the empty string
   * @return the listing, to be closed
   * @throws EmrKeysException if S3 refuses or does not answer, {@code INVALID_INVENTORY}, {@code
   *     INVALID_URI}
   * @throws IllegalStateException after {@link #close}
   */
  public ObjectListing list(String prefix, String inventory, String after) {
    check();
    byte[] objects = new Wire.Encoder().string(prefix).string(inventory).string(after).toBytes();
    return new ObjectListing(answer(NativeCall.complete(Natives.list(handle, objects))).i64());
  }

  /**
   * Does the work of an order on its objects. Blocks. If the thread is interrupted, the objects under
   * way are finished, no others are begun, and the failure is {@code INTERRUPTED}.
   *
   * @param order the objects, and what to do with them
   * @return a result for each object, in no order
   * @throws IllegalStateException after {@link #close}
   */
  public List<ObjectResult> run(ObjectOrder order) {
    check();
    Wire.Decoder in = answer(NativeCall.complete(order.run(handle)));
    int count = in.count(24);
    List<ObjectResult> results = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      results.add(new ObjectResult(in.string(), in.string(), in.string(), in.i64(), in.string()));
    }
    return results;
  }

  /**
   * The keys and versions that an order wraps by now.
   *
   * @param order without objects
   * @return in words; two runs to the same bring objects to the same
   * @throws EmrKeysException {@code KEY_NOT_CONFIGURED} if a key of the order is not configured
   * @throws IllegalStateException after {@link #close}
   */
  public String target(ObjectOrder order) {
    check();
    return answer(NativeCall.complete(order.target(handle))).string();
  }

  private KeyMaterials ask(byte[] description) {
    check();
    return materials(Natives.materials(handle, description));
  }

  /** Makes something of an answer that holds a key, and overwrites it. */
  <T> T wiped(byte[] answered, Function<Wire.Decoder, T> as) {
    byte[] response = NativeCall.complete(answered);
    try {
      return as.apply(answer(response));
    } finally {
      if (response != null) {
        Arrays.fill(response, (byte) 0);
      }
    }
  }

  private KeyMaterials materials(byte[] answered) {
    return wiped(answered, KeyMaterials::read);
  }

  /**
   * The counters of keys that have a key service.
   *
   * @return one for each key; empty after {@link #close}
   */
  List<KeyCounters> counters() {
    try {
      check();
      return KeyCounters.read(answer(Natives.stats(handle)));
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
    check();
    return answer(Natives.audit(handle)).strings();
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
   * The report of the start.
   *
   * @return never null
   */
  public Report report() {
    return report;
  }

  private void check() {
    if (owner.isClosed()) {
      throw new IllegalStateException(
          "the provider is closed [CLOSED]. Make a new one with setConf.");
    }
  }

  /**
   * Closes the provider; its keys are zeroized when the last call under way is over. Further calls
   * do nothing.
   */
  @Override
  public void close() {
    beans.hide();
    owner.close();
  }
}
