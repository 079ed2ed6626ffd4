package org.emrkeys.bridge;

import java.lang.reflect.Field;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * A program with a fault on purpose: it hands the native library a direct buffer that says it is
 * longer than its memory. The library with AddressSanitizer has to end the process for it; {@code
 * ./dev test --full} fails otherwise. Needs {@code --add-opens=java.base/java.nio=ALL-UNNAMED}.
 *
 * <p>Argument: {@code read} for an input that is too short, {@code write} for an output.
 */
public final class BufferFault {
  private static final int MEMORY = 64;

  /** So short that the library itself copies it: the code of aws-lc is not watched. */
  private static final int CLAIMED = 256;

  private static final int MANY = 100;
  private static final List<ByteBuffer> KEPT = new ArrayList<>();

  private BufferFault() {}

  public static void main(String[] arguments) throws ReflectiveOperationException {
    CipherNatives.load(null);
    boolean reads = "read".equals(arguments[0]);
    ByteBuffer faulty = amongOthers();
    ByteBuffer sound = ByteBuffer.allocateDirect(2 * CLAIMED);
    field("capacity").setInt(faulty, 2 * CLAIMED);
    ByteBuffer input = reads ? faulty : sound;
    ByteBuffer output = reads ? sound : faulty;
    long handle = CipherNatives.create(CipherNatives.GCM, new byte[32], 0);
    int mode = CipherNatives.ENCRYPT;
    int count =
        CipherNatives.run(
            handle, 1, mode, new byte[12], 16, null, input, 0, CLAIMED, null, output, 0);
    System.out.println("nobody noticed: " + count + " bytes");
  }

  /** The first of many in memory: behind the end of its heap AddressSanitizer watches nothing. */
  private static ByteBuffer amongOthers() throws ReflectiveOperationException {
    Field address = field("address");
    ByteBuffer first = null;
    for (int i = 0; i < MANY; i++) {
      ByteBuffer next = ByteBuffer.allocateDirect(MEMORY);
      KEPT.add(next);
      if (first == null || address.getLong(next) < address.getLong(first)) {
        first = next;
      }
    }
    return first;
  }

  private static Field field(String name) throws ReflectiveOperationException {
    Field field = Buffer.class.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }
}
