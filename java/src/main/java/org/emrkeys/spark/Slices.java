package org.emrkeys.spark;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.emrkeys.provider.ObjectListing.Listed;

/** Cuts the objects of a round into tasks. */
final class Slices {
  private Slices() {}

  /**
   * The largest objects come first: a task that begins late is a short one, so that none keeps the others waiting at
   * the end of the round.
   *
   * @param objects in any order
   * @param count the most objects of a slice, at least 1
   * @param bytes the most bytes of a slice of more than one object
   * @return the keys of each slice, in the order in which the tasks are to begin
   */
  static List<List<String>> of(List<Listed> objects, int count, long bytes) {
    List<Listed> sorted = new ArrayList<>(objects);
    sorted.sort(Comparator.comparingLong(Listed::bytes).reversed());
    List<List<String>> slices = new ArrayList<>();
    List<String> slice = new ArrayList<>();
    long left = bytes;
    for (Listed object : sorted) {
      if (slice.size() == count || object.bytes() > left && !slice.isEmpty()) {
        slices.add(slice);
        slice = new ArrayList<>();
        left = bytes;
      }
      slice.add(object.key());
      left -= object.bytes();
    }
    if (!slice.isEmpty()) {
      slices.add(slice);
    }
    return slices;
  }
}
