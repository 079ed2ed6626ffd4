package org.emrkeys.provider;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.ObjectName;
import org.apache.hadoop.conf.Configurable;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.Conf;
import org.emrkeys.bridge.NativeLoader;
import org.emrkeys.tests.support.KeyFiles;
import org.junit.jupiter.api.Test;

/** A provider whose class loader was collected leaves nothing behind. */
class UnloadTest {
  private static final int LOADERS = 4;
  private static final Pattern COPY = Pattern.compile("/emrkeys-[^/]+/libemrkeys_jni");

  private final KeyFiles files = KeyFiles.create();
  private final Configuration conf =
      Conf.with(
          Conf.aes(files.aes("k", 256)),
          "emrkeys.jce.install", "off",
          // A key of a key service has an MBean, and asking for it starts the threads of the network.
          "emrkeys.key.remote.type", "kms-cached",
          "emrkeys.key.remote.kms-key-id", "alias/nobody",
          "emrkeys.key.remote.region", "eu-west-1",
          "emrkeys.key.remote.endpoint", "http://127.0.0.1:1",
          "emrkeys.kms.deadline", "1s",
          "emrkeys.rule.remote.prefix", "s3://bucket/remote",
          "emrkeys.rule.remote.key", "remote",
          "fs.s3.cse.materialsDescription.enabled", "true");

  UnloadTest() throws IOException {}

  /** Loads classes of emrkeys itself, and leaves all others to the loader of this test. */
  private static final class Own extends URLClassLoader {
    Own() {
      super(new URL[] {NativeLoader.class.getProtectionDomain().getCodeSource().getLocation()});
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      synchronized (getClassLoadingLock(name)) {
        Class<?> loaded = findLoadedClass(name);
        return loaded != null || !name.startsWith("org.emrkeys.")
            ? super.loadClass(name, resolve)
            : findClass(name);
      }
    }

    @Override
    public URL getResource(String name) {
      return findResource(name);
    }
  }

  private void use(ClassLoader loader, boolean close) throws ReflectiveOperationException {
    Object provider =
        loader
            .loadClass("org.emrkeys.S3EncryptionMaterialsProvider")
            .getDeclaredConstructor()
            .newInstance();
    ((Configurable) provider).setConf(conf);
    EncryptionMaterialsProvider materials = (EncryptionMaterialsProvider) provider;
    assertEquals("AES", materials.getEncryptionMaterials().getSymmetricKey().getAlgorithm());
    assertThrows(
        RuntimeException.class,
        () ->
            materials.getEncryptionMaterials(
                Collections.singletonMap("Path", "s3://bucket/remote/object")));
    if (close) {
      provider.getClass().getMethod("close").invoke(provider);
    }
  }

  /** The thread ends: what its calls left with it is over, too. */
  private WeakReference<ClassLoader> useInAThread(boolean close, List<Throwable> failures)
      throws InterruptedException {
    Own loader = new Own();
    Thread user =
        new Thread(
            () -> {
              try (Own own = loader) {
                use(own, close);
              } catch (Throwable e) {
                failures.add(e);
              }
            });
    user.start();
    user.join();
    return new WeakReference<>(loader);
  }

  /** Copies of the library that are mapped. */
  private static Set<String> copies() throws IOException {
    Set<String> copies = new TreeSet<>();
    for (String line : Files.readAllLines(Paths.get("/proc/self/maps"), ISO_8859_1)) {
      Matcher found = COPY.matcher(line);
      if (found.find()) {
        copies.add(found.group());
      }
    }
    return copies;
  }

  private static List<String> threads() throws IOException {
    List<String> names = new ArrayList<>();
    try (DirectoryStream<Path> tasks = Files.newDirectoryStream(Paths.get("/proc/self/task"))) {
      for (Path task : tasks) {
        try {
          String name = new String(Files.readAllBytes(task.resolve("comm")), ISO_8859_1).trim();
          if (name.startsWith("emrkeys")) {
            names.add(name);
          }
        } catch (NoSuchFileException ended) {
          continue;
        }
      }
    }
    return names;
  }

  private static Set<ObjectName> beans() throws Exception {
    return ManagementFactory.getPlatformMBeanServer()
        .queryNames(new ObjectName("org.emrkeys:type=Keys,key=remote,*"), null);
  }

  private static long alive(List<WeakReference<ClassLoader>> loaders) {
    return loaders.stream().filter(loader -> loader.get() != null).count();
  }

  @Test
  void nothingIsLeftOfCollectedClassLoaders() throws Exception {
    List<String> threadsBefore = threads();
    Set<String> copiesBefore = copies();
    Set<String> copiesMade = new HashSet<>();
    int mostThreads = 0;
    List<WeakReference<ClassLoader>> loaders = new ArrayList<>();
    List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
    for (int i = 0; i < LOADERS; i++) {
      loaders.add(useInAThread(i % 2 == 0, failures));
      copiesMade.addAll(copies());
      mostThreads = Math.max(mostThreads, threads().size());
    }
    // Copies of earlier tests may go at any time: their class loaders are forgotten as well.
    copiesMade.removeAll(copiesBefore);
    assertEquals(Collections.emptyList(), failures);
    assertEquals(LOADERS, copiesMade.size());
    assertTrue(mostThreads > threadsBefore.size(), "no thread was started");
    for (int i = 0; i < 300; i++) {
      System.gc();
      System.runFinalization();
      if (alive(loaders) == 0
          && Collections.disjoint(copies(), copiesMade)
          && beans().isEmpty()
          && threads().size() <= threadsBefore.size()) {
        break;
      }
      Thread.sleep(20);
    }
    assertEquals(0, alive(loaders), "class loaders");
    assertEquals(Collections.emptySet(), beans());
    Set<String> left = copies();
    left.retainAll(copiesMade);
    assertEquals(Collections.emptySet(), left);
    List<String> threadsLeft = threads();
    assertTrue(threadsLeft.size() <= threadsBefore.size(), () -> "threads: " + threadsLeft);
  }
}
