package org.emrkeys.s3a;

import java.security.GeneralSecurityException;
import java.security.Key;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.Wire;

/** The key of one object's content, and how a range is decrypted by it. Internal. Immutable. */
public final class ContentKey {
  /** Bytes of a block of AES. */
  static final int BLOCK = 16;

  private final boolean chained;
  private final Key key;
  private final byte[] iv;

  private ContentKey(boolean chained, Key key, byte[] iv) {
    this.chained = chained;
    this.key = key;
    this.iv = iv;
  }

  /**
   * Reads the core's answer.
   *
   * @param in the answer
   * @return null if no client encrypted the object
   */
  public static ContentKey read(Wire.Decoder in) {
    int content = in.u8();
    if (content == 0) {
      return null;
    }
    byte[] bytes = in.bytes();
    try {
      return new ContentKey(content == 1, new SecretKeySpec(bytes, "AES"), in.bytes());
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  /** Whether the content is in AES-CBC, which is padded to whole blocks, else AES-GCM, which has a tag. */
  boolean isChained() {
    return chained;
  }

  /**
   * A cipher for stored content from a block on.
   *
   * @param block number of the block
   * @param before the block before it, in AES-CBC
   */
  Cipher decryptor(long block, byte[] before) {
    try {
      byte[] start = block == 0 || !chained ? iv : before;
      if (!chained) {
        // As GCM runs counter mode: block n of the message has counter n + 2 (NIST SP 800-38D, 7.1).
        long counter = block + 2;
        start = Arrays.copyOf(iv, BLOCK);
        for (int i = 0; i < 4; i++) {
          start[BLOCK - 1 - i] = (byte) (counter >>> (8 * i));
        }
      }
      Cipher cipher = Cipher.getInstance(chained ? "AES/CBC/NoPadding" : "AES/CTR/NoPadding");
      cipher.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(start));
      return cipher;
    } catch (GeneralSecurityException e) {
      throw Wire.defect(e);
    }
  }

  /**
   * The bytes of content in the last block of AES-CBC, by its padding.
   *
   * @param before the block before it; the vector of the object if it is the only one
   * @return 0 to 15; -1 if the padding is not valid
   */
  int lengthOfLast(byte[] before, byte[] last) {
    byte[] plain = decryptor(before == null ? 0 : 1, before).update(last);
    int padding = plain[BLOCK - 1];
    if (padding < 1 || padding > BLOCK) {
      return -1;
    }
    for (int i = BLOCK - padding; i < BLOCK; i++) {
      if (plain[i] != padding) {
        return -1;
      }
    }
    return BLOCK - padding;
  }
}
