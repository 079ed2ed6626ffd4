package org.emrkeys.bridge;

/**
 * The native methods, all of them. {@link NativeLoader} loads the library before anything here is
 * called.
 *
 * <p>Every {@code byte[]} result is a response in the format of {@link Wire}; native code throws
 * nothing. Thread-safe.
 */
public final class Natives {
  /**
   * The number of this interface; {@code natives.rs} has the other half, and the loader compares
   * them.
   */
  public static final int ABI = 14;

  private Natives() {}

  /** The library's number of this interface. */
  public static native int abi();

  /**
   * Parses a configuration, once for all that is done with it.
   *
   * @param client 0 S3, 1 local disk, 2 S3A, 3 tables
   * @param properties map of Hadoop properties
   * @return i64 handle of the configuration, which {@link #discard} frees; i32 n, n times (u8 kind:
   *     0 URI, 1 credential alias; string name) that Java must open
   */
  public static native byte[] configure(int client, byte[] properties);

  /** As {@link #close}, for a configuration. */
  public static native int discard(long config);

  /**
   * The checks of the client's own properties.
   *
   * @param client 0 S3, 1 local disk, 2 S3A, 3 tables
   * @param properties map of Hadoop properties
   * @return i32 n, n times (string check, string level: ok, note, warning or FAIL; string message,
   *     string remedy or null)
   */
  public static native byte[] checks(int client, byte[] properties);

  /**
   * Opens a provider.
   *
   * @param config of {@link #configure}; may be discarded afterwards
   * @param inputs i32 n, n times (u8 kind, string name, u8 status: 0 found, 1 missing, 2 failed; u8
   *     plaintext, i32 permission bits or -1, bytes value or text of the failure)
   * @return i64 handle, report (string summary, i32 n, n times string warning, JCE settings: u8
   *     install, u8 release, i64 maximum of buffered bytes, u8 MGF1, u8 stand-in; u8 audit to log,
   *     i64 milliseconds between log lines of counters)
   */
  public static native byte[] open(long config, byte[] inputs);

  /** Reads everything again and swaps it in, or keeps all as it was. Response: report. */
  public static native byte[] refresh(long handle, long config, byte[] inputs);

  /**
   * The materials for a description.
   *
   * @param handle of an open provider
   * @param description a map (a count of -1 is a map that is null), or null for the client's call
   *     without an argument
   * @return u8 kind: 0 none, 1 symmetric (string algorithm, bytes key), 2 key pair (bytes SPKI,
   *     bytes PKCS#8 or null), 3 KMS (string id); map description
   */
  public static native byte[] materials(long handle, byte[] description);

  /**
   * The materials for a client that says which object it writes.
   *
   * @param handle of an open provider
   * @param object string bucket, string key
   * @return as {@link #materials}, never of kind 0
   */
  public static native byte[] write(long handle, byte[] object);

  /**
   * The materials for a client that says that it reads.
   *
   * @param handle of an open provider
   * @param envelope string wrap of the data key, string cipher of the content, map stored description
   * @return as {@link #materials}, never of kind 0
   */
  public static native byte[] read(long handle, byte[] envelope);

  /**
   * Wraps a key of a table.
   *
   * @param handle of an open provider
   * @param key string kind of table, string name of the configured key, bytes key; the caller wipes it
   * @return bytes wrapped key
   */
  public static native byte[] wrapTableKey(long handle, byte[] key);

  /**
   * Unwraps a key of a table.
   *
   * @param handle of an open provider
   * @param key as for {@link #wrapTableKey}, with the wrapped key
   * @return bytes key
   */
  public static native byte[] unwrapTableKey(long handle, byte[] key);

  /**
   * The key of an object's content.
   *
   * @param handle of an open provider
   * @param object string bucket, string key, map user metadata, bytes instruction file or null
   * @return u8 content: 0 not encrypted, 1 AES-CBC, 2 AES-GCM; bytes key, bytes initialisation vector
   */
  public static native byte[] contentKey(long handle, byte[] object);

