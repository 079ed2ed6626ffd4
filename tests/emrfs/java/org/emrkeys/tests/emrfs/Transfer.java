package org.emrkeys.tests.emrfs;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import org.apache.hadoop.conf.Configuration;

/**
 * The stand-in for EMRFS as a process of its own, for tests that are not written in Java.
 *
 * <p>Arguments: the {@link Mode}, a file with Hadoop properties in XML, {@code put} or {@code get}, and pairs of a
 * local file and the URI of an object. The system property {@code emrkeys.test.endpoint} names the server.
 */
public final class Transfer {
  private Transfer() {}

  /** Writes the files to the objects, or the objects to the files. */
  public static void main(String[] arguments) throws Exception {
    Mode mode = Mode.valueOf(arguments[0]);
    Configuration conf = new Configuration(false);
    conf.addResource(Files.newInputStream(Paths.get(arguments[1])));
    mode.applyTo(conf);
    try (LocalAws aws = LocalAws.start();
        EmrfsStandIn emrfs = new EmrfsStandIn(aws, conf, mode, Site.JOB_FLOW)) {
      for (int i = 3; i < arguments.length; i += 2) {
        Path file = Paths.get(arguments[i]);
        String uri = arguments[i + 1];
        if (arguments[2].equals("put")) {
          emrfs.put(uri, Files.readAllBytes(file));
        } else {
          Files.write(file, emrfs.get(uri));
        }
      }
    }
  }
}
