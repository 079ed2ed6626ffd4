package org.emrkeys.tests.demo;

import java.io.PrintStream;

/** Says how far the work is: one line that changes on a terminal, else a plain line now and then. */
final class Progress {
  private static final long TERMINAL_MILLIS = 100;
  private static final long PLAIN_MILLIS = 2000;

  private final PrintStream out;
  private final boolean terminal = System.console() != null;
  private String verb;
  private int total;
  private int done;
  private long bytes;
  private long lastShown;

  Progress(PrintStream out) {
    this.out = out;
  }

  void start(String what, int objects) {
    verb = what;
    total = objects;
    done = 0;
    bytes = 0;
    lastShown = System.currentTimeMillis();
  }

  void step(long size) {
    done++;
    bytes += size;
    long now = System.currentTimeMillis();
    if (now - lastShown >= (terminal ? TERMINAL_MILLIS : PLAIN_MILLIS) && done < total) {
      lastShown = now;
      out.print((terminal ? "\r" : "") + line() + (terminal ? "" : System.lineSeparator()));
      out.flush();
    }
  }

  void end() {
    out.println((terminal ? "\r" : "") + line());
  }

  private String line() {
    return String.format("%s: %d of %d objects, %.1f MB", verb, done, total, bytes / 1e6);
  }
}
