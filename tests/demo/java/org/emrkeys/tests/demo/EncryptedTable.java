package org.emrkeys.tests.demo;

import com.amazonaws.util.json.Jackson;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.parquet.crypto.keytools.KeyToolkit;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.ReadSupport;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.util.HadoopOutputFile;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.apache.parquet.schema.Type;
import org.emrkeys.EmrKeysException;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.support.KeyFiles;

/**
 * A Parquet table of the demo's files, whose column of names has a key of its own: written by parquet-java, looked at
 * with the operator's tool, and read with both keys and with one.
 */
final class EncryptedTable {
  private static final MessageType SCHEMA =
      MessageTypeParser.parseMessageType(
          "message files { required int64 bytes; required binary name (STRING); }");

  private final PrintStream out;
  private final Path folder;
  private final KeyFiles keys;
  private final org.apache.hadoop.fs.Path file;
  private String wrong = "";

  EncryptedTable(PrintStream out, Path folder, KeyFiles keys) {
    this.out = out;
    this.folder = folder;
    this.keys = keys;
    this.file = new org.apache.hadoop.fs.Path(folder.resolve("files.parquet").toUri());
  }

  /**
   * Writes and reads the table.
   *
   * @return what is not as promised; empty if all is well
   */
  String run(Path root, List<String> names) throws IOException, InterruptedException {
    out.println("\na Parquet table of the files, encrypted by Parquet with keys of emrkeys:");
    if (!hadoopRuns()) {
      out.println("  left out: this Hadoop does not run on this JDK");
      return wrong;
    }
    Configuration conf = configured();
    List<String> rows = new ArrayList<>();
    KeyToolkit.removeCacheEntriesForAllTokens(); // Parquet keeps clients of other configurations in this JVM
    write(conf, root, names, rows);
    out.printf("  %s: %d rows, %d bytes%n", file, rows.size(), Files.size(folder.resolve("files.parquet")));
    byte[] stored = Files.readAllBytes(folder.resolve("files.parquet"));
    String longest = Collections.max(names, Comparator.comparingInt(String::length));
    check(!new String(stored, StandardCharsets.ISO_8859_1).contains(longest), "a name is in the clear");
    printKeys(conf);
    KeyToolkit.removeCacheEntriesForAllTokens();
    check(read(conf, "bytes", "name").equals(rows), "the table differs from what was written");
    out.println("  read with both keys: as it was written");
    Configuration less = new Configuration(false);
    conf.forEach(
        property -> {
          if (!property.getKey().startsWith("emrkeys.key.names-key.")) {
            less.set(property.getKey(), property.getValue());
          }
        });
    KeyToolkit.removeCacheEntriesForAllTokens();
    check(read(less, "bytes").size() == rows.size(), "a column could not be read with its own key");
    out.println("  read without names-key: column bytes as it was written");
    try {
      read(less, "name");
      check(false, "column name was read without its key");
    } catch (RuntimeException | IOException refused) {
      out.println("  read without names-key: column name refused: " + code(refused));
    }
    return wrong;
  }

  private static boolean hadoopRuns() {
    try {
      UserGroupInformation.getCurrentUser();
      return true;
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  /** A keyring for footer and sizes, an AES key for names. */
  private Configuration configured() throws IOException, InterruptedException {
    String ring = folder.resolve("lake.keyring").toUri().toString();
    String protector = keys.aes("protector", 256).file.toUri().toString();
    Cli.succeed("keyring", "create", ring, "--name", "lake-key", "--protector-file", protector);
    Configuration conf = new Configuration(false);
    conf.set("emrkeys.key.lake-key.type", "keyring");
    conf.set("emrkeys.key.lake-key.uri", ring);
    conf.set("emrkeys.key.lake-key.protector-file", protector);
    conf.set("emrkeys.key.names-key.type", "aes");
    conf.set("emrkeys.key.names-key.file", keys.aes("names", 256).file.toUri().toString());
    conf.set(
        "parquet.crypto.factory.class",
        "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory");
    conf.set("parquet.encryption.kms.client.class", "org.emrkeys.parquet.EmrKeysKmsClient");
    conf.set("parquet.encryption.footer.key", "lake-key");
    conf.set("parquet.encryption.column.keys", "lake-key:bytes;names-key:name");
    return conf;
  }

  private void write(Configuration conf, Path root, List<String> names, List<String> rows)
      throws IOException {
    SimpleGroupFactory groups = new SimpleGroupFactory(SCHEMA);
    try (ParquetWriter<Group> writer =
        ExampleParquetWriter.builder(HadoopOutputFile.fromPath(file, conf))
            .withConf(conf)
            .withType(SCHEMA)
            .build()) {
      for (String name : names) {
        Group row = groups.newGroup().append("bytes", Files.size(root.resolve(name))).append("name", name);
        writer.write(row);
        rows.add(row.toString());
      }
    }
  }

  private List<String> read(Configuration conf, String... columns) throws IOException {
    Type[] types = Arrays.stream(columns).map(SCHEMA::getType).toArray(Type[]::new);
    Configuration ours = new Configuration(conf);
    ours.set(ReadSupport.PARQUET_READ_SCHEMA, new MessageType("files", types).toString());
    List<String> rows = new ArrayList<>();
    try (ParquetReader<Group> rest =
        ParquetReader.builder(new GroupReadSupport(), file).withConf(ours).build()) {
      Group row;
      while ((row = rest.read()) != null) {
        rows.add(row.toString());
      }
    }
    return rows;
  }

  /** Prints which key protects what, as the tool reads it in the file. */
  private void printKeys(Configuration conf) throws IOException, InterruptedException {
    List<String> arguments =
        new ArrayList<>(Arrays.asList("inspect", file.toString(), "--for", "tables", "--output", "json"));
    conf.forEach(
        property -> {
          if (property.getKey().startsWith("emrkeys.")) {
            arguments.add("-D");
            arguments.add(property.getKey() + "=" + property.getValue());
          }
        });
    JsonNode found = Jackson.jsonNodeOf(Cli.succeed(arguments.toArray(new String[0])));
    for (JsonNode key : found.get(0).get("parquet").get("keys")) {
      List<String> protects = new ArrayList<>();
      if (key.get("footer").asBoolean()) {
        protects.add("the footer");
      }
      key.get("columns").forEach(column -> protects.add("column " + column.asText()));
      out.printf(
          "  emrkeys inspect: %s protects %s, version %s%n",
          key.get("key").asText(), String.join(", ", protects), key.get("version").asText());
      check(key.get("readable").asBoolean(), "a key of the table does not unwrap");
    }
  }

  private static String code(Throwable refused) {
    for (Throwable cause = refused; cause != null; cause = cause.getCause()) {
      if (cause instanceof EmrKeysException) {
        return ((EmrKeysException) cause).code();
      }
    }
    return refused.toString();
  }

  private void check(boolean holds, String otherwise) {
    if (!holds) {
      wrong = otherwise;
    }
  }
}
