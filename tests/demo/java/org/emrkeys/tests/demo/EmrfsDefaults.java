package org.emrkeys.tests.demo;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.StoredObject;
import org.emrkeys.tests.support.KeyFiles;

/**
 * A cluster with EMRFS's defaults: the verdict of {@code emrkeys doctor} on it, the properties that change what it
 * writes, and its objects converted.
 */
final class EmrfsDefaults {
  private static final int OBJECTS = 20;
  private static final String OLD_RELEASE = "emr-6.15.0";
  private static final String S3A_RELEASE = "emr-7.12.0";

  private final LocalAws aws;
  private final PrintStream out;
  private final String prefix;
  private final Site site;

  EmrfsDefaults(LocalAws aws, PrintStream out, String bucket, KeyFiles.Aes key) {
    this.aws = aws;
    this.out = out;
    this.prefix = "s3://" + bucket + "/old/";
    this.site = Site.described().aes("old-key", key).defaultKey("old-key");
  }

  /**
   * Writes some files as such a cluster does, and has the tool judge it.
   *
   * @return what is not as promised; empty if all is well
   */
  String run(Path folder, List<String> names) throws IOException, InterruptedException {
    List<String> few = names.subList(0, Math.min(OBJECTS, names.size()));
    StringBuilder wrong = new StringBuilder();
    out.println("\na cluster with EMRFS's defaults:");
    try (EmrfsStandIn cluster = site.start(aws)) {
      for (String name : few) {
        Path file = folder.resolve(name);
        try (InputStream content = Files.newInputStream(file)) {
          cluster.write(prefix + name, content, Files.size(file));
        }
      }
    }
    long cbc = few.size() - authenticated(few);
    out.printf("  wrote %d objects to %s, %d of them in AES-CBC%n", few.size(), prefix, cbc);
    if (cbc != few.size()) {
      wrong.append("EMRFS's defaults wrote something else than AES-CBC");
    }
    if (!verdict(OLD_RELEASE, "emrfs.content", "warning")
        || !verdict(S3A_RELEASE, "emrfs.connector", "fail")) {
      wrong.append("doctor does not warn of EMRFS's defaults");
    }
    Site printed = Cli.classified(site, "--release", OLD_RELEASE);
    out.printf(
        "  emrkeys emr-config classification --release %s adds %s=%s%n",
        OLD_RELEASE, EmrfsStandIn.ENCRYPTION_V2, printed.get(EmrfsStandIn.ENCRYPTION_V2));
    out.printf("  emrkeys convert %s%n", prefix);
    Cli.succeed(site, "convert", prefix, "--yes");
    long converted = authenticated(few);
    int equal = 0;
    try (EmrfsStandIn cluster = printed.start(aws)) {
      for (String name : few) {
        byte[] content = Files.readAllBytes(folder.resolve(name));
        equal += Arrays.equals(content, cluster.get(prefix + name)) ? 1 : 0;
      }
    }
    out.printf(
        "    %d objects are in AES-GCM now, and %d equal their files%n", converted, equal);
    if (converted != few.size() || equal != few.size()) {
      wrong.append("the objects are not converted");
    }
    return wrong.toString();
  }

  private long authenticated(List<String> names) {
    return names.stream()
        .filter(name -> StoredObject.read(aws, prefix + name).isAuthenticated())
        .count();
  }

  /** Prints doctor's finding of a check; whether it has this level. */
  private boolean verdict(String release, String check, String level)
      throws IOException, InterruptedException {
    Map<String, JsonNode> found = Cli.doctor(site, "--release", release);
    JsonNode finding = found.get(check);
    out.printf("  emrkeys doctor --release %s%n", release);
    out.printf("    %-7s %s: %s%n", Cli.level(finding), check, finding.get("message").asText());
    out.printf("            %s%n", finding.get("remedy").asText());
    return Cli.level(finding).equals(level);
  }
}
