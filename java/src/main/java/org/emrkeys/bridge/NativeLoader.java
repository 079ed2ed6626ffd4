package org.emrkeys.bridge;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.function.IntSupplier;
import org.emrkeys.EmrKeysException;

/**
 * Brings the native library from the jar into the JVM. Internal.
 *
 * <p>The library is unpacked into a fresh folder that only this user can enter, under a name that
 * nobody can know before, checked against the SHA-256 that the build wrote beside it, loaded, asked
 * for its interface number, and unlinked. Each class loader that has these classes loads its own
 * copy, which the JVM permits because the paths differ.
 *
 * <p>Depends on nothing but the JDK. No static initialiser can fail: a class that could not be
 * initialised is broken for the life of the JVM and hides the reason from everybody but the first.
 * Thread-safe.
 */
public final class NativeLoader {
  /** Property: the folder into which the library is unpacked; in Hadoop's configuration or the system's. */
  public static final String FOLDER = "emrkeys.native.folder";

  private static final String LIBRARY = "libemrkeys_jni.so";
  private static final String[] BUILT_ARCHITECTURES = {"x86_64", "aarch64"};
  private static final int MAX_SUPPRESSED = 8;

  /** Of the static methods; never changed back. */
  private static String loaded;

  private static EmrKeysException permanent;
  private static final List<EmrKeysException> FAILURES = new ArrayList<>();

  private final String os;
  private final String architecture;
  private final Resources resources;
  private final Linker linker;
  private final IntSupplier abi;

  /** Opens a resource of the jar by name; null if the jar does not have it. */
  interface Resources {
    InputStream open(String name);
  }

  /** Loads a library by path. */
  interface Linker {
    void load(String path);
  }

  /** A loader for the platform given; its parts are the JVM's own everywhere but in tests. */
  NativeLoader(String osName, String osArch, Resources resources, Linker linker, IntSupplier abi) {
    this.os =
        osName.toLowerCase(Locale.ROOT).startsWith("linux")
            ? "linux"
            : osName.toLowerCase(Locale.ROOT);
    this.architecture = architecture(osArch.toLowerCase(Locale.ROOT));
    this.resources = resources;
    this.linker = linker;
    this.abi = abi;
  }

  private static String architecture(String osArch) {
    switch (osArch) {
      case "amd64":
      case "x86_64":
      case "x86-64":
        return "x86_64";
      case "aarch64":
      case "arm64":
        return "aarch64";
      default:
        return osArch;
    }
  }

  /**
   * Loads the library unless that was done.
   *
   * @param folder where to unpack it; null or blank: the system property {@link #FOLDER}, else the
   *     JVM's temporary folder
   * @throws EmrKeysException {@code NATIVE_PLATFORM}, {@code NATIVE_NOEXEC}, {@code NATIVE_LOAD} or
   *     {@code NATIVE_VERSION}; a later call tries again, where that can help, and has this failure
   *     as a suppressed one
   */
  public static synchronized void load(String folder) {
    if (loaded != null) {
      return;
    }
    if (permanent != null) {
      throw again(permanent);
    }
    NativeLoader loader =
        new NativeLoader(
            System.getProperty("os.name", ""),
            System.getProperty("os.arch", ""),
            name -> NativeLoader.class.getResourceAsStream("/" + name),
            // A lambda and not a method reference: the JVM ties the library to the class loader of
            // the caller.
            path -> System.load(path),
            Natives::abi);
    try {
      loaded = loader.unpackAndLoad(chosen(folder));
    } catch (EmrKeysException e) {
      FAILURES.forEach(e::addSuppressed);
      if (FAILURES.size() < MAX_SUPPRESSED) {
        FAILURES.add(again(e));
      }
      if (e.code().equals("NATIVE_VERSION")) {
        permanent = e; // the wrong library is loaded and cannot be unloaded
      }
      throw e;
    }
  }

  private static String chosen(String folder) {
    String chosen = folder == null || folder.trim().isEmpty() ? System.getProperty(FOLDER) : folder;
    return chosen == null || chosen.trim().isEmpty() ? null : chosen.trim();
  }

  /** A copy without the suppressed ones, which would otherwise grow into a tree. */
  private static EmrKeysException again(EmrKeysException e) {
    return new EmrKeysException(e.code(), e.getMessage(), e.getCause());
  }

  /**
   * The library that was loaded.
   *
   * @return such as {@code linux-x86_64, unpacked to /tmp/emrkeys-1234}, or {@code not loaded}
   */
  public static synchronized String description() {
    return loaded == null ? "not loaded" : loaded;
  }

  /** Does all of it; gives the description. */
  String unpackAndLoad(String folder) {
    String platform = os + "-" + architecture;
    byte[] library = library(platform);
    Path parent = NativeFolder.find(folder);
    Path own = null;
    Path file = null;
    try {
      own = Files.createTempDirectory(parent, "emrkeys-", NativeFolder.ownerOnly());
      // The permissions given at creation are cut by the umask; a strict one must not lock us out.
      Files.setPosixFilePermissions(own, PosixFilePermissions.fromString("rwx------"));
      file = own.resolve(LIBRARY);
      write(file, library);
    } catch (IOException | UnsupportedOperationException | SecurityException e) {
      remove(file);
      remove(own);
      throw EmrKeysException.of(
          "NATIVE_LOAD",
          "the native library cannot be unpacked into " + parent + " (" + e + ")",
          "Set "
              + FOLDER
              + " to a folder on a local disk that this user can write.",
          e);
    }
    try {
      link(file, platform, parent);
    } finally {
      // Once it is mapped, nothing needs its name.
      remove(file);
      remove(own);
    }
    return platform + ", unpacked to " + own;
  }

