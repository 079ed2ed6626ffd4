package org.emrkeys.tests.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.util.Comparator;
import java.util.Set;
import java.util.stream.Stream;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** Key material for tests and the demo: fresh each run, in files that only the owner can read. */
public final class KeyFiles {
  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rw-------");

  private final Path folder;

  private KeyFiles(Path folder) {
    this.folder = folder;
  }

  /** Keys in a new folder that goes when the JVM ends. */
  public static KeyFiles create() throws IOException {
    Path folder = Files.createTempDirectory("emrkeys-test-keys");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder)));
    return new KeyFiles(folder);
  }

  /** With everything that tests put there. */
  private static void delete(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      all.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    } catch (IOException e) {
      System.err.println(folder + " stays: " + e);
    }
  }

  /** Where the files are. */
  public Path folder() {
    return folder;
  }

  /** A new AES key and the file that holds its raw bytes. */
  public Aes aes(String name, int bits) throws IOException {
    byte[] bytes = new byte[bits / 8];
    new SecureRandom().nextBytes(bytes);
    return new Aes(file(name + ".key", bytes), bytes);
  }

  /** A new RSA key pair and its files: X.509 and PKCS#8, DER, as AWS's RSA provider wants them. */
  public Rsa rsa(String name, int bits) throws IOException, GeneralSecurityException {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(bits);
    KeyPair pair = generator.generateKeyPair();
    return new Rsa(
        file(name + "-public.der", pair.getPublic().getEncoded()),
        file(name + "-private.der", pair.getPrivate().getEncoded()),
        pair);
  }

  /** A new file that only its owner can read. */
  public Path file(String name, byte[] bytes) throws IOException {
    Path file = folder.resolve(name);
    Files.createFile(file, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
    return Files.write(file, bytes);
  }

  /** An AES key in memory and on disk. */
  public static final class Aes {
    public final Path file;
    private final byte[] bytes;

    Aes(Path file, byte[] bytes) {
      this.file = file;
      this.bytes = bytes;
    }

    public byte[] bytes() {
      return bytes.clone();
    }

    public SecretKey secretKey() {
      return new SecretKeySpec(bytes, "AES");
    }
  }

  /** An RSA key pair in memory and on disk. */
  public static final class Rsa {
    public final Path publicFile;
    public final Path privateFile;
    public final KeyPair pair;

    Rsa(Path publicFile, Path privateFile, KeyPair pair) {
      this.publicFile = publicFile;
      this.privateFile = privateFile;
      this.pair = pair;
    }
  }
}
