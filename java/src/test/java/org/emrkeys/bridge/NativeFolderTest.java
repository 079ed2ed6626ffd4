package org.emrkeys.bridge;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

/** Folders in which another user could put a library of their own in the place of ours. */
class NativeFolderTest {
  /** A user that is neither root nor the one that runs the tests. */
  private static final int STRANGER = 54321;

  private final Path folder = KeyFiles.create().folder().toRealPath();
  private final Path below = Files.createDirectories(folder.resolve("a/b"));

  NativeFolderTest() throws IOException {}

  private static void mode(Path folder, String permissions) throws IOException {
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString(permissions));
  }

  private static void give(Path folder, int user) throws IOException {
    boolean root = (Integer) Files.getAttribute(Paths.get("/proc/self"), "unix:uid") == 0;
    assumeTrue(root, "only root can give a folder to another user");
    Files.setAttribute(folder, "unix:uid", user);
  }

  private void assertRefused(Path named, Path culprit) {
    EmrKeysException refusal =
        assertCode("NATIVE_LOAD", () -> NativeFolder.find(named.toString()));
    assertTrue(refusal.getMessage().contains(": " + culprit + " "), refusal.getMessage());
    assertTrue(refusal.getMessage().contains(NativeLoader.FOLDER), refusal.getMessage());
  }

  @Test
  void aFolderOfThisUserBelowAStickyOneIsTaken() throws IOException {
    assertEquals(below, NativeFolder.find(below.toString()));
    Files.setAttribute(folder, "unix:mode", 01777);
    assertEquals(below, NativeFolder.find(below.toString()));
    assertEquals(folder, NativeFolder.find(folder.toString()));
  }

  @Test
  void aFolderThatAGroupCanWriteIsRefused() throws IOException {
    mode(below, "rwxrwx---");
    assertRefused(below, below);
  }

  @Test
  void aFolderThatEverybodyCanWriteIsRefused() throws IOException {
    mode(below, "rwx----w-");
    assertRefused(below, below);
  }

  @Test
  void aFolderBelowOneThatOthersCanWriteIsRefused() throws IOException {
    mode(folder, "rwxrwxr-x");
    assertRefused(below, folder);
    mode(folder, "rwxr-xrwx");
    assertRefused(below, folder);
  }

  @Test
  void aFolderOfAnotherUserIsRefused() throws IOException {
    give(below, STRANGER);
    assertRefused(below, below);
  }

  @Test
  void aFolderBelowOneOfAnotherUserIsRefusedEvenIfThatOneIsSticky() throws IOException {
    give(folder, STRANGER);
    Files.setAttribute(folder, "unix:mode", 01755);
    assertRefused(below, folder);
  }

  @Test
  void aLinkIsFollowedToTheFolderThatIsInspected() throws IOException {
    Path link = Files.createSymbolicLink(folder.resolve("link"), below);
    assertEquals(below, NativeFolder.find(link.toString()));
    mode(below.getParent(), "rwxrwxrwx");
    assertRefused(link, below.getParent());
  }

  @Test
  void aTemporaryFolderThatOthersCanChangeIsPassedOver() throws IOException {
    Path unsafe = Files.createDirectory(folder.resolve("unsafe"));
    mode(unsafe, "rwxrwxrwx");
    assertEquals(
        below,
        NativeFolder.first(Arrays.asList(unsafe.toString(), folder + "/absent", below.toString())));
    assertCode(
        "NATIVE_LOAD",
        () -> NativeFolder.first(Arrays.asList(unsafe.toString(), unsafe.resolve("x").toString())));
  }
}
