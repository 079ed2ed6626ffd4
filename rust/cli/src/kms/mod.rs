//! `emrkeys kms …`: what the EMR guide has done by hand in the console.

mod policy;

use std::io::{stdout, Write};
use std::time::Duration;

use aws_sdk_kms::Client;
use clap::{Args, Subcommand};
use emrkeys_core::aws::{self, Arn, KmsAccess, KmsTarget};
use emrkeys_core::Error;
use serde_json::{json, Value};
use similar::TextDiff;

pub use self::policy::Policy;
pub(crate) use self::policy::{principal_of, role_by_arn};
use self::policy::{role, role_arn, Denial, Part};
use crate::aws::Aws;
use crate::output::{note, Failure};
use crate::Form;

/// For one call of KMS or STS.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How long after a policy was put another operator's call, worked out from the policy before it, may still arrive.
const SETTLE: Duration = Duration::from_secs(1);

/// The one policy that a key has. Source: AWS KMS API reference, `GetKeyPolicy`, "PolicyName".
const POLICY_NAME: &str = "default";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the statements of a key's policy that let somebody use the key, and who that is
    #[command(after_help = "\
Example:
  emrkeys kms show-policy alias/lake")]
    ShowPolicy {
        #[command(flatten)]
        key: Key,
        /// Print the whole policy
        #[arg(long)]
        all: bool,
    },
    /// Makes a role a key user, as the console does: prints the change, and makes it with --apply
    ///
    /// Every other statement stays as it is. A policy that neither the account nor the caller could change afterwards
    /// is refused.
    #[command(after_help = "\
Example:
  emrkeys kms add-key-user alias/lake --role EMR_EC2_DefaultRole
  emrkeys kms add-key-user alias/lake --role EMR_EC2_DefaultRole --apply")]
    AddKeyUser {
        #[command(flatten)]
        key: Key,
        /// The role: its name, with its path if it has one, in the key's account, or its ARN
        #[arg(long, value_name = "NAME|ARN", value_parser = role)]
        role: String,
        /// Put the new policy
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Args)]
pub(crate) struct Key {
    /// The KMS key: ARN, key id or alias
    #[arg(value_name = "KEY")]
    key: String,
}

impl Command {
    pub(crate) fn run(&self, form: Form, aws: &Aws) -> Result<(), Failure> {
        match self {
            Command::ShowPolicy { key, all } => show(&Found::new(key, aws)?, *all, form),
            Command::AddKeyUser { key, role, apply } => add(&Found::new(key, aws)?, role, *apply, form, aws),
        }
    }
}

/// A key and its policy.
struct Found {
    target: KmsTarget,
    client: Client,
    arn: String,
    text: String,
    policy: Policy,
}

impl Found {
    fn new(key: &Key, aws: &Aws) -> Result<Found, Failure> {
        let target = KmsTarget {
            property: "KEY".to_owned(),
            key_id: key.key.clone(),
            access: KmsAccess {
                endpoint: aws.kms_endpoint().cloned(),
                region: aws.region.clone(),
                role: None,
            },
        };
        let client = aws::block_on(DEADLINE, target.client())?;
        let described = aws::block_on(DEADLINE, client.describe_key().key_id(&target.key_id).send())?
            .map_err(|error| Error::from(target.problem("DescribeKey", &error)))?;
        // GetKeyPolicy and PutKeyPolicy take no alias.
        let arn = described.key_metadata.and_then(|key| key.arn).ok_or_else(|| {
            Failure::Refused("KMS described a key without an ARN; check the endpoint".to_owned())
        })?;
        let text = get_policy(&target, &client, &arn)?;
        let policy = Policy::parse(&text).map_err(|why| {
            Failure::Refused(format!(
                "the policy of {arn} could not be read: {why}. Change it in the console."
            ))
        })?;
        Ok(Found {
            target,
            client,
            arn,
            text,
            policy,
        })
    }

    fn account(&self) -> &str {
        Arn::parse(&self.arn).map_or("", |arn| arn.account)
    }
}

