package org.emrkeys.tests.tables;

import static org.emrkeys.tests.support.Codes.assertCode;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.iceberg.encryption.EncryptionUtil;
import org.apache.iceberg.encryption.KeyManagementClient;
import org.emrkeys.EmrKeysException;
import org.emrkeys.iceberg.EmrKeysKeyManagementClient;
import org.junit.jupiter.api.Test;

/** Iceberg on a class path that lacks Hadoop, as far as a class loader can be one. */
class WithoutHadoopTest {
  private final Keys keys = new Keys();

  WithoutHadoopTest() throws IOException, InterruptedException {}

  /** Runs {@code inside} by classes of its own, on this class path less what is in {@code absent}. */
  private void run(Class<? extends Consumer<Map<String, String>>> inside, String... absent)
      throws Exception {
    List<URL> there = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
      if (Arrays.stream(absent).noneMatch(new File(entry).getName()::startsWith)) {
        there.add(new File(entry).toURI().toURL());
      }
    }
    ClassLoader platform = ClassLoader.getSystemClassLoader().getParent();
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    try (URLClassLoader loader = new URLClassLoader(there.toArray(new URL[0]), platform)) {
      thread.setContextClassLoader(loader); // Iceberg looks for classes there first
      @SuppressWarnings("unchecked")
      Consumer<Map<String, String>> made =
          (Consumer<Map<String, String>>)
              loader.loadClass(inside.getName()).getConstructor().newInstance();
      assertEquals(loader, made.getClass().getClassLoader());
      made.accept(Keys.catalog(keys.conf()));
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  @Test
  void theClientWorksByThePropertiesOfItsCatalogAlone() throws Exception {
    run(Works.class, "hadoop-", "commons-logging-");
  }

  @Test
  void whatOnlyHadoopHasIsRefused() throws Exception {
    run(Refuses.class, "hadoop-", "commons-logging-");
  }

  @Test
  void aHadoopThatIsThereInPartIsRefused() throws Exception {
    run(RefusesAPart.class, "hadoop-client-runtime-");
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  /** Wraps, unwraps, generates, and does so once more where it was deserialized. */
  public static final class Works implements Consumer<Map<String, String>> {
    @Override
    public void accept(Map<String, String> catalog) {
      for (String absent :
          new String[] {
            "org.apache.hadoop.conf.Configuration", "org.apache.commons.logging.LogFactory"
          }) {
        assertThrows(ClassNotFoundException.class, () -> Class.forName(absent));
      }
      KeyManagementClient client = EncryptionUtil.createKmsClient(catalog);
      ByteBuffer key = ByteBuffer.wrap("0123456789abcdef".getBytes(StandardCharsets.UTF_8));
      byte[] serialized = serialized(client);
      assertFalse(new String(serialized, StandardCharsets.ISO_8859_1).contains("canary"));
      for (String name : new String[] {"lake", "cards"}) { // a keyring and a key, both in files
        ByteBuffer wrapped = client.wrapKey(key, name);
        assertEquals(key, client.unwrapKey(wrapped, name));
        KeyManagementClient.KeyGenerationResult made = client.generateKey(name);
        KeyManagementClient there = deserialized(serialized);
        assertArrayEquals(bytes(made.key()), bytes(there.unwrapKey(made.wrappedKey(), name)));
        assertCode("WRAPPED_KEY_INVALID", () -> there.unwrapKey(key, name));
      }
      assertCode("UNKNOWN_KEY", () -> client.wrapKey(key, "lakes"));
    }

    private static byte[] serialized(KeyManagementClient client) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      try (ObjectOutputStream objects = new ObjectOutputStream(out)) {
        objects.writeObject(client);
      } catch (IOException e) {
        throw new AssertionError(e);
      }
      return out.toByteArray();
    }

    private static KeyManagementClient deserialized(byte[] serialized) {
      try {
        return (KeyManagementClient)
            new ObjectInputStream(new ByteArrayInputStream(serialized)).readObject();
      } catch (IOException | ClassNotFoundException e) {
        throw new AssertionError(e);
      }
    }
  }

  /** Each refusal has its code, and names the property and Hadoop. */
  public static final class Refuses implements Consumer<Map<String, String>> {
    @Override
    public void accept(Map<String, String> catalog) {
      catalog.put("emrkeys.key.far.type", "aes");
      catalog.put("emrkeys.key.far.file", "hdfs:///keys/far.key");
      catalog.put("emrkeys.key.hidden.type", "aes");
      catalog.put("emrkeys.key.hidden.credential", "lake.key");
      EmrKeysKeyManagementClient client = new EmrKeysKeyManagementClient();
      client.initialize(catalog); // a key is opened when it is named
      client.generateKey("cards");
      refused("KEY_FILE_UNREADABLE", "emrkeys.key.far.file", () -> client.generateKey("far"));
      refused("SOURCE_UNAVAILABLE", "emrkeys.key.hidden.credential", () -> client.generateKey("hidden"));
      catalog.put("emrkeys.key.cards.file", "file:///${user.home}/cards.key");
      refused("INVALID_VALUE", "emrkeys.key.cards.file", () -> client.initialize(catalog));
      client.generateKey("cards"); // as it was configured before
      catalog.put("emrkeys.key.cards.file", "file:///cards.key");
      catalog.put("emrkeys.key.cards.fil", "x");
      EmrKeysException unknown =
          assertCode("UNKNOWN_PROPERTY", () -> client.initialize(catalog));
      assertTrue(unknown.getMessage().contains("emrkeys.key.cards.fil"), unknown.getMessage());
    }

    private static void refused(String code, String property, Runnable call) {
      String message = assertCode(code, call::run).getMessage();
      assertTrue(message.contains(property), message);
      assertTrue(message.contains("Hadoop is not on the class path"), message);
    }
  }

  /** Its properties may say something, so that to go on without them would be to guess. */
  public static final class RefusesAPart implements Consumer<Map<String, String>> {
    @Override
    public void accept(Map<String, String> catalog) {
      EmrKeysException refused =
          assertCode("NOT_CONFIGURED", () -> new EmrKeysKeyManagementClient().initialize(catalog));
      assertTrue(refused.getMessage().contains("hadoop-client-runtime"), refused.getMessage());
    }
  }
}
