package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Provider;
import java.security.Security;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.util.Arrays;
import java.util.Random;
import javax.crypto.AEADBadTagException;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.SecretKey;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.emrkeys.bridge.CipherNatives;
import org.emrkeys.bridge.NativeOwner;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Against SunJCE and Bouncy Castle: the same bytes, the same sizes, the same kinds of exception.
 */
class EmrKeysProviderTest {
  private static final long SEED = Long.getLong("emrkeys.test.seed", 42);

  /** Of GCM against each peer; all of this class is more than 105,000 by default. */
  private static final int CASES = Integer.getInteger("emrkeys.test.cases", 20_000);

  private static Provider ours;
  private static Provider sun;
  private static final Provider BOUNCY_CASTLE = new BouncyCastleProvider();

  @BeforeAll
  static void load() {
    String library = System.getProperty("emrkeys.test.library");
    if (library != null) {
      System.load(library);
    } else {
      CipherNatives.load(null);
    }
    ours = new EmrKeysProvider(true);
    sun = Security.getProvider("SunJCE");
  }

  private static JceSettings settings(
      JceSettings.Release release, long maxBuffered, JceSettings.Mgf1 mgf1) {
    return new JceSettings(JceSettings.Install.FIRST, release, maxBuffered, mgf1, false);
  }

  private static byte[] bytes(Random random, int length) {
    byte[] out = new byte[length];
    random.nextBytes(out);
    return out;
  }

  private static int length(Random random) {
    switch (random.nextInt(100)) {
      case 0:
        return random.nextInt(random.nextInt(4) == 0 ? (1 << 20) + 1 : 200_000);
      case 1:
      case 2:
      case 3:
        return random.nextInt(20_000);
      default:
        return random.nextInt(8) == 0 ? 16 * random.nextInt(20) : random.nextInt(300);
    }
  }

  /** Feeds {@code data} in random pieces through random kinds of buffers; sizes must be exact. */
  private static byte[] feed(Random random, Cipher cipher, byte[] data) throws Exception {
    byte[] out = new byte[data.length + 64];
    int written = 0;
    int at = 0;
    int most = 1 + random.nextInt(random.nextInt(4) == 0 ? 300000 : 2000);
    while (true) {
      boolean last = data.length - at <= most && random.nextInt(3) > 0;
      int now = last ? data.length - at : Math.min(data.length - at, random.nextInt(most + 1));
      // A cipher that holds plaintext back wants room for all of it; only the end needs that much.
      int bound = last ? cipher.getOutputSize(now) : Math.min(cipher.getOutputSize(now), now + 32);
      int kind = random.nextInt(6);
      int count;
      if (kind == 0) {
        byte[] part = last ? cipher.doFinal(data, at, now) : cipher.update(data, at, now);
        count = part == null ? 0 : part.length;
        if (part != null) {
          System.arraycopy(part, 0, out, written, count);
        }
      } else if (kind == 1) {
        byte[] target = new byte[3 + bound];
        count =
            last
                ? cipher.doFinal(data, at, now, target, 3)
                : cipher.update(data, at, now, target, 3);
        System.arraycopy(target, 3, out, written, count);
      } else if (kind == 2) {
        // In place, in one array, at the same offset or another.
        byte[] target = new byte[now + bound + 40];
        int from = random.nextInt(30);
        int to = random.nextBoolean() ? from : random.nextInt(30);
        System.arraycopy(data, at, target, from, now);
        count =
            last
                ? cipher.doFinal(target, from, now, target, to)
                : cipher.update(target, from, now, target, to);
        System.arraycopy(target, to, out, written, count);
      } else {
        ByteBuffer source =
            kind == 3 ? ByteBuffer.wrap(data, at, now).slice() : ByteBuffer.allocateDirect(now + 7);
        if (kind != 3) {
          source.position(7);
          source.put(data, at, now);
          source.flip().position(7);
        }
        if (random.nextBoolean()) {
          source = source.asReadOnlyBuffer();
        }
        ByteBuffer target =
            random.nextBoolean()
                ? ByteBuffer.allocate(bound + 5)
                : ByteBuffer.allocateDirect(bound + 5);
        target.position(5);
        count = last ? cipher.doFinal(source, target) : cipher.update(source, target);
        assertEquals(0, source.remaining());
        assertEquals(5 + count, target.position());
        target.position(5).limit(5 + count);
        target.get(out, written, count);
      }
      assertTrue(count <= bound);
      at += now;
      written += count;
      if (last) {
        return Arrays.copyOf(out, written);
      }
    }
  }

