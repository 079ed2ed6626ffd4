package org.emrkeys.tests.demo;

import com.amazonaws.AmazonServiceException;
import com.amazonaws.services.kms.model.DisableKeyRequest;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.emrfs.StoredObject;
import org.emrkeys.tests.support.KeyFiles;

/**
 * The main job on real files: three prefixes, three kinds of key, everything written through the stand-in
 * for EMRFS to a local S3, read back by another cluster, and compared.
 *
 * <p>What the table shows of an object comes from what S3 stored for it. Exit status: 0 if all is well, 1 if
 * an object differs or a wrong key opens one, 2 if there is nothing to work on.
 */
public final class Demo {
  private static final String BUCKET = "emrkeys-demo";
  private static final Mode MODE = Mode.V1_AUTHENTICATED;
  private static final int ROWS_PER_RULE = 6;
  private static final int DESCRIPTION_WIDTH = 96;
  private static final int NOTHING_DONE = 2;
  private static final int CALL_OBJECTS = 100;
  private static final Pattern KMS_CALLS =
      Pattern.compile("\"kms\\.(?:GenerateDataKey|Decrypt)\": (\\d+)");

  private final LocalAws aws;
  private final PrintStream out;
  private final Progress progress;
  private final SourceFiles files;
  private final Path table;
  private final List<Row> rows = new ArrayList<>();
  private int mismatches;

  private Demo(LocalAws aws, SourceFiles files, Path table, PrintStream out) {
    this.aws = aws;
    this.files = files;
    this.table = table;
    this.out = out;
    this.progress = new Progress(out);
  }

  public static void main(String[] arguments) throws Exception {
    int status = run(arguments, System.out);
    // Ending by exit, so that no thread of a client keeps the JVM.
    System.exit(status);
  }

