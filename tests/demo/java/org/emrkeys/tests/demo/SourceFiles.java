package org.emrkeys.tests.demo;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** The files that the demo works on, by kind. */
final class SourceFiles {
  static final String CODE = "code";
  static final String DOCUMENTS = "documents";
  static final String DATA = "data";
  static final List<String> KINDS =
      Collections.unmodifiableList(Arrays.asList(CODE, DOCUMENTS, DATA));

  // So that the demo stays under a minute; what is left out is said.
  private static final int MAX_FILES = 1000;
  private static final long MAX_BYTES = 256L << 20;

  private static final Set<String> SKIPPED_FOLDERS =
      new HashSet<>(
          Arrays.asList(
              ".git", ".dev", ".gradle", "build", "target", "node_modules", "__pycache__"));
  private static final Set<String> CODE_SUFFIXES =
      new HashSet<>(
          Arrays.asList(
              "bat", "c", "cc", "cpp", "cs", "go", "gradle", "h", "hpp", "java", "js", "kt", "php",
              "pl", "py", "rb", "rs", "scala", "sh", "sql", "swift", "ts"));
  private static final Set<String> DOCUMENT_SUFFIXES =
      new HashSet<>(
          Arrays.asList(
              "adoc", "doc", "docx", "htm", "html", "md", "odt", "pdf", "rst", "rtf", "tex", "txt"));

  private final Path folder;
  private final Map<String, List<String>> kinds = new LinkedHashMap<>();
  private final List<String> notes = new ArrayList<>();
  private int size;
  private long bytes;

  private SourceFiles(Path folder) {
    this.folder = folder;
    for (String kind : KINDS) {
      kinds.put(kind, new ArrayList<String>());
    }
  }

  /**
   * Finds the files.
   *
   * @param list names relative to {@code folder}, separated by NUL or new lines; null: all files but those
   *     in folders of build results
   */
  static SourceFiles find(Path folder, Path list) throws IOException {
    SourceFiles files = new SourceFiles(folder);
    List<String> names = list == null ? walk(folder) : read(list);
    Collections.sort(names);
    files.take(names);
    files.spread();
    return files;
  }

  private static List<String> read(Path list) throws IOException {
    List<String> names = new ArrayList<>();
    String text = new String(Files.readAllBytes(list), StandardCharsets.UTF_8);
    for (String name : text.split(text.indexOf('\0') >= 0 ? "\0" : "\n")) {
      if (!name.isEmpty()) {
        names.add(name);
      }
    }
    return names;
  }

  private static List<String> walk(final Path folder) throws IOException {
    final List<String> names = new ArrayList<>();
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<Path>() {
          @Override
          public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) {
            boolean skipped =
                !path.equals(folder) && SKIPPED_FOLDERS.contains(path.getFileName().toString());
            return skipped ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) {
            names.add(folder.relativize(path).toString());
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path path, IOException problem) {
            return FileVisitResult.CONTINUE; // counted with the unreadable, when it is taken
          }
        });
    return names;
  }

  private void take(List<String> names) throws IOException {
    int unusable = 0;
    int beyond = 0;
    for (String name : names) {
      Path file;
      try {
        file = folder.resolve(name);
      } catch (InvalidPathException notInThisLocale) {
        unusable++;
        continue;
      }
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) || !Files.isReadable(file)) {
        unusable++;
        continue;
      }
      long length = Files.size(file);
      if (size == MAX_FILES || bytes + length > MAX_BYTES) {
        beyond++;
        continue;
      }
      kinds.get(kind(file.getFileName().toString())).add(name);
      size++;
      bytes += length;
    }
    if (unusable > 0) {
      notes.add(unusable + " left out: links, or not readable");
    }
    if (beyond > 0) {
      notes.add(
          beyond + " left out: the demo takes " + MAX_FILES + " files and " + MAX_BYTES + " bytes");
    }
  }

  private static String kind(String fileName) {
    String suffix =
        fileName.substring(fileName.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    if (CODE_SUFFIXES.contains(suffix)) {
      return CODE;
    }
    boolean capitals = fileName.matches("[A-Z]{4,}"); // LICENSE, README, NOTICE
    return capitals || DOCUMENT_SUFFIXES.contains(suffix) ? DOCUMENTS : DATA;
  }

  /** Where a kind has no file, all files are dealt out in turn: each key is to have some work. */
  private void spread() {
    boolean complete = true;
    List<String> all = new ArrayList<>();
    for (List<String> names : kinds.values()) {
      complete &= !names.isEmpty();
      all.addAll(names);
    }
    if (complete || all.size() < KINDS.size()) {
      return;
    }
    Collections.sort(all);
    for (List<String> names : kinds.values()) {
      names.clear();
    }
    for (int i = 0; i < all.size(); i++) {
      kinds.get(KINDS.get(i % KINDS.size())).add(all.get(i));
    }
    notes.add("not all kinds of file are there, so the files are dealt to the prefixes in turn");
  }

  Path folder() {
    return folder;
  }

  int size() {
    return size;
  }

  long bytes() {
    return bytes;
  }

  /** The names of one kind's files, relative to the folder, sorted. */
  List<String> of(String kind) {
    return kinds.get(kind);
  }

  /** Notes on the choice, for the user. */
  List<String> notes() {
    return notes;
  }
}
