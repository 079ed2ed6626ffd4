//! Key policies: who the key users are, and one more of them.
//!
//! Pure: a document in, a document out. A key user, in AWS's words, is a principal of the two statements that its
//! console writes. Sources: AWS KMS Developer Guide, "Default key policy" ("Allows key users to use the KMS key", "…
//! with AWS services"); IAM User Guide, "Grammar of the IAM JSON policy language" and "IAM JSON policy elements
//! reference".

use emrkeys_core::aws::Arn;
use serde_json::{json, Map, Number, Value};

/// The largest key policy that KMS takes, in bytes. Source: AWS KMS API reference, `PutKeyPolicy`, "Policy".
pub(crate) const MAX_POLICY: usize = 32 * 1024;

/// The statement by which the console lets key users use the key.
const USE_SID: &str = "Allow use of the key";
/// The actions of [`USE_SID`].
pub(crate) const USE: [&str; 5] = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:DescribeKey",
];

/// The statement for services that act for them, such as EBS for the volumes of a cluster.
const GRANT_SID: &str = "Allow attachment of persistent resources";
/// The actions of [`GRANT_SID`].
const GRANT: [&str; 3] = ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"];
const FOR_AWS: &str = "kms:GrantIsForAWSResource";

/// A key policy, its fields in the order in which they were.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    document: Map<String, Value>,
}

/// The part of a statement in making a key user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It lets somebody use the key.
    Use,
    /// It lets somebody make grants for AWS resources.
    Grant,
}

/// A statement that lets somebody use the key.
#[derive(Debug)]
pub(crate) struct UserStatement<'a> {
    /// `None`: it does so in part, or under a condition.
    pub(crate) part: Option<Part>,
    pub(crate) statement: &'a Value,
    pub(crate) principals: Vec<&'a str>,
}

/// A statement that keeps a principal from using the key, or may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    /// Its id, or its place.
    pub(crate) name: String,
    /// Whether it depends on a condition, which only KMS can judge.
    pub(crate) conditional: bool,
}