  private byte[] library(String platform) {
    String name = "native/" + platform + "/" + LIBRARY;
    byte[] library;
    String sum;
    try {
      library = read(name);
      byte[] sumFile = read(name + ".sha256");
      sum =
          sumFile == null
              ? null
              : new String(sumFile, StandardCharsets.US_ASCII).trim().split("\\s", 2)[0];
    } catch (IOException e) {
      throw EmrKeysException.of(
          "NATIVE_LOAD",
          "the native library cannot be read from the jar (" + e + ")",
          "Replace the jar.",
          e);
    }
    if (library == null) {
      throw EmrKeysException.of(
          "NATIVE_PLATFORM",
          "the jar has no native library for " + platform + "; it has " + present(),
          "Use a jar that was built for this platform.",
          null);
    }
    if (!sha256(library).equalsIgnoreCase(sum)) {
      throw EmrKeysException.of(
          "NATIVE_LOAD",
          "the native library in the jar does not have the SHA-256 that stands beside it: the jar"
              + " is damaged",
          "Replace the jar, and compare its checksum with the one of the release.",
          null);
    }
    return library;
  }

  private String present() {
    List<String> found = new ArrayList<>();
    for (String known : BUILT_ARCHITECTURES) {
      try (InputStream in = resources.open("native/linux-" + known + "/" + LIBRARY)) {
        if (in != null) {
          found.add("linux-" + known);
        }
      } catch (IOException e) {
        // Closing failed: it is there.
        found.add("linux-" + known);
      }
    }
    return found.isEmpty() ? "none" : String.join(", ", found);
  }

  private byte[] read(String name) throws IOException {
    try (InputStream in = resources.open(name)) {
      if (in == null) {
        return null;
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream(Math.max(in.available(), 1024));
      byte[] buffer = new byte[1 << 16];
      int read;
      while ((read = in.read(buffer)) >= 0) {
        out.write(buffer, 0, read);
      }
      return out.toByteArray();
    }
  }

  private static String sha256(byte[] bytes) {
    try {
      StringBuilder hex = new StringBuilder();
      for (byte b : MessageDigest.getInstance("SHA-256").digest(bytes)) {
        hex.append(Character.forDigit(b >> 4 & 0xF, 16)).append(Character.forDigit(b & 0xF, 16));
      }
      return hex.toString();
    } catch (NoSuchAlgorithmException e) {
      // Every Java platform has it.
      throw new IllegalStateException(e);
    }
  }

  private static void write(Path file, byte[] bytes) throws IOException {
    Set<StandardOpenOption> options =
        EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try (SeekableByteChannel out =
        Files.newByteChannel(file, new HashSet<>(options), NativeFolder.ownerOnly())) {
      ByteBuffer rest = ByteBuffer.wrap(bytes);
      while (rest.hasRemaining()) {
        out.write(rest);
      }
    }
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
  }

  private void link(Path file, String platform, Path parent) {
    try {
      linker.load(file.toString());
    } catch (LinkageError | RuntimeException e) {
      throw diagnosed(e, file, platform, parent);
    }
    int number;
    try {
      number = abi.getAsInt();
    } catch (LinkageError e) {
      throw version("the native library has no interface number", e);
    }
    if (number != Natives.ABI) {
      throw version(
          "the native library has interface "
              + number
              + ", the Java classes have interface "
              + Natives.ABI,
          null);
    }
  }

  private static EmrKeysException version(String what, Throwable cause) {
    return EmrKeysException.of(
        "NATIVE_VERSION",
        what,
        "Put one release of emrkeys on the class path, whole and once.",
        cause);
  }

  /** Looks for the reason only after loading failed: nothing that would work is refused. */
  private static EmrKeysException diagnosed(Throwable e, Path file, String platform, Path parent) {
    // Our file has the owner's x bit; access(2) denies execution all the same where the mount does.
    if (!Files.isExecutable(file)) {
      return EmrKeysException.of(
          "NATIVE_NOEXEC",
          "the native library cannot be loaded from "
              + parent
              + ", which is on a file system mounted noexec",
          "Set "
              + FOLDER
              + " (in the Hadoop configuration, or as a system property) to a folder "
              + "that allows execution.",
          e);
    }
    if (runsOnMusl()) {
      return EmrKeysException.of(
          "NATIVE_LOAD",
          "the native library for "
              + platform
              + " needs glibc 2.17 or later, and this JVM runs on musl",
          "Use a JVM of a distribution with glibc.",
          e);
    }
    return EmrKeysException.of(
        "NATIVE_LOAD",
        "the native library for " + platform + " cannot be loaded (" + e.getMessage() + ")",
        "It needs glibc 2.17 or later.",
        e);
  }

  /** Whether the C library of this process is musl; a machine may have both. */
  private static boolean runsOnMusl() {
    try {
      for (String line :
          Files.readAllLines(Paths.get("/proc/self/maps"), StandardCharsets.ISO_8859_1)) {
        if (line.contains("/ld-musl-") || line.contains("/libc.musl-")) {
          return true;
        }
      }
    } catch (IOException | SecurityException e) {
      // No /proc: then the linker's own words have to do.
      return false;
    }
    return false;
  }

  /** Best effort: what stays behind is a file of our own in a folder of our own. */
  private static void remove(Path path) {
    if (path != null && Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      File file = path.toFile();
      if (!file.delete()) {
        file.deleteOnExit();
      }
    }
  }
}
