package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterials;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FileSystem;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.EmrfsStandIn;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Mode;
import org.emrkeys.tests.emrfs.PlainProvider;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

/**
 * Each client writes under each type of key, each client reads; what came of it is the table in {@code
 * docs/migration.md}, one for each release of the S3 Encryption Client.
 *
 * <p>The system property {@code emrkeys.test.docs} names the folder of the docs; with {@code
 * EMRKEYS_WRITE_DOCS=1} in the environment the table there is written, else compared.
 */
class WhoReadsWhatTest {
  private static final Pattern CODE = Pattern.compile("\\[([A-Z_]+)]");
  private static final byte[] CONTENT = Stack.content(1000);
  private static final String WRONG = "wrong data";
  private static final String RSA_NAME = "k1";

  private final KeyFiles keys = KeyFiles.create();
  private final KeyFiles.Rsa rsa = keys.rsa("k", 2048);
  private final LocalAws aws = Stack.aws();
  private final String bucket = Stack.bucket();
  private final Map<String, Site> sites = new LinkedHashMap<>();

  WhoReadsWhatTest() throws Exception {
    String kmsKey = aws.createKmsKey();
    String keyring = "s3://" + Stack.bucket() + "/k.keyring";
    Cli.succeed("keyring", "create", keyring, "--name", "k", "--kms-key-id", kmsKey);
    sites.put("`aes`", Site.plain().aes("k", keys.aes("k", 256)));
    sites.put(
        "`rsa`", Site.plain().rsa("k", rsa).set("emrkeys.key.k.legacy-name", RSA_NAME));
    sites.put("`kms-cached`", Site.plain().kmsCached("k", kmsKey, aws));
    sites.put("`keyring`", Site.plain().keyring("k", keyring, kmsKey, aws));
    sites.put("`kms`", Site.plain().kms("k", kmsKey));
    sites.values().forEach(site -> site.defaultKey("k"));
    // For keys of type kms S3A's client makes its own client of KMS, which looks here.
    System.setProperty("aws.endpointUrlKms", aws.endpoint());
    System.setProperty("aws.accessKeyId", "test");
    System.setProperty("aws.secretAccessKey", "test");
  }

  @Test
  void theTableInTheDocsIsWhatHappens() throws IOException {
    List<String> table = new ArrayList<>();
    table.add(
        "| written by | key | read by SDK v1, V1 client | by its V2 client | by S3A"
            + " | by S3A with `allow-legacy` | by `emrkeys get` |");
    table.add("|---|---|---|---|---|---|---|");
    Mode[] modes = {Mode.V1_ENCRYPTION_ONLY, Mode.V1_AUTHENTICATED, Mode.V2_AUTHENTICATED};
    for (Mode mode : modes) {
      for (Map.Entry<String, Site> key : sites.entrySet()) {
        String object = mode + "/" + key.getKey().replace("`", "");
        try (EmrfsStandIn emrfs = key.getValue().start(aws, mode)) {
          emrfs.put("s3://" + bucket + "/" + object, CONTENT);
        }
        table.add(row(name(mode), key.getKey(), object));
      }
    }
    for (Mode mode : modes) {
      String object = mode + "/sample";
      EncryptionMaterials pair = new EncryptionMaterials(rsa.pair).addDescription("rsa_name", RSA_NAME);
      try (EmrfsStandIn emrfs = PlainProvider.install(Site.plain(), pair).start(aws, mode)) {
        emrfs.put("s3://" + bucket + "/" + object, CONTENT);
      }
      table.add(row("AWS's RSA provider, " + name(mode), "`rsa`", object));
    }
    for (Map.Entry<String, Site> key : sites.entrySet()) {
      String object = "s3a/" + key.getKey().replace("`", "");
      FileSystem files = S3aSite.fileSystem(S3aSite.of(key.getValue()), bucket);
      S3aSite.write(files, "s3a://" + bucket + "/" + object, CONTENT);
      table.add(row("S3A", key.getKey(), object));
    }
    Path file = Files.createTempFile("emrkeys-content", null);
    Files.write(file, CONTENT);
    for (String format : new String[] {"v2", "v4"}) {
      for (Map.Entry<String, Site> key : sites.entrySet()) {
        String object = format + "/" + key.getKey().replace("`", "");
        tool(key.getValue(), "put", file.toString(), "s3://" + bucket + "/" + object, "--format", format);
        table.add(row("`emrkeys put --format " + format + "`", key.getKey(), object));
      }
    }
    assertFalse(String.join("\n", table).contains(WRONG), String.join("\n", table));
    Files.delete(file);
    compareWithDocs(String.join("\n", table) + "\n");
  }

