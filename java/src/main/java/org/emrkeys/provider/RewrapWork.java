package org.emrkeys.provider;

import java.util.ArrayList;
import java.util.Collection;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;

/** Moves objects to another key: their data keys are wrapped again, and contents stay. Internal. */
public final class RewrapWork extends ObjectWork {
  private static final long serialVersionUID = 1L;

  private final String to;
  private final ArrayList<String> from;
  private final boolean upgradeWraps;

  /**
   * The options.
   *
   * @param to name of the key that is to wrap; the empty string for the keys that the rules give
   * @param from names of keys whose objects are moved though the rules do not give these keys there
   * @param upgradeWraps whether wraps of the SDK v1's first client become those of its second
   */
  public RewrapWork(String to, Collection<String> from, boolean upgradeWraps) {
    this.to = to;
    this.from = new ArrayList<>(from);
    this.upgradeWraps = upgradeWraps;
  }

  @Override
  public String done() {
    return "rewrapped";
  }

  @Override
  void encode(Wire.Encoder out) {
    out.string(to).strings(from).u8(upgradeWraps ? 1 : 0);
  }

  @Override
  byte[] run(long handle, byte[] order) {
    return Natives.rewrap(handle, order);
  }

  @Override
  byte[] target(long handle, byte[] order) {
    return Natives.rewrapTarget(handle, order);
  }
}
