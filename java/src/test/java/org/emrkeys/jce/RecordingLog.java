package org.emrkeys.jce;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.emrkeys.bridge.Log;

/** Keeps what is logged. */
final class RecordingLog {
  final List<String> infos = new ArrayList<>();
  final List<String> warnings = new ArrayList<>();
  final Consumer<String> error =
      line -> {
        throw new AssertionError(line);
      };
  final Log log = new Log(() -> true, infos::add, warnings::add, error);
}
