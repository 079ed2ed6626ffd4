/** The command {@code doctor} of the jar: checks that need the JVM of a node. Internal. */
package org.emrkeys.doctor;
