package org.emrkeys.bridge;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

class NativeLoaderTest {
  private static final String ARCHITECTURE = System.getProperty("os.arch");
  private static final IntSupplier SAME = () -> Natives.ABI;

  private final Path folder = KeyFiles.create().folder();

  NativeLoaderTest() throws IOException {}

  private static InputStream fromJar(String name) {
    return NativeLoaderTest.class.getResourceAsStream("/" + name);
  }

  private static NativeLoader loader(String os, String architecture, NativeLoader.Linker linker) {
    return new NativeLoader(os, architecture, NativeLoaderTest::fromJar, linker, SAME);
  }

  private void assertNothingLeft() {
    assertEquals(0, folder.toFile().list().length);
  }

  @Test
  void theLibraryIsLoadedFromAFolderThatOnlyItsUserCanEnterAndIsGoneAfterwards()
      throws IOException {
    List<String> loaded = new ArrayList<>();
    NativeLoader loader =
        loader(
            "Linux",
            ARCHITECTURE,
            path -> {
              loaded.add(path);
              try {
                assertEquals(
                    PosixFilePermissions.fromString("rwx------"),
                    Files.getPosixFilePermissions(Paths.get(path).getParent()));
              } catch (IOException e) {
                throw new AssertionError(e);
              }
              loadApart(path);
            });
    String description = loader.unpackAndLoad(folder.toString());
    assertTrue(description.startsWith("linux-"), description);
    assertTrue(loaded.get(0).startsWith(folder.toString()));
    assertFalse(Files.exists(Paths.get(loaded.get(0))));
    assertNothingLeft();
  }

  @Test
  void aFolderThatIsNotThereIsMade() {
    Path deep = folder.resolve("a/b");
    loader("Linux", ARCHITECTURE, path -> {}).unpackAndLoad(deep.toString());
    assertEquals(0, deep.toFile().list().length);
  }

  @Test
  void aPlatformWithoutLibraryIsToldWhichThereAre() {
    for (String[] platform :
        new String[][] {{"Linux", "s390x"}, {"Mac OS X", "aarch64"}, {"Windows 11", "amd64"}}) {
      EmrKeysException refusal =
          assertCode(
              "NATIVE_PLATFORM",
              () -> loader(platform[0], platform[1], path -> {}).unpackAndLoad(null));
      assertTrue(refusal.getMessage().contains("it has linux-"), refusal.getMessage());
    }
  }

  @Test
  void aJarWithoutAnyLibrarySaysSo() {
    NativeLoader empty = new NativeLoader("Linux", "amd64", name -> null, path -> {}, SAME);
    EmrKeysException refusal = assertCode("NATIVE_PLATFORM", () -> empty.unpackAndLoad(null));
    assertTrue(refusal.getMessage().contains("it has none"), refusal.getMessage());
  }

  @Test
  void aDamagedLibraryIsNeverLoaded() {
    NativeLoader.Linker never =
        path -> {
          throw new AssertionError("was loaded");
        };
    NativeLoader.Resources damaged =
        name ->
            name.endsWith(".sha256") ? fromJar(name) : new ByteArrayInputStream(new byte[] {1, 2});
    NativeLoader.Resources noSum = name -> name.endsWith(".sha256") ? null : fromJar(name);
    for (NativeLoader.Resources resources : new NativeLoader.Resources[] {damaged, noSum}) {
      assertCode(
          "NATIVE_LOAD",
          () ->
              new NativeLoader("Linux", ARCHITECTURE, resources, never, SAME)
                  .unpackAndLoad(folder.toString()));
    }
    assertNothingLeft();
  }

  @Test
  void aLibraryOfAnotherReleaseIsRefused() {
    IntSupplier other = () -> Natives.ABI + 1;
    IntSupplier none =
        () -> {
          throw new UnsatisfiedLinkError("abi");
        };
    for (IntSupplier abi : new IntSupplier[] {other, none}) {
      assertCode(
          "NATIVE_VERSION",
          () ->
              new NativeLoader(
                      "Linux", ARCHITECTURE, NativeLoaderTest::fromJar, path -> {}, abi)
                  .unpackAndLoad(folder.toString()));
    }
    assertNothingLeft();
  }

  @Test
  void aLibraryThatTheLinkerRefusesIsReportedWithItsReasonAndRemoved() {
    NativeLoader loader =
        loader(
            "Linux",
            ARCHITECTURE,
            path -> {
              throw new UnsatisfiedLinkError("version `GLIBC_9' not found");
            });
    EmrKeysException refusal =
        assertCode("NATIVE_LOAD", () -> loader.unpackAndLoad(folder.toString()));
    assertTrue(refusal.getMessage().contains("GLIBC_9"), refusal.getMessage());
    assertNothingLeft();
  }

  @Test
  void aFolderThatCannotBeWrittenIsRefusedByItsProperty() {
    EmrKeysException refusal =
        assertCode(
            "NATIVE_LOAD",
            () -> loader("Linux", ARCHITECTURE, path -> {}).unpackAndLoad("/proc/emrkeys"));
    assertTrue(refusal.getMessage().contains("emrkeys.native.folder"), refusal.getMessage());
  }

  @Test
  void nothingIsUnpackedWhereAnotherUserCouldReplaceIt() throws IOException {
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
    assertCode(
        "NATIVE_LOAD",
        () -> loader("Linux", ARCHITECTURE, path -> {}).unpackAndLoad(folder.toString()));
    assertNothingLeft();
  }

  @Test
  void aFolderMountedNoexecIsRefusedByItsProperty() throws Exception {
    assumeTrue(
        run("mount", "-t", "tmpfs", "-o", "noexec,size=64m", "tmpfs", folder.toString()),
        "only root may mount");
    try {
      EmrKeysException refusal =
          assertCode(
              "NATIVE_NOEXEC",
              () ->
                  loader("Linux", ARCHITECTURE, NativeLoaderTest::loadApart)
                      .unpackAndLoad(folder.toString()));
      assertTrue(refusal.getMessage().contains("emrkeys.native.folder"), refusal.getMessage());
      assertNothingLeft();
    } finally {
      // Lazily: the JVM keeps what it could not load open.
      assertTrue(run("umount", "--lazy", folder.toString()));
    }
  }

  /**
   * Loads a library for a class loader of its own. A second copy for ours would be asked for native
   * methods that are called for the first time after this test, and knows no handle of the first.
   */
  private static void loadApart(String path) {
    URL[] classes = {
      NativeLoaderTest.class.getProtectionDomain().getCodeSource().getLocation()
    };
    try (URLClassLoader loader = new URLClassLoader(classes, null)) {
      loader.loadClass(Apart.class.getName()).getMethod("load", String.class).invoke(null, path);
    } catch (InvocationTargetException e) {
      throw (UnsatisfiedLinkError) e.getCause();
    } catch (IOException | ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  /** The code of {@link #loadApart} that runs in the other class loader. */
  public static final class Apart {
    private Apart() {}

    /** The class that calls {@code System.load} decides whose library it is. */
    public static void load(String path) {
      System.load(path);
    }
  }

  private static boolean run(String... command) throws IOException, InterruptedException {
    Path log = Files.createTempFile("emrkeys-test", ".log");
    log.toFile().deleteOnExit();
    return new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start()
            .waitFor()
        == 0;
  }
}
