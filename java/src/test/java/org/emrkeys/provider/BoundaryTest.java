package org.emrkeys.provider;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configurable;
import org.emrkeys.Conf;
import org.emrkeys.EmrKeysException;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.bridge.NativeOwner;
import org.emrkeys.bridge.Natives;
import org.emrkeys.bridge.Wire;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Java and native code, and what either does when the other sends nonsense. */
public class BoundaryTest {
  private static final int CASES = 20_000;

  private final KeyFiles files = KeyFiles.create();
  private final KeyFiles.Aes key = files.aes("k", 256);
  private final HadoopSettings settings = new HadoopSettings(Conf.aes(key));

  BoundaryTest() throws IOException {}

  @BeforeAll
  static void loadTheLibrary() {
    NativeLoader.load(null);
  }

  /** The exception that a panic in native code becomes. */
  public static EmrKeysException panic() {
    loadTheLibrary();
    return assertThrows(EmrKeysException.class, () -> Wire.response(Natives.panic()));
  }

  @Test
  void aPanicIsAnExceptionWithFixedText() {
    EmrKeysException first = panic();
    assertEquals("INTERNAL", first.code());
    assertEquals(
        "a defect in emrkeys was caught [INTERNAL]."
            + " Report this defect, with what the log says around it.",
        first.getMessage());
    assertEquals(first.getMessage(), panic().getMessage());
  }

  @Test
  void bothSidesAreOfOneRelease() {
    assertEquals(Natives.ABI, Natives.abi());
  }

  @Test
  void useAfterCloseIsAnIllegalState() {
    ProviderHandle handle = ProviderHandle.open(Client.S3, settings);
    assertNotNull(handle.materials());
    handle.close();
    handle.close();
    assertThrows(IllegalStateException.class, handle::materials);
    assertThrows(IllegalStateException.class, () -> handle.materials(new HashMap<>()));
    assertThrows(IllegalStateException.class, () -> handle.refresh(settings));
  }

  @Test
  void aNumberThatIsNoHandleIsRefused() {
    for (long number : new long[] {0, -1, 1L << 40, Long.MIN_VALUE, Long.MAX_VALUE}) {
      assertCode("CLOSED", () -> Wire.response(Natives.materials(number, null)));
      assertEquals(0, Natives.close(number));
    }
  }

