package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.Provider;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.CipherNatives;
import org.emrkeys.bridge.NativeOwner;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Whose memory is read and written when, and what native state outlives a message. */
class CipherMemoryTest {
  private static final String GCM = "AES/GCM/NoPadding";
  private static final Key KEY = new SecretKeySpec(new byte[32], "AES");
  private static final byte[] IV = new byte[12];

  private static Provider ours;

  @BeforeAll
  static void load() {
    CipherNatives.load(null);
    ours = new EmrKeysProvider(true);
  }

  /** The same checks in a JVM whose arrays are copied for native code; see the test. */
  public static void main(String[] arguments) throws Exception {
    load();
    layouts();
    System.out.println("all layouts are right");
  }

  private static byte[] plain(int size) {
    byte[] plain = new byte[size];
    new Random(size).nextBytes(plain);
    return plain;
  }

  /** A kind of message; ours decrypts by both kinds of release. */
  private enum Way {
    SEAL,
    OPEN_AT_ONCE,
    OPEN_VERIFIED,
    CTR;

    Cipher cipher() throws Exception {
      Cipher cipher = Cipher.getInstance(this == CTR ? "AES/CTR/NoPadding" : GCM, ours);
      switch (this) {
        case SEAL:
          cipher.init(Cipher.ENCRYPT_MODE, KEY, new GCMParameterSpec(128, IV));
          break;
        case OPEN_AT_ONCE:
          cipher.init(Cipher.DECRYPT_MODE, KEY, new IvParameterSpec(IV));
          break;
        case OPEN_VERIFIED:
          cipher.init(Cipher.DECRYPT_MODE, KEY, new GCMParameterSpec(128, IV));
          break;
        default:
          cipher.init(Cipher.ENCRYPT_MODE, KEY, new IvParameterSpec(new byte[16]));
      }
      return cipher;
    }

    /** A message, and what becomes of it by the JDK's provider. */
    byte[][] message(int size) throws Exception {
      byte[] plain = plain(size);
      Cipher peer = Cipher.getInstance(this == CTR ? "AES/CTR/NoPadding" : GCM, "SunJCE");
      peer.init(
          Cipher.ENCRYPT_MODE,
          KEY,
          this == CTR ? new IvParameterSpec(new byte[16]) : new GCMParameterSpec(128, IV));
      byte[] sealed = peer.doFinal(plain);
      return this == SEAL || this == CTR
          ? new byte[][] {plain, sealed}
          : new byte[][] {sealed, plain};
    }
  }

  /**
   * {@code first} bytes by update, the rest by doFinal from one offset of a buffer to another of the
   * same buffer.
   */
  private static void layout(Way way, int size, int first, int from, int to, boolean direct)
      throws Exception {
    byte[][] message = way.message(size);
    int rest = message[0].length - first;
    Cipher cipher = way.cipher();
    byte[] before = cipher.update(message[0], 0, first);
    int length = Math.max(from + rest, to + message[1].length) + 50;
    ByteBuffer buffer = direct ? ByteBuffer.allocateDirect(length) : ByteBuffer.allocate(length);
    buffer.position(from);
    buffer.put(message[0], first, rest);
    int count;
    if (direct) {
      ByteBuffer input = buffer.duplicate();
      input.position(from).limit(from + rest);
      ByteBuffer output = buffer.duplicate();
      output.position(to);
      count = cipher.doFinal(input, output);
    } else {
      count = cipher.doFinal(buffer.array(), from, rest, buffer.array(), to);
    }
    byte[] got = new byte[(before == null ? 0 : before.length) + count];
    if (before != null) {
      System.arraycopy(before, 0, got, 0, before.length);
    }
    buffer.position(to);
    buffer.get(got, got.length - count, count);
    assertArrayEquals(
        message[1],
        got,
        () ->
            String.format(
                "%s of %d bytes, %d before, from %d to %d, direct %s",
                way, size, first, from, to, direct));
  }

  private static void layouts() throws Exception {
    int[][] cases = {
      // size, by update, from, to
      {8000, 0, 0, 10000},
      {8000, 0, 10000, 0},
      {6000, 5000, 3000, 0},
      {6000, 5000, 3000, 100},
      {4096, 3000, 3000, 16},
      {2000, 1000, 1016, 0},
      {2000, 0, 7, 0},
      {2000, 0, 0, 7},
      {300, 0, 0, 7},
      {600000, 400000, 300000, 0},
      {100000, 60000, 50000, 1000},
      {700000, 0, 0, 0},
      {700000, 0, 0, 16},
      {700000, 0, 0, 300000},
      {700000, 0, 300000, 0},
      {700000, 5, 20, 20},
      {700000, 5, 0, 800000},
    };
    for (Way way : Way.values()) {
      for (int[] one : cases) {
        layout(way, one[0], one[1], one[2], one[3], false);
        layout(way, one[0], one[1], one[2], one[3], true);
      }
    }
  }

