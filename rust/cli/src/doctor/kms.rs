//! The KMS keys that a configuration names, and the right to use them.

use std::collections::HashMap;

use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::operation::generate_data_key::builders::GenerateDataKeyFluentBuilder;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, DryRunModifierType, KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_sdk_kms::Client;
use emrkeys_core::aws::{self, Arn, KmsTarget};
use emrkeys_core::inspect::Level;
use emrkeys_core::{Code, Error, KeySummary};
use zeroize::Zeroize;

use super::clock::Clock;
use super::report::Findings;
use crate::kms::{get_policy, Policy, DEADLINE};

/// The context that the checks of all keys share.
pub(super) struct Context<'a> {
    /// By which rules the calls are made: the cluster's, if this runs on one.
    pub(super) region: Option<String>,
    /// The role that is to use the keys, or why nobody knows.
    pub(super) principal: Result<String, String>,
    /// The role by which EMR makes clusters.
    pub(super) service_role: Option<&'a str>,
    /// Whether to make and open a data key.
    pub(super) live: bool,
    pub(super) clock: Clock,
}

impl Context<'_> {
    /// Checks `target`, which stands behind `key`, and gives its ARN. `buckets` have objects of that key, and regions;
    /// `ebs`: EBS volumes are encrypted under it, too.
    pub(super) fn check(
        &self,
        key: &KeySummary,
        target: &KmsTarget,
        buckets: &[(&String, &String)],
        ebs: bool,
        findings: &mut Findings,
    ) -> Result<Option<String>, Error> {
        let client = aws::block_on(DEADLINE, target.client())?;
        let call = client
            .describe_key()
            .key_id(&target.key_id)
            .customize()
            .interceptor(self.clock.clone())
            .send();
        let arn = match aws::block_on(DEADLINE, call)? {
            Ok(answer) => {
                let Some(described) = answer.key_metadata else {
                    return Ok(None);
                };
                self.describe(key, target, &described, buckets, findings);
                described.arn
            }
            Err(error) => {
                let problem = target.problem("DescribeKey", &error);
                if problem.code != Code::SourceDenied {
                    findings.problem("kms.exists", Level::Failure, &problem);
                    return Ok(None);
                }
                // Nothing but this tool needs that right.
                findings.problem("kms.exists", Level::Note, &problem);
                None
            }
        };
        // A keyring was opened by its protector when the provider was.
        if key.key_type != "keyring" {
            // A key that only reads needs no right to make data keys.
            if self.live && key.encrypts {
                round_trip(&client, key, target, findings)?;
            } else {
                self.dry_run(&client, key, target, findings)?;
            }
        }
        if let Some(arn) = &arn {
            self.key_users(&client, key, target, arn, ebs, findings);
        }
        Ok(arn)
    }

    /// The role that calls KMS: the one that the configuration names for it, or the cluster's.
    fn role<'b>(&'b self, target: &'b KmsTarget) -> Result<&'b str, &'b String> {
        match &target.access.role {
            Some(role) => Ok(&role.arn),
            None => self.principal.as_deref(),
        }
    }

    fn describe(
        &self,
        key: &KeySummary,
        target: &KmsTarget,
        described: &KeyMetadata,
        buckets: &[(&String, &String)],
        findings: &mut Findings,
    ) {
        let name = &key.name;
        let arn = described.arn.as_deref().unwrap_or(&target.key_id);
        findings.ok("kms.exists", format!("{name}: {arn}"));
        match &described.key_state {
            Some(KeyState::Enabled) | None => {
                findings.ok("kms.enabled", format!("{name}: the key is enabled"))
            }
            Some(state) => findings.fail(
                "kms.enabled",
                format!("{name}: the key is {}", state.as_str()),
                match state {
                    KeyState::PendingDeletion => {
                        format!(
                            "Cancel its deletion (`aws kms cancel-key-deletion --key-id {arn}`) and enable it (`aws \
                             kms enable-key --key-id {arn}`), or name another key."
                        )
                    }
                    _ => format!("Enable it (`aws kms enable-key --key-id {arn}`), or name another key."),
                },
            ),
        }
        let spec = described.key_spec.as_ref();
        let usage = described.key_usage.as_ref();
        if spec.is_some_and(|spec| *spec != KeySpec::SymmetricDefault)
            || usage.is_some_and(|usage| *usage != KeyUsageType::EncryptDecrypt)
        {
            findings.fail(
                "kms.usage",
                format!(
                    "{name}: the key is of kind {}, for {}",
                    spec.map_or("unknown", KeySpec::as_str),
                    usage.map_or("unknown", KeyUsageType::as_str)
                ),
                "Name a symmetric key for encryption and decryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT).",
            );
        } else {
            findings.ok(
                "kms.usage",
                format!("{name}: symmetric, for encryption and decryption"),
            );
        }
        let Some(Arn { region, account, .. }) = Arn::parse(arn) else {
            return;
        };
        self.regions(name, region, buckets, findings);
        let own = self
            .role(target)
            .ok()
            .and_then(Arn::parse)
            .map(|role| role.account);
        let Some(own) = own.filter(|own| *own != account) else {
            return;
        };
        let told = format!("{name}: the key is of account {account}, the role of {own}");
        if Arn::parse(&target.key_id).is_some() {
            findings.note(
                "kms.account",
                format!("{told}: the key's policy and the role's IAM policy must both allow the use"),
            );
        } else {
            findings.fail(
                "kms.account",
                format!("{told}, for which {} is another key or none", target.key_id),
                format!("Name the key by its ARN: {}={arn}", target.property),
            );
        }
    }

    fn regions(&self, name: &str, region: &str, buckets: &[(&String, &String)], findings: &mut Findings) {
        const CHECK: &str = "kms.region";
        let remedy =
            "Use a key of that region, or a multi-region key's replica in it: calls of another region cost \
            time, and fail with that region.";
        let mut same = true;
        if let Some(cluster) = self.region.as_deref().filter(|cluster| *cluster != region) {
            same = false;
            findings.warn(
                CHECK,
                format!("{name}: the key is in {region}, the cluster in {cluster}"),
                remedy,
            );
        }
        for (bucket, other) in buckets.iter().filter(|(_, other)| *other != region) {
            same = false;
            findings.warn(
                CHECK,
                format!("{name}: the key is in {region}, bucket {bucket} in {other}"),
                remedy,
            );
        }
        if self.region.is_none() {
            findings.note(
                CHECK,
                format!("{name}: {region}; that of the cluster is not known: name it by --region"),
            );
        } else if same {
            findings.ok(CHECK, format!("{name}: {region}"));
        }
    }

    /// Whether the calls would be allowed; nothing is made or opened.
    fn dry_run(
        &self,
        client: &Client,
        key: &KeySummary,
        target: &KmsTarget,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if key.encrypts {
            let call = data_key(client, target, key).dry_run(true);
            match aws::block_on(DEADLINE, call.send())? {
                Err(error) if error.code() == Some(WOULD_SUCCEED) => {
                    findings.ok(
                        "kms.generate",
                        format!("{}: GenerateDataKey is allowed (dry run)", key.name),
                    );
                }
                Err(error) => findings.problem(
                    "kms.generate",
                    Level::Failure,
                    &target.problem("GenerateDataKey", &error),
                ),
                Ok(_) => findings.note(
                    "kms.generate",
                    format!(
                        "{}: this endpoint knows no dry run, and made a data key",
                        key.name
                    ),
                ),
            }
        }
        let call = client
            .decrypt()
            .key_id(&target.key_id)
            .set_encryption_context(context(key))
            .dry_run(true)
            .dry_run_modifiers(DryRunModifierType::IgnoreCiphertext)
            .send();
        match aws::block_on(DEADLINE, call)? {
            Err(error) if error.code() == Some(WOULD_SUCCEED) => {
                findings.ok(
                    "kms.decrypt",
                    format!("{}: Decrypt is allowed (dry run)", key.name),
                );
            }
            Err(error) => {
                let problem = target.problem("Decrypt", &error);
                // An endpoint that wants a ciphertext all the same says nothing about rights.
                if matches!(
                    error.code(),
                    Some("InvalidCiphertextException" | "ValidationException")
                ) {
                    findings.note(
                        "kms.decrypt",
                        format!(
                            "{}: not checked: this endpoint tries Decrypt on a real ciphertext only{}",
                            key.name,
                            if key.encrypts { "; use --live" } else { "" }
                        ),
                    );
                } else {
                    findings.problem("kms.decrypt", Level::Failure, &problem);
                }
            }
            Ok(_) => findings.note(
                "kms.decrypt",
                format!("{}: this endpoint knows no dry run", key.name),
            ),
        }
        Ok(())
    }

    /// Whether the roles that need the key are its users.
    fn key_users(
        &self,
        client: &Client,
        key: &KeySummary,
        target: &KmsTarget,
        arn: &str,
        ebs: bool,
        findings: &mut Findings,
    ) {
        let name = &key.name;
        let policy = get_policy(target, client, arn)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                Policy::parse(&text).map_err(|why| format!("the key's policy could not be read: {why}"))
            });
        let user = self
            .role(target)
            .map_err(|why| format!("{why}; name the role by --role"));
        let service = self.service_role.ok_or_else(|| {
            "EBS volumes want the service role (EMR_DefaultRole) as a key user, too; name it by \
             --service-role"
                .to_owned()
        });
        let service = ebs.then_some(("kms.service-role", service));
        for (check, role) in [("kms.key-user", user)].into_iter().chain(service) {
            match (role, &policy) {
                (Ok(role), Ok(policy)) => key_user(check, name, arn, role, policy, findings),
                (Err(why), _) => findings.note(check, format!("{name}: not checked: {why}")),
                (Ok(_), Err(why)) => findings.note(check, format!("{name}: not checked: {why}")),
            }
        }
    }
}

