package org.emrkeys.spark;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.provider.ObjectResult;

/**
 * The report of a job: a folder of files in JSON, one a round, with a line for each object. Spark reads it as a table.
 *
 * <p>A task writes down what it is about to change before it changes anything. So an object that one attempt changed
 * before it was lost, with its executor or its driver, and that a later one finds done, is reported as changed, and
 * from which key. These intents lie in a folder below, whose name Spark and Hive pass over, until the round that they
 * are of is in the report and in the checkpoint.
 */
final class JobReport implements Serializable {
  private static final long serialVersionUID = 1L;

  private static final String INTENTS = "_intents";

  /** Before the outcome of an object that would be changed, were it no dry run. */
  static final String WOULD_BE = "would-be-";

  /** The outcome of an object that is as it should be. */
  static final String CURRENT = "current";

  private final String folder;

  /** Of this driver. */
  private final String instance = UUID.randomUUID().toString();

  /** The intents of earlier runs and of attempts that were lost, by file and by key. */
  private final transient Map<Path, Map<String, ObjectResult>> lost = new HashMap<>();

  JobReport(String folder) {
    this.folder = folder;
  }

  /**
   * Writes down what an attempt at a task is about to change.
   *
   * @param task its number in the round: the same for all attempts at it
   * @param planned outcomes of a dry run
   */
  void intend(int round, int task, List<ObjectResult> planned, Configuration conf) throws IOException {
    // Nothing of another driver's or of another attempt's is ever replaced.
    String name = String.format("%s%06d.%s", prefix(round), task, UUID.randomUUID());
    Path file = new Path(intents(), name);
    try (DataOutputStream out = new DataOutputStream(FileSystem.get(file.toUri(), conf).create(file, false))) {
      out.writeInt(planned.size());
      for (ObjectResult result : planned) {
        write(out, result.key());
        write(out, result.outcome());
        write(out, result.line());
      }
    }
  }

  /** Of the names of a round's intents. */
  private String prefix(int round) {
    return String.format("%s-%06d-", instance, round);
  }

  /**
   * The results of a round, in which objects that a lost attempt changed are no longer only {@code current}.
   *
   * @param results of the attempts that counted
   */
  List<ObjectResult> resolve(int round, List<ObjectResult> results, Configuration conf)
      throws IOException {
    readLost(prefix(round), conf);
    List<ObjectResult> resolved = new ArrayList<>(results.size());
    for (ObjectResult result : results) {
      ObjectResult intent = null;
      if (result.outcome().equals(CURRENT)) {
        for (Map<String, ObjectResult> intents : lost.values()) {
          intent = intents.getOrDefault(result.key(), intent);
        }
      }
      resolved.add(intent == null ? result : intent);
    }
    return resolved;
  }

  /** The intents of a task of this round that had one attempt say nothing that its results do not. */
  private void readLost(String prefix, Configuration conf) throws IOException {
    FileSystem fs = FileSystem.get(intents().toUri(), conf);
    FileStatus[] found;
    try {
      found = fs.listStatus(intents());
    } catch (FileNotFoundException e) {
      return;
    }
    Map<String, Integer> attempts = new HashMap<>();
    for (FileStatus file : found) {
      attempts.merge(task(file.getPath()), 1, Integer::sum);
    }
    for (FileStatus file : found) {
      String task = task(file.getPath());
      if ((!task.startsWith(prefix) || attempts.get(task) > 1) && !lost.containsKey(file.getPath())) {
        lost.put(file.getPath(), read(fs, file.getPath()));
      }
    }
  }

  private static String task(Path file) {
    return file.getName().replaceFirst("\\..*", "");
  }

  private static Map<String, ObjectResult> read(FileSystem fs, Path file) throws IOException {
    Map<String, ObjectResult> intents = new HashMap<>();
    try (DataInputStream in = new DataInputStream(fs.open(file))) {
      int count = in.readInt();
      for (int i = 0; i < count; i++) {
        String key = read(in);
        String outcome = read(in);
        String line = read(in);
        // In JSON no quotation mark inside of a value stands without a backslash: this is the field.
        String done = outcome.substring(WOULD_BE.length());
        line = line.replace("\"outcome\":\"" + outcome + "\"", "\"outcome\":\"" + done + "\"");
        intents.put(key, new ObjectResult(key, done, "", 0, line));
      }
    } catch (EOFException | FileNotFoundException e) {
      // It was being written when its writer was killed, which so had changed nothing; or another driver removed it.
      return new HashMap<>();
    }
    return intents;
  }

  /** Writes the file of a round. It replaces that of a run which was killed before its checkpoint had the round. */
  void write(String run, int round, List<ObjectResult> results, Configuration conf) throws IOException {
    Path file = new Path(folder, String.format("%s-%06d.jsonl", run, round));
    try (OutputStream out = FileSystem.get(file.toUri(), conf).create(file, true)) {
      for (ObjectResult result : results) {
        out.write((result.line() + "\n").getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  /** The checkpoint has the round: its intents are not needed any more. Those of earlier drivers may be. */
  void forget(int round, Configuration conf) throws IOException {
    FileSystem fs = FileSystem.get(intents().toUri(), conf);
    try {
      for (FileStatus file : fs.listStatus(intents())) {
        if (task(file.getPath()).startsWith(prefix(round))) {
          fs.delete(file.getPath(), false);
          lost.remove(file.getPath());
        }
      }
    } catch (FileNotFoundException e) {
      // Nothing was to be changed.
    }
  }

  /** Every object was looked at: no intent is needed any more, of whichever run. */
  void finish(Configuration conf) throws IOException {
    FileSystem.get(intents().toUri(), conf).delete(intents(), true);
  }

  private Path intents() {
    return new Path(folder, INTENTS);
  }

  private static void write(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static String read(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