  private static void differential(String transformation, int cases) throws Exception {
    differential(transformation, sun, cases);
    differential(transformation, BOUNCY_CASTLE, cases);
  }

  private static void differential(String transformation, Provider peer, int cases)
      throws Exception {
    Random random = new Random(SEED);
    Cipher mine = Cipher.getInstance(transformation, ours);
    Cipher theirs = Cipher.getInstance(transformation, peer);
    boolean gcm = transformation.contains("GCM");
    for (int i = 0; i < cases; i++) {
      Key key = new SecretKeySpec(bytes(random, 16 + 8 * random.nextInt(3)), "AES");
      byte[] iv =
          bytes(
              random,
              gcm
                  ? (random.nextInt(4) == 0 ? (peer == sun ? 1 : 12) + random.nextInt(40) : 12)
                  : 16);
      int tag = gcm ? 96 + 8 * random.nextInt(5) : 128;
      AlgorithmParameterSpec spec = gcm ? new GCMParameterSpec(tag, iv) : new IvParameterSpec(iv);
      int length = length(random);
      byte[] plain = bytes(random, length);
      byte[] aad = gcm && random.nextBoolean() ? bytes(random, random.nextInt(100)) : new byte[0];
      String what = transformation + " " + peer.getName() + " case " + i + " seed " + SEED;
      theirs.init(Cipher.ENCRYPT_MODE, key, spec);
      mine.init(Cipher.ENCRYPT_MODE, key, spec);
      if (gcm) {
        theirs.updateAAD(aad);
        mine.updateAAD(ByteBuffer.wrap(aad));
      }
      byte[] expected = theirs.doFinal(plain);
      assertArrayEquals(expected, feed(random, mine, plain), what);
      boolean sdk = gcm && tag == 128 && random.nextBoolean();
      mine.init(Cipher.DECRYPT_MODE, key, sdk ? new IvParameterSpec(iv) : spec);
      for (int round = 0; round < 2; round++) {
        if (gcm) {
          mine.updateAAD(aad);
        }
        assertArrayEquals(plain, feed(random, mine, expected), what);
      }
      if (gcm) {
        byte[] broken = expected.clone();
        broken[random.nextInt(broken.length)] ^= 1 << random.nextInt(8);
        mine.updateAAD(aad);
        assertThrows(AEADBadTagException.class, () -> feed(random, mine, broken), what);
      }
    }
  }

  @Test
  void gcm() throws Exception {
    differential("AES/GCM/NoPadding", CASES);
  }

  @Test
  void ctr() throws Exception {
    differential("AES/CTR/NoPadding", CASES / 2);
  }