/// The key policy, as KMS has it.
pub(crate) fn get_policy(target: &KmsTarget, client: &Client, arn: &str) -> Result<String, Error> {
    let call = client
        .get_key_policy()
        .key_id(arn)
        .policy_name(POLICY_NAME)
        .send();
    let answer = aws::block_on(DEADLINE, call)?
        .map_err(|error| Error::from(target.problem("GetKeyPolicy", &error)))?;
    Ok(answer.policy.unwrap_or_default())
}

/// The identity of the caller: the ARN of a user, or of a role's session. The error says why STS does not answer.
pub(crate) fn caller(region: Option<&str>) -> Result<String, String> {
    let shared = aws::config(region).map_err(|error| error.to_string())?;
    let sts = aws_sdk_sts::Client::new(&shared);
    let answer = aws::block_on(DEADLINE, sts.get_caller_identity().send())
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("STS did not say who calls: {}", aws::causes(&error)))?;
    answer.arn.ok_or_else(|| "STS did not say who calls".to_owned())
}

fn show(found: &Found, all: bool, form: Form) -> Result<(), Failure> {
    let users = found.policy.users(found.account());
    let mut out = stdout().lock();
    if form == Form::Json {
        let statements: Vec<Value> = users
            .iter()
            .map(|user| json!({ "part": part(user.part), "principals": user.principals, "statement": user.statement }))
            .collect();
        let document = json!({
            "key": found.arn,
            "key_users": statements,
            "left_to_iam": found.policy.leaves_it_to_iam(found.account()),
            "policy": all.then(|| found.policy.json()),
        });
        return Ok(writeln!(out, "{document:#}")?);
    }
    writeln!(out, "{}", found.arn)?;
    for user in &users {
        let title = match user.part {
            Some(Part::Use) => "key users",
            Some(Part::Grant) => "whose grants for AWS resources are accepted",
            None => "who may use the key in part, or under a condition",
        };
        writeln!(out, "\n{title}:")?;
        for principal in &user.principals {
            writeln!(out, "  {principal}")?;
        }
        writeln!(out, "{:#}", user.statement)?;
    }
    if users.is_empty() {
        writeln!(out, "\nno statement lets anybody use the key")?;
    }
    if found.policy.leaves_it_to_iam(found.account()) {
        writeln!(
            out,
            "\nThe account is named, too: whoever its IAM policies allow to may use the key."
        )?;
    }
    if all {
        writeln!(out, "\n{}", found.policy.pretty())?;
    }
    Ok(())
}

fn part(part: Option<Part>) -> &'static str {
    match part {
        Some(Part::Use) => "use",
        Some(Part::Grant) => "grant",
        None => "some",
    }
}

fn add(found: &Found, role: &str, apply: bool, form: Form, aws: &Aws) -> Result<(), Failure> {
    let role = role_arn(role, &found.arn).map_err(|why| Failure::Usage(format!("--role: {why}")))?;
    let denials = found.policy.denials(&role, found.account());
    let changed = found.policy.with_user(&role);
    if let Some(changed) = &changed {
        check(found, changed, aws)?;
        if apply {
            put(found, changed)?;
        }
    }
    let mut out = stdout().lock();
    let before = found.policy.pretty();
    let after = changed.as_ref().map_or_else(|| before.clone(), Policy::pretty);
    let diff = TextDiff::from_lines(&before, &after);
    let diff = diff
        .unified_diff()
        .missing_newline_hint(false)
        .header("policy", "policy, new")
        .to_string();
    match (form, &changed) {
        (Form::Json, _) => {
            let document = json!({
                "key": found.arn,
                "role": role,
                "changed": changed.is_some(),
                "applied": apply && changed.is_some(),
                "diff": diff,
                "policy": changed.as_ref().unwrap_or(&found.policy).json(),
                "warnings": denials.iter().map(|denial| warning(denial, &role)).collect::<Vec<_>>(),
            });
            writeln!(out, "{document:#}")?;
        }
        (Form::Text, None) => writeln!(out, "{role} is a key user of {} already", found.arn)?,
        (Form::Text, Some(_)) => {
            writeln!(out, "{diff}")?;
            if apply {
                writeln!(out, "{role} is now a key user of {}", found.arn)?;
            } else {
                writeln!(out, "nothing was changed; --apply puts this policy")?;
            }
        }
    }
    if form == Form::Text {
        for denial in &denials {
            note(format_args!("warning: {}", warning(denial, &role)));
        }
    }
    Ok(())
}