impl Policy {
    /// Reads a document, and refuses what is no policy that KMS would take: a change must not rest on a guess.
    ///
    /// # Errors
    /// The fault, and the statement that has it.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let Value::Object(document) =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?
        else {
            return Err("it is not a JSON object".to_owned());
        };
        let policy = Policy { document };
        let statements = match policy.document.get("Statement") {
            Some(Value::Array(statements)) => statements.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => return Err("it has no Statement".to_owned()),
        };
        for (index, statement) in statements.iter().enumerate() {
            check(statement).map_err(|why| format!("statement {}: {why}", index + 1))?;
        }
        match policy.document.values().find_map(inexact) {
            Some(number) => Err(format!(
                "it has the number {number}, which may not be written again as it was: write it as text"
            )),
            None => Ok(policy),
        }
    }

    /// With two spaces for each level, as people edit it.
    pub fn pretty(&self) -> String {
        format!("{:#}", Value::Object(self.document.clone()))
    }

    /// The text to send: easy to read, or without spaces if that is too long.
    pub(crate) fn text(&self) -> Result<String, String> {
        let document = Value::Object(self.document.clone());
        [format!("{document:#}"), document.to_string()]
            .into_iter()
            .find(|text| text.len() <= MAX_POLICY)
            .ok_or_else(|| {
                format!(
                    "it would have more than the {} KiB that KMS takes",
                    MAX_POLICY / 1024
                )
            })
    }

    pub(crate) fn json(&self) -> Value {
        Value::Object(self.document.clone())
    }

    /// Whether both say the same; KMS keeps no order of principals or actions.
    pub(crate) fn is_same(&self, other: &Policy) -> bool {
        fn sorted(value: &mut Value) {
            match value {
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                }
                Value::Array(items) => items.iter_mut().for_each(sorted),
                Value::Object(fields) => fields.values_mut().for_each(sorted),
                _ => {}
            }
        }
        let (mut one, mut two) = (self.json(), other.json());
        sorted(&mut one);
        sorted(&mut two);
        one == two
    }

    fn statements(&self) -> &[Value] {
        match self.document.get("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        }
    }

    /// The statements that let somebody use the key, whoever wrote them, in order; without one that leaves it to the
    /// IAM policies of
    /// `account`.
    pub(crate) fn users(&self, account: &str) -> Vec<UserStatement<'_>> {
        // Administrators may describe a key, too, and do not use it.
        let using = |action: &&&str| **action != "kms:DescribeKey";
        self.statements()
            .iter()
            .filter(|statement| is(statement, "Allow"))
            .filter_map(|statement| {
                let principals = principals(statement, "Principal");
                if leaves_it_to_iam(statement, account)
                    && principals.iter().all(|named| is_root(named, account))
                {
                    return None;
                }
                let whole = unconditional(statement) && USE.iter().all(|action| covers(statement, action));
                let some = USE.iter().filter(using).any(|action| touches(statement, action));
                let part = part_of(statement).or(whole.then_some(Part::Use));
                (part.is_some() || some).then_some(UserStatement {
                    part,
                    statement,
                    principals,
                })
            })
            .collect()
    }

    /// Whether a statement of the policy itself, not of IAM, lets `principal` do all that key users do with a key.
    pub fn is_user(&self, principal: &str) -> bool {
        self.allows_all(principal, &USE, None)
    }

    /// The account is named, so that policies in IAM decide who else may use the key.
    pub(crate) fn leaves_it_to_iam(&self, account: &str) -> bool {
        self.statements()
            .iter()
            .any(|statement| leaves_it_to_iam(statement, account))
    }

    /// The policy with `principal` as a key user; `None` where it is one already.
    pub fn with_user(&self, principal: &str) -> Option<Policy> {
        let mut changed = self.clone();
        if !self.is_user(principal) {
            changed.add(Part::Use, principal);
        }
        if !self.allows_all(principal, &GRANT, Some(Part::Grant)) {
            changed.add(Part::Grant, principal);
        }
        (changed != *self).then_some(changed)
    }

    /// Whether for each action a statement without a condition, or else one of the kind `or`, allows it by name.
    fn allows_all(&self, principal: &str, actions: &[&str], or: Option<Part>) -> bool {
        actions.iter().all(|action| {
            self.statements().iter().any(|statement| {
                is(statement, "Allow")
                    && (unconditional(statement) || (or.is_some() && part_of(statement) == or))
                    && covers(statement, action)
                    && principals(statement, "Principal")
                        .iter()
                        .any(|named| *named == principal || *named == "*")
            })
        })
    }

    /// To the statement of the console's making, or in one of its own.
    fn add(&mut self, part: Part, principal: &str) {
        let new = self.new_statement(part, principal);
        let found = self
            .statements()
            .iter()
            .position(|statement| part_of(statement) == Some(part));
        let all = self.document.entry("Statement").or_insert_with(|| json!([]));
        if let Value::Object(_) = all {
            *all = json!([all.take()]);
        }
        let Value::Array(all) = all else { return };
        let named = found
            .and_then(|index| all.get_mut(index))
            .and_then(|statement| statement.get_mut("Principal"))
            .and_then(|principal| principal.get_mut("AWS"));
        match named {
            Some(Value::Array(names)) => names.push(principal.into()),
            Some(one) => *one = json!([one.take(), principal]),
            None => all.push(new),
        }
    }

    fn new_statement(&self, part: Part, principal: &str) -> Value {
        let taken = |sid: &str| {
            self.statements()
                .iter()
                .any(|statement| statement.get("Sid").and_then(Value::as_str) == Some(sid))
        };
        let (sid, actions): (_, &[&str]) = match part {
            Part::Use => (USE_SID, &USE),
            Part::Grant => (GRANT_SID, &GRANT),
        };
        // Ids are unique within a policy.
        let sid = std::iter::once(sid.to_owned())
            .chain((2..).map(|number| format!("{sid} {number}")))
            .find(|sid| !taken(sid));
        let mut statement = json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "AWS": principal },
            "Action": actions,
            "Resource": "*",
        });
        if let (Part::Grant, Value::Object(fields)) = (part, &mut statement) {
            fields.insert("Condition".to_owned(), json!({ "Bool": { FOR_AWS: "true" } }));
        }
        statement
    }

    /// Whether somebody of `administrators` (the account, the caller) may change the policy, whatever the
    /// circumstances.
    pub(crate) fn can_be_changed_by(&self, account: &str, caller: Option<&str>) -> bool {
        const PUT: &str = "kms:PutKeyPolicy";
        let allowed = |is_administrator: &dyn Fn(&str) -> bool| {
            let named = |statement: &Value| {
                principals(statement, "Principal")
                    .into_iter()
                    .any(is_administrator)
            };
            let allow = |statement: &Value| {
                is(statement, "Allow")
                    && unconditional(statement)
                    && covers(statement, PUT)
                    && named(statement)
            };
            let deny = |statement: &Value| {
                let not = principals(statement, "NotPrincipal");
                is(statement, "Deny")
                    && unconditional(statement)
                    && covers(statement, PUT)
                    && (named(statement) || (!not.is_empty() && !not.into_iter().any(is_administrator)))
            };
            self.statements().iter().any(allow) && !self.statements().iter().any(deny)
        };
        allowed(&|named| named == "*" || is_root(named, account))
            || caller.is_some_and(|caller| allowed(&|named| named == "*" || named == caller))
    }

    /// The statements that keep `principal`, of `account`, from using the key, whatever else allows it.
    pub(crate) fn denials(&self, principal: &str, account: &str) -> Vec<Denial> {
        let meant = |named: &str| named == "*" || named == principal || is_root(named, account);
        self.statements()
            .iter()
            .enumerate()
            .filter(|(_, statement)| {
                let not = principals(statement, "NotPrincipal");
                is(statement, "Deny")
                    && USE.iter().any(|action| touches(statement, action))
                    && (principals(statement, "Principal").into_iter().any(meant)
                        || (!not.is_empty() && !not.contains(&principal)))
            })
            .map(|(index, statement)| Denial {
                name: statement
                    .get("Sid")
                    .and_then(Value::as_str)
                    .map_or_else(|| format!("statement {}", index + 1), str::to_owned),
                conditional: !unconditional(statement),
            })
            .collect()
    }
}

