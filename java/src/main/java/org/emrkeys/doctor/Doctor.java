package org.emrkeys.doctor;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.URL;
import java.security.GeneralSecurityException;
import java.security.Provider;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Cipher;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.doctor.Findings.Level;
import org.emrkeys.jce.EmrKeysProvider;
import org.emrkeys.provider.Client;

/**
 * {@code java -jar emrkeys.jar doctor}: what only the JVM of a node can know. Internal.
 *
 * <p>Lines are those of {@code emrkeys doctor}. Needs nothing but the JDK; what needs Hadoop is in
 * {@link DoctorHadoop}, which is loaded only where Hadoop is. Not thread-safe.
 */
public final class Doctor {
  private static final String USAGE =
      String.join(
          "\n",
          "usage: hadoop jar emrkeys.jar doctor [--for s3|s3a|local-disk|tables] [--conf FILE]…"
              + " [--output text|json]",
          "",
          "Checks what only the JVM of a node can know: Java, class path, releases of the AWS SDKs"
              + " and of Hadoop,",
          "native library, ciphers; and with Hadoop on the class path, as `hadoop jar` has it, its"
              + " configuration",
          "(core-site.xml, emrfs-site.xml, then each --conf): what it tells the client, the classes"
              + " and the keys",
          "that it names.",
          "java -jar emrkeys.jar doctor has no other class path than the jar: it checks the rest.",
          "",
          "  --for CLIENT   who asks for the keys: s3 (EMRFS, the default), s3a, local-disk,"
              + " tables",
          "  --conf FILE    one more site file; later ones win",
          "  --output FORM  text (the default) or json",
          "",
          "Exit codes: 0 no failure, 1 failures, 2 the command line is wrong",
          "");

  private static final String HADOOP = "org.apache.hadoop.conf.Configuration";
  private static final String GCM = "AES/GCM/NoPadding";
  private static final Pattern RELEASE = Pattern.compile("(\\d+)\\.(\\d+)\\.(\\d+)");
  private static final String[] SDK_V1 = {
    "com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.util.VersionInfoUtils",
    "com.amazonaws.util.VersionInfoUtils",
  };

  final Findings findings = new Findings();
  private final ClassLoader loader;

  Doctor(ClassLoader loader) {
    this.loader = loader;
  }

  /**
   * Does what the command line says.
   *
   * @param arguments of the program
   * @param out where the lines go
   * @param err where it goes that the command line is wrong
   * @return the exit code
   */
  public static int run(String[] arguments, PrintStream out, PrintStream err) {
    Client client = Client.S3;
    boolean json = false;
    List<String> files = new ArrayList<>();
    List<String> words = Arrays.asList(arguments);
    if (words.contains("--help") || words.contains("-h")) {
      out.print(USAGE);
      return 0;
    }
    try {
      if (words.isEmpty() || !words.get(0).equals("doctor")) {
        throw new IllegalArgumentException("the one command is doctor");
      }
      for (int i = 1; i < words.size(); i += 2) {
        String option = words.get(i);
        if (!Arrays.asList("--for", "--conf", "--output").contains(option)) {
          throw new IllegalArgumentException("there is no " + option);
        }
        if (i + 1 == words.size()) {
          throw new IllegalArgumentException(option + " needs a value");
        }
        String value = words.get(i + 1);
        if (option.equals("--for")) {
          client = client(value);
        } else if (option.equals("--conf")) {
          files.add(value);
        } else if (value.equals("json") || value.equals("text")) {
          json = value.equals("json");
        } else {
          throw new IllegalArgumentException("--output is text or json, not " + value);
        }
      }
    } catch (IllegalArgumentException e) {
      err.println("error: " + e.getMessage());
      err.print(USAGE);
      return 2;
    }
    Doctor doctor = new Doctor(Doctor.class.getClassLoader());
    doctor.check(client, files);
    out.print(json ? doctor.findings.json() : doctor.findings.text());
    out.flush();
    return doctor.findings.count(Level.FAIL) > 0 ? 1 : 0;
  }

  private static Client client(String name) {
    switch (name) {
      case "s3":
        return Client.S3;
      case "s3a":
        return Client.S3A;
      case "local-disk":
        return Client.LOCAL_DISK;
      case "tables":
        return Client.TABLES;
      default:
        throw new IllegalArgumentException("--for is s3, s3a, local-disk or tables, not " + name);
    }
  }

  private void check(Client client, List<String> files) {
    java();
    classPath(client);
    boolean loaded = nativeLibrary();
    if (loaded) {
      cipher();
    }
    if (!has(HADOOP)) {
      add(
          "hadoop.config",
          files.isEmpty() ? Level.NOTE : Level.FAIL,
          "not checked: Hadoop is not on the class path",
          "Run it as: `hadoop jar emrkeys.jar doctor`");
    } else if (loaded) {
      try {
        DoctorHadoop.check(this, client, files);
      } catch (LinkageError e) {
        add(
            "hadoop.config",
            Level.FAIL,
            "Hadoop is on the class path in part: " + e,
            "Run it as: `hadoop jar emrkeys.jar doctor`");
      }
    }
    order(client);
  }

