package org.emrkeys.tests.support;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import org.apache.hadoop.security.UserGroupInformation;

/** The abilities of the Hadoop on the class path. */
public final class Hadoop {
  private Hadoop() {}

  /**
   * Skips a test of Hadoop's file systems where they cannot work: Hadoop up to 3.4 asks the JDK who
   * the user is in a way that JDK 24 took away.
   */
  public static void assumeItRunsHere() {
    boolean runs = true;
    try {
      UserGroupInformation.getCurrentUser();
    } catch (IOException | UnsupportedOperationException e) {
      runs = false;
    }
    assumeTrue(runs, "this Hadoop does not run on this JDK");
  }
}
