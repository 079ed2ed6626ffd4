package org.emrkeys.spark;

import static java.util.Arrays.asList;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Collections;
import java.util.List;
import org.emrkeys.provider.ObjectListing.Listed;
import org.junit.jupiter.api.Test;

class SlicesTest {
  private static final List<Listed> OBJECTS =
      asList(
          new Listed("small", 1), new Listed("huge", 1000), new Listed("large", 60), new Listed("fair", 40));

  @Test
  void theLargestObjectsComeFirstAndOneThatIsTooLargeStandsAlone() {
    assertEquals(
        asList(asList("huge"), asList("large", "fair"), asList("small")), Slices.of(OBJECTS, 10, 100));
  }

  @Test
  void aSliceHasNoMoreObjectsThanItMay() {
    assertEquals(
        asList(asList("huge", "large", "fair"), asList("small")), Slices.of(OBJECTS, 3, Long.MAX_VALUE));
    assertEquals(Collections.emptyList(), Slices.of(Collections.emptyList(), 3, 1));
  }
}
