package org.emrkeys.s3a;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class RecentTest {
  private final AtomicLong now = new AtomicLong(Long.MAX_VALUE - 1); // nanoTime may overflow
  private final Recent<String, Integer> recent = new Recent<>(2, 60, now::get);

  @Test
  void aValueIsForgottenAtItsAgeHoweverOftenItIsUsed() {
    recent.put("a", 1);
    for (int i = 0; i < 6; i++) {
      now.addAndGet(TimeUnit.SECONDS.toNanos(10));
      assertEquals(1, recent.get("a"));
    }
    now.addAndGet(1);
    assertNull(recent.get("a"));
    recent.put("a", 2);
    assertEquals(2, recent.get("a"));
  }

  @Test
  void theValueThatWasUsedLongestAgoMakesRoom() {
    recent.put("a", 1);
    recent.put("b", 2);
    recent.get("a");
    recent.put("c", 3);
    assertEquals(1, recent.get("a"));
    assertNull(recent.get("b"));
    assertEquals(3, recent.get("c"));
  }

  @Test
  void valuesThatAreTooOldDoNotStayBecauseNobodyAsksForThem() {
    Recent<String, Integer> many = new Recent<>(100, 60, now::get);
    many.put("a", 1);
    many.put("b", 2);
    now.addAndGet(TimeUnit.SECONDS.toNanos(61));
    many.put("c", 3);
    assertEquals(1, many.size());
  }
}
