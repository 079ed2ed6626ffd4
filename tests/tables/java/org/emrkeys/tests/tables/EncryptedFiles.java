package org.emrkeys.tests.tables;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.column.ParquetProperties.WriterVersion;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.ReadSupport;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.metadata.ColumnChunkMetaData;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.hadoop.util.HadoopOutputFile;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;

/** Parquet files of three columns, written and read by Parquet's own crypto factory. */
final class EncryptedFiles {
  static final MessageType SCHEMA =
      MessageTypeParser.parseMessageType(
          "message sales { required int64 id; required binary card (STRING); required binary name (STRING); }");

  /** In every value of the two columns of text. */
  static final String SECRET = "0123 somebody whose name is private";

  private EncryptedFiles() {}

  /**
   * A configuration with emrkeys as the KMS client.
   *
   * @param footer the key of the footer, in Parquet's own way
   * @param columns the keys of columns, likewise; null: all are encrypted with the key of the footer
   */
  static Configuration conf(Configuration keys, String footer, String columns) {
    Configuration conf = new Configuration(keys);
    conf.set(
        "parquet.crypto.factory.class",
        "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory");
    conf.set("parquet.encryption.kms.client.class", "org.emrkeys.parquet.EmrKeysKmsClient");
    if (columns == null) {
      conf.set("parquet.encryption.uniform.key", footer);
    } else {
      conf.set("parquet.encryption.footer.key", footer);
      conf.set("parquet.encryption.column.keys", columns);
    }
    return conf;
  }

  static void write(Configuration conf, Path file, int rows) throws IOException {
    SimpleGroupFactory groups = new SimpleGroupFactory(SCHEMA);
    try (ParquetWriter<Group> writer =
        ExampleParquetWriter.builder(HadoopOutputFile.fromPath(file, conf))
            .withConf(conf)
            .withType(SCHEMA)
            .withCompressionCodec(CompressionCodecName.UNCOMPRESSED)
            .withWriterVersion(WriterVersion.PARQUET_1_0)
            .withDictionaryEncoding(false)
            .build()) {
      for (int i = 0; i < rows; i++) {
        String text = String.format("%s %08d", SECRET, i);
        writer.write(
            groups.newGroup().append("id", (long) i).append("card", text).append("name", text));
      }
    }
  }

  /** The rows as text, of the columns in {@code columns} alone. */
  static List<String> read(Configuration conf, Path file, String... columns) throws IOException {
    Configuration ours = new Configuration(conf);
    StringBuilder projection = new StringBuilder("message sales {");
    for (String column : columns) {
      projection.append(SCHEMA.getType(column)).append("; ");
    }
    ours.set(ReadSupport.PARQUET_READ_SCHEMA, projection + "}");
    List<String> rows = new ArrayList<>();
    try (ParquetReader<Group> reader =
        ParquetReader.builder(new GroupReadSupport(), file).withConf(ours).build()) {
      for (Group row = reader.read(); row != null; row = reader.read()) {
        rows.add(row.toString());
      }
    }
    return rows;
  }

  /** The chunk of a column in the only row group. */
  static ColumnChunkMetaData chunk(Configuration conf, Path file, String column) throws IOException {
    try (ParquetFileReader reader =
        ParquetFileReader.open(
            HadoopInputFile.fromPath(file, conf),
            HadoopReadOptions.builder(conf, file).build())) {
      return reader.getFooter().getBlocks().get(0).getColumns().stream()
          .filter(chunk -> chunk.getPath().toDotString().equals(column))
          .findAny()
          .orElseThrow(AssertionError::new);
    }
  }
}