  @Test
  void gcmReleasesNothingUnverified() throws Exception {
    SecretKey key = new SecretKeySpec(new byte[32], "AESWrap");
    byte[] iv = new byte[12];
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", ours);
    cipher.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv));
    byte[] sealed = cipher.doFinal(new byte[700000]);
    sealed[600000] ^= 1;
    cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
    byte[] out = new byte[700000];
    assertEquals(0, cipher.update(sealed, 0, 400000, out));
    // Empty and not null, of which the SDK's reader takes only so many.
    assertEquals(0, cipher.update(sealed, 400000, 100000).length);
    assertThrows(AEADBadTagException.class, () -> cipher.doFinal(sealed, 500000, 200016, out, 0));
    assertThrows(AEADBadTagException.class, () -> cipher.doFinal(sealed, 0, 700016, out, 0));
    assertArrayEquals(new byte[700000], out);
    cipher.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
    assertEquals(499984, cipher.update(sealed, 0, 500000, out));

    JceSettings before = JceSettings.current();
    try {
      JceSettings.set(settings(JceSettings.Release.NEVER, 100000, JceSettings.Mgf1.SHA1));
      cipher.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> cipher.update(sealed, 0, 500000, out));
      assertTrue(e.getMessage().contains(JceSettings.MAX_BUFFERED), e.getMessage());
    } finally {
      JceSettings.set(before);
    }
  }

  /** Around the length up to which a message is one call of another kind. */
  @Test
  void aShortGcmMessageWritesNothingUnverified() throws Exception {
    SecretKey key = new SecretKeySpec(new byte[32], "AES");
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", ours);
    byte[] iv = new byte[12];
    for (int size = 0; size < CipherNatives.SHORT + 20; size++) {
      iv[0] = (byte) size;
      iv[11] = (byte) (size >> 8 | 0x80);
      cipher.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, iv));
      byte[] sealed = cipher.doFinal(new byte[size]);
      Cipher peer = Cipher.getInstance("AES/GCM/NoPadding", sun);
      peer.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, iv));
      assertArrayEquals(new byte[size], peer.doFinal(sealed));
      for (AlgorithmParameterSpec spec :
          new AlgorithmParameterSpec[] {new GCMParameterSpec(128, iv), new IvParameterSpec(iv)}) {
        cipher.init(Cipher.DECRYPT_MODE, key, spec);
        assertArrayEquals(new byte[size], cipher.doFinal(sealed));
        byte[] broken = sealed.clone();
        broken[size] ^= 1;
        byte[] out = new byte[size];
        Arrays.fill(out, (byte) 0x5a);
        assertThrows(
            AEADBadTagException.class, () -> cipher.doFinal(broken, 0, broken.length, out));
        if (spec instanceof GCMParameterSpec || sealed.length <= CipherNatives.SHORT) {
          for (byte b : out) {
            assertEquals(0x5a, b);
          }
        }
      }
    }
  }

  /** The boundary's own checks, which Java's come before. */
  @Test
  void aShortGcmMessageStaysInItsArrays() {
    long handle = CipherNatives.create(CipherNatives.GCM, new byte[32], 0);
    byte[] array = new byte[64];
    byte[] out = new byte[64];
    int[][] outside = {{-1, 16, 0}, {60, 16, 0}, {0, 16, -1}, {0, 48, 16}, {0, 64, 0}};
    try {
      for (int[] range : outside) {
        assertThrows(
            ArrayIndexOutOfBoundsException.class,
            () -> runShort(handle, array, range[0], range[1], out, range[2]));
        assertArrayEquals(new byte[64], out);
      }
      assertTrue(runShort(handle, array, 0, -1, out, 0) < 0);
      assertTrue(runShort(handle, array, 0, CipherNatives.SHORT + 1, out, 0) < 0);
      assertTrue(runShort(handle, null, 0, 16, out, 0) < 0);
      assertTrue(runShort(handle, array, 0, 16, null, 0) < 0);
      assertEquals(64, runShort(handle, array, 0, 48, out, 0));
    } finally {
      CipherNatives.destroy(handle);
    }
    assertEquals(CipherNatives.CODE_CLOSED, runShort(handle, array, 0, 16, out, 0));
  }

  private static int runShort(
      long handle, byte[] in, int inOffset, int length, byte[] out, int outOffset) {
    return CipherNatives.runShort(
        handle, CipherNatives.ENCRYPT, 1, 2, 3, 16, in, inOffset, length, out, outOffset);
  }

  @Test
  void gcmRefusesReuse() throws Exception {
    Key key = new SecretKeySpec(new byte[16], "AES");
    GCMParameterSpec spec = new GCMParameterSpec(128, new byte[12]);
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", ours);
    cipher.init(Cipher.ENCRYPT_MODE, key, spec);
    cipher.doFinal(new byte[3]);
    assertThrows(IllegalStateException.class, () -> cipher.doFinal(new byte[3]));
    assertThrows(IllegalStateException.class, () -> cipher.updateAAD(new byte[3]));
    assertThrows(
        InvalidAlgorithmParameterException.class,
        () -> cipher.init(Cipher.ENCRYPT_MODE, key, spec));
    cipher.init(Cipher.DECRYPT_MODE, key, spec);
    assertThrows(
        InvalidAlgorithmParameterException.class,
        () -> cipher.init(Cipher.ENCRYPT_MODE, key, spec));
    cipher.init(Cipher.ENCRYPT_MODE, key);
    assertEquals(12, cipher.getIV().length);
    Cipher other = Cipher.getInstance("AES/GCM/NoPadding", sun);
    byte[] sealed = cipher.doFinal(new byte[3]);
    other.init(Cipher.DECRYPT_MODE, key, cipher.getParameters());
    assertArrayEquals(new byte[3], other.doFinal(sealed));
    assertThrows(InvalidKeyException.class, () -> cipher.init(Cipher.DECRYPT_MODE, key));
    assertThrows(
        InvalidKeyException.class,
        () -> cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(new byte[16], "DES")));
  }

  /** A cipher that knows its key object does not read its bytes again, unless they may change. */
  @Test
  void aKeyIsItsBytes() throws Exception {
    byte[] bytes = new byte[32];
    Key changing =
        new SecretKeySpec(bytes, "AES") {
          private static final long serialVersionUID = 1L;

          @Override
          public byte[] getEncoded() {
            return bytes.clone();
          }
        };
    Cipher mine = Cipher.getInstance("AES/GCM/NoPadding", ours);
    Cipher theirs = Cipher.getInstance("AES/GCM/NoPadding", sun);
    Key[] keys = {new SecretKeySpec(new byte[32], "AES"), new SecretKeySpec(new byte[16], "AES")};
    for (int i = 0; i < 12; i++) {
      Key key = i % 4 < 2 ? keys[i % 3 == 0 ? 0 : 1] : changing;
      bytes[0] = (byte) i;
      GCMParameterSpec spec = new GCMParameterSpec(128, new byte[] {(byte) i, 2, 3, 4});
      mine.init(Cipher.ENCRYPT_MODE, key, spec);
      theirs.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key.getEncoded(), "AES"), spec);
      assertArrayEquals(theirs.doFinal(new byte[100]), mine.doFinal(new byte[100]));
    }
  }

  /** The SDK v1 clients name content keys after the wrap that they came out of. */
  @Test
  void contentKeysMayBeNamedAfterTheirWrap() throws Exception {
    byte[] iv = new byte[12];
    for (String name :
        new String[] {
          "AES", "RAW", "AESWrap", "AES/GCM/NoPadding", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
        }) {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", ours);
      cipher.init(
          Cipher.ENCRYPT_MODE, new SecretKeySpec(new byte[32], name), new IvParameterSpec(iv));
      assertEquals(17, cipher.doFinal(new byte[1]).length, name);
    }
    for (String name : new String[] {"DES", "HmacSHA256", "RSA", "AESX"}) {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", ours);
      Key key = new SecretKeySpec(new byte[32], name);
      assertThrows(
          InvalidKeyException.class,
          () -> cipher.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv)),
          name);
    }
  }

  /** As of a key in a token: then JCE asks the next provider. */
  @Test
  void aKeyThatDoesNotGiveItsBytesIsRefused() throws Exception {
    SecretKey inToken =
        new SecretKey() {
          private static final long serialVersionUID = 1L;

          @Override
          public String getAlgorithm() {
            return "AES";
          }

          @Override
          public String getFormat() {
            return null;
          }

          @Override
          public byte[] getEncoded() {
            return null;
          }
        };
    for (String name : new String[] {"AES/GCM/NoPadding", "AES/CTR/NoPadding"}) {
      Cipher cipher = Cipher.getInstance(name, ours);
      assertThrows(
          InvalidKeyException.class, () -> cipher.init(Cipher.ENCRYPT_MODE, inToken), name);
    }
  }

  /** There are no AlgorithmParameters of our own: the JDK's do. */
  @Test
  void parametersAreTheJdks() throws Exception {
    Key key = new SecretKeySpec(new byte[16], "AES");
    for (String name : new String[] {"AES/GCM/NoPadding", "AES/CTR/NoPadding"}) {
      Cipher seal = Cipher.getInstance(name, ours);
      seal.init(Cipher.ENCRYPT_MODE, key);
      AlgorithmParameters parameters = seal.getParameters();
      assertEquals("SunJCE", parameters.getProvider().getName());
      byte[] sealed = seal.doFinal(new byte[20]);
      AlgorithmParameters decoded = AlgorithmParameters.getInstance(parameters.getAlgorithm());
      decoded.init(parameters.getEncoded());
      for (Provider peer : new Provider[] {ours, sun}) {
        Cipher open = Cipher.getInstance(name, peer);
        open.init(Cipher.DECRYPT_MODE, key, decoded);
        assertArrayEquals(new byte[20], open.doFinal(sealed), name);
      }
    }
  }

  @Test
  void shortBuffersLoseNothing() throws Exception {
    Key key = new SecretKeySpec(new byte[16], "AES");
    for (String name : new String[] {"AES/GCM/NoPadding", "AES/CTR/NoPadding"}) {
      Cipher cipher = Cipher.getInstance(name, ours);
      cipher.init(Cipher.ENCRYPT_MODE, key);
      byte[] iv = cipher.getIV();
      byte[] plain = bytes(new Random(SEED), 100);
      assertThrows(ShortBufferException.class, () -> cipher.update(plain, 0, 100, new byte[10]));
      assertThrows(ShortBufferException.class, () -> cipher.doFinal(plain, 0, 100, new byte[99]));
      byte[] sealed = cipher.doFinal(plain);
      cipher.init(
          Cipher.DECRYPT_MODE,
          key,
          name.contains("GCM") ? new GCMParameterSpec(128, iv) : new IvParameterSpec(iv));
      assertThrows(
          ShortBufferException.class, () -> cipher.doFinal(sealed, 0, sealed.length, new byte[99]));
      byte[] out = new byte[100];
      assertEquals(100, cipher.doFinal(sealed, 0, sealed.length, out));
      assertArrayEquals(plain, out, name);
    }
  }

  @Test
  void rsa() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    KeyPair pair = generator.generateKeyPair();
    Key key = new SecretKeySpec(bytes(new Random(SEED), 32), "AES");
    OAEPParameterSpec labelled =
        new OAEPParameterSpec(
            "SHA-256",
            "MGF1",
            MGF1ParameterSpec.SHA256,
            new PSource.PSpecified(new byte[] {1, 2, 3}));
    String[] names = {
      "RSA/ECB/OAEPPadding",
      "RSA/ECB/OAEPWithSHA-1AndMGF1Padding",
      "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
    };
    for (String name : names) {
      for (AlgorithmParameterSpec spec : new AlgorithmParameterSpec[] {null, labelled}) {
        if (spec != null && !name.endsWith("OAEPPadding") && !name.contains("256")) {
          continue;
        }
        Cipher mine = Cipher.getInstance(name, ours);
        for (Provider peer : new Provider[] {sun, BOUNCY_CASTLE}) {
          if (peer == BOUNCY_CASTLE && spec == null && name.contains("256")) {
            continue; // it means another mask there
          }
          Cipher theirs = Cipher.getInstance(name, peer);
          for (Cipher[] two : new Cipher[][] {{mine, theirs}, {theirs, mine}}) {
            two[0].init(Cipher.WRAP_MODE, pair.getPublic(), spec);
            two[1].init(Cipher.UNWRAP_MODE, pair.getPrivate(), spec);
            assertEquals(key, two[1].unwrap(two[0].wrap(key), "AES", Cipher.SECRET_KEY), name);
          }
        }
        mine.init(Cipher.DECRYPT_MODE, pair.getPrivate(), spec);
        byte[] wrong = new byte[256];
        wrong[255] = 7;
        assertThrows(BadPaddingException.class, () -> mine.doFinal(wrong));
      }
    }
    // Bouncy Castle's meaning of OAEPWithSHA-256AndMGF1Padding.
    JceSettings before = JceSettings.current();
    try {
      JceSettings.set(settings(JceSettings.Release.SDK, 1 << 20, JceSettings.Mgf1.BOTH));
      Cipher both = Cipher.getInstance(names[2], ours);
      both.init(Cipher.UNWRAP_MODE, pair.getPrivate());
      for (MGF1ParameterSpec mask :
          new MGF1ParameterSpec[] {MGF1ParameterSpec.SHA1, MGF1ParameterSpec.SHA256}) {
        Cipher theirs = Cipher.getInstance(names[0], sun);
        theirs.init(
            Cipher.WRAP_MODE,
            pair.getPublic(),
            new OAEPParameterSpec("SHA-256", "MGF1", mask, PSource.PSpecified.DEFAULT));
        assertEquals(key, both.unwrap(theirs.wrap(key), "AES", Cipher.SECRET_KEY));
      }
    } finally {
      JceSettings.set(before);
    }
  }

  @Test
  void rsaKeepsItsInputWhereTheOutputIsTooShort() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    KeyPair pair = generator.generateKeyPair();
    byte[] plain = bytes(new Random(SEED), 100);
    Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding", ours);
    cipher.init(Cipher.ENCRYPT_MODE, pair.getPublic());
    cipher.update(plain, 0, 60);
    assertThrows(ShortBufferException.class, () -> cipher.doFinal(plain, 60, 40, new byte[255]));
    byte[] sealed = new byte[256];
    assertEquals(256, cipher.doFinal(plain, 60, 40, sealed));
    cipher.init(Cipher.DECRYPT_MODE, pair.getPrivate());
    cipher.update(sealed, 0, 200);
    // As SunJCE: room for the modulus, so that nothing depends on what was decrypted.
    assertThrows(ShortBufferException.class, () -> cipher.doFinal(sealed, 200, 56, new byte[255]));
    byte[] out = new byte[256];
    assertEquals(100, cipher.doFinal(sealed, 200, 56, out));
    assertArrayEquals(plain, Arrays.copyOf(out, 100));
    cipher.update(new byte[300]);
    assertThrows(IllegalBlockSizeException.class, () -> cipher.doFinal(new byte[1]));
    assertArrayEquals(plain, cipher.doFinal(sealed));
  }

  /**
   * SunJCE's GCM ends at 2 GiB; its CTR, from the counter that GCM begins with, is the judge here.
   */
  @Test
  void gcmStreamsBeyondTwoGigabytes() throws Exception {
    Key key = new SecretKeySpec(new byte[16], "AES");
    byte[] counter = new byte[16];
    counter[15] = 2;
    Cipher theirs = Cipher.getInstance("AES/CTR/NoPadding", sun);
    Cipher seal = Cipher.getInstance("AES/GCM/NoPadding", ours);
    Cipher open = Cipher.getInstance("AES/GCM/NoPadding", ours);
    theirs.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(counter));
    seal.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, new byte[12]));
    open.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(new byte[12]));
    byte[] plain = bytes(new Random(SEED), 1 << 20);
    byte[] sealed = new byte[plain.length];
    byte[] expected = new byte[plain.length];
    byte[] opened = new byte[plain.length + 32];
    long released = 0;
    for (int i = 0; i < 2050; i++) {
      assertEquals(plain.length, seal.update(plain, 0, plain.length, sealed));
      assertEquals(plain.length, theirs.update(plain, 0, plain.length, expected));
      assertArrayEquals(expected, sealed);
      released += open.update(sealed, 0, sealed.length, opened);
    }
    assertEquals(2050L * plain.length - 16, released);
    assertEquals(16, open.doFinal(seal.doFinal()).length);
  }

  @Test
  void abandonedCiphersAreFreed() throws Exception {
    Key key = new SecretKeySpec(new byte[16], "AES");
    for (int i = 0; i < 200 && NativeOwner.open() < 50000; i++) {
      for (int j = 0; j < 100; j++) {
        Cipher abandoned = Cipher.getInstance("AES/GCM/NoPadding", ours);
        abandoned.init(Cipher.ENCRYPT_MODE, key);
        abandoned.update(new byte[1]);
      }
      System.gc();
      if (i > 20 && NativeOwner.open() < 1000) {
        return;
      }
      Thread.sleep(5);
    }
    assertTrue(NativeOwner.open() < 10000, "open: " + NativeOwner.open());
  }
}