  @Test
  void aForgottenProviderIsClosedOnceTheCollectorFoundIt() throws Exception {
    Field handle = ProviderHandle.class.getDeclaredField("handle");
    handle.setAccessible(true);
    List<Long> open = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      open.add(handle.getLong(ProviderHandle.open(Client.S3, settings)));
    }
    for (int i = 0; i < 200 && !open.isEmpty(); i++) {
      System.gc();
      Thread.sleep(20);
      NativeOwner.releaseForgotten();
      open.removeIf(BoundaryTest::isClosed);
    }
    assertEquals(Collections.emptyList(), open);
  }

  /** Whether the native core knows no provider of this number. A number is not used twice. */
  private static boolean isClosed(long handle) {
    try {
      Wire.response(Natives.materials(handle, null));
      return false;
    } catch (EmrKeysException e) {
      return e.code().equals("CLOSED");
    }
  }

  @Test
  void nullsAndNonsenseFromJavaAreRefused() {
    byte[] none = {0, 0, 0, 0};
    for (byte[] bad : new byte[][] {null, {}, {1}, {0, 0, 0, 1}, {127, -1, -1, -1}, {-1, 0, 0, 0}}) {
      assertCode("INTERNAL", () -> Wire.response(Natives.configure(0, bad)));
      try (ProviderHandle.Start start = new ProviderHandle.Start(Client.S3, settings)) {
        assertCode("INTERNAL", () -> Wire.response(Natives.open(start.config, bad)));
      }
    }
    assertCode("INTERNAL", () -> Wire.response(Natives.configure(7, none)));
    assertCode("CLOSED", () -> Wire.response(Natives.open(-1, none)));
  }

  @Test
  void propertiesAndInputsAreWipedWhetherTheConfigurationServesOrNot() {
    HadoopSettings secret =
        new HadoopSettings(
            Conf.of(
                "emrkeys.key.k.type", "aes",
                "emrkeys.key.k.credential", "alias",
                "alias", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I=",
                "emrkeys.default.key", "k"));
    ProviderHandle.Start start = new ProviderHandle.Start(Client.S3, secret);
    byte[] properties = start.properties;
    byte[] inputs = start.inputs;
    assertTrue(new String(properties, UTF_8).contains("alias"));
    assertTrue(new String(inputs, UTF_8).contains("c2VjcmV0"));
    start.close();
    assertArrayEquals(new byte[properties.length], properties);
    assertArrayEquals(new byte[inputs.length], inputs);

    byte[] refused = "no properties".getBytes(UTF_8);
    assertCode("INTERNAL", () -> new ProviderHandle.Start(Client.S3, secret, refused));
    assertArrayEquals(new byte[refused.length], refused);
  }

  @Test
  void anAnswerWithAKeyIsWipedWhetherItIsReadOrNot() {
    ProviderHandle handle = ProviderHandle.open(Client.S3, settings);
    byte[] secret = "a key".getBytes(UTF_8);
    byte[] answer = new Wire.Encoder().u8(0).bytes(secret).toBytes();
    byte[] read = handle.wiped(answer, Wire.Decoder::bytes);
    assertArrayEquals(secret, read);
    assertArrayEquals(new byte[answer.length], answer);
    byte[] unread = new Wire.Encoder().u8(0).bytes(secret).toBytes();
    assertThrows(
        IllegalArgumentException.class,
        () ->
            handle.wiped(
                unread,
                in -> {
                  throw new IllegalArgumentException();
                }));
    assertArrayEquals(new byte[unread.length], unread);
    handle.close();
  }

  @Test
  void anyBytesFromJavaGiveAnAnswer() {
    ProviderHandle handle = ProviderHandle.open(Client.S3, settings);
    Random random = new Random(1);
    ProviderHandle.Start start = new ProviderHandle.Start(Client.S3, settings);
    byte[] whole = new Wire.Encoder().map(handle.materials().description()).toBytes();
    for (int i = 0; i < CASES; i++) {
      byte[] bytes = random.nextBoolean() ? whole.clone() : new byte[random.nextInt(64)];
      if (bytes.length == whole.length) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      } else {
        random.nextBytes(bytes);
      }
      answered(Natives.configure(0, bytes));
      answered(Natives.open(start.config, bytes));
      answered(Natives.materials(1, bytes));
    }
    start.close();
    handle.close();
  }

  private static void answered(byte[] response) {
    assertNotNull(response);
    assertTrue(response[0] == 0 || response[0] == 1);
  }

  @Test
  void anyBytesFromNativeCodeGiveMaterialsOrADefect() {
    Random random = new Random(2);
    for (int i = 0; i < CASES; i++) {
      byte[] response = new byte[random.nextInt(48)];
      random.nextBytes(response);
      if (response.length > 1) {
        response[0] = (byte) random.nextInt(3);
        response[1] = (byte) random.nextInt(5);
      }
      try {
        KeyMaterials.read(Wire.response(response));
      } catch (EmrKeysException | IllegalArgumentException expected) {
        // IllegalArgumentException: SecretKeySpec's own, for a key of no bytes.
        assertNotNull(expected.getMessage());
      }
    }
  }

  @Test
  void aHostileLengthIsADefectAndTakesNoMemory() {
    byte[] huge = {0, 1, 127, -1, -1, -1};
    assertCode("INTERNAL", () -> KeyMaterials.read(Wire.response(huge)));
    assertCode("INTERNAL", () -> Wire.response(huge.clone()).count(huge[2] + 9));
    assertCode("INTERNAL", () -> Wire.response(null));
    assertCode("INTERNAL", () -> Wire.response(new byte[0]));
    assertCode("INTERNAL", () -> Wire.response(new byte[] {2}));
  }

  @Test
  void whatIsWrittenIsReadBack() {
    Map<String, String> map = new HashMap<>();
    map.put("", "ü \ud83d\ude00 \u0000");
    map.put("null", null);
    Wire.Decoder in = new Wire.Decoder(new Wire.Encoder().map(map).bytes(null).toBytes());
    assertEquals(map, in.map());
    assertNull(in.bytes());
    byte[] secret = new Wire.Encoder().secret("pässword".toCharArray()).toBytes();
    assertArrayEquals("pässword".getBytes(UTF_8), new Wire.Decoder(secret).bytes());
  }

  @Test
  void twoClassLoadersInOneJvmHaveOneLibraryEach() throws Exception {
    List<URL> urls = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      urls.add(new File(entry).toURI().toURL());
    }
    List<Class<?>> classes = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      // Without the class path of this JVM as a parent, so that every class is loaded anew.
      try (URLClassLoader loader =
          new URLClassLoader(
              urls.toArray(new URL[0]), ClassLoader.getSystemClassLoader().getParent())) {
        Class<?> isolated = loader.loadClass(Isolated.class.getName());
        classes.add(isolated);
        byte[] found =
            (byte[]) isolated.getMethod("key", String.class).invoke(null, key.file.toString());
        assertArrayEquals(key.bytes(), found);
      }
    }
    assertNotSame(classes.get(0), classes.get(1));
    // The first library still works after the others' class loaders were closed.
    assertNotNull(ProviderHandle.open(Client.S3, settings).materials());
  }

  /** Loaded once by each class loader; what crosses between them is the JDK's. */
  public static final class Isolated {
    private Isolated() {}

    /** The default key of a provider that this class loader made. */
    public static byte[] key(String file) throws ReflectiveOperationException {
      EncryptionMaterialsProvider provider =
          (EncryptionMaterialsProvider)
              Class.forName("org.emrkeys.S3EncryptionMaterialsProvider")
                  .getConstructor()
                  .newInstance();
      // Off: a JCE provider of this class loader would stay in the JVM for all later tests.
      ((Configurable) provider)
          .setConf(Conf.with(Conf.aes(new File(file).toPath()), "emrkeys.jce.install", "off"));
      return provider.getEncryptionMaterials().getSymmetricKey().getEncoded();
    }
  }
}
