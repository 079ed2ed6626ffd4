//! Amazon Resource Names: `arn:partition:service:region:account:resource`.
//!
//! Source: AWS General Reference, "Amazon Resource Names (ARNs)".

/// The parts of an ARN. The region and the account are empty for services that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: &'a str,
    /// Such as `kms` or `iam`.
    pub service: &'a str,
    /// Such as `eu-west-1`.
    pub region: &'a str,
    /// Twelve digits.
    pub account: &'a str,
    /// All that follows, colons included, such as `key/1234abcd-…`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN; `None` for a text with another form.
    pub fn parse(text: &'a str) -> Option<Arn<'a>> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Arn {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// The id of a KMS key, such as `1234abcd-…` or `mrk-…`; `None` for an alias and for what is not in KMS.
    pub fn kms_key_id(&self) -> Option<&'a str> {
        let id = self.resource.strip_prefix("key/")?;
        (self.service == "kms" && !id.is_empty()).then_some(id)
    }

    /// Whether it names an alias of KMS.
    pub fn is_kms_alias(&self) -> bool {
        self.service == "kms" && self.resource.starts_with("alias/")
    }

    /// Whether both are of one account.
    pub fn is_same_account(&self, other: &Arn) -> bool {
        (self.partition, self.account) == (other.partition, other.account)
    }
}

/// Whether a configured key id is an alias, by its name or ARN: KMS alone knows which key it stands for.
pub fn is_kms_alias(id: &str) -> bool {
    id.starts_with("alias/") || Arn::parse(id).is_some_and(|arn| arn.is_kms_alias())
}

/// Whether two names of KMS keys, each an ARN or a key id, name the same key: equal names, a key id and an ARN that
/// ends with it, or two ARNs of one multi-Region key, which has one in each of its regions. An alias names no key here.
///
/// Source: AWS KMS Developer Guide, "Multi-Region keys in AWS KMS": related keys share key id and key material.
pub fn same_kms_key(one: &str, other: &str) -> bool {
    if is_kms_alias(one) || is_kms_alias(other) {
        return false;
    }
    match (Arn::parse(one), Arn::parse(other)) {
        (Some(one), Some(other)) => {
            let id = one.kms_key_id();
            let multi_region = id.is_some_and(|id| id.starts_with("mrk-"));
            one == other || (multi_region && id == other.kms_key_id() && one.is_same_account(&other))
        }
        (Some(arn), None) => arn.kms_key_id() == Some(other),
        (None, Some(arn)) => arn.kms_key_id() == Some(one),
        (None, None) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

    #[test]
    fn the_parts_are_split_at_the_first_five_colons() {
        let arn = Arn::parse("arn:aws-cn:s3:::bucket/a:b").unwrap();
        assert_eq!((arn.partition, arn.service, arn.region), ("aws-cn", "s3", ""));
        assert_eq!((arn.account, arn.resource), ("", "bucket/a:b"));
        for text in [
            "",
            "arn:",
            "arn:aws:kms:eu-west-1:1",
            "key/1234abcd",
            "ARN:aws:kms:a:1:key/b",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn keys_and_aliases_of_kms_are_told_apart() {
        assert_eq!(Arn::parse(KEY).unwrap().kms_key_id(), Some("1234abcd"));
        assert!(is_kms_alias("alias/a") && is_kms_alias("arn:aws:kms:eu-west-1:1:alias/a"));
        assert!(!is_kms_alias(KEY) && !is_kms_alias("1234abcd") && !is_kms_alias("arn:aws:iam::1:alias/a"));
        assert_eq!(Arn::parse("arn:aws:iam::1:key/a").unwrap().kms_key_id(), None);
    }

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
