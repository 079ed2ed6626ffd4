package org.emrkeys.provider;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
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
import org.emrkeys.bridge.Wire;

/**
 * The settings of a Hadoop {@link Configuration}, whose file systems and credential providers Hadoop
 * opens. Internal.
 *
 * <p>Holds the Configuration itself, so that every use sees it as it is then. As thread-safe as the
 * Configuration.
 */
public final class HadoopSettings extends Settings {
  /** One byte more than the core takes, so that it sees that there is more. */
  private static final int MAX_READ = (1 << 20) + 1;

  /** Schemes whose file systems have permissions: HDFS, Ozone and local files. */
  private static final Set<String> PERMISSIONS =
      Collections.unmodifiableSet(
          new HashSet<>(Arrays.asList("hdfs", "webhdfs", "swebhdfs", "ofs", "o3fs", "file")));

  private final Configuration conf;

  /**
   * Wraps a Configuration.
   *
   * @param conf that has the properties
   * @throws EmrKeysException {@code NOT_CONFIGURED} for null
   */
  public HadoopSettings(Configuration conf) {
    if (conf == null) {
      throw EmrKeysException.of(
          "NOT_CONFIGURED",
          "the Configuration is null",
          "Hand over the Hadoop configuration that has the emrkeys properties.",
          null);
    }
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

  @Override
  Map<String, String> beginningWith(String... prefixes) {
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
    return properties;
  }

  @Override
  String value(String name) {
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

  @Override
  void file(String uri, Wire.Encoder out) {
    byte[] buffer = new byte[MAX_READ];
    byte[] content = null;
    int mode = NO_MODE;
    try {
      Path path = new Path(uri);
      // An instance of our own, closed after use: one from Hadoop's cache is shared with everybody
      // else, so it could neither be closed here nor be trusted not to be closed by others while we
      // read.
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

  @Override
  void credential(String alias, Wire.Encoder out) {
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
    } catch (IOException | RuntimeException | LinkageError e) {
      failed(e.toString(), out);
    } finally {
      if (password != null) {
        Arrays.fill(password, '\0');
      }
    }
  }
}