/// Whether a statement has the form of the policy language, as far as it is read here.
fn check(statement: &Value) -> Result<(), String> {
    let fields = statement.as_object().ok_or("it is not an object")?;
    match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err("its Effect is neither Allow nor Deny".to_owned()),
    }
    let one_of = |one: &str, other: &str| match (fields.get(one), fields.get(other)) {
        (Some(value), None) | (None, Some(value)) => Ok(value),
        _ => Err(format!("it has not exactly one of {one} and {other}")),
    };
    if !is_text_or_texts(one_of("Action", "NotAction")?) {
        return Err("its actions are not texts".to_owned());
    }
    match one_of("Principal", "NotPrincipal")? {
        Value::String(all) if all == "*" => {}
        Value::Object(kinds) if kinds.values().all(is_text_or_texts) => {}
        _ => return Err("its principals are neither \"*\" nor lists of texts".to_owned()),
    }
    match fields.get("Condition") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(_) => Err("its Condition is not an object".to_owned()),
    }
}

/// A number that is read as a float, which rounds it.
fn inexact(value: &Value) -> Option<&Number> {
    match value {
        Value::Number(number) if number.is_f64() => Some(number),
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Object(fields) => fields.values().find_map(inexact),
        _ => None,
    }
}

fn leaves_it_to_iam(statement: &Value, account: &str) -> bool {
    is(statement, "Allow")
        && unconditional(statement)
        && covers(statement, "kms:Decrypt")
        && principals(statement, "Principal")
            .iter()
            .any(|named| is_root(named, account))
}

fn is_text_or_texts(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(texts) => texts.iter().all(Value::is_string),
        _ => false,
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(statement: &Value, effect: &str) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some(effect)
}

fn unconditional(statement: &Value) -> bool {
    match statement.get("Condition") {
        Some(Value::Object(conditions)) => conditions.is_empty(),
        _ => true,
    }
}

/// The accounts, users and roles under `Principal` or `NotPrincipal`; `*` for everybody.
fn principals<'a>(statement: &'a Value, field: &str) -> Vec<&'a str> {
    match statement.get(field) {
        Some(Value::String(all)) => vec![all],
        Some(Value::Object(kinds)) => texts(kinds.get("AWS")),
        _ => Vec::new(),
    }
}

/// An account is named by its number, or by the ARN of its root.
fn is_root(named: &str, account: &str) -> bool {
    let is_root = |arn: Arn| (arn.service, arn.account, arn.resource) == ("iam", account, "root");
    named == account || Arn::parse(named).is_some_and(is_root)
}

/// Whether a statement is about every call that `action` (which may end in `*`) stands for.
fn covers(statement: &Value, action: &str) -> bool {
    let listed = |field| texts(statement.get(field)).into_iter();
    match statement.get("NotAction") {
        None => listed("Action").any(|pattern| matches(pattern, action)),
        Some(_) => !listed("NotAction").any(|pattern| overlap(pattern, action)),
    }
}

/// Whether a statement is about any call that `action` stands for.
fn touches(statement: &Value, action: &str) -> bool {
    let listed = |field| texts(statement.get(field)).into_iter();
    match statement.get("NotAction") {
        None => listed("Action").any(|pattern| overlap(pattern, action)),
        Some(_) => !listed("NotAction").any(|pattern| matches(pattern, action)),
    }
}

