package org.emrkeys.bridge;

import java.lang.reflect.Field;
import java.nio.Buffer;
import java.nio.ByteBuffer;

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

  private BufferFault() {}

  public static void main(String[] arguments) throws ReflectiveOperationException {
    CipherNatives.load(null);
    boolean reads = "read".equals(arguments[0]);
    ByteBuffer input = ByteBuffer.allocateDirect(reads ? MEMORY : CLAIMED);
    ByteBuffer output = ByteBuffer.allocateDirect(reads ? 2 * CLAIMED : MEMORY);
    Field capacity = Buffer.class.getDeclaredField("capacity");
    capacity.setAccessible(true);
    capacity.setInt(reads ? input : output, 2 * CLAIMED);
    long handle = CipherNatives.create(CipherNatives.GCM, new byte[32], 0);
    int mode = CipherNatives.ENCRYPT;
    int count =
        CipherNatives.run(
            handle, 1, mode, new byte[12], 16, null, input, 0, CLAIMED, null, output, 0);
    System.out.println("nobody noticed: " + count + " bytes");
  }
}
