package org.emrkeys.bridge;

import java.nio.channels.ClosedChannelException;
import java.nio.channels.spi.AbstractInterruptibleChannel;

/**
 * A call of a native method that has to wait, and ends when its thread is interrupted. Internal.
 *
 * <p>A thread does not notice an interrupt in native code. The JDK reports one in a single way: to a
 * channel, which the interrupting thread closes. So this is a channel that cannot be read from or
 * written to; closing it cancels the waiting. For one thread, once.
 */
public final class NativeCall extends AbstractInterruptibleChannel {
  private static final int WAITING = 2;

  private final long call;

  private NativeCall(long call) {
    this.call = call;
  }

  /**
   * Waits until a response is complete.
   *
   * @param response of one of the methods of {@link Natives}
   * @return the response itself, or the one that it stands for: the failure {@code INTERRUPTED} if
   *     this thread was interrupted before or meanwhile, which it then still is
   */
  public static byte[] complete(byte[] response) {
    if (response == null || response.length == 0 || response[0] != WAITING) {
      return response;
    }
    Wire.Decoder waiting = new Wire.Decoder(response);
    waiting.u8();
    return new NativeCall(waiting.i64()).await();
  }

  private byte[] await() {
    byte[] response = null;
    begin(); // closes this at once if the thread is interrupted already
    try {
      response = Natives.await(call);
    } finally {
      try {
        end(response != null);
      } catch (ClosedChannelException interrupted) {
        // The response says so, unless it was complete before.
      }
    }
    return response;
  }

  @Override
  protected void implCloseChannel() {
    Natives.cancel(call);
  }
}