/// A denial wins over every permission.
fn warning(denial: &Denial, role: &str) -> String {
    let (name, when) = (
        &denial.name,
        if denial.conditional {
            "under a condition"
        } else {
            "in any case"
        },
    );
    format!(
        "{name:?} denies {role} the use of the key {when}, whatever else allows it; change that statement"
    )
}

/// A change that leaves nobody to change it again is not made, whoever was responsible for it.
fn check(found: &Found, changed: &Policy, aws: &Aws) -> Result<(), Failure> {
    let account = found.account();
    // Where the account may, it does not matter who calls.
    if changed.can_be_changed_by(account, None) {
        return Ok(());
    }
    let caller = caller(aws.region.as_deref());
    if let Ok(caller) = &caller {
        if changed.can_be_changed_by(account, Some(&principal_of(caller))) {
            return Ok(());
        }
    }
    let who = caller.unwrap_or_else(|why| format!("the caller ({why})"));
    Err(Failure::Refused(format!(
        "the policy of {} lets neither account {account} nor {who} change it again (kms:PutKeyPolicy, without a \
         condition). Have an \
         administrator of the key add a statement that does.",
        found.arn
    )))
}

/// Puts the policy that was worked out from the one that is there, and sees that it is in force and stays so.
///
/// KMS has no condition for `PutKeyPolicy`: of two operators at once the later one overwrites the other's change. The
/// earlier one learns of it from the last look.
fn put(found: &Found, changed: &Policy) -> Result<(), Failure> {
    let text = changed.text().map_err(|why| {
        Failure::Refused(format!("the policy cannot be put: {why}. Remove users who left."))
    })?;
    if get_policy(&found.target, &found.client, &found.arn)? != found.text {
        return Err(Failure::Changed(format!(
            "the policy of {} was changed by somebody else meanwhile; nothing was put. Try again.",
            found.arn
        )));
    }
    let call = found
        .client
        .put_key_policy()
        .key_id(&found.arn)
        .policy_name(POLICY_NAME)
        .policy(text)
        .send();
    aws::block_on(DEADLINE, call)?
        .map_err(|error| Error::from(found.target.problem("PutKeyPolicy", &error)))?;
    // KMS may answer with what it had for a moment. Source: AWS KMS Developer Guide, "Eventual consistency".
    for attempt in 0..5 {
        std::thread::sleep(Duration::from_millis(if attempt == 0 { 0 } else { 1000 }));
        let now = Policy::parse(&get_policy(&found.target, &found.client, &found.arn)?);
        if now.is_ok_and(|now| now.is_same(changed)) {
            return see_that_it_stays(found, changed);
        }
    }
    Err(Failure::Changed(format!(
        "the policy of {0} was put, and what KMS has is another one: somebody else changed it, or KMS writes it \
         differently. See \
         `emrkeys kms show-policy {0} --all`",
        found.arn
    )))
}

/// Looks at the policy once more, after the time in which another operator's call may have been under way.
fn see_that_it_stays(found: &Found, changed: &Policy) -> Result<(), Failure> {
    std::thread::sleep(SETTLE);
    let now = Policy::parse(&get_policy(&found.target, &found.client, &found.arn)?);
    if now.is_ok_and(|now| now.is_same(changed)) {
        return Ok(());
    }
    Err(Failure::Changed(format!(
        "the policy of {} was put, and somebody else overwrote it at the same time. Try again.",
        found.arn
    )))
}
