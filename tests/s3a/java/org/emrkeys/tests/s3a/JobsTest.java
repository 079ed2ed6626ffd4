package org.emrkeys.tests.s3a;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.StringTokenizer;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IntWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.Mapper;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;
import org.apache.hadoop.mapreduce.lib.reduce.IntSumReducer;
import org.apache.hadoop.tools.DistCp;
import org.apache.hadoop.tools.DistCpOptions;
import org.apache.hadoop.util.ToolRunner;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Site;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Hadoop's own programs over S3A: input under one key, output under another. */
class JobsTest {
  private static final int FILES = 10;
  private static final int LINES = 500;

  private final KeyFiles keys = KeyFiles.create();
  private final LocalAws aws = Stack.aws();
  private final String bucket = Stack.bucket();
  private final String kmsKey = aws.createKmsKey();
  private final Configuration conf;

  JobsTest() throws Exception {
    String keyring = "s3://" + Stack.bucket() + "/out.keyring";
    Cli.succeed("keyring", "create", keyring, "--name", "out", "--kms-key-id", kmsKey);
    conf =
        S3aSite.of(
            Site.plain()
                .aes("in", keys.aes("in", 256))
                .keyring("out", keyring, kmsKey, aws)
                .rule("in", "s3://" + bucket + "/in/", "in")
                .rule("out", "s3://" + bucket + "/out/", "out"));
    conf.set("mapreduce.framework.name", "local");
  }

  private String path(String key) {
    return "s3a://" + bucket + "/" + key;
  }

  private void writeInput(FileSystem files) throws IOException {
    StringBuilder text = new StringBuilder();
    for (int line = 0; line < LINES; line++) {
      text.append("alpha beta ").append(line % 10).append('\n');
    }
    for (int i = 0; i < FILES; i++) {
      S3aSite.write(
          files, path("in/" + i + ".txt"), text.toString().getBytes(StandardCharsets.UTF_8));
    }
  }

  private void assertAllUnder(String key, FileSystem files, String folder) throws IOException {
    int seen = 0;
    for (FileStatus status : files.listStatus(new Path(path(folder)))) {
      if (status.isFile() && status.getLen() > 0) {
        String object = folder + "/" + status.getPath().getName();
        assertEquals(key, new Envelope(bucket, object).description().get("emrkeys.key"), object);
        seen++;
      }
    }
    assertTrue(seen > 0, "nothing in " + folder);
  }

  /** Counts the words below {@code in} and checks what lies below {@code out} then. */
  private void countWords(int reducers) throws Exception {
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    writeInput(files);
    Job job = Job.getInstance(conf, "words");
    job.setJarByClass(JobsTest.class);
    job.setMapperClass(Words.class);
    job.setCombinerClass(IntSumReducer.class);
    job.setReducerClass(IntSumReducer.class);
    job.setNumReduceTasks(reducers);
    job.setOutputKeyClass(Text.class);
    job.setOutputValueClass(IntWritable.class);
    FileInputFormat.addInputPath(job, new Path(path("in")));
    FileOutputFormat.setOutputPath(job, new Path(path("out/words")));
    assertTrue(job.waitForCompletion(false), "the job failed");

    TreeMap<String, Integer> counts = new TreeMap<>();
    for (FileStatus part : files.listStatus(new Path(path("out/words")))) {
      if (part.getPath().getName().startsWith("part-")) {
        String text =
            new String(
                S3aSite.read(files, part.getPath().toString()), StandardCharsets.UTF_8);
        for (String line : text.split("\n")) {
          counts.put(line.split("\t")[0], Integer.valueOf(line.split("\t")[1]));
        }
      }
    }
    assertEquals(FILES * LINES, counts.get("alpha"));
    assertEquals(FILES * LINES / 10, counts.get("7"));
    assertEquals(12, counts.size());
    assertAllUnder("out", files, "out/words");
  }

  @ParameterizedTest
  @ValueSource(strings = {"file", "magic"})
  void wordsAreCountedByMapReduce(String committer) throws Exception {
    conf.set("fs.s3a.committer.name", committer);
    conf.set(
        "mapreduce.outputcommitter.factory.scheme.s3a",
        "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory");
    int before = Stack.calls("kms.Decrypt");
    countWords(1);
    assertTrue(Stack.calls("kms.Decrypt") - before <= 1, "one call for the keyring's version");
  }

  @Test
  void throttlingThatBeginsInTheMiddleOfAJobIsRiddenOut() throws Exception {
    conf.set("emrkeys.key.out.type", "kms-cached");
    conf.unset("emrkeys.key.out.uri");
    conf.set("emrkeys.cache.max-uses", "1"); // a call for each file
    int reducers = 6;
    int before = Stack.calls("kms.GenerateDataKey");
    Stack.fault(
        "{\"service\": \"kms\", \"op\": \"GenerateDataKey\", \"after\": 3, \"count\": 3,"
            + " \"status\": 400, \"code\": \"ThrottlingException\"}");
    try {
      countWords(reducers);
    } finally {
      Stack.noFaults();
    }
    assertTrue(Stack.calls("kms.GenerateDataKey") - before >= reducers + 3);
  }

  @Test
  void copiesByTheShellGetTheKeyOfTheirTarget() throws Exception {
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    writeInput(files);
    files.mkdirs(new Path(path("out")));
    String[] copy = {"-cp", path("in"), path("out/copied")};
    assertEquals(0, ToolRunner.run(new FsShell(conf), copy));
    assertArrayEquals(
        S3aSite.read(files, path("in/3.txt")), S3aSite.read(files, path("out/copied/3.txt")));
    assertAllUnder("out", files, "out/copied");
  }

  @Test
  void distCpWritesUnderTheKeyOfItsTarget() throws Exception {
    FileSystem files = S3aSite.fileSystem(conf, bucket);
    writeInput(files);
    DistCpOptions options =
        new DistCpOptions.Builder(
                Collections.singletonList(new Path(path("in"))), new Path(path("out/distcp")))
            .maxMaps(2)
            .withSyncFolder(true)
            .build();
    new DistCp(conf, options).execute();
    assertEquals(FILES, files.listStatus(new Path(path("out/distcp"))).length);
    assertArrayEquals(
        S3aSite.read(files, path("in/7.txt")), S3aSite.read(files, path("out/distcp/7.txt")));
    assertAllUnder("out", files, "out/distcp");
  }

  /** Splits lines into words. */
  public static final class Words extends Mapper<LongWritable, Text, Text, IntWritable> {
    private static final IntWritable ONE = new IntWritable(1);
    private final Text word = new Text();

    @Override
    protected void map(LongWritable offset, Text line, Context context)
        throws IOException, InterruptedException {
      StringTokenizer words = new StringTokenizer(line.toString());
      while (words.hasMoreTokens()) {
        word.set(words.nextToken());
        context.write(word, ONE);
      }
    }
  }
}