  private void java() {
    String told =
        System.getProperty("java.version") + ", " + System.getProperty("java.vm.name") + ", "
            + System.getProperty("java.vendor") + ", " + System.getProperty("os.arch");
    // Oracle's own build wants JCE providers signed; OpenJDK and all that is made of it do not.
    if (System.getProperty("java.runtime.name", "").startsWith("Java(TM)")) {
      add(
          "java.version",
          Level.WARNING,
          told + ": Oracle's JDK refuses JCE providers that are not signed, as ours",
          "Use Corretto, Temurin or another OpenJDK where the native ciphers are wanted.");
    } else {
      add("java.version", Level.OK, told, null);
    }
  }

  /** One copy of us, and which releases are there of what we work with. */
  private void classPath(Client client) {
    Set<String> copies = new LinkedHashSet<>();
    try {
      String name = "org/emrkeys/doctor/Doctor.class";
      for (URL found : Collections.list(loader.getResources(name))) {
        String place = found.toString();
        copies.add(place.substring(0, place.length() - name.length()));
      }
    } catch (IOException e) {
      add("classpath.emrkeys", Level.NOTE, "not checked: " + e, null);
    }
    if (copies.size() == 1) {
      add("classpath.emrkeys", Level.OK, copies.iterator().next(), null);
    } else if (copies.size() > 1) {
      add(
          "classpath.emrkeys",
          Level.WARNING,
          copies.size() + " copies, of which the first is used: " + String.join(", ", copies),
          "Leave one of them on the class path.");
    }
    String v1 = null;
    for (String name : SDK_V1) {
      v1 = v1 == null ? call(name, "getVersion") : v1;
    }
    boolean s3a = client == Client.S3A;
    // EMR's guide; the class for local disks came later.
    String least = client == Client.LOCAL_DISK ? "1.11.25" : "1.11.0";
    boolean sdk = client == Client.S3 || client == Client.LOCAL_DISK;
    release("classpath.sdk-v1", "AWS SDK v1", v1, Level.FAIL, sdk ? least : null);
    // The oldest that docs/s3a.md has.
    release(
        "classpath.sdk-v2",
        "AWS SDK v2",
        constant("software.amazon.awssdk.core.util.VersionInfo", "SDK_VERSION"),
        Level.WARNING,
        s3a ? "2.29.52" : null);
    String s3ec = "software.amazon.encryption.s3/amazon-s3-encryption-client-java";
    release(
        "classpath.s3ec",
        "S3 Encryption Client",
        has("software.amazon.encryption.s3.S3EncryptionClient") ? maven(s3ec) : null,
        Level.WARNING,
        s3a ? "3.1.3" : null);
    if (client == Client.TABLES) {
      tables();
    }
    String hadoop = call("org.apache.hadoop.util.VersionInfo", "getVersion");
    // EMR 7.10 has an older one, to which Amazon added what S3A needs.
    boolean amazon = hadoop != null && hadoop.contains("amzn");
    release(
        "classpath.hadoop", "Hadoop", hadoop, Level.WARNING, s3a && !amazon ? "3.4.2" : null);
  }

  /** Whether the classes for tables load, which they do where Parquet or Iceberg is. */
  private void tables() {
    String[][] classes = {
      {"classpath.parquet", "org.apache.parquet.crypto.keytools.KmsClient",
          "org.emrkeys.parquet.EmrKeysKmsClient", "Parquet 1.12 or later"},
      {"classpath.iceberg", "org.apache.iceberg.encryption.KeyManagementClient",
          "org.emrkeys.iceberg.EmrKeysKeyManagementClient", "Iceberg 1.10 or later"},
    };
    for (String[] names : classes) {
      if (!has(names[1])) {
        add(names[0], Level.NOTE, names[3] + " is not on the class path", null);
        continue;
      }
      String missing = missing(names[2]);
      add(
          names[0],
          missing == null ? Level.OK : Level.FAIL,
          missing == null ? names[2] + " loads" : names[2] + " does not load: " + missing,
          missing == null ? null : "Put emrkeys beside or above " + names[3] + ".");
    }
  }

  /**
   * Reports the version that is there; {@code older} is the level if it is older than {@code least},
   * which may be null.
   */
  private void release(String check, String what, String version, Level older, String least) {
    if (version == null) {
      add(check, Level.NOTE, what + " is not on the class path", null);
    } else if (least != null && older(version, least)) {
      add(
          check,
          older,
          what + " " + version + " is older than " + least
              + (older == Level.FAIL ? ", the first that works" : ", the oldest that was tested"),
          "Use " + least + " or newer.");
    } else {
      add(check, Level.OK, what + " " + version, null);
    }
  }

