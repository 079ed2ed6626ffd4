package org.emrkeys.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.Provider;
import java.security.interfaces.RSAPrivateCrtKey;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.RSAPublicKeySpec;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** One message over and over, through {@code javax.crypto}: what one thread of a measurement does. */
final class CryptoMessage {
  /** Data arrives in pieces of this size, as the S3 clients feed it. */
  private static final int UPDATE = 64 << 10;

  private static final Key AES = new SecretKeySpec(filled(32, 7), "AES");
  private static final byte[] CBC_IV = filled(16, 3);

  private final Kind kind;
  private final Provider provider;
  private final int size;
  private final byte[] in;
  private final byte[] out;
  private final byte[] iv = new byte[12];

  /**
   * Conscrypt copies the whole of both arrays for every update, however little of them is used. Its
   * users give it short arrays, and so it gets them here.
   */
  private final boolean byPieces;

  private final byte[] piece = new byte[UPDATE];
  private Cipher cipher;
  private AlgorithmParameterSpec parameters;
  private int length;

  /** The operation on it; the parameters select GCM decryption, as they do for the clients. */
  enum Kind {
    GCM_ENCRYPT("AES/GCM/NoPadding"),
    GCM_DECRYPT_BY_IV("AES/GCM/NoPadding"),
    GCM_DECRYPT("AES/GCM/NoPadding"),
    CTR("AES/CTR/NoPadding"),
    CBC_ENCRYPT("AES/CBC/PKCS5Padding"),
    CBC_DECRYPT("AES/CBC/PKCS5Padding"),
    RSA_UNWRAP("RSA/ECB/OAEPPadding");

    final String transformation;

    Kind(String transformation) {
      this.transformation = transformation;
    }

    boolean encrypts() {
      return this == GCM_ENCRYPT || this == CTR || this == CBC_ENCRYPT;
    }
  }

  /**
   * Prepares it.
   *
   * @param provider null for what a client gets, which is the first provider that has it
   * @param in as long as any message and what encryption adds
   * @throws GeneralSecurityException where the provider does not do this
   */
  CryptoMessage(Kind kind, Provider provider, int size, byte[] in, byte[] out)
      throws GeneralSecurityException {
    this.kind = kind;
    this.provider = provider;
    this.size = size;
    this.in = in;
    this.out = out;
    byPieces = provider != null && "Conscrypt".equals(provider.getName());
    if (kind == Kind.RSA_UNWRAP) {
      Cipher wrap = Cipher.getInstance(kind.transformation, "SunJCE");
      wrap.init(Cipher.WRAP_MODE, Rsa.PUBLIC);
      byte[] wrapped = wrap.wrap(AES);
      length = wrapped.length;
      System.arraycopy(wrapped, 0, in, 0, length);
    } else {
      cipher = instance();
      Arrays.fill(in, 0, size, (byte) 1);
      length = size;
      if (kind.encrypts()) {
        setParameters();
      } else {
        length = sealByJdk();
      }
    }
  }

  private Cipher instance() throws GeneralSecurityException {
    return provider == null
        ? Cipher.getInstance(kind.transformation)
        : Cipher.getInstance(kind.transformation, provider);
  }

  private void setParameters() {
    boolean gcm = kind == Kind.GCM_ENCRYPT || kind == Kind.GCM_DECRYPT;
    byte[] vector = kind == Kind.GCM_DECRYPT_BY_IV || gcm ? iv : CBC_IV;
    parameters = gcm ? new GCMParameterSpec(128, vector) : new IvParameterSpec(vector);
  }

  /** Leaves the ciphertext of the message in {@code in}. */
  private int sealByJdk() throws GeneralSecurityException {
    setParameters();
    boolean gcm = kind != Kind.CBC_DECRYPT;
    Cipher seal = Cipher.getInstance(kind.transformation, "SunJCE");
    seal.init(Cipher.ENCRYPT_MODE, AES, gcm ? new GCMParameterSpec(128, iv) : parameters);
    return seal.doFinal(in, 0, size, in, 0);
  }

  /** Does it once and compares the result with what the JDK makes of it. */
  void check() throws GeneralSecurityException {
    byte[] made = Arrays.copyOf(out, run());
    if (kind == Kind.RSA_UNWRAP) {
      return; // compared there
    }
    if (kind.encrypts()) {
      Cipher open = Cipher.getInstance(kind.transformation, "SunJCE");
      open.init(Cipher.DECRYPT_MODE, AES, parameters);
      made = open.doFinal(made);
    }
    byte[] plain = filled(size, 1);
    if (!Arrays.equals(made, plain)) {
      throw new IllegalStateException(kind + " of " + cipher.getProvider() + " is wrong");
    }
  }

  /** One message, initialisation included. Returns how many bytes it made. */
  int run() throws GeneralSecurityException {
    if (kind == Kind.RSA_UNWRAP) {
      // The clients make a new Cipher for every object.
      Cipher unwrap = instance();
      unwrap.init(Cipher.UNWRAP_MODE, Rsa.PRIVATE);
      Key key = unwrap.unwrap(Arrays.copyOf(in, length), "AES", Cipher.SECRET_KEY);
      if (!key.equals(AES)) {
        throw new IllegalStateException(kind + " is wrong");
      }
      return 0;
    }
    if (kind == Kind.GCM_ENCRYPT) {
      // Providers refuse a vector that was used.
      for (int i = iv.length - 1; i >= 0 && ++iv[i] == 0; i--) {}
      setParameters();
    }
    cipher.init(kind.encrypts() ? Cipher.ENCRYPT_MODE : Cipher.DECRYPT_MODE, AES, parameters);
    if (length <= UPDATE) {
      return cipher.doFinal(in, 0, length, out, 0);
    }
    int made = 0;
    for (int at = 0; at < length; at += UPDATE) {
      int now = Math.min(UPDATE, length - at);
      if (byPieces) {
        System.arraycopy(in, at, piece, 0, now);
        byte[] part = cipher.update(piece, 0, now);
        if (part != null) {
          System.arraycopy(part, 0, out, made, part.length);
          made += part.length;
        }
      } else {
        made += cipher.update(in, at, now, out, made);
      }
    }
    return made + cipher.doFinal(out, made);
  }

  private static byte[] filled(int size, int value) {
    byte[] bytes = new byte[size];
    Arrays.fill(bytes, (byte) value);
    return bytes;
  }

  /** A pair of 2048 bits. */
  private static final class Rsa {
    static final RSAPrivateCrtKey PRIVATE;
    static final Key PUBLIC;

    static {
      Path file = Paths.get(System.getProperty("emrkeys.test.keys"), "pkcs8.der");
      try {
        KeyFactory factory = KeyFactory.getInstance("RSA");
        PRIVATE =
            (RSAPrivateCrtKey)
                factory.generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(file)));
        PUBLIC =
            factory.generatePublic(
                new RSAPublicKeySpec(PRIVATE.getModulus(), PRIVATE.getPublicExponent()));
      } catch (Exception e) {
        throw new ExceptionInInitializerError(e);
      }
    }
  }
}
