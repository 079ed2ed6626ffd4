package org.emrkeys.provider;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.Wire;

/**
 * The part of a Hadoop {@link Configuration} that native code sees: our properties, and files and
 * credentials that only Hadoop can open. Internal.
 *
 * <p>Holds the Configuration itself, so that every use sees it as it is then. As thread-safe as the
 * Configuration.
 */
public final class HadoopSettings {
  private static final String[] PREFIXES = {"emrkeys.", "fs.s3.cse."};

  /** One byte more than the core takes, so that it sees that there is more. */
  private static final int MAX_READ = (1 << 20) + 1;

  private static final int MAX_FAILURE_TEXT = 400;

  /** Schemes whose file systems have permissions: HDFS, Ozone and local files. */
  private static final Set<String> PERMISSIONS =
      Collections.unmodifiableSet(
          new HashSet<>(Arrays.asList("hdfs", "webhdfs", "swebhdfs", "ofs", "o3fs", "file")));

  private static final int NO_MODE = -1;

  private static final int URI = 0;
  private static final int CREDENTIAL = 1;
  private static final int FOUND = 0;
  private static final int MISSING = 1;
  private static final int FAILED = 2;

  private final Configuration conf;

  /**
   * Wraps a Configuration.
   *
   * @param conf not null
   */
  public HadoopSettings(Configuration conf) {
    this.conf = conf;
  }

  /**
   * The Configuration.
   *
   * @return never null
   */
  public Configuration configuration() {
    return conf;
  }

  /** Where to unpack the native library; null if the configuration does not say. */
  String nativeFolder() {
    return value(NativeLoader.FOLDER);
  }

  /** Our properties with all variables expanded, as a map of the wire format. */
  byte[] properties() {
    return properties(PREFIXES);
  }

  /**
   * Properties with all variables expanded, as a map of the wire format.
   *
   * @param prefixes how their names begin
   * @return the map, which may hold secrets: the caller wipes it
   */
  public byte[] properties(String... prefixes) {
    Map<String, String> properties = new TreeMap<>();
    for (Map.Entry<String, String> entry : conf) {
      String name = entry.getKey();
      for (String prefix : prefixes) {
        if (name.startsWith(prefix)) {
          // The iterator does not expand variables. Expanding costs, so it is done only if there may be one.
          String raw = entry.getValue();
          String value = raw != null && raw.indexOf('$') < 0 ? raw : value(name);
          if (value != null) {
            properties.put(name, value);
          }
        }
      }
    }
    try (Wire.Encoder out = new Wire.Encoder()) {
      return out.map(properties).toBytes();
    }
  }

  private String value(String name) {
    try {
      return conf.get(name);
    } catch (IllegalStateException e) {
      throw EmrKeysException.of(
          "INVALID_VALUE",
          name
              + ": its variables cannot be expanded, because they are nested too deeply or name"
              + " each other",
          "Write the value out.",
          e);
    }
  }

  /** Opens what a configuration requires of Java; the caller wipes the result. */
  byte[] inputs(Wire.Decoder required) {
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

  private void file(String uri, Wire.Encoder out) {
    byte[] buffer = new byte[MAX_READ];
    byte[] content = null;
    int mode = NO_MODE;
    try {
      Path path = new Path(uri);
      // An instance of our own, closed after use: one from Hadoop's cache is shared with everybody
      // else, so it could
      // neither be closed here nor be trusted not to be closed by others while we read.
      try (FileSystem files = FileSystem.newInstance(path.toUri(), conf)) {
        FileStatus status = files.getFileStatus(path);
        if (status.isDirectory()) {
          failed("it is a folder", out);
          return;
        }
        if (hasPermissions(files, path)) {
          mode = status.getPermission().toShort() & 0777;
        }
        int size = 0;
        try (InputStream in = files.open(path)) {
          int read;
          while (size < buffer.length
              && (read = in.read(buffer, size, buffer.length - size)) >= 0) {
            size += read;
          }
        }
        content = Arrays.copyOf(buffer, size);
      }
      out.u8(FOUND).u8(0).i32(mode).bytes(content);
    } catch (FileNotFoundException e) {
      out.u8(MISSING).u8(0).i32(NO_MODE).bytes(null);
    } catch (IOException | RuntimeException | LinkageError e) {
      failed(e.toString(), out);
    } finally {
      Arrays.fill(buffer, (byte) 0);
      if (content != null) {
        Arrays.fill(content, (byte) 0);
      }
    }
  }

  /**
   * Whether the permissions of a file are real. Object stores give one for all files; a file system
   * of mount points ({@code viewfs:}) gives that of the one below it.
   */
  private static boolean hasPermissions(FileSystem files, Path path) throws IOException {
    return PERMISSIONS.contains(files.resolvePath(path).toUri().getScheme());
  }

  private void credential(String alias, Wire.Encoder out) {
    char[] password = null;
    try {
      password = conf.getPassword(alias);
      // Hadoop falls back to the site file without a word; the core must know.
      boolean plaintext = conf.getRaw(alias) != null;
      if (password == null) {
        out.u8(MISSING).u8(0).i32(NO_MODE).bytes(null);
      } else {
        out.u8(FOUND).u8(plaintext ? 1 : 0).i32(NO_MODE).secret(password);
      }
    } catch (IOException | RuntimeException e) {
      failed(e.toString(), out);
    } finally {
      if (password != null) {
        Arrays.fill(password, '\0');
      }
    }
  }

  private static void failed(String why, Wire.Encoder out) {
    String text = why.length() > MAX_FAILURE_TEXT ? why.substring(0, MAX_FAILURE_TEXT) + "…" : why;
    out.u8(FAILED).u8(0).i32(NO_MODE).bytes(text.getBytes(StandardCharsets.UTF_8));
  }
}
