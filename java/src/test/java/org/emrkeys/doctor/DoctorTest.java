package org.emrkeys.doctor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.Main;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;
import org.emrkeys.jce.EmrKeysProvider;
import org.emrkeys.provider.Client;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.tests.support.Hadoop;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The findings of the jar on the JVM that runs it, here with Hadoop and in a JVM without. */
class DoctorTest {
  private final KeyFiles files = KeyFiles.create();
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  DoctorTest() throws IOException {}

  @BeforeEach
  @AfterEach
  void nothingIsInstalled() {
    EmrKeysProvider.uninstall();
  }

  private int run(String... arguments) throws UnsupportedEncodingException {
    out.reset();
    err.reset();
    return Doctor.run(
        arguments, new PrintStream(out, true, "UTF-8"), new PrintStream(err, true, "UTF-8"));
  }

  private String printed() throws UnsupportedEncodingException {
    return out.toString("UTF-8");
  }

  private static Path site(Path folder, String... namesAndValues) throws IOException {
    StringBuilder text = new StringBuilder("<configuration>");
    for (int i = 0; i < namesAndValues.length; i += 2) {
      text.append("<property><name>").append(namesAndValues[i]).append("</name><value>");
      text.append(namesAndValues[i + 1]).append("</value></property>");
    }
    Path file = Files.createTempFile(folder, "site", ".xml");
    Files.write(file, text.append("</configuration>").toString().getBytes(StandardCharsets.UTF_8));
    return file;
  }

  /** One key, which encrypts everything, and these properties. */
  private Path aesSite(String... more) throws IOException {
    Path key = files.aes("k", 256).file;
    String[] ours = {
      "emrkeys.key.k.type", "aes",
      "emrkeys.key.k.file", key.toUri().toString(),
      "emrkeys.default.key", "k"
    };
    String[] all = Arrays.copyOf(ours, ours.length + more.length);
    System.arraycopy(more, 0, all, ours.length, more.length);
    return site(key.getParent(), all);
  }

  private void assertLine(String level, String check, String text) throws IOException {
    for (String line : printed().split("\n")) {
      if (line.startsWith(level + " ") && line.contains(" " + check + " ") && line.contains(text)) {
        return;
      }
    }
    throw new AssertionError("no " + level + " " + check + " " + text + " in\n" + printed());
  }

