//! `emrkeys emr-config classification`: the properties by which a cluster asks for keys and writes authenticated
//! objects.

use emrkeys_core::inspect::checks::{
    authenticated_content, is_s3a_option, is_v1_authenticated, Connector, EMRFS_CLASS, IMPLEMENTATION,
};
use emrkeys_core::release::Release;
use emrkeys_core::{config_summary, Client, Config, ConfigSummary, Settings};
use serde_json::{json, Value};

use super::{jar, EMRFS_JAR, PARQUET_CLASS, PARQUET_FACTORY, S3A_CLASS, S3A_INTERCEPTOR, S3A_JAR, S3_CLASS};
use crate::conf::{Loaded, OURS};
use crate::output::{note, Failure};

/// The properties of EMRFS from which keys are read, whatever the client.
const KEYS_OF_EMRFS: [&str; 2] = ["fs.s3.cse.rsa.", "fs.s3.cse.kms."];
const INTERCEPTORS: &str = "fs.s3a.audit.execution.interceptors";
const V1_COMPATIBILITY: &str = "fs.s3a.encryption.cse.v1.compatibility.enabled";
const ALLOW_LEGACY: &str = "emrkeys.s3a.allow-legacy";

/// The properties of the configuration that are ours or that decide how the client asks, those without which it would
/// not ask, and those without which it would write content that is not authenticated.
pub(super) fn document(
    jar_uri: Option<&str>,
    client: Client,
    release: Option<Release>,
    settings: &Loaded,
) -> Result<Value, Failure> {
    let config = Config::parse(client, settings).map_err(|error| settings.located(error))?;
    let summary = config_summary(&config);
    if client == Client::S3a {
        return Ok(json!([{ "Classification": "core-site", "Properties": s3a(jar_uri, settings)? }]));
    }
    let mut properties = taken(settings, |name| {
        OURS.iter().any(|prefix| name.starts_with(prefix))
    });
    if client == Client::Tables {
        properties.insert(
            "parquet.crypto.factory.class".to_owned(),
            PARQUET_FACTORY.to_owned(),
        );
        properties.insert(
            "parquet.encryption.kms.client.class".to_owned(),
            PARQUET_CLASS.to_owned(),
        );
        return Ok(json!([{ "Classification": "core-site", "Properties": properties }]));
    }
    if client == Client::S3 {
        emrfs(jar_uri, &summary, release, &mut properties)?;
    }
    let mut sites = vec![json!({ "Classification": "emrfs-site", "Properties": properties })];
    // The connector is looked up in core-site.
    if settings.get(IMPLEMENTATION).map(String::as_str) == Some(EMRFS_CLASS) {
        sites.push(json!({ "Classification": "core-site", "Properties": { IMPLEMENTATION: EMRFS_CLASS } }));
    } else if client == Client::S3 && Connector::of(release, settings) == Connector::Unknown {
        note(
            "note: this is for EMRFS, which serves s3:// up to emr-7.9; from emr-7.10.0 on S3A does, which reads none \
             of these properties: name the release by --release",
        );
    }
    Ok(Value::Array(sites))
}

fn taken(settings: &Settings, wanted: impl Fn(&str) -> bool) -> Settings {
    let wanted = settings.iter().filter(|(name, _)| wanted(name));
    wanted
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Adds the properties that EMRFS needs.
fn emrfs(
    jar_uri: Option<&str>,
    summary: &ConfigSummary,
    release: Option<Release>,
    properties: &mut Settings,
) -> Result<(), Failure> {
    let mut added = vec![];
    if let Some(uri) = jar_uri {
        added.push(("fs.s3.cse.enabled", "true"));
        added.push(("fs.s3.cse.encryptionMaterialsProvider", S3_CLASS));
        added.push((EMRFS_JAR, jar(Some(uri))?));
    }
    if !summary.rules.is_empty() {
        added.push(("fs.s3.cse.materialsDescription.enabled", "true"));
    }
    if let Some((name, value)) = authenticated_content(properties, summary, release) {
        note(format_args!(
            "note: {name}={value} is added: by its default, as far as is known, EMRFS writes AES-CBC, which is not \
             authenticated and which S3A cannot read"
        ));
        added.push((name, value));
    } else if properties.get("fs.s3.cse.cryptoMode").map(|mode| mode.trim()) == Some("EncryptionOnly") {
        note(
            "warning: fs.s3.cse.cryptoMode=EncryptionOnly is kept: EMRFS writes AES-CBC, which is not authenticated \
             and which S3A cannot read; remove the property to have authenticated objects",
        );
    }
    properties.extend(
        added
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Ok(())
}

/// The properties for S3A. Of EMRFS's own, those that define keys are taken along: S3A reads no other.
fn s3a(jar_uri: Option<&str>, settings: &Settings) -> Result<Settings, Failure> {
    let of_keys = |name: &str| KEYS_OF_EMRFS.iter().any(|prefix| name.starts_with(prefix));
    let mut properties = taken(settings, |name| {
        name.starts_with("emrkeys.")
            || name.starts_with("fs.s3a.encryption.")
            || is_s3a_option(name)
            || of_keys(name)
    });
    let mut set = |name: &str, value: &str| properties.insert(name.to_owned(), value.to_owned());
    set("fs.s3a.encryption.algorithm", "CSE-CUSTOM");
    set("fs.s3a.encryption.cse.custom.keyring.class.name", S3A_CLASS);
    if set(V1_COMPATIBILITY, "false").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        note(format_args!(
            "note: {V1_COMPATIBILITY} becomes false: with true S3A returns the ciphertext of some objects without an \
             error"
        ));
    }
    let others = settings.get(INTERCEPTORS).map_or("", |value| value.trim());
    if !others.split(',').any(|class| class.trim() == S3A_INTERCEPTOR) {
        let separator = if others.is_empty() { "" } else { "," };
        set(INTERCEPTORS, &format!("{others}{separator}{S3A_INTERCEPTOR}"));
    }
    // The default of Hadoop 3.4.3, analytics, takes the length of the ciphertext for that of the content.
    set("fs.s3a.input.stream.type", "classic");
    if is_v1_authenticated(settings) && !settings.contains_key(ALLOW_LEGACY) {
        note(format_args!(
            "note: {ALLOW_LEGACY}=true is added for the objects that EMRFS's V1 client wrote; remove it after `emrkeys \
             rewrap URI --to-rules --upgrade-wrap`"
        ));
        set(ALLOW_LEGACY, "true");
    }
    if let Some(uri) = jar_uri {
        set(S3A_JAR, jar(Some(uri))?);
        // Hadoop makes the interceptor before it fetches that jar, and S3A does not start without the class.
        note(
            "note: put the jar on the class path of the nodes, too (a bootstrap action that copies it, or \
             spark.jars): S3A looks for org.emrkeys.S3AReadInterceptor before it fetches the jar that \
             fs.s3a.cse.customKeyringProvider.uri names",
        );
    }
    Ok(properties)
}
