package org.emrkeys.spark;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.emrkeys.EmrKeysException;
import org.emrkeys.provider.ObjectResult;

/** How far a job got, in a file of any of Hadoop's file systems. For one thread. */
final class Checkpoint {
  /** Of a checkpoint that is being written. */
  private static final String NEW = ".new";

  /** Before the outcome of a count, in the name of its property. */
  private static final String COUNT = "count.";

  /** Before the key of an object in doubt, in the name of its property. */
  private static final String DOUBTED = "doubted.";

  /** The code of an object that was replaced, and nothing showed that it is what was sent. */
  private static final String NOT_PROVEN = "REPLACEMENT_NOT_PROVEN";

  private final Path file;
  private final Configuration conf;
  private final String identity;
  private final Map<String, Long> earlier = new TreeMap<>();

  /** The outcomes of all rounds that are done. */
  private final Map<String, Long> reached = new TreeMap<>();

  private final Set<String> doubted = new TreeSet<>();
  private String run = Long.toString(System.currentTimeMillis());
  private String after = "";
  private int round;

  /**
   * That of a job which begins.
   *
   * @param file null for a job that remembers nothing
   * @param identity of the job, which another must have to go on from it
   */
  Checkpoint(String file, String identity, Configuration conf) {
    this.file = file == null ? null : new Path(file);
    this.identity = identity;
    this.conf = conf;
  }

  /** The first of the runs that went on from each other, in a word. */
  String run() {
    return run;
  }

  /** The mark of the last object that was looked at. */
  String after() {
    return after;
  }

  /** The rounds that are done. */
  int round() {
    return round;
  }

  /** The outcomes of the runs that this one goes on from. */
  Map<String, Long> earlier() {
    return earlier;
  }

  /** The keys of the objects that stay in doubt until they prove whole, and that each run looks at first. */
  Set<String> doubted() {
    return new TreeSet<>(doubted);
  }

  /** Remembers an object that nothing proves, and forgets one that proved whole. */
  void note(ObjectResult result) {
    if (result.code().equals(NOT_PROVEN)) {
      doubted.add(result.key());
    } else if (result.code().isEmpty()) {
      doubted.remove(result.key());
    }
  }

  /** From the first object again; the report goes on. */
  void restart() {
    after = "";
    earlier.clear();
    reached.clear();
  }

  /** Goes on from the file, if the same keys and versions wrap that wrapped when it began; else begins anew. */
  void read(String target, PrintStream out) throws IOException {
    if (file == null) {
      return;
    }
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    Path found = file;
    if (!fs.exists(found)) {
      // A run was killed between the two steps of write, or no run has written one.
      found = file.suffix(NEW);
      if (!fs.exists(found)) {
        return;
      }
    }
    Properties state = new Properties();
    try (InputStream in = fs.open(found)) {
      state.load(in);
    }
    if (!identity.equals(state.getProperty("of"))) {
      throw EmrKeysException.of(
          "INVALID_VALUE",
          "the checkpoint " + found + " is of another run: " + state.getProperty("of"),
          "Name another file, or remove it to begin anew.",
          null);
    }
    for (String name : state.stringPropertyNames()) {
      if (name.startsWith(DOUBTED)) {
        doubted.add(name.substring(DOUBTED.length()));
      }
    }
    if (!target.equals(state.getProperty("target"))) {
      // Of an older release, or of before a rotation.
      out.println(
          "The checkpoint is of a run to "
              + state.getProperty("target", "versions of keys that it does not say")
              + ", and "
              + target
              + " wraps by now: begins anew");
      return;
    }
    run = state.getProperty("run", run);
    after = state.getProperty("after", "");
    round = Integer.parseInt(state.getProperty("round", "0"));
    for (String name : state.stringPropertyNames()) {
      if (name.startsWith(COUNT)) {
        earlier.put(name.substring(COUNT.length()), Long.valueOf(state.getProperty(name)));
      }
    }
    reached.putAll(earlier);
  }

  /**
   * A round is done.
   *
   * @param mark of its last object
   * @param counts the outcomes of this run
   */
  void done(String mark, String target, Map<String, Long> counts) throws IOException {
    after = mark;
    round++;
    reached.clear();
    reached.putAll(earlier);
    counts.forEach((outcome, count) -> reached.merge(outcome, count, Long::sum));
    write(target);
  }

  /** The run ends before the round that it is at, whose objects in doubt stay remembered. */
  void stop(String target) throws IOException {
    if (!doubted.isEmpty()) {
      write(target);
    }
  }

  /** To a file beside the old one first: where the file system can, one takes the other's place in a step. */
  private void write(String target) throws IOException {
    if (file == null) {
      return;
    }
    Properties state = state(target);
    state.setProperty("run", run);
    state.setProperty("after", after);
    state.setProperty("round", Integer.toString(round));
    reached.forEach((outcome, count) -> state.setProperty(COUNT + outcome, count.toString()));
    store(state);
  }

  /** Without how far the work got. */
  private Properties state(String target) {
    Properties state = new Properties();
    state.setProperty("of", identity);
    state.setProperty("target", target);
    doubted.forEach(key -> state.setProperty(DOUBTED + key, ""));
    return state;
  }

  private void store(Properties state) throws IOException {
    Path fresh = file.suffix(NEW);
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    try (OutputStream out = fs.create(fresh, true)) {
      state.store(out, null);
    }
    fs.delete(file, false);
    if (!fs.rename(fresh, file)) {
      throw new IOException(fresh + " could not be renamed to " + file);
    }
  }

  /**
   * All is done or was tried: the next run looks at everything, and so at what failed. Objects in doubt stay in the
   * file.
   */
  void end(String target) throws IOException {
    if (file == null) {
      return;
    }
    if (!doubted.isEmpty()) {
      store(state(target));
      return;
    }
    FileSystem fs = FileSystem.get(file.toUri(), conf);
    fs.delete(file, false);
    fs.delete(file.suffix(NEW), false);
  }
}
