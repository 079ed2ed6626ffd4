//! Names that an operator gives to keys and rules, and those that KMS knows its keys by.

/// Whether keys and rules can have this name: 1 to 64 letters, digits, `-` and `_`.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}

/// Whether a configured id is an alias, by its name or ARN: KMS alone knows which key it stands for.
pub(crate) fn is_alias(id: &str) -> bool {
    id.starts_with("alias/") || id.contains(":alias/")
}

/// The parts of an ARN of KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KmsArn<'a> {
    pub(crate) partition: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    /// `key/` and a key id, or `alias/` and a name.
    pub(crate) resource: &'a str,
}

impl<'a> KmsArn<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        (arn == "arn" && service == "kms").then_some(())?;
        Some(KmsArn {
            partition,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// The key id, where it is the ARN of a key.
    pub(crate) fn key_id(&self) -> Option<&'a str> {
        self.resource.strip_prefix("key/").filter(|id| !id.is_empty())
    }

    /// Whether both are keys, or aliases, of one account.
    pub(crate) fn same_account(&self, other: &KmsArn) -> bool {
        self.partition == other.partition && self.account == other.account
    }
}

/// Whether two names of KMS keys, each an ARN or a key id, mean the same key: equal names, a key id and an ARN that ends
/// with it, or two ARNs of one multi-region key, which has one in each of its regions. An alias means no key here.
pub(crate) fn same_kms_key(one: &str, other: &str) -> bool {
    if is_alias(one) || is_alias(other) {
        return false;
    }
    match (KmsArn::parse(one), KmsArn::parse(other)) {
        (Some(one), Some(other)) => {
            one == other
                || (one.resource.starts_with("key/mrk-")
                    && one.resource == other.resource
                    && one.same_account(&other))
        }
        (Some(arn), None) => arn.key_id() == Some(other),
        (None, Some(arn)) => arn.key_id() == Some(one),
        (None, None) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_kms_key_are_told_from_those_of_others() {
        const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
        const MULTI: &str = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
        let arn = format!("arn:aws:kms:eu-west-1:111122223333:key/{ID}");
        let foreign = |arn: &str| arn.replace("111122223333", "444455556666");
        let elsewhere = |arn: &str| arn.replace("eu-west-1", "us-east-1");
        for (one, other) in [(&*arn, &*arn), (&arn, ID), (ID, ID), (MULTI, &elsewhere(MULTI))] {
            assert!(
                same_kms_key(one, other) && same_kms_key(other, one),
                "{one} {other}"
            );
        }
        for (one, other) in [
            (&*arn, &*foreign(&arn)),
            (&arn, &elsewhere(&arn)),
            (MULTI, &foreign(&elsewhere(MULTI))),
            (MULTI, &arn),
            ("alias/main", "alias/main"),
            ("arn:aws:kms:eu-west-1:111122223333:alias/main", &arn),
            (&arn, ""),
        ] {
            assert!(
                !same_kms_key(one, other) && !same_kms_key(other, one),
                "{one} {other}"
            );
        }
    }
}