/// Whether `policy` has `role` as a user, and what it denies it.
fn key_user(
    check: &'static str,
    name: &str,
    arn: &str,
    role: &str,
    policy: &Policy,
    findings: &mut Findings,
) {
    let account = Arn::parse(role).map_or("", |role| role.account);
    let remedy = format!("`emrkeys kms add-key-user {arn} --role {role} --apply`");
    if policy.is_user(role) {
        findings.ok(check, format!("{name}: {role}"));
    } else if policy.leaves_it_to_iam(account) {
        // AWS's default policy, which is right where the role's IAM policy allows the use.
        findings.note(
            check,
            format!(
                "{name}: {role} is not a key user; the key's policy leaves it to the IAM policies of account \
                 {account}. To name the \
                 role in the key's policy: {remedy}"
            ),
        );
    } else {
        findings.fail(
            check,
            format!("{name}: {role} is no key user, and the key's policy does not name account {account}"),
            format!("As an administrator of the key: {remedy}"),
        );
    }
    for denial in policy.denials(role, account) {
        let message = format!(
            "{name}: {:?} of the key's policy denies {role} the use",
            denial.name
        );
        if denial.conditional {
            findings.warn(
                check,
                format!("{message} under a condition"),
                "See that the condition is not met where data is read and written.",
            );
        } else {
            findings.fail(
                check,
                message,
                "Change that statement: a denial wins over every permission.",
            );
        }
    }
}

