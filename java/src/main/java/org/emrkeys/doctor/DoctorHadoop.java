package org.emrkeys.doctor;

import java.io.File;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.Log;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;
import org.emrkeys.doctor.Findings.Level;
import org.emrkeys.jce.JceInstaller;
import org.emrkeys.provider.HadoopSettings;
import org.emrkeys.provider.ProviderHandle;
import org.emrkeys.provider.Report;
import org.emrkeys.provider.Client;

/** The checks of {@link Doctor} that need Hadoop on the class path. Internal. */
final class DoctorHadoop {
  private DoctorHadoop() {}

  /** Reads the node's configuration, checks what it says and opens the provider as a client would. */
  static void check(Doctor doctor, Client client, List<String> files) {
    Configuration conf;
    HadoopSettings settings;
    try {
      conf = new Configuration();
      conf.addResource("emrfs-site.xml");
      for (String file : files) {
        // Hadoop ignores what is not there.
        if (!new File(file).isFile()) {
          doctor.add("hadoop.config", Level.FAIL, file + " is not a file", "Correct --conf.");
          return;
        }
        conf.addResource(new Path(new File(file).toURI()));
      }
      settings = new HadoopSettings(conf);
      conf.size(); // it is read only now
      doctor.add("hadoop.config", Level.OK, conf.toString(), null);
    } catch (RuntimeException | LinkageError e) {
      doctor.add(
          "hadoop.config",
          Level.FAIL,
          "Hadoop's configuration cannot be read: " + e,
          "Correct the site files; `emrkeys doctor --conf FOLDER` says where.");
      return;
    }
    if (properties(doctor, client, settings)) {
      classes(doctor, client, conf);
    }
    open(doctor, client, settings);
  }

  /** The core's findings on the client's own properties, as the tool has them; false: unreadable. */
  private static boolean properties(Doctor doctor, Client client, HadoopSettings settings) {
    byte[] properties = {};
    try {
      properties = settings.properties("emrkeys.", "fs.s3.cse.", "fs.s3.impl", "fs.s3a.", "parquet.");
      doctor.findings.read(Wire.response(Natives.checks(client.number(), properties)));
      return true;
    } catch (EmrKeysException e) {
      doctor.findings.failure("hadoop.config", e);
      return false;
    } finally {
      // S3A's credentials may be among them.
      Arrays.fill(properties, (byte) 0);
    }
  }

  /** Whether what the client makes an instance of can be loaded, and what it is written against. */
  private static void classes(Doctor doctor, Client client, Configuration conf) {
    String api;
    String remedy;
    String provider;
    switch (client) {
      case TABLES:
        return; // Parquet or Iceberg, of which either does: Doctor looks for both
      case S3:
        api = "com.amazonaws.services.s3.model.EncryptionMaterialsProvider";
        remedy =
            "Add the AWS SDK v1 (aws-java-sdk-s3; on EMR, /usr/share/aws/aws-java-sdk); the copy in"
                + " EMRFS has other names, which no provider can use.";
        provider =
            conf.getTrimmed(
                "fs.s3.cse.encryptionMaterialsProvider",
                "org.emrkeys.S3EncryptionMaterialsProvider");
        break;
      case S3A:
        api = "software.amazon.encryption.s3.materials.Keyring";
        remedy = "Add the S3 Encryption Client, amazon-s3-encryption-client-java; see docs/s3a.md.";
        provider =
            conf.getTrimmed(
                "fs.s3a.encryption.cse.custom.keyring.class.name", "org.emrkeys.S3AKeyring");
        break;
      default:
        api = "com.amazonaws.services.elasticmapreduce.spi.security.EncryptionMaterialsProvider";
        remedy = "Add aws-java-sdk-emr, 1.11.25 or newer.";
        provider = "org.emrkeys.LocalDiskEncryptionMaterialsProvider";
        break;
    }
    String missing = doctor.missing(api);
    if (missing != null) {
      doctor.add("classpath.client", Level.FAIL, api + " cannot be loaded: " + missing, remedy);
      return;
    }
    doctor.add("classpath.client", Level.OK, api, null);
    missing = doctor.missing(provider);
    if (missing == null) {
      doctor.add("classpath.provider", Level.OK, provider, null);
    } else {
      doctor.add(
          "classpath.provider",
          Level.FAIL,
          provider + " cannot be loaded: " + missing,
          "Correct the name in the configuration, or add the jar that has the class.");
    }
  }

  private static void open(Doctor doctor, Client client, HadoopSettings settings) {
    try (ProviderHandle handle = ProviderHandle.open(client, settings)) {
      Report report = handle.report();
      doctor.add("provider.open", Level.OK, report.summary(), null);
      for (String warning : report.warnings()) {
        doctor.add("provider.open", Level.WARNING, warning, "See docs/configuration.md.");
      }
      if (client == Client.S3) {
        install(doctor, report);
      }
    } catch (EmrKeysException e) {
      doctor.findings.failure("provider.open", e);
    }
  }

  private static void install(Doctor doctor, Report report) {
    try {
      JceInstaller.install(report.jce(), true, log(doctor));
    } catch (EmrKeysException e) {
      doctor.findings.failure("jce.install", e);
    }
  }

  /** A log whose messages become lines. */
  private static Log log(Doctor doctor) {
    return new Log(
        () -> true,
        line -> doctor.add("jce.install", Level.OK, line, null),
        line -> doctor.add("jce.install", Level.WARNING, line, "See docs/jce.md."),
        line -> doctor.add("jce.install", Level.FAIL, line, "See docs/jce.md."));
  }
}
