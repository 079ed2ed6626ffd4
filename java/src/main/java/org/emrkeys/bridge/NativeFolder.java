package org.emrkeys.bridge;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.emrkeys.EmrKeysException;

/**
 * The folder into which the native library is unpacked: one in which no other user can put a
 * library of their own in its place.
 *
 * <p>The JVM opens a library by its path, after it was written. A user who may rename an entry of
 * any folder on that path decides what is loaded. So every folder from the root down must belong to root
 * or to this user, and must not be writable by group or others, unless its sticky bit keeps them from
 * renaming what is not theirs (as in {@code /tmp}). POSIX access control lists need no look of their
 * own: a user or group that they let write shows in the group's bits.
 */
final class NativeFolder {
  /** Folders that every Linux has, for JVMs whose own temporary folder other users can change. */
  private static final List<String> SYSTEM = Arrays.asList("/tmp", "/var/tmp", "/dev/shm");

  /** POSIX S_IWGRP and S_IWOTH, and S_ISVTX. */
  private static final int WRITABLE = 0022;

  private static final int STICKY = 01000;

  private static final long ROOT = 0;

  private NativeFolder() {}

  /** For what only this user may enter. */
  static FileAttribute<Set<PosixFilePermission>> ownerOnly() {
    return PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  }

  /**
   * The folder that was configured, made if it does not exist; without one, the JVM's temporary
   * folder, or the first of the system's where that one is not safe. YARN gives its containers a
   * temporary folder below one of its own, and may run them as another user.
   *
   * @param configured null for none
   * @return an absolute path without symbolic links
   * @throws EmrKeysException {@code NATIVE_LOAD} if no folder is safe
   */
  static Path find(String configured) {
    if (configured != null) {
      return safe(configured, true);
    }
    List<String> candidates = new ArrayList<>();
    candidates.add(System.getProperty("java.io.tmpdir", "/tmp"));
    candidates.addAll(SYSTEM);
    return first(candidates);
  }

  /** The first candidate that is safe; if none is, the failure of the first. */
  static Path first(List<String> candidates) {
    EmrKeysException failure = null;
    for (String candidate : candidates) {
      try {
        return safe(candidate, false);
      } catch (EmrKeysException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    throw failure;
  }

  private static Path safe(String name, boolean make) {
    try {
      Path folder = Paths.get(name).toAbsolutePath();
      if (make && !Files.exists(folder)) {
        Files.createDirectories(folder, ownerOnly());
      }
      Path real = folder.toRealPath();
      long user = user();
      // From the root down: what an inspected folder lets no one rename is still there when it is used.
      Path inspected = real.getRoot();
      inspect(inspected, name, user);
      for (Path part : real) {
        inspected = inspected.resolve(part);
        inspect(inspected, name, user);
      }
      return real;
    } catch (IOException | UnsupportedOperationException | InvalidPathException e) {
      throw EmrKeysException.of(
          "NATIVE_LOAD",
          "the folder for the native library, " + name + ", cannot be used (" + e + ")",
          remedy("a folder on a local disk that this user can write"),
          e);
    }
  }

  private static void inspect(Path folder, String name, long user) throws IOException {
    Map<String, Object> found =
        Files.readAttributes(folder, "unix:uid,mode,isDirectory", LinkOption.NOFOLLOW_LINKS);
    long owner = ((Number) found.get("uid")).longValue();
    int mode = ((Number) found.get("mode")).intValue();
    String danger = null;
    if (!Boolean.TRUE.equals(found.get("isDirectory"))) {
      danger = folder + " is not a folder any more";
    } else if (owner != ROOT && owner != user) {
      danger = folder + " belongs to user " + owner + ", this process is user " + user;
    } else if ((mode & WRITABLE) != 0 && (mode & STICKY) == 0) {
      danger = folder + String.format(" is writable by group or others (mode %o)", mode & 07777);
    }
    if (danger != null) {
      throw EmrKeysException.of(
          "NATIVE_LOAD",
          "another user could replace the native library in " + name + ": " + danger,
          remedy("a folder that, with all folders above it, only root and this user can write"),
          null);
    }
  }

  private static String remedy(String folder) {
    return "Set " + NativeLoader.FOLDER + " to " + folder + ".";
  }

  /** The effective user, proc(5): the second number of {@code Uid}. */
  private static long user() throws IOException {
    for (String line :
        Files.readAllLines(Paths.get("/proc/self/status"), StandardCharsets.ISO_8859_1)) {
      if (line.startsWith("Uid:")) {
        return Long.parseLong(line.trim().split("\\s+")[2]);
      }
    }
    throw new IOException("/proc/self/status has no Uid");
  }
}