  private static String name(Mode mode) {
    switch (mode) {
      case V1_ENCRYPTION_ONLY:
        return "SDK v1, V1, EncryptionOnly";
      case V1_AUTHENTICATED:
        return "SDK v1, V1, AuthenticatedEncryption";
      default:
        return "SDK v1, V2";
    }
  }

  private String row(String writer, String key, String object) throws IOException {
    byte[] stored = Stack.storedBytes("s3://" + bucket + "/" + object);
    List<String> cells = new ArrayList<>(Arrays.asList(writer, key));
    Site site = sites.get(key);
    for (Mode mode : new Mode[] {Mode.V1_AUTHENTICATED, Mode.V2_AUTHENTICATED}) {
      cells.add(
          outcome(
              stored,
              () -> {
                try (EmrfsStandIn emrfs = site.start(aws, mode)) {
                  return emrfs.get("s3://" + bucket + "/" + object);
                }
              }));
    }
    for (String allow : new String[] {"false", "true"}) {
      cells.add(
          outcome(
              stored,
              () -> {
                site.set("emrkeys.s3a.allow-legacy", allow);
                FileSystem files = S3aSite.fileSystem(S3aSite.of(site), bucket);
                return S3aSite.read(files, "s3a://" + bucket + "/" + object);
              }));
    }
    cells.add(
        outcome(
            stored,
            () -> {
              Path file = Files.createTempFile("emrkeys-content", null);
              try {
                tool(site, "get", "s3://" + bucket + "/" + object, file.toString());
                return Files.readAllBytes(file);
              } finally {
                Files.delete(file);
              }
            }));
    return "| " + String.join(" | ", cells) + " |";
  }

  /** Runs the operator's tool with the keys of a site. Its report of a failure is the exception's message. */
  private static void tool(Site site, String... arguments) throws IOException {
    try {
      Cli.Result result = Cli.run(site, arguments);
      if (result.code != 0) {
        throw new IOException(result.text);
      }
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  /** {@code yes}, our error code, that the client itself refuses, or what it gives in place of the content. */
  private static String outcome(byte[] stored, Callable<byte[]> read) {
    byte[] content;
    try {
      content = read.call();
    } catch (Exception | LinkageError e) {
      Matcher code = CODE.matcher(S3aSite.messages(e));
      if (code.find()) {
        return "`" + code.group(1) + "`";
      }
      System.err.println("refused by the client: " + S3aSite.messages(e));
      return "no";
    }
    if (Arrays.equals(CONTENT, content)) {
      return "yes";
    }
    if (isStartOf(content, stored)) {
      return "**ciphertext**";
    }
    return isStartOf(content, CONTENT) ? "**truncated**" : WRONG;
  }

  private static boolean isStartOf(byte[] start, byte[] whole) {
    return start.length <= whole.length
        && Arrays.equals(start, Arrays.copyOf(whole, start.length));
  }

  private static void compareWithDocs(String table) throws IOException {
    Path file = Paths.get(System.getProperty("emrkeys.test.docs", "docs"), "migration.md");
    // All releases 4 read and write the same.
    String release = S3aSite.writesCommitment() ? "4" : System.getProperty("emrkeys.test.stack");
    String start = "<!-- who reads what: " + release + " -->\n";
    String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    assertTrue(text.contains(start), file + " has no " + start);
    int from = text.indexOf(start) + start.length();
    int to = text.indexOf("<!-- end -->", from);
    if ("1".equals(System.getenv("EMRKEYS_WRITE_DOCS"))) {
      String changed = text.substring(0, from) + table + text.substring(to);
      Files.write(file, changed.getBytes(StandardCharsets.UTF_8));
      return;
    }
    assertEquals(text.substring(from, to), table, "EMRKEYS_WRITE_DOCS=1 writes docs/migration.md");
  }
}
