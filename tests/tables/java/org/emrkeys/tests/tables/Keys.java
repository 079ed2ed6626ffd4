package org.emrkeys.tests.tables;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.iceberg.EmrKeysKeyManagementClient;
import org.emrkeys.tests.emrfs.Cli;
import org.emrkeys.tests.emrfs.LocalAws;
import org.emrkeys.tests.emrfs.Stack;
import org.emrkeys.tests.support.KeyFiles;

/** A keyring and AES keys in files, a cached KMS key on the local server, and the properties for them. */
final class Keys {
  private final KeyFiles files = KeyFiles.create();
  private final Path protector = files.aes("protector", 256).file;
  private final Path keyring = files.folder().resolve("lake.keyring");
  private final Configuration conf = new Configuration(false);

  /** With a keyring {@code lake} and an AES key {@code cards}. */
  Keys() throws IOException, InterruptedException {
    keyring.toFile().deleteOnExit();
    change("create", "--name", "lake");
    conf.set("emrkeys.key.lake.type", "keyring");
    conf.set("emrkeys.key.lake.uri", keyring.toUri().toString());
    conf.set("emrkeys.key.lake.protector-file", protector.toUri().toString());
    conf.set("emrkeys.keyring.max-age", "1s");
    conf.set("emrkeys.key.cards.type", "aes");
    conf.set("emrkeys.key.cards.file", files.aes("cards", 256).file.toUri().toString());
  }

  /** Adds a key of type {@code kms-cached}. */
  Keys kmsCached(String name) throws IOException {
    LocalAws aws = Stack.aws();
    conf.set("emrkeys.key." + name + ".type", "kms-cached");
    conf.set("emrkeys.key." + name + ".kms-key-id", aws.createKmsKey());
    conf.set("emrkeys.key." + name + ".endpoint", aws.endpoint());
    return this;
  }

  /** Runs {@code emrkeys keyring COMMAND} on the keyring. */
  String change(String command, String... more) throws IOException, InterruptedException {
    List<String> arguments =
        new ArrayList<>(Arrays.asList("keyring", command, keyring.toUri().toString()));
    arguments.addAll(Arrays.asList(more));
    arguments.add("--protector-file");
    arguments.add(protector.toUri().toString());
    return Cli.succeed(arguments.toArray(new String[0]));
  }

  /** Runs {@code emrkeys COMMAND ...} with this configuration. */
  String tool(String... arguments) throws IOException, InterruptedException {
    List<String> all = new ArrayList<>(Arrays.asList(arguments));
    conf.forEach(property -> all.addAll(Arrays.asList("-D", property.getKey() + "=" + property.getValue())));
    return Cli.succeed(all.toArray(new String[0]));
  }

  Configuration conf() {
    return new Configuration(conf);
  }

  /** The properties of a catalog: those of a configuration, and some that are not ours. */
  static Map<String, String> catalog(Configuration conf) {
    Map<String, String> catalog = new HashMap<>();
    conf.forEach(property -> catalog.put(property.getKey(), property.getValue()));
    catalog.put("warehouse", "s3://lake/warehouse");
    catalog.put("encryption.kms-impl", EmrKeysKeyManagementClient.class.getName());
    catalog.put("s3.secret-access-key", "canary-of-the-catalog");
    return catalog;
  }

  /** The properties without one key. */
  Configuration without(String key) {
    Configuration less = new Configuration(false);
    conf.forEach(
        property -> {
          if (!property.getKey().startsWith("emrkeys.key." + key + ".")) {
            less.set(property.getKey(), property.getValue());
          }
        });
    return less;
  }
}
