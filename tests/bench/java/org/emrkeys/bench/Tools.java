package org.emrkeys.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** The benchmarks' process that is not Java; it ends with {@link #close} or with this JVM. */
final class Tools implements AutoCloseable {
  private final Process process;
  private final BufferedReader out;

  /** {@code command}: {@code raw} or {@code serve}. */
  Tools(String command) throws IOException {
    process =
        new ProcessBuilder(System.getProperty("emrkeys.bench.tools"), command)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    out =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
  }

  void write(String line) throws IOException {
    OutputStream in = process.getOutputStream();
    in.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    in.flush();
  }

  String read() throws IOException {
    String line = out.readLine();
    if (line == null) {
      throw new IOException("emrkeys-bench ended");
    }
    return line;
  }

  @Override
  public void close() throws IOException {
    process.getOutputStream().close();
  }
}
