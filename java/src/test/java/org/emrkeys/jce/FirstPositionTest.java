package org.emrkeys.jce;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.Signature;
import java.security.interfaces.RSAKey;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.RSAKeyGenParameterSpec;
import java.security.spec.RSAPrivateKeySpec;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.BadPaddingException;
import javax.crypto.Cipher;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.SealedObject;
import javax.crypto.ShortBufferException;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Programs that know nothing of this provider, in a JVM where it stands at position 1. */
class FirstPositionTest {
  private static final String PKCS1 = "RSA/ECB/PKCS1Padding";
  private static final String OAEP = "RSA/ECB/OAEPPadding";
  private static final String OAEP_SHA256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";

  private static KeyPair one;
  private static KeyPair other;

  @BeforeAll
  static void first() throws Exception {
    EmrKeysProvider.uninstall();
    Security.insertProviderAt(new EmrKeysProvider(), 1);
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    one = generator.generateKeyPair();
    other = generator.generateKeyPair();
  }

  @AfterAll
  static void remove() {
    Security.removeProvider(EmrKeysProvider.NAME);
  }

  private static String provider(Cipher cipher) {
    return cipher.getProvider().getName();
  }

  @Test
  void signaturesWithoutDigestSignAndVerify() throws Exception {
    Signature signature = Signature.getInstance("NONEwithRSA");
    signature.getProvider();
    signature.initSign(one.getPrivate());
    signature.update(new byte[20]);
    byte[] signed = signature.sign();
    signature.initVerify(one.getPublic());
    signature.update(new byte[20]);
    assertTrue(signature.verify(signed));
  }

  @Test
  void pkcs1OfPrivateKeysEncryptsInOneCipherWithThePublicOne() throws Exception {
    Cipher cipher = Cipher.getInstance(PKCS1);
    cipher.getProvider();
    cipher.init(Cipher.ENCRYPT_MODE, one.getPublic());
    byte[] sealed = cipher.doFinal(new byte[5]);
    cipher.init(Cipher.ENCRYPT_MODE, one.getPrivate());
    byte[] signed = cipher.doFinal(new byte[6]);
    cipher.init(Cipher.DECRYPT_MODE, one.getPublic());
    assertArrayEquals(new byte[6], cipher.doFinal(signed));
    cipher.init(Cipher.DECRYPT_MODE, one.getPrivate());
    assertArrayEquals(new byte[5], cipher.doFinal(sealed));
  }

  /** Programs try one key after the other and go by the exception. */
  @Test
  void aWrongKeyIsAnExceptionWithEveryPadding() throws Exception {
    for (String name : new String[] {PKCS1, OAEP, OAEP_SHA256}) {
      Cipher cipher = Cipher.getInstance(name);
      cipher.init(Cipher.ENCRYPT_MODE, other.getPublic());
      byte[] sealed = cipher.doFinal(new byte[32]);
      byte[] opened = null;
      for (PrivateKey key : Arrays.asList(one.getPrivate(), other.getPrivate())) {
        Cipher open = Cipher.getInstance(name);
        open.init(Cipher.DECRYPT_MODE, key);
        try {
          opened = open.doFinal(sealed);
          break;
        } catch (BadPaddingException e) {
          assertEquals(one.getPrivate(), key);
        }
      }
      assertArrayEquals(new byte[32], opened, name);
    }
  }

  @Test
  void theNamesThatTheSdkAsksForAreServed() throws Exception {
    SecretKeySpec aes = new SecretKeySpec(new byte[16], "AES");
    Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding");
    gcm.init(Cipher.ENCRYPT_MODE, aes);
    assertEquals(EmrKeysProvider.NAME, provider(gcm));
    for (String name : new String[] {OAEP, OAEP_SHA256}) {
      Cipher rsa = Cipher.getInstance(name);
      rsa.init(Cipher.WRAP_MODE, one.getPublic());
      assertEquals(EmrKeysProvider.NAME, provider(rsa), name);
    }
    for (String name :
        new String[] {"AES", "AESWrap", "AES/CBC/PKCS5Padding", "RSA", PKCS1, "RSA/ECB/NoPadding"}) {
      assertNotEquals(EmrKeysProvider.NAME, provider(Cipher.getInstance(name)), name);
    }
  }