  /** By the numbers that releases begin with; what begins with none is not older. */
  static boolean older(String version, String least) {
    Matcher found = RELEASE.matcher(version);
    Matcher wanted = RELEASE.matcher(least);
    if (!found.lookingAt() || !wanted.lookingAt()) {
      return false;
    }
    for (int i = 1; i <= 3; i++) {
      int difference = found.group(i).length() - wanted.group(i).length();
      difference = difference == 0 ? found.group(i).compareTo(wanted.group(i)) : difference;
      if (difference != 0) {
        return difference < 0;
      }
    }
    return false;
  }

  private boolean nativeLibrary() {
    try {
      NativeLoader.load(null);
      add("native.load", Level.OK, NativeLoader.description(), null);
      return true;
    } catch (EmrKeysException e) {
      findings.failure("native.load", e);
      return false;
    }
  }

  /** Whether ours works at all, installed or not. */
  private void cipher() {
    try {
      Cipher.getInstance(GCM, new EmrKeysProvider());
      add("jce.cipher", Level.OK, GCM + " can be had from " + EmrKeysProvider.NAME, null);
    } catch (GeneralSecurityException | RuntimeException e) {
      add(
          "jce.cipher",
          Level.WARNING,
          GCM + " cannot be had from " + EmrKeysProvider.NAME + ": " + e,
          "Clients encrypt with the ciphers that they had, slower; see docs/jce.md.");
    }
  }

  /** After everything that installs. */
  private void order(Client client) {
    List<String> names =
        Arrays.stream(Security.getProviders()).map(Provider::getName).collect(Collectors.toList());
    add("jce.order", Level.OK, String.join(", ", names), null);
    try {
      String used = Cipher.getInstance(GCM).getProvider().getName();
      if (used.equals(EmrKeysProvider.NAME)) {
        add("jce.in-use", Level.OK, GCM + " comes from " + used, null);
      } else {
        add(
            "jce.in-use",
            Level.NOTE,
            GCM + " comes from " + used + "; " + EmrKeysProvider.NAME + " is "
                + (names.contains(EmrKeysProvider.NAME) ? "behind it" : "not installed here"),
            null);
      }
    } catch (GeneralSecurityException e) {
      add("jce.in-use", Level.FAIL, GCM + " cannot be had: " + e, "Correct java.security.");
    }
    String bouncyCastle = "org.bouncycastle.jce.provider.BouncyCastleProvider";
    if (has(bouncyCastle)) {
      add("jce.bouncy-castle", Level.OK, "Bouncy Castle is on the class path", null);
    } else if (client == Client.S3 && (has(SDK_V1[0]) || has(SDK_V1[1]))) {
      add(
          "jce.bouncy-castle",
          Level.WARNING,
          "Bouncy Castle is not on the class path, and the clients of the AWS SDK v1 may not start"
              + " without it",
          "Add bcprov, or see docs/jce.md on emrkeys.jce.stand-in-for-bc.");
    } else {
      add("jce.bouncy-castle", Level.NOTE, "Bouncy Castle is not on the class path", null);
    }
  }

  private boolean has(String name) {
    return missing(name) == null;
  }

  /** Why a class cannot be loaded, be it what it extends that is not there; null where it can. */
  String missing(String name) {
    try {
      Class.forName(name, false, loader);
      return null;
    } catch (ClassNotFoundException | LinkageError e) {
      return e.toString();
    }
  }

  /** Not initialised; null where it is not there or does not fit what is. */
  private Class<?> type(String name) {
    try {
      return Class.forName(name, false, loader);
    } catch (ClassNotFoundException | LinkageError e) {
      return null;
    }
  }

  private String call(String type, String method) {
    Class<?> found = type(type);
    try {
      return found == null ? null : String.valueOf(found.getMethod(method).invoke(null));
    } catch (ReflectiveOperationException | LinkageError e) {
      return "of an unknown release";
    }
  }

  private String constant(String type, String field) {
    Class<?> found = type(type);
    try {
      return found == null ? null : String.valueOf(found.getField(field).get(null));
    } catch (ReflectiveOperationException | LinkageError e) {
      return "of an unknown release";
    }
  }

  /** The release that Maven wrote into a jar. */
  private String maven(String artifact) {
    String name = "META-INF/maven/" + artifact + "/pom.properties";
    try (InputStream in = loader.getResourceAsStream(name)) {
      Properties properties = new Properties();
      if (in != null) {
        properties.load(in);
      }
      return properties.getProperty("version", "of an unknown release");
    } catch (IOException | IllegalArgumentException e) {
      return "of an unknown release";
    }
  }

  void add(String check, Level level, String message, String remedy) {
    findings.add(check, level, message, remedy);
  }
}