  /**
   * Waits for a call. {@link #open}, {@link #refresh}, {@link #materials}, {@link #write}, {@link
   * #read}, {@link #wrapTableKey}, {@link #unwrapTableKey}, {@link #contentKey}, {@link #rewrapTarget}
   * and {@link #convertTarget} answer with the number of a call (u8 2, i64 call) if they have to wait
   * for a key service, for S3 or for another thread; {@link #list}, {@link #next}, {@link #rewrap} and
   * {@link #convert} always do.
   *
   * @param call such a number, once
   * @return the response of the call
   */
  public static native byte[] await(long call);

  /**
   * Ends the waiting for a call with the failure {@code INTERRUPTED}. Its work goes on to its end, but
   * for {@link #rewrap} and {@link #convert}, which begin with no more objects.
   *
   * @param call its number
   * @return 1; 0 if the call has ended; -1 for a defect
   */
  public static native int cancel(long call);

  /**
   * Begins to list objects; {@link #endList} ends it.
   *
   * @param handle of an open provider
   * @param objects string URI of a prefix, string URI of an inventory's manifest, string mark behind
   *     which to begin; empty: no inventory, from the beginning
   * @return i64 listing
   */
  public static native byte[] list(long handle, byte[] objects);

  /**
   * The next objects.
   *
   * @param listing of {@link #list}
   * @param count of the objects, fewer at the end
   * @return string mark of the last, i32 n, n times (string key, i64 bytes); none: there are no more.
   *     After a call that failed or was cancelled the listing gives no more ({@code CLOSED})
   */
  public static native byte[] next(long listing, int count);

  /** As {@link #close}, for a listing. */
  public static native int endList(long listing);

  /**
   * Wraps the data keys of objects under another key, in place.
   *
   * @param handle of an open provider
   * @param order string that names the job, u8 dry run, i32 threads, string bucket, i32 n, n times
   *     string key; string name of the key or empty for those of the rules, i32 m, m times string
   *     name of a key to move from, u8 upgrade of wraps
   * @return i32 n, n times (string key, string outcome, i64 bytes of content that were read and
   *     written, string line of a report)
   */
  public static native byte[] rewrap(long handle, byte[] order);

  /**
   * The keys and versions that {@link #rewrap} wraps by.
   *
   * @param handle of an open provider
   * @param order as for {@link #rewrap}, without objects
   * @return string
   */
  public static native byte[] rewrapTarget(long handle, byte[] order);

  /**
   * Encrypts objects anew, in place, or decrypts them.
   *
   * @param handle of an open provider
   * @param order as for {@link #rewrap} up to the keys; u8 form: 0 v2, 1 v4, 2 plaintext; string name
   *     of the key or empty for those of the rules, i32 m, m times string name of a key to move from,
   *     u8 from plaintext, u8 second read, string end of the keys of instruction files
   * @return as {@link #rewrap}
   */
  public static native byte[] convert(long handle, byte[] order);

  /**
   * The form, and the keys and versions that {@link #convert} wraps by.
   *
   * @param handle of an open provider
   * @param order as for {@link #convert}, without objects
   * @return string
   */
  public static native byte[] convertTarget(long handle, byte[] order);

  /**
   * The calls that the keys of key services made.
   *
   * @param handle of an open provider
   * @return i32 n, n times (string key, i64 age in milliseconds or -1, i32 m, m times (string name,
   *     i64 count))
   */
  public static native byte[] stats(long handle);

  /** Lines of the audit log that wait to be logged. Response: i32 n, n times string. */
  public static native byte[] audit(long handle);

  /** 1: closed; 0: no such provider, or closed before; -1: a defect. */
  public static native int close(long handle);

  /**
   * Panics on purpose, for tests alone: only a panic in the library that ships shows that none
   * crosses its boundary.
   */
  public static native byte[] panic();
}