  @Test
  void whatIsRightIsSaidOfEachPart() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site = aesSite();
    assertEquals(0, run("doctor", "--conf", site.toString()), printed());
    assertLine("ok", "java.version", System.getProperty("java.version"));
    assertLine("ok", "classpath.hadoop", "Hadoop ");
    assertLine("ok", "classpath.sdk-v1", "AWS SDK v1 1.");
    assertLine("ok", "native.load", NativeLoader.description());
    assertLine("ok", "jce.cipher", "AES/GCM/NoPadding");
    assertLine("ok", "hadoop.config", site.getFileName().toString());
    assertLine("ok", "classpath.client", "com.amazonaws.services.s3.model.EncryptionMaterialsProvider");
    assertLine("ok", "classpath.provider", "org.emrkeys.S3EncryptionMaterialsProvider");
    assertLine("ok", "emrfs.storage-mode", "metadata");
    assertLine("ok", "provider.open", "keys k (aes)");
    assertLine("ok", "jce.install", "position 1");
    assertLine("ok", "jce.in-use", "AES/GCM/NoPadding comes from EmrKeys");
    assertLine("ok", "jce.order", "EmrKeys, ");
    assertTrue(printed().contains("failures: 0"), printed());
  }

  @Test
  void whatTurnsTheCiphersOffIsSeen() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site = aesSite("emrkeys.jce.install", "off");
    assertEquals(0, run("doctor", "--conf", site.toString()), printed());
    assertLine("note", "jce.in-use", "EmrKeys is not installed here");
    assertFalse(printed().contains("jce.install "), printed());
  }

  @Test
  void everyProblemIsALineWithItsRemedy() throws IOException {
    Hadoop.assumeItRunsHere();
    Path folder = files.aes("k", 256).file.getParent();
    Path site =
        site(
            folder,
            "emrkeys.defualt.key",
            "k",
            "emrkeys.key.k.type",
            "aes",
            "emrkeys.key.l.type",
            "des");
    assertEquals(1, run("doctor", "--conf", site.toString()));
    for (String code : new String[] {"UNKNOWN_PROPERTY", "MISSING_PROPERTY", "INVALID_VALUE"}) {
      assertLine("FAIL", "provider.open", "[" + code + "]");
    }
    assertTrue(printed().contains("\n" + String.format("%30s", "") + "Did you mean emrkeys.default.key?"));
    assertTrue(printed().contains("failures: 3"), printed());

    assertEquals(1, run("doctor", "--conf", site.toString(), "--output", "json"));
    assertTrue(printed().startsWith("{\n  \"ok\": false,\n  \"failures\": 3,"), printed());
    assertTrue(printed().contains("\"remedy\": \"Did you mean emrkeys.default.key?\""), printed());
  }

  @Test
  void whatTheToolFindsInEmrfsPropertiesIsFoundHere() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site =
        aesSite(
            "fs.s3.cse.enabled", "false",
            "fs.s3.cse.encryptionMaterialsProvider", "org.emrkeys.Typo",
            "fs.s3.cse.cryptoStorageMode", "Nowhere");
    assertEquals(1, run("doctor", "--conf", site.toString()));
    assertLine("FAIL", "emrfs.enabled", "EMRFS writes plaintext");
    assertLine("FAIL", "emrfs.provider", "org.emrkeys.Typo");
    assertLine("FAIL", "emrfs.storage-mode", "Nowhere");
    assertLine("warning", "emrfs.content", "EncryptionOnly");
    assertLine("FAIL", "classpath.provider", "org.emrkeys.Typo");
    assertLine("ok", "provider.open", "keys k (aes)");
    assertTrue(printed().contains("failures: 4"), printed());
  }

  /** These properties have a finding of each level. */
  @Test
  void theLevelsAreTheWordsOfTheCore() {
    Hadoop.assumeItRunsHere();
    NativeLoader.load(null);
    Configuration conf = new Configuration(false);
    conf.set("fs.s3.cse.enabled", "false");
    conf.set("fs.s3.cse.cryptoStorageMode", "ObjectMetadata");
    byte[] properties = new HadoopSettings(conf).properties("fs.s3.cse.");
    Wire.Decoder in = Wire.response(Natives.checks(Client.S3.number(), properties));
    Set<String> words = new TreeSet<>();
    for (int left = in.count(16); left > 0; left--) {
      in.string();
      words.add(in.string());
      in.string();
      in.string();
    }
    assertEquals(
        Arrays.stream(Findings.Level.values()).map(level -> level.word).collect(Collectors.toSet()),
        words);
  }

  @Test
  void whatTheToolFindsInS3aPropertiesIsFoundHere() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site =
        aesSite(
            "fs.s3a.encryption.algorithm", "CSE-CUSTOM",
            "fs.s3a.encryption.cse.custom.keyring.class.name", "org.emrkeys.S3AKeyring",
            "fs.s3a.bucket.lake.encryption.algorithm", "SSE-S3",
            "fs.s3a.secret.key", "a-secret");
    assertEquals(1, run("doctor", "--conf", site.toString(), "--for", "s3a"));
    assertLine("ok", "s3a.algorithm", "fs.s3a.encryption.algorithm=CSE-CUSTOM");
    assertLine("FAIL", "s3a.algorithm", "fs.s3a.bucket.lake.encryption.algorithm is SSE-S3");
    assertLine("ok", "s3a.keyring", "org.emrkeys.S3AKeyring");
    assertFalse(printed().contains("emrfs."), printed());
    assertFalse(printed().contains("a-secret"), printed());
  }

  @Test
  void variablesThatNameEachOtherAreAFailure() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site = aesSite("fs.s3.cse.encryptionMaterialsProvider", "${b}", "b", "${c}", "c", "${b}");
    assertEquals(1, run("doctor", "--conf", site.toString()));
    assertLine("FAIL", "hadoop.config", "[INVALID_VALUE]");
  }

  /** These tests have no S3 Encryption Client, and a Hadoop that has no use for one. */
  @Test
  void aClientThatIsMissingIsAFailureAndAnOldOneAWarning() throws IOException {
    Hadoop.assumeItRunsHere();
    Path site = aesSite("emrkeys.local-disk.key", "k");
    assertEquals(1, run("doctor", "--conf", site.toString(), "--for", "s3a"));
    assertLine("FAIL", "classpath.client", "software.amazon.encryption.s3.materials.Keyring");
    assertLine("warning", "classpath.hadoop", "older than 3.4.2");
    assertFalse(printed().contains("classpath.provider"), printed());

    assertEquals(0, run("doctor", "--conf", site.toString(), "--for", "local-disk"), printed());
    assertLine("ok", "classpath.provider", "org.emrkeys.LocalDiskEncryptionMaterialsProvider");
  }

  @Test
  void releasesAreComparedByNumber() {
    assertTrue(Doctor.older("1.9.40", "1.11.0"));
    assertTrue(Doctor.older("3.4.1-SNAPSHOT", "3.4.2"));
    assertTrue(Doctor.older("2.29.51", "2.29.52"));
    assertFalse(Doctor.older("1.12.797", "1.11.25"));
    assertFalse(Doctor.older("3.4.2", "3.4.2"));
    assertFalse(Doctor.older("4.0.0", "3.1.3"));
    assertFalse(Doctor.older("of an unknown release", "3.1.3"));
  }

  @Test
  void aSiteFileThatIsMissingOrBrokenIsAFailure() throws IOException {
    Path folder = files.aes("k", 256).file.getParent();
    assertEquals(1, run("doctor", "--conf", folder.resolve("none.xml").toString()));
    assertLine("FAIL", "hadoop.config", "none.xml is not a file");
    Path broken = Files.write(folder.resolve("broken.xml"), "<configuration>".getBytes(StandardCharsets.UTF_8));
    assertEquals(1, run("doctor", "--conf", broken.toString()));
    assertLine("FAIL", "hadoop.config", "cannot be read");
  }

  @Test
  void theCommandLineIsChecked() throws IOException {
    String[][] wrong = {
      {}, {"docter"}, {"doctor", "--for"}, {"doctor", "--for", "hdfs"},
      {"doctor", "--output", "xml"}, {"doctor", "--live", "x"},
    };
    for (String[] arguments : wrong) {
      assertEquals(2, run(arguments), Arrays.toString(arguments));
      assertTrue(err.toString("UTF-8").startsWith("error: "));
      assertEquals("", printed());
    }
    assertEquals(0, run("doctor", "--help"));
    assertTrue(printed().startsWith("usage: "));
  }

  @Test
  void textIsQuotedForJson() {
    assertEquals("\"a\\\"b\\\\c\\u000a\u00e9\"", Findings.quoted("a\"b\\c\n\u00e9"));
    assertEquals("null", Findings.quoted(null));
  }

  /** As {@code java -jar} does: nothing on the class path but us. */
  private String alone(int expected, String... options) throws Exception {
    return with(ours(), expected, options);
  }

  private String with(String classPath, int expected, String... options) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Paths.get(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(Arrays.asList(options));
    command.addAll(Arrays.asList("-cp", classPath, Main.class.getName(), "doctor"));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    byte[] buffer = new byte[8192];
    try (InputStream in = process.getInputStream()) {
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        all.write(buffer, 0, read);
      }
    }
    assertEquals(expected, process.waitFor(), all.toString("UTF-8"));
    return all.toString("UTF-8");
  }

  /** Where our classes and the native library are, be it the jar or folders. */
  private static String ours() throws URISyntaxException {
    String classes =
        Paths.get(Main.class.getProtectionDomain().getCodeSource().getLocation().toURI()).toString();
    StringBuilder path = new StringBuilder(classes);
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      if (!entry.equals(classes) && new File(entry, "native").isDirectory()) {
        path.append(File.pathSeparator).append(entry);
      }
    }
    return path.toString();
  }

  @Test
  void withoutHadoopTheRestIsChecked() throws Exception {
    String told = alone(0);
    assertTrue(told.contains("ok       native.load "), told);
    assertTrue(told.contains("ok       jce.cipher "), told);
    assertTrue(told.contains("note     hadoop.config        not checked"), told);
    assertTrue(told.contains("note     classpath.sdk-v1 "), told);
  }

  @Test
  void aSecondCopyOnTheClassPathIsAWarning(@TempDir Path other) throws Exception {
    Path folder = Files.createDirectories(other.resolve("org/emrkeys/doctor"));
    try (InputStream in = Doctor.class.getResourceAsStream("Doctor.class")) {
      Files.copy(in, folder.resolve("Doctor.class"));
    }
    String told = with(ours() + File.pathSeparator + other, 0);
    assertTrue(told.contains("warning  classpath.emrkeys ") && told.contains("2 copies"), told);
    assertTrue(told.contains(other.toString()), told);
  }

  @Test
  void aFolderThatIsNoneIsAFailure() throws Exception {
    String told = alone(1, "-Demrkeys.native.folder=" + files.aes("file", 256).file);
    assertTrue(told.contains("FAIL     native.load ") && told.contains("[NATIVE_LOAD]"), told);
  }
}