  /**
   * Runs the demo against the local servers, to which the operator's tool is sent as well.
   *
   * @param arguments {@code [--files-from LIST] [--table FILE] [FOLDER]}; see {@code tests/README.md}
   * @return the exit status
   */
  public static int run(String[] arguments, PrintStream out)
      throws IOException, GeneralSecurityException {
    Path folder = Paths.get("");
    Path list = null;
    Path table = null;
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i].equals("--files-from") && i + 1 < arguments.length) {
        list = Paths.get(arguments[++i]);
      } else if (arguments[i].equals("--table") && i + 1 < arguments.length) {
        table = Paths.get(arguments[++i]);
      } else if (arguments[i].startsWith("--")) {
        out.println("demo: [--files-from LIST] [--table FILE] [FOLDER], not " + arguments[i]);
        return NOTHING_DONE;
      } else {
        folder = Paths.get(arguments[i]);
      }
    }
    folder = folder.toAbsolutePath().normalize();
    SourceFiles files = Files.isDirectory(folder) ? SourceFiles.find(folder, list) : null;
    if (files == null || files.size() == 0) {
      out.println("demo: no files in " + folder);
      return NOTHING_DONE;
    }
    return new Demo(Stack.aws(), files, table, out).run();
  }

  private int run() throws IOException, GeneralSecurityException {
    KeyFiles keys = KeyFiles.create();
    aws.s3().createBucket(BUCKET);
    String kms = aws.createKmsKey();
    KeyFiles.Rsa rsa = keys.rsa("documents", 3072);
    Site site = site(keys.aes("code", 256), rsa, kms);
    explain(kms);
    try (EmrfsStandIn writer = site.start(aws, MODE);
        EmrfsStandIn reader = site.start(aws, MODE)) {
      writeAll(writer);
      readAll(reader, kms);
    }
    printTable();
    tryWrongKeys(keys, kms);
    countCalls();
    encryptTable(keys);
    judgeDefaults(keys);
    long bytes = 0;
    Set<String> used = new TreeSet<>();
    for (Row row : rows) {
      bytes += row.bytes;
      used.add(row.key);
    }
    out.printf(
        "demo: %d objects, %d bytes, %d keys, %d mismatches%n",
        rows.size(), bytes, used.size(), mismatches);
    return mismatches == 0 ? 0 : 1;
  }

  private static Site site(KeyFiles.Aes aes, KeyFiles.Rsa rsa, String kms) {
    return Site.described()
        .aes("code-key", aes)
        .rsa("documents-key", rsa)
        .kms("data-key", kms)
        .rule("code", prefix(SourceFiles.CODE), "code-key")
        .rule("documents", prefix(SourceFiles.DOCUMENTS), "documents-key")
        .rule("data", prefix(SourceFiles.DATA), "data-key");
  }

  private static String prefix(String kind) {
    return "s3://" + BUCKET + "/" + kind + "/";
  }

  private void explain(String kms) {
    out.printf("%d files, %d bytes, of %s%n", files.size(), files.bytes(), files.folder());
    for (String note : files.notes()) {
      out.println("  " + note);
    }
    out.println("local S3 and KMS: " + aws.endpoint());
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put(SourceFiles.CODE, "code-key, aes: 256 bits in a file");
    keys.put(SourceFiles.DOCUMENTS, "documents-key, rsa: a pair of 3072 bits in two files");
    keys.put(SourceFiles.DATA, "data-key, kms: " + kms);
    for (Map.Entry<String, String> key : keys.entrySet()) {
      out.printf(
          "  rule %-9s  %-29s  %4d files  %s%n",
          key.getKey(), prefix(key.getKey()), files.of(key.getKey()).size(), key.getValue());
    }
  }

  private void writeAll(EmrfsStandIn writer) throws IOException {
    progress.start("written", files.size());
    for (String kind : SourceFiles.KINDS) {
      for (String name : files.of(kind)) {
        Path file = files.folder().resolve(name);
        long length = Files.size(file);
        try (InputStream in = Files.newInputStream(file)) {
          writer.put(prefix(kind) + name, in, length);
        }
        progress.step(length);
      }
    }
    progress.end();
  }

  private void readAll(EmrfsStandIn reader, String kms)
      throws IOException, GeneralSecurityException {
    progress.start("read back", files.size());
    for (String kind : SourceFiles.KINDS) {
      for (String name : files.of(kind)) {
        String uri = prefix(kind) + name;
        Row row = new Row(uri, kind, StoredObject.read(aws, uri));
        rows.add(row);
        try (InputStream original = Files.newInputStream(files.folder().resolve(name));
            InputStream object = reader.open(uri)) {
          byte[] expected = sha256(original, null);
          if (!MessageDigest.isEqual(expected, sha256(object, row))) {
            mismatch(uri + ": what was read back differs from the file");
          }
        } catch (RuntimeException failure) {
          mismatch(uri + ": " + failure.getMessage());
        }
        String expectedKey = kind.equals(SourceFiles.DATA) ? kms : kind + "-key";
        if (!expectedKey.equals(row.key)) {
          mismatch(uri + ": stored under key " + row.key + ", not " + expectedKey);
        }
        progress.step(row.bytes);
      }
    }
    progress.end();
  }

  /** One object of each rule, by a cluster whose key is another one under the same name. */
  private void tryWrongKeys(KeyFiles keys, String kms)
      throws IOException, GeneralSecurityException {
    out.println("\nthe same objects without the right key:");
    Site wrong = site(keys.aes("other", 256), keys.rsa("other", 2048), kms);
    aws.kms().disableKey(new DisableKeyRequest().withKeyId(kms));
    try (EmrfsStandIn reader = wrong.start(aws, MODE)) {
      for (String kind : SourceFiles.KINDS) {
        if (files.of(kind).isEmpty()) {
          continue;
        }
        String uri = prefix(kind) + files.of(kind).get(0);
        try {
          reader.get(uri);
          mismatch(uri + ": was read with a key that is not its own");
        } catch (RuntimeException refusal) {
          out.println("  " + uri + " refused: " + reason(refusal));
        }
      }
    }
  }

  /** The same small objects under three types of key that KMS protects. */
  private void countCalls() throws IOException {
    out.println("\ncalls of KMS for " + CALL_OBJECTS + " objects, written and read:");
    String kms = aws.createKmsKey();
    String keyring = "s3://" + BUCKET + kms.substring(kms.lastIndexOf('/')) + ".keyring";
    makeKeyring(keyring, kms);
    Map<String, Site> sites = new LinkedHashMap<>();
    sites.put("kms", Site.plain().kms("counted", kms));
    sites.put("kms-cached", Site.plain().kmsCached("counted", kms, aws));
    sites.put("keyring", Site.plain().keyring("counted", keyring, kms, aws));
    for (Map.Entry<String, Site> site : sites.entrySet()) {
      int before = kmsCalls();
      try (EmrfsStandIn cluster = site.getValue().defaultKey("counted").start(aws, MODE)) {
        for (int i = 0; i < CALL_OBJECTS; i++) {
          String uri = prefix("calls/" + site.getKey()) + i;
          byte[] content = uri.getBytes(StandardCharsets.UTF_8);
          cluster.put(uri, content);
          if (!Arrays.equals(content, cluster.get(uri))) {
            mismatch(uri + ": what was read back differs from what was written");
          }
        }
      }
      int calls = kmsCalls() - before;
      out.printf("  %-10s  %4d%n", site.getKey(), calls);
      if (!site.getKey().equals("kms") && calls > 1) {
        mismatch(site.getKey() + ": " + calls + " calls of KMS where one is enough");
      }
    }
  }

  private void encryptTable(KeyFiles keys) throws IOException {
    List<String> names = new ArrayList<>();
    for (String kind : SourceFiles.KINDS) {
      names.addAll(files.of(kind));
    }
    Path folder = Files.createTempDirectory("emrkeys-demo");
    try {
      String wrong = new EncryptedTable(out, folder, keys).run(files.folder(), names);
      if (!wrong.isEmpty()) {
        mismatch(wrong);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    } finally {
      for (File file : folder.toFile().listFiles()) {
        Files.delete(file.toPath());
      }
      Files.delete(folder);
    }
  }

  private void judgeDefaults(KeyFiles keys) throws IOException, GeneralSecurityException {
    EmrfsDefaults defaults = new EmrfsDefaults(aws, out, BUCKET, keys.aes("old", 256));
    try {
      String wrong = defaults.run(files.folder(), files.of(SourceFiles.DOCUMENTS));
      if (!wrong.isEmpty()) {
        mismatch(wrong);
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void makeKeyring(String uri, String kms) throws IOException {
    Process tool =
        new ProcessBuilder(
                System.getProperty("emrkeys.test.cli", "target/debug/emrkeys"),
                "keyring",
                "create",
                uri,
                "--name",
                "counted",
                "--kms-key-id",
                kms,
                "--endpoint-url",
                aws.endpoint())
            .redirectOutput(new File("/dev/null"))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try {
      if (tool.waitFor() != 0) {
        mismatch("emrkeys keyring create failed");
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private int kmsCalls() throws IOException {
    int calls = 0;
    Matcher count = KMS_CALLS.matcher(aws.control("GET", "calls", null));
    while (count.find()) {
      calls += Integer.parseInt(count.group(1));
    }
    return calls;
  }

  private static String reason(RuntimeException refusal) {
    if (refusal instanceof EmrKeysException) {
      return ((EmrKeysException) refusal).code();
    }
    if (refusal instanceof AmazonServiceException) {
      AmazonServiceException answer = (AmazonServiceException) refusal;
      return answer.getErrorCode() + " from " + answer.getServiceName();
    }
    return String.valueOf(refusal.getMessage());
  }

  private void mismatch(String what) {
    mismatches++;
    out.println("MISMATCH " + what);
  }

  private void printTable() throws IOException {
    out.println();
    Columns columns = new Columns("object", "rule", "key", "wrap algorithm", "bytes", "description");
    Map<String, Integer> shown = new LinkedHashMap<>();
    for (Row row : rows) {
      int count = shown.containsKey(row.rule) ? shown.get(row.rule) + 1 : 1;
      shown.put(row.rule, count);
      if (count <= ROWS_PER_RULE) {
        columns.add(
            shortenLeft(row.uri, 60),
            row.rule,
            row.keyName(),
            row.wrapAlgorithm,
            Long.toString(row.bytes),
            shorten(row.description, DESCRIPTION_WIDTH));
      } else if (count == ROWS_PER_RULE + 1) {
        int more = files.of(row.rule).size() - ROWS_PER_RULE;
        columns.add("… and " + more + " more", row.rule, "", "", "", "");
      }
    }
    columns.print(out);
    if (table == null) {
      return;
    }
    if (table.toAbsolutePath().getParent() != null) {
      Files.createDirectories(table.toAbsolutePath().getParent());
    }
    try (BufferedWriter writer = Files.newBufferedWriter(table, StandardCharsets.UTF_8)) {
      writer.write("object\trule\tkey\twrap algorithm\tbytes\tdescription\n");
      for (Row row : rows) {
        writer.write(
            String.join(
                "\t",
                row.uri,
                row.rule,
                row.key,
                row.wrapAlgorithm,
                Long.toString(row.bytes),
                row.description));
        writer.write('\n');
      }
    }
    out.println("every object, descriptions in full: " + table);
  }

  private static byte[] sha256(InputStream in, Row counted)
      throws IOException, GeneralSecurityException {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    byte[] buffer = new byte[64 * 1024];
    for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
      digest.update(buffer, 0, n);
      if (counted != null) {
        counted.bytes += n;
      }
    }
    return digest.digest();
  }

  private static String shorten(String text, int width) {
    String line = text.replaceAll("\\s+", " ");
    return line.length() <= width ? line : line.substring(0, width - 1) + "…";
  }

  private static String shortenLeft(String text, int width) {
    return text.length() <= width ? text : "…" + text.substring(text.length() - width + 1);
  }

  /** An object as S3 holds it; only {@code rule} and {@code uri} are our own knowledge. */
  private static final class Row {
    final String uri;
    final String rule;
    final String key;
    final String wrapAlgorithm;
    final String description;
    long bytes;

    Row(String uri, String rule, StoredObject stored) {
      this.uri = uri;
      this.rule = rule;
      this.wrapAlgorithm = stored.wrapAlgorithm();
      this.description = stored.descriptionText();
      Map<String, String> entries = stored.description();
      String name = entries.get("emrkeys.key");
      // A kms key needs no name of ours: the client stores the KMS key's own.
      String found = name != null ? name : entries.get("kms_cmk_id");
      this.key = found != null ? found : "none";
    }

    /** The key for a narrow column: of an ARN the last part. */
    String keyName() {
      return key.startsWith("arn:") ? "kms " + key.substring(key.lastIndexOf('/') + 1) : key;
    }
  }
}