  private static void roundTrip(String by, Key publicKey, Key privateKey) throws Exception {
    Cipher seal = Cipher.getInstance(OAEP);
    seal.init(Cipher.ENCRYPT_MODE, publicKey);
    byte[] sealed = seal.doFinal(new byte[7]);
    Cipher open = Cipher.getInstance(OAEP);
    open.init(Cipher.DECRYPT_MODE, privateKey);
    assertArrayEquals(new byte[7], open.doFinal(sealed));
    assertEquals(by, provider(seal));
    assertEquals(by, provider(open));
  }

  @Test
  void keysThatNativeCodeDoesNotTakeAreServedByTheJdk() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    BigInteger exponent = BigInteger.ONE.shiftLeft(40).add(BigInteger.valueOf(15));
    generator.initialize(new RSAKeyGenParameterSpec(2048, exponent));
    KeyPair large = generator.generateKeyPair();
    roundTrip("SunJCE", large.getPublic(), large.getPrivate());
  }

  private static PrivateKey ofTwoNumbers(KeyPair pair) throws Exception {
    RSAPrivateCrtKey whole = (RSAPrivateCrtKey) pair.getPrivate();
    RSAPrivateKeySpec bare = new RSAPrivateKeySpec(whole.getModulus(), whole.getPrivateExponent());
    return KeyFactory.getInstance("RSA").generatePrivate(bare);
  }

  /** Native code blinds no operation of a key whose public exponent it does not know; the JDK does. */
  @Test
  void aKeyOfTwoNumbersThatNativeCodeWouldNotBlindIsServedByTheJdk() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(new RSAKeyGenParameterSpec(2048, BigInteger.valueOf(17)));
    KeyPair unusual = generator.generateKeyPair();
    Key two = ofTwoNumbers(unusual);
    Cipher open = Cipher.getInstance(OAEP);
    open.init(Cipher.DECRYPT_MODE, two);
    assertEquals("SunJCE", provider(open));
    Cipher seal = Cipher.getInstance(OAEP);
    seal.init(Cipher.ENCRYPT_MODE, unusual.getPublic());
    assertArrayEquals(new byte[7], open.doFinal(seal.doFinal(new byte[7])));
    Cipher ours = Cipher.getInstance(OAEP, EmrKeysProvider.NAME);
    assertThrows(InvalidKeyException.class, () -> ours.init(Cipher.DECRYPT_MODE, two));
  }

  /** The shortest keys, and those of two numbers: a Cipher whose provider is chosen takes them. */
  @Test
  void keysThatTheJdkTakesAreServedOnceTheProviderIsChosen() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(512);
    KeyPair small = generator.generateKeyPair();
    roundTrip(EmrKeysProvider.NAME, small.getPublic(), small.getPrivate());
    roundTrip(EmrKeysProvider.NAME, one.getPublic(), ofTwoNumbers(one));
    Cipher chosen = Cipher.getInstance(OAEP);
    assertEquals(EmrKeysProvider.NAME, provider(chosen));
    chosen.init(Cipher.ENCRYPT_MODE, small.getPublic());
    Cipher theirs = Cipher.getInstance(OAEP, "SunJCE");
    theirs.init(Cipher.DECRYPT_MODE, small.getPrivate());
    assertArrayEquals(new byte[22], theirs.doFinal(chosen.doFinal(new byte[22])));
  }

  /** Room for no byte of a message is a fault of the key, before there is a message. */
  @Test
  void aKeyThatIsTooShortForTheHashIsRefusedAtInit() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(1024);
    KeyPair pair = generator.generateKeyPair();
    OAEPParameterSpec sha512 =
        new OAEPParameterSpec("SHA-512", "MGF1", MGF1ParameterSpec.SHA1, PSource.PSpecified.DEFAULT);
    for (String name : new String[] {"SunJCE", EmrKeysProvider.NAME}) {
      Cipher cipher = Cipher.getInstance(OAEP, name);
      assertThrows(
          InvalidKeyException.class,
          () -> cipher.init(Cipher.ENCRYPT_MODE, pair.getPublic(), sha512),
          name);
      assertThrows(
          InvalidKeyException.class,
          () -> cipher.init(Cipher.DECRYPT_MODE, pair.getPrivate(), sha512),
          name);
    }
  }

  @Test
  void everyHashOfOaepIsTakenByOneCipher() throws Exception {
    Cipher ours = Cipher.getInstance(OAEP_SHA256);
    ours.init(Cipher.ENCRYPT_MODE, one.getPublic());
    Cipher theirs = Cipher.getInstance(OAEP_SHA256, "SunJCE");
    String[] hashes = {
      "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256"
    };
    for (String hash : hashes) {
      for (String mask : hashes) {
        OAEPParameterSpec spec =
            new OAEPParameterSpec(
                hash, "MGF1", new MGF1ParameterSpec(mask), new PSource.PSpecified(new byte[3]));
        ours.init(Cipher.ENCRYPT_MODE, one.getPublic(), spec);
        theirs.init(Cipher.DECRYPT_MODE, one.getPrivate(), spec);
        assertArrayEquals(new byte[32], theirs.doFinal(ours.doFinal(new byte[32])));
        theirs.init(Cipher.ENCRYPT_MODE, one.getPublic(), spec);
        ours.init(Cipher.DECRYPT_MODE, one.getPrivate(), spec);
        assertArrayEquals(new byte[32], ours.doFinal(theirs.doFinal(new byte[32])));
        assertEquals(EmrKeysProvider.NAME, provider(ours));
      }
    }
    OAEPParameterSpec md5 =
        new OAEPParameterSpec("MD5", "MGF1", MGF1ParameterSpec.SHA1, PSource.PSpecified.DEFAULT);
    Cipher next = Cipher.getInstance(OAEP);
    next.init(Cipher.ENCRYPT_MODE, one.getPublic(), md5);
    assertEquals("SunJCE", provider(next));
    assertThrows(
        InvalidAlgorithmParameterException.class,
        () -> ours.init(Cipher.ENCRYPT_MODE, one.getPublic(), md5));
  }

  /** Ciphertexts of every length, and buffers of every length, as SunJCE treats them. */
  @Test
  void oaepFailsAsTheJdkFails() throws Exception {
    Cipher theirs = Cipher.getInstance(OAEP, "SunJCE");
    Cipher ours = Cipher.getInstance(OAEP, EmrKeysProvider.NAME);
    for (Cipher cipher : new Cipher[] {theirs, ours}) {
      String name = provider(cipher);
      cipher.init(Cipher.DECRYPT_MODE, one.getPrivate());
      assertEquals(0, cipher.update(new byte[5]).length, name);
      cipher.init(Cipher.DECRYPT_MODE, one.getPrivate());
      byte[] large = new byte[256];
      Arrays.fill(large, (byte) 0xff);
      for (byte[] bad : new byte[][] {{}, new byte[255], new byte[256], large}) {
        assertThrows(BadPaddingException.class, () -> cipher.doFinal(bad), name);
      }
      assertThrows(IllegalBlockSizeException.class, () -> cipher.doFinal(new byte[257]), name);
      assertThrows(
          ShortBufferException.class,
          () -> cipher.doFinal(new byte[256], 0, 256, new byte[255]),
          name);
      cipher.init(Cipher.ENCRYPT_MODE, one.getPublic());
      assertThrows(IllegalBlockSizeException.class, () -> cipher.doFinal(new byte[215]), name);
      assertEquals(256, cipher.getOutputSize(1), name);
    }
  }

  /** A ciphertext is a number: one that begins with zeros may come without them. */
  @Test
  void aCiphertextMayComeWithoutItsLeadingZeros() throws Exception {
    Cipher seal = Cipher.getInstance(OAEP);
    seal.init(Cipher.ENCRYPT_MODE, one.getPublic());
    byte[] sealed;
    do {
      sealed = seal.doFinal(new byte[9]);
    } while (sealed[0] != 0);
    Cipher open = Cipher.getInstance(OAEP);
    open.init(Cipher.DECRYPT_MODE, one.getPrivate());
    assertArrayEquals(new byte[9], open.doFinal(sealed, 1, 255));
    assertEquals(EmrKeysProvider.NAME, provider(open));
  }

  /** A key of a foreign class that claims to equal another one, and to hash alike. */
  private static final class Liar implements PublicKey, RSAKey {
    private static final long serialVersionUID = 1L;
    private final PublicKey real;
    private final Key claimed;

    Liar(PublicKey real, Key claimed) {
      this.real = real;
      this.claimed = claimed;
    }

    @Override
    public String getAlgorithm() {
      return real.getAlgorithm();
    }

    @Override
    public String getFormat() {
      return real.getFormat();
    }

    @Override
    public byte[] getEncoded() {
      return real.getEncoded();
    }

    @Override
    public BigInteger getModulus() {
      return ((RSAKey) real).getModulus();
    }

    @Override
    public boolean equals(Object object) {
      return true;
    }

    @Override
    public int hashCode() {
      return claimed.hashCode();
    }
  }

  @Test
  void aKeyIsItsEncodingWhateverItSaysThatItEquals() throws Exception {
    Cipher seal = Cipher.getInstance(OAEP, EmrKeysProvider.NAME);
    seal.init(Cipher.ENCRYPT_MODE, one.getPublic());
    Liar liar = new Liar(other.getPublic(), one.getPublic());
    seal.init(Cipher.ENCRYPT_MODE, liar);
    Cipher open = Cipher.getInstance(OAEP, EmrKeysProvider.NAME);
    open.init(Cipher.DECRYPT_MODE, other.getPrivate());
    assertArrayEquals(new byte[4], open.doFinal(seal.doFinal(new byte[4])));
  }

  /** Programs ask to see which parameters a cipher would have, and for a vector. */
  @Test
  void gcmHasParametersBeforeItIsInitialised() throws Exception {
    for (String name : new String[] {"SunJCE", EmrKeysProvider.NAME}) {
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding", name);
      GCMParameterSpec spec = cipher.getParameters().getParameterSpec(GCMParameterSpec.class);
      assertEquals(128, spec.getTLen(), name);
      assertEquals(12, spec.getIV().length, name);
      assertFalse(Arrays.equals(new byte[12], spec.getIV()), name);
      assertNull(cipher.getIV(), name);
    }
  }

  @Test
  void gcmOfOtherProgramsWorksOn() throws Exception {
    // SunJCE takes keys of this name, too.
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(
        Cipher.ENCRYPT_MODE,
        new SecretKeySpec(new byte[16], "Rijndael"),
        new GCMParameterSpec(96, new byte[12]));
    assertEquals(EmrKeysProvider.NAME, provider(cipher));
    byte[] sealed = cipher.doFinal(new byte[3]);
    cipher.init(
        Cipher.DECRYPT_MODE,
        new SecretKeySpec(new byte[16], "AES"),
        new GCMParameterSpec(96, new byte[12]));
    assertThrows(AEADBadTagException.class, () -> cipher.doFinal(new byte[20]));
    assertArrayEquals(new byte[3], cipher.doFinal(sealed));
    Cipher seal = Cipher.getInstance("AES/GCM/NoPadding");
    seal.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(new byte[16], "AES"));
    SealedObject object = new SealedObject("text", seal);
    assertEquals("text", object.getObject(new SecretKeySpec(new byte[16], "AES")));
  }
}
