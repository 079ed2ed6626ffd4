package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Provider;
import java.security.Security;
import java.security.spec.AlgorithmParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.emrkeys.bridge.CipherNatives;
import org.emrkeys.bridge.NativeOwner;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Many threads, everything at once, for {@code emrkeys.test.soak-seconds}: right results, wrong
 * tags, abandoned messages, Ciphers that several threads use although none may. SunJCE is the
 * judge.
 */
class SoakTest {
  private static final int THREADS = 24;
  private static final int SECONDS = Integer.getInteger("emrkeys.test.soak-seconds", 10);
  private static final int LONGEST = 150_000;

  private static Provider ours;
  private static Provider sun;
  private static KeyPair rsa;

  @BeforeAll
  static void load() throws GeneralSecurityException {
    CipherNatives.load(null);
    ours = new EmrKeysProvider(true);
    sun = Security.getProvider("SunJCE");
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    rsa = generator.generateKeyPair();
  }

  @Test
  void everythingAtOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    long end = System.nanoTime() + SECONDS * 1_000_000_000L;
    AtomicLong done = new AtomicLong();
    Cipher shared = Cipher.getInstance("AES/GCM/NoPadding", ours);
    shared.init(Cipher.DECRYPT_MODE, aes(new byte[32]), new IvParameterSpec(new byte[12]));
    List<Future<?>> futures = new ArrayList<>();
    try {
      for (int i = 0; i < THREADS; i++) {
        Random random = new Random(i);
        futures.add(
            threads.submit(
                () -> {
                  while (System.nanoTime() < end) {
                    one(random, shared);
                    done.incrementAndGet();
                  }
                  return null;
                }));
      }
      for (Future<?> future : futures) {
        future.get();
      }
    } finally {
      threads.shutdownNow();
    }
    assertTrue(done.get() > 1000L * SECONDS / 10, "only " + done + " operations");
    for (int i = 0; i < 100 && NativeOwner.open() > 200; i++) {
      System.gc();
      Thread.sleep(20);
      abandon(aes(new byte[16]), new byte[12], new byte[1]); // the next one frees forgotten ones
    }
    assertTrue(NativeOwner.open() <= 200, NativeOwner.open() + " native ciphers stay open");
  }

  private static Key aes(byte[] bytes) {
    return new SecretKeySpec(bytes, "AES");
  }

  private static byte[] bytes(Random random, int length) {
    byte[] out = new byte[length];
    random.nextBytes(out);
    return out;
  }

  private static void one(Random random, Cipher shared) throws Exception {
    Key key = aes(bytes(random, 16 + 8 * random.nextInt(3)));
    byte[] data = bytes(random, random.nextInt(random.nextInt(20) == 0 ? LONGEST : 600));
    switch (random.nextInt(10)) {
      case 0:
      case 1:
        roundTrip("AES/CTR/NoPadding", key, new IvParameterSpec(bytes(random, 16)), null, data);
        break;
      case 2:
        wrap("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", rsa.getPublic(), rsa.getPrivate(), key);
        break;
      case 3:
        abandon(key, bytes(random, 12), data);
        break;
      case 4:
        misuse(shared, data);
        break;
      default:
        gcm(random, key, data);
    }
  }

  private static Cipher cipher(
      Provider provider, String name, int mode, Key key, AlgorithmParameterSpec spec, byte[] aad)
      throws GeneralSecurityException {
    Cipher cipher = Cipher.getInstance(name, provider);
    cipher.init(mode, key, spec);
    if (aad != null) {
      cipher.updateAAD(aad);
    }
    return cipher;
  }

  private static byte[] roundTrip(
      String name, Key key, AlgorithmParameterSpec spec, byte[] aad, byte[] data)
      throws GeneralSecurityException {
    byte[] expected = cipher(sun, name, Cipher.ENCRYPT_MODE, key, spec, aad).doFinal(data);
    byte[] sealed = inTwo(cipher(ours, name, Cipher.ENCRYPT_MODE, key, spec, aad), data);
    assertTrue(Arrays.equals(expected, sealed), name);
    byte[] opened = inTwo(cipher(ours, name, Cipher.DECRYPT_MODE, key, spec, aad), sealed);
    assertTrue(Arrays.equals(data, opened), name);
    return sealed;
  }

  private static byte[] inTwo(Cipher cipher, byte[] data) throws GeneralSecurityException {
    byte[] first = cipher.update(data, 0, data.length / 2);
    byte[] second = cipher.doFinal(data, data.length / 2, data.length - data.length / 2);
    if (first == null) {
      return second;
    }
    byte[] all = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }

  private static void gcm(Random random, Key key, byte[] data) throws GeneralSecurityException {
    String name = "AES/GCM/NoPadding";
    byte[] iv = bytes(random, 12);
    byte[] aad = bytes(random, random.nextInt(50));
    byte[] sealed = roundTrip(name, key, new GCMParameterSpec(128, iv), aad, data);
    sealed[random.nextInt(sealed.length)] ^= 1;
    AlgorithmParameterSpec spec =
        random.nextBoolean() ? new IvParameterSpec(iv) : new GCMParameterSpec(128, iv);
    try {
      inTwo(cipher(ours, name, Cipher.DECRYPT_MODE, key, spec, aad), sealed);
    } catch (AEADBadTagException expected) {
      return;
    }
    throw new AssertionError("a wrong tag was accepted");
  }

  private static void wrap(String name, Key wrapping, Key unwrapping, Key key)
      throws GeneralSecurityException {
    Cipher cipher = Cipher.getInstance(name, ours);
    cipher.init(Cipher.WRAP_MODE, wrapping);
    byte[] wrapped = cipher.wrap(key);
    cipher.init(Cipher.UNWRAP_MODE, unwrapping);
    assertEquals(key, cipher.unwrap(wrapped, "AES", Cipher.SECRET_KEY));
  }

  /** A reader that stops in the middle: nothing closes the cipher. */
  private static void abandon(Key key, byte[] iv, byte[] data) throws GeneralSecurityException {
    cipher(ours, "AES/GCM/NoPadding", Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv), null)
        .update(data);
  }

  /** Several threads at one Cipher get an exception or nonsense, and the JVM lives. */
  private static void misuse(Cipher shared, byte[] data) {
    try {
      shared.doFinal(data);
    } catch (GeneralSecurityException | RuntimeException expected) {
      return;
    }
    throw new AssertionError("nonsense had the right tag");
  }
}
