package org.emrkeys.s3a;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class DecryptedStreamTest {
  private final InputStream answer = new ByteArrayInputStream(new byte[100 + 2 * ContentKey.BLOCK]);

  private InputStream firstHundred() throws IOException {
    return DecryptedStream.of(answer, Optional.empty(), 0, ByteRange.parse("bytes=0-99"));
  }

  @Test
  void nothingIsLeftOfAnAnswerWhoseRangeWasReadSoThatItsConnectionServesAgain() throws IOException {
    try (InputStream content = firstHundred()) {
      assertEquals(100, content.read(new byte[200]));
      assertEquals(-1, content.read());
    }
    assertEquals(0, answer.available());
  }

  @Test
  void aRangeThatIsGivenUpIsNotReadToItsEnd() throws IOException {
    firstHundred().close();
    assertNotEquals(0, answer.available());
  }
}
