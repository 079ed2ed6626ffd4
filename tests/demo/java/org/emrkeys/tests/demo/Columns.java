package org.emrkeys.tests.demo;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;

/** A table of text with columns as wide as their widest cell. */
final class Columns {
  private final List<String[]> rows = new ArrayList<>();

  Columns(String... titles) {
    rows.add(titles);
  }

  void add(String... cells) {
    rows.add(cells);
  }

  void print(PrintStream out) {
    int[] widths = new int[rows.get(0).length];
    for (String[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        widths[i] = Math.max(widths[i], row[i].length());
      }
    }
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < row.length; i++) {
        line.append(row[i]);
        for (int pad = row[i].length(); i + 1 < row.length && pad < widths[i] + 2; pad++) {
          line.append(' ');
        }
      }
      out.println(line);
    }
  }
}