/// Whether `pattern` (`*`: any text, `?`: any character; case does not count) takes all that `action` stands for.
fn matches(pattern: &str, action: &str) -> bool {
    wildcard(
        &pattern.to_ascii_lowercase().into_bytes(),
        &action.to_ascii_lowercase().into_bytes(),
    )
}

/// Whether some name fits both; right for a pattern without wildcards and for one that, as all of the guide's, ends in
/// `*`.
fn overlap(pattern: &str, action: &str) -> bool {
    matches(pattern, action) || matches(action, pattern)
}

/// The two-pointer match: linear but for retries after the last `*`.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Statements that a key user can be added to without a right that key users do not have.
fn part_of(statement: &Value) -> Option<Part> {
    let is_whole = texts(statement.get("Resource")) == ["*"];
    if !is(statement, "Allow")
        || !is_whole
        || !matches!(statement.get("Principal"), Some(Value::Object(kinds)) if kinds.contains_key("AWS"))
    {
        return None;
    }
    let actions = texts(statement.get("Action"));
    let same = |wanted: &[&str]| {
        let named = |one: &str, all: &[&str]| all.iter().any(|other| other.eq_ignore_ascii_case(one));
        wanted.iter().all(|action| named(action, &actions))
            && actions.iter().all(|action| named(action, wanted))
    };
    if same(&USE) && unconditional(statement) {
        return Some(Part::Use);
    }
    (same(&GRANT) && is_for_aws(statement.get("Condition"))).then_some(Part::Grant)
}

/// `{"Bool": {"kms:GrantIsForAWSResource": "true"}}` and nothing else.
fn is_for_aws(condition: Option<&Value>) -> bool {
    let only = |value: &Value, name: &str| match value {
        Value::Object(fields) if fields.len() == 1 => fields.get(name).cloned(),
        _ => None,
    };
    condition
        .and_then(|condition| only(condition, "Bool"))
        .and_then(|bool| only(&bool, FOR_AWS))
        .is_some_and(|value| value == json!("true") || value == json!(true))
}

/// A role as operators name it: by its ARN, or by its name, with its path where it has one.
pub(crate) fn role(text: &str) -> Result<String, String> {
    let is_path = |text: &str| {
        !text.is_empty()
            && text.len() <= 576
            && !text.starts_with('/')
            && !text.ends_with('/')
            && text
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&c))
    };
    if !text.starts_with("arn:") {
        return if is_path(text) {
            Ok(text.to_owned())
        } else {
            Err("it is not the name of a role".to_owned())
        };
    }
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit());
    let is_role = |arn: Arn| {
        (arn.service, arn.region) == ("iam", "")
            && is_account(arn.account)
            && arn.resource.strip_prefix("role/").is_some_and(is_path)
    };
    if Arn::parse(text).is_some_and(is_role) {
        Ok(text.to_owned())
    } else {
        Err(NO_ARN.to_owned())
    }
}

const NO_ARN: &str = "it is not the ARN of a role, as in arn:aws:iam::111122223333:role/EMR_EC2_DefaultRole";

/// A role, by its ARN alone.
pub(crate) fn role_by_arn(text: &str) -> Result<String, String> {
    if !text.starts_with("arn:") {
        return Err(NO_ARN.to_owned());
    }
    role(text)
}

/// The ARN of a [`role`]; a name is one of the key's account.
pub(crate) fn role_arn(role: &str, key_arn: &str) -> Result<String, String> {
    if role.starts_with("arn:") {
        return Ok(role.to_owned());
    }
    match Arn::parse(key_arn) {
        Some(Arn {
            partition,
            service: "kms",
            account,
            ..
        }) => Ok(format!("arn:{partition}:iam::{account}:role/{role}")),
        _ => Err(
            "KMS gave no ARN of the key, which would name the account of the role; name the role by ARN"
                .to_owned(),
        ),
    }
}

/// The role behind a session, by which a key policy names it; what is no session stays as it is. A role's path is not
/// in the ARN of a session, so a role with one is not recognised.
pub(crate) fn principal_of(caller: &str) -> String {
    let role = || {
        let Arn {
            partition,
            account,
            resource,
            ..
        } = Arn::parse(caller).filter(|arn| arn.service == "sts")?;
        let (role, _) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
        Some(format!("arn:{partition}:iam::{account}:role/{role}"))
    };
    role().unwrap_or_else(|| caller.to_owned())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
