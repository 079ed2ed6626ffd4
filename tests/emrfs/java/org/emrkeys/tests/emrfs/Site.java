package org.emrkeys.tests.emrfs;

import com.amazonaws.services.s3.model.EncryptionMaterialsProvider;
import org.apache.hadoop.conf.Configuration;
import org.emrkeys.tests.support.KeyFiles;

/** An emrfs-site in the making: a configuration, and the clusters that run with it. */
public final class Site {
  public static final String PROVIDER = "org.emrkeys.S3EncryptionMaterialsProvider";
  public static final String JOB_FLOW = "j-2AXXXXXXGAPLF";

  private final Configuration conf = new Configuration(false);

  private Site() {
    conf.setBoolean("fs.s3.cse.enabled", true);
    conf.set(EmrfsStandIn.PROVIDER, PROVIDER);
  }

  /** A site that passes the object's location to the provider. */
  public static Site described() {
    return new Site().set(EmrfsStandIn.DESCRIPTION, "true");
  }

  /** A site that passes nothing to the provider, EMRFS's default. */
  public static Site plain() {
    return new Site();
  }

  public Site set(String property, String value) {
    conf.set(property, value);
    return this;
  }

  public String get(String property) {
    return conf.get(property);
  }

  /** The class that AWS's client gets its materials from; emrkeys unless this is called. */
  public Site provider(Class<? extends EncryptionMaterialsProvider> type) {
    return set(EmrfsStandIn.PROVIDER, type.getName());
  }

  public Site aes(String key, KeyFiles.Aes material) {
    return set("emrkeys.key." + key + ".type", "aes")
        .set("emrkeys.key." + key + ".file", material.file.toUri().toString());
  }

  public Site rsa(String key, KeyFiles.Rsa material) {
    return set("emrkeys.key." + key + ".type", "rsa")
        .set("emrkeys.key." + key + ".public", material.publicFile.toUri().toString())
        .set("emrkeys.key." + key + ".private", material.privateFile.toUri().toString());
  }

  public Site kms(String key, String keyId) {
    return set("emrkeys.key." + key + ".type", "kms")
        .set("emrkeys.key." + key + ".kms-key-id", keyId);
  }

  /** A key of type {@code kms-cached} on the local server. */
  public Site kmsCached(String key, String keyId, LocalAws aws) {
    return set("emrkeys.key." + key + ".type", "kms-cached")
        .set("emrkeys.key." + key + ".kms-key-id", keyId)
        .set("emrkeys.key." + key + ".endpoint", aws.endpoint());
  }

  /** A key of type {@code keyring}, in S3 and under a KMS key of the local server. */
  public Site keyring(String key, String uri, String kmsKeyId, LocalAws aws) {
    return set("emrkeys.key." + key + ".type", "keyring")
        .set("emrkeys.key." + key + ".uri", uri)
        .set("emrkeys.key." + key + ".kms-key-id", kmsKeyId)
        .set("emrkeys.key." + key + ".endpoint", aws.endpoint())
        .set("emrkeys.s3.endpoint", aws.endpoint())
        .set("emrkeys.s3.region", LocalAws.REGION)
        .set("emrkeys.s3.path-style-access", "true");
  }

  public Site rule(String name, String prefix, String key) {
    return set("emrkeys.rule." + name + ".prefix", prefix).set("emrkeys.rule." + name + ".key", key);
  }

  public Site defaultKey(String key) {
    return set("emrkeys.default.key", key);
  }

  public Configuration configuration() {
    return conf;
  }

  /** A cluster with the client and mode that the site asks for, EMRFS's defaults where it asks for none. */
  public EmrfsStandIn start(LocalAws aws) {
    return start(aws, Mode.of(conf), JOB_FLOW);
  }

  /** A cluster with this site. */
  public EmrfsStandIn start(LocalAws aws, Mode mode) {
    return start(aws, mode, JOB_FLOW);
  }

  public EmrfsStandIn start(LocalAws aws, Mode mode, String jobFlow) {
    Configuration ours = new Configuration(conf);
    mode.applyTo(ours);
    return new EmrfsStandIn(aws, ours, mode, jobFlow);
  }
}
