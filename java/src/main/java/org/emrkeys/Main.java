package org.emrkeys;

import org.emrkeys.doctor.Doctor;

/**
 * The jar as a program: {@code java -jar emrkeys.jar doctor}, or {@code hadoop jar
 * emrkeys.jar doctor}, which has the class path of the cluster.
 */
public final class Main {
  private Main() {}

  /**
   * Runs the command and ends the JVM with its exit code: 0, 1 for failures, 2 for a wrong command
   * line.
   *
   * @param arguments as {@code --help} says
   */
  public static void main(String[] arguments) {
    // The JVM may have threads of Hadoop's that would keep it from ending by itself.
    System.exit(Doctor.run(arguments, System.out, System.err));
  }
}