  @Test
  void inputAndOutputMayLieAnywhereInOneBuffer() throws Exception {
    layouts();
  }

  /**
   * {@code -Xcheck:jni} stands in for a JVM that cannot pin: native code gets copies of arrays, which
   * are written back when it is done. OpenJ9 is such a JVM, but no build of it was found on Maven
   * Central, PyPI, npm or in Debian.
   */
  @Test
  void inputAndOutputMayLieAnywhereInOneBufferWhereTheJvmCopiesArrays() throws Exception {
    Path out = Files.createTempFile("emrkeys-checkjni", ".txt");
    List<String> command = new ArrayList<>();
    command.add(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java");
    command.add("-Xcheck:jni");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(CipherMemoryTest.class.getName());
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(out.toFile()).start();
    int code = process.waitFor();
    String said = new String(Files.readAllBytes(out), StandardCharsets.UTF_8);
    Files.delete(out);
    assertEquals(0, code, said);
    assertTrue(said.contains("all layouts are right"), said);
    assertFalse(said.contains("FATAL ERROR"), said);
    assertFalse(said.contains("WARNING in native method"), said);
  }

  /** The verified bytes are the decrypted ones, though another thread changes the input meanwhile. */
  @Test
  void inputThatChangesGivesThePlaintextOrAnException() throws Exception {
    byte[][] message = Way.OPEN_VERIFIED.message(64 << 10);
    ByteBuffer input = ByteBuffer.allocateDirect(message[0].length);
    input.put(message[0]);
    byte good = message[0][50000];
    AtomicBoolean stop = new AtomicBoolean();
    Thread changes =
        new Thread(
            () -> {
              for (int i = 0; !stop.get(); i++) {
                input.put(50000, (byte) (i % 2 == 0 ? good ^ 1 : good));
              }
            });
    changes.start();
    int opened = 0;
    try {
      Cipher cipher = Way.OPEN_VERIFIED.cipher();
      for (int i = 0; i < 3000; i++) {
        ByteBuffer source = input.duplicate();
        source.position(0).limit(message[0].length);
        ByteBuffer target = ByteBuffer.allocate(message[1].length);
        try {
          cipher.doFinal(source, target);
        } catch (AEADBadTagException e) {
          continue;
        }
        assertArrayEquals(message[1], target.array());
        opened++;
      }
    } finally {
      stop.set(true);
      changes.join();
    }
    assertTrue(opened > 0, "the input was never as it should be");
  }

  @Test
  void aCipherForOneMessageFreesItsNativeStateAtTheEnd() throws Exception {
    List<Cipher> kept = new ArrayList<>();
    byte[] sealed = Way.SEAL.message(100)[1];
    int before = NativeOwner.open();
    for (int i = 0; i < 500; i++) {
      Cipher seal = Way.SEAL.cipher();
      seal.update(new byte[50]);
      seal.doFinal(new byte[50]);
      kept.add(seal);
      Cipher open = i % 2 == 0 ? Way.OPEN_AT_ONCE.cipher() : Way.OPEN_VERIFIED.cipher();
      if (i % 4 < 2) {
        open.doFinal(sealed);
      } else {
        assertThrows(AEADBadTagException.class, () -> open.doFinal(new byte[100]));
      }
      kept.add(open);
      kept.add(Way.OPEN_VERIFIED.cipher()); // initialised and not used
    }
    // Ciphers of other tests may be freed meanwhile.
    assertTrue(NativeOwner.open() <= before, before + " before, " + NativeOwner.open());
    // All of them still work.
    for (int i = 1; i < kept.size(); i += 3) {
      assertEquals(100, kept.get(i).doFinal(sealed).length);
    }
  }

  @Test
  void aCipherForManyMessagesKeepsItsNativeState() throws Exception {
    byte[][] message = Way.OPEN_VERIFIED.message(100);
    Cipher cipher = Way.OPEN_VERIFIED.cipher();
    long made = NativeHandle.made();
    for (int i = 0; i < 50; i++) {
      assertArrayEquals(message[1], cipher.doFinal(message[0]));
    }
    assertEquals(2, NativeHandle.made() - made);
  }

  /** A message that was refused leaves the output as it was. */
  @Test
  void aWrongTagLeavesTheOutputAsItWas() throws Exception {
    for (int size : new int[] {0, 100, 5000, 700000}) {
      byte[] sealed = Way.OPEN_VERIFIED.message(size)[0];
      sealed[size] ^= 1;
      byte[] out = new byte[size];
      Arrays.fill(out, (byte) 0x5a);
      Cipher cipher = Way.OPEN_VERIFIED.cipher();
      assertThrows(AEADBadTagException.class, () -> cipher.doFinal(sealed, 0, sealed.length, out));
      byte[] untouched = new byte[size];
      Arrays.fill(untouched, (byte) 0x5a);
      assertArrayEquals(untouched, out);
    }
  }
}