/// The error of KMS for a dry run that would succeed. Source: AWS KMS Developer Guide, "Test your permissions".
const WOULD_SUCCEED: &str = "DryRunOperationException";

/// The request for a data key, as the cluster makes it.
fn data_key(client: &Client, target: &KmsTarget, key: &KeySummary) -> GenerateDataKeyFluentBuilder {
    client
        .generate_data_key()
        .key_id(&target.key_id)
        .key_spec(DataKeySpec::Aes256)
        .set_encryption_context(context(key))
}

fn context(key: &KeySummary) -> Option<HashMap<String, String>> {
    Some(key.encryption_context.clone().into_iter().collect())
}

/// Makes a data key and opens it again.
fn round_trip(
    client: &Client,
    key: &KeySummary,
    target: &KmsTarget,
    findings: &mut Findings,
) -> Result<(), Error> {
    let made = match aws::block_on(DEADLINE, data_key(client, target, key).send())? {
        Ok(made) => made,
        Err(error) => {
            findings.problem(
                "kms.generate",
                Level::Failure,
                &target.problem("GenerateDataKey", &error),
            );
            return Ok(());
        }
    };
    findings.ok(
        "kms.generate",
        format!("{}: GenerateDataKey gave a data key", key.name),
    );
    let call = client
        .decrypt()
        .set_key_id(made.key_id)
        .set_ciphertext_blob(made.ciphertext_blob)
        .set_encryption_context(context(key))
        .send();
    let mut plaintext = made.plaintext.map(Blob::into_inner).unwrap_or_default();
    match aws::block_on(DEADLINE, call) {
        Ok(Ok(opened)) => {
            let mut bytes = opened.plaintext.map(Blob::into_inner).unwrap_or_default();
            if bytes.len() == 32 && bytes == plaintext {
                findings.ok("kms.decrypt", format!("{}: Decrypt opened it again", key.name));
            } else {
                findings.fail(
                    "kms.decrypt",
                    format!("{}: Decrypt gave another key", key.name),
                    "Check that the endpoint is KMS.",
                );
            }
            bytes.zeroize();
        }
        Ok(Err(error)) => findings.problem("kms.decrypt", Level::Failure, &target.problem("Decrypt", &error)),
        Err(error) => findings.error("kms.decrypt", &error),
    }
    plaintext.zeroize();
    Ok(())
}
