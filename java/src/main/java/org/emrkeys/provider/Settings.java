package org.emrkeys.provider;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.Wire;

/**
 * The part of a configuration that native code sees: our properties, and the files and credentials that
 * they name and that native code cannot open. Internal.
 *
 * <p>Loads without Hadoop, as every class of this package does but {@link HadoopSettings}.
 */
public abstract class Settings {
  static final int NO_MODE = -1;
  static final int FOUND = 0;
  static final int MISSING = 1;

  private static final int FAILED = 2;
  private static final String[] PREFIXES = {"emrkeys.", "fs.s3.cse."};
  private static final int MAX_FAILURE_TEXT = 400;
  private static final int URI = 0;
  private static final int CREDENTIAL = 1;

  Settings() {}

  /** The value of a property, with all variables expanded; null if it is not set. */
  abstract String value(String name);

  /** The properties whose names begin with one of the prefixes, with all variables expanded. */
  abstract Map<String, String> beginningWith(String... prefixes);

  /** Writes the status, permission bits and content of a file; the core names the property if that fails. */
  abstract void file(String uri, Wire.Encoder out);

  /** Writes the status and content of a credential, likewise. */
  abstract void credential(String alias, Wire.Encoder out);

  /** Where to unpack the native library; null if the configuration does not say. */
  final String nativeFolder() {
    return value(NativeLoader.FOLDER);
  }

  /** Our properties with all variables expanded, as a map of the wire format. */
  final byte[] properties() {
    return properties(PREFIXES);
  }

  /**
   * Properties with all variables expanded, as a map of the wire format.
   *
   * @param prefixes how their names begin
   * @return the map, which may hold secrets: the caller wipes it
   */
  public final byte[] properties(String... prefixes) {
    try (Wire.Encoder out = new Wire.Encoder()) {
      return out.map(beginningWith(prefixes)).toBytes();
    }
  }

  /** Opens what a configuration requires of Java; the caller wipes the result. */
  final byte[] inputs(Wire.Decoder required) {
    int count = required.count(5);
    try (Wire.Encoder out = new Wire.Encoder()) {
      out.i32(count);
      for (int i = 0; i < count; i++) {
        int kind = required.u8();
        String name = required.string();
        out.u8(kind).string(name);
        if (kind == URI) {
          file(name, out);
        } else if (kind == CREDENTIAL) {
          credential(name, out);
        } else {
          throw Wire.defect(null);
        }
      }
      return out.toBytes();
    }
  }

  static void failed(String why, Wire.Encoder out) {
    String text = why.length() > MAX_FAILURE_TEXT ? why.substring(0, MAX_FAILURE_TEXT) + "…" : why;
    out.u8(FAILED).u8(0).i32(NO_MODE).bytes(text.getBytes(StandardCharsets.UTF_8));
  }
}
