use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "111122223333";
const ROLE: &str = "arn:aws:iam::111122223333:role/EMR_EC2_DefaultRole";
const OTHER: &str = "arn:aws:iam::111122223333:role/other";

fn policy(statements: &Value) -> Policy {
    let document = json!({ "Version": "2012-10-17", "Id": "key-consolepolicy-3", "Statement": statements });
    Policy::parse(&document.to_string()).unwrap()
}

fn root() -> Value {
    json!({
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
        "Action": "kms:*",
        "Resource": "*",
    })
}

fn of_console(principal: &Value) -> [Value; 2] {
    [
        json!({ "Sid": USE_SID, "Effect": "Allow", "Principal": { "AWS": principal }, "Action": USE, "Resource": "*" }),
        json!({ "Sid": GRANT_SID, "Effect": "Allow", "Principal": { "AWS": principal }, "Action": GRANT,
                "Resource": "*", "Condition": { "Bool": { FOR_AWS: "true" } } }),
    ]
}

fn deny(fields: Value) -> Value {
    let mut statement = json!({ "Effect": "Deny", "Resource": "*" });
    statement
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    statement
}

#[test]
fn a_user_is_added_to_the_statements_of_the_console() {
    for (before, after) in [
        (json!(OTHER), json!([OTHER, ROLE])),
        (json!([OTHER, "AROAEXAMPLE"]), json!([OTHER, "AROAEXAMPLE", ROLE])),
        (json!([]), json!([ROLE])),
    ] {
        let [using, granting] = of_console(&before);
        let added = policy(&json!([root(), using, granting])).with_user(ROLE).unwrap();
        let [using, granting] = of_console(&after);
        assert_eq!(added, policy(&json!([root(), using, granting])));
        assert!(added.is_user(ROLE) && added.with_user(ROLE).is_none());
    }
}

#[test]
fn the_order_of_principals_means_nothing_and_that_of_statements_is_kept() {
    let with = |principals: Value| policy(&json!([root(), of_console(&principals)[0].clone()]));
    assert!(with(json!([ROLE, OTHER])).is_same(&with(json!([OTHER, ROLE]))));
    assert!(!with(json!([ROLE, OTHER])).is_same(&with(json!([OTHER]))));
}

#[test]
fn where_there_are_none_they_are_made_as_the_console_makes_them() {
    let [using, granting] = of_console(&json!(ROLE));
    let expected = policy(&json!([root(), using, granting]));
    assert_eq!(policy(&json!([root()])).with_user(ROLE).unwrap(), expected);
    assert_eq!(
        policy(&root()).with_user(ROLE).unwrap(),
        expected,
        "a statement that is no list"
    );
}

#[test]
fn nobody_gets_more_than_a_key_user_has_and_no_condition_is_lost() {
    let wider = json!({ "Sid": USE_SID, "Effect": "Allow", "Principal": { "AWS": OTHER },
        "Action": "kms:*", "Resource": "*" });
    let conditional = json!({ "Effect": "Allow", "Principal": { "AWS": OTHER }, "Action": USE, "Resource": "*",
        "Condition": { "StringEquals": { "kms:EncryptionContext:emrkeys.key": "raw" } } });
    let denied = deny(json!({ "Principal": { "AWS": OTHER }, "Action": USE }));
    let everybody =
        json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*" });
    let before = json!([root(), wider, conditional, denied, everybody]);
    let added = policy(&before).with_user(ROLE).unwrap();
    let statements = added.statements();
    assert_eq!(&statements[..5], before.as_array().unwrap());
    assert_eq!(statements[5]["Sid"], "Allow use of the key 2");
    assert_eq!(statements.len(), 7);
}

#[test]
fn who_has_the_rights_already_gets_no_statement() {
    let all = json!({ "Effect": "Allow", "Principal": { "AWS": [OTHER, ROLE] }, "Action": "KMS:*", "Resource": "*" });
    assert!(policy(&json!([root(), all])).with_user(ROLE).is_none());
    let one_by_one: Vec<Value> = USE
        .iter()
        .chain(&GRANT)
        .map(|action| json!({ "Effect": "Allow", "Principal": { "AWS": ROLE }, "Action": action, "Resource": "*" }))
        .collect();
    assert!(policy(&json!(one_by_one)).with_user(ROLE).is_none());
    assert!(!policy(&json!(one_by_one[1..])).is_user(ROLE));
    // The key policy leaves open what IAM policies allow.
    assert!(!policy(&root()).is_user(ROLE) && policy(&root()).leaves_it_to_iam(ACCOUNT));
}

#[test]
fn whoever_may_use_the_key_is_shown() {
    let part_of_one = |statement: Value| {
        let policy = policy(&json!([root(), statement]));
        let found: Vec<_> = policy.users(ACCOUNT).iter().map(|user| user.part).collect();
        found
    };
    let allow = |action: Value| {
        json!({ "Effect": "Allow", "Principal": { "AWS": OTHER },
        "Action": action, "Resource": "*" })
    };
    let [using, granting] = of_console(&json!(OTHER));
    assert_eq!(part_of_one(using), [Some(Part::Use)]);
    assert_eq!(part_of_one(granting), [Some(Part::Grant)]);
    assert_eq!(part_of_one(allow(json!("kms:*"))), [Some(Part::Use)]);
    assert_eq!(part_of_one(allow(json!("kms:Decrypt"))), [None]);
    assert_eq!(part_of_one(allow(json!(["kms:GenerateDataKeyPair"]))), [None]);
    let mut conditional = allow(json!("kms:*"));
    conditional["Condition"] = json!({ "Bool": { "a": "b" } });
    assert_eq!(part_of_one(conditional), [None]);
    let mut foreign = root();
    foreign["Principal"] = json!({ "AWS": [ACCOUNT, "444455556666"] });
    assert_eq!(part_of_one(foreign), [Some(Part::Use)]);
    assert_eq!(part_of_one(allow(json!(["kms:Describe*", "kms:Put*"]))), []);
    assert_eq!(
        part_of_one(deny(json!({ "Principal": "*", "Action": "kms:*" }))),
        []
    );
}

#[test]
fn somebody_must_be_able_to_change_the_policy_afterwards() {
    let allow = |principal: &str, action: &str| {
        json!({ "Effect": "Allow", "Principal": { "AWS": principal },
        "Action": action, "Resource": "*" })
    };
    let can = |statements: Value| policy(&statements).can_be_changed_by(ACCOUNT, Some(OTHER));
    assert!(can(json!([root()])));
    assert!(can(json!([allow(ACCOUNT, "kms:Put*")])));
    assert!(can(json!([allow(OTHER, "kms:PutKeyPolicy")])));
    assert!(
        !can(json!([allow(ROLE, "kms:*")])),
        "neither the account nor the caller"
    );
    assert!(!can(json!([allow("arn:aws:iam::444455556666:root", "kms:*")])));
    assert!(!can(json!([allow(OTHER, "kms:Get*")])));
    assert!(!policy(&json!([allow(OTHER, "kms:*")])).can_be_changed_by(ACCOUNT, None));
    let mut conditional = root();
    conditional["Condition"] = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
    assert!(!can(json!([conditional])));
    assert!(!can(json!([
        root(),
        deny(json!({ "Principal": "*", "Action": "kms:Put*" }))
    ])));
    assert!(!can(json!([
        root(),
        deny(json!({ "NotPrincipal": { "AWS": ROLE }, "NotAction": "kms:Get*" }))
    ])));
    assert!(can(json!([
        root(),
        deny(json!({ "Principal": { "AWS": ROLE }, "Action": "kms:*" }))
    ])));
}

#[test]
fn a_denial_is_told() {
    let found = |statement: Value| policy(&json!([root(), statement])).denials(ROLE, ACCOUNT);
    let denial = |name: &str, conditional| {
        vec![Denial {
            name: name.to_owned(),
            conditional,
        }]
    };
    assert_eq!(
        found(deny(
            json!({ "Sid": "d", "Principal": "*", "Action": "kms:Decrypt" })
        )),
        denial("d", false)
    );
    assert_eq!(
        found(deny(
            json!({ "Principal": { "AWS": ROLE }, "Action": ["kms:GenerateDataKeyPair"],
                "Condition": { "Bool": { "a": "b" } } })
        )),
        denial("statement 2", true)
    );
    assert_eq!(
        found(deny(
            json!({ "NotPrincipal": { "AWS": OTHER }, "Action": "kms:*" })
        )),
        denial("statement 2", false)
    );
    for harmless in [
        json!({ "Principal": { "AWS": OTHER }, "Action": "kms:*" }),
        json!({ "Principal": "*", "Action": "kms:ScheduleKeyDeletion" }),
        json!({ "NotPrincipal": { "AWS": ROLE }, "Action": "kms:*" }),
        json!({ "Principal": "*", "NotAction": ["kms:*"] }),
    ] {
        assert_eq!(found(deny(harmless)), []);
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"Statement": 1}"#,
        r#"{"Statement": [1]}"#,
        r#"{"Statement": {"Effect": "allow", "Principal": "*", "Action": "kms:*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Action": "kms:*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "arn", "Action": "kms:*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": 1}, "Action": "kms:*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": 1}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "NotAction": "*"}}"#,
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Condition": []}}"#,
        concat!(
            r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "#,
            r#""Condition": {"NumericEquals": {"a": [1, 18446744073709551616]}}}}"#
        ),
    ] {
        assert!(Policy::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_policy_that_kms_would_not_take_is_not_sent() {
    let sized = |count: usize| {
        let many: Vec<String> = (0..count)
            .map(|n| format!("arn:aws:iam::111122223333:role/r{n:05}"))
            .collect();
        policy(&json!([root(), of_console(&json!(many))[0].clone()]))
    };
    let pretty = sized(100);
    assert_eq!(pretty.text().unwrap(), pretty.pretty());
    let close = sized(700);
    assert!(close.pretty().len() > MAX_POLICY && close.text().unwrap().len() <= MAX_POLICY);
    assert_eq!(Policy::parse(&close.text().unwrap()).unwrap(), close);
    assert!(sized(2000).text().is_err());
}

#[test]
fn roles_are_named_by_name_or_arn() {
    let key = "arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(
        role_arn("EMR", key).unwrap(),
        "arn:aws-cn:iam::111122223333:role/EMR"
    );
    assert_eq!(
        role_arn("service-role/EMR", key).unwrap(),
        "arn:aws-cn:iam::111122223333:role/service-role/EMR"
    );
    assert_eq!(role_arn(ROLE, key).unwrap(), ROLE);
    for right in ["EMR", "service-role/EMR", ROLE] {
        assert_eq!(role(right).unwrap(), right);
        assert_eq!(role_by_arn(right).is_ok(), right == ROLE);
    }
    for wrong in [
        "",
        "a b",
        "/a",
        "arn:aws:iam::1:role/a",
        "arn:aws:iam::111122223333:user/a",
        "arn:aws:sts::111122223333:assumed-role/a/b",
        "*",
    ] {
        assert!(role(wrong).is_err() && role_by_arn(wrong).is_err(), "{wrong}");
    }
    assert_eq!(
        principal_of("arn:aws:sts::111122223333:assumed-role/EMR/i-1"),
        "arn:aws:iam::111122223333:role/EMR"
    );
    assert_eq!(principal_of(ROLE), ROLE);
}

fn principal() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just(OTHER.to_owned()),
        Just("arn:aws:iam::111122223333:root".to_owned()),
        "[a-z]{1,3}"
    ];
    prop_oneof![
        Just(json!("*")),
        name.clone().prop_map(|one| json!({ "AWS": one })),
        prop::collection::vec(name, 0..4)
            .prop_map(|all| json!({ "AWS": all, "Service": "s3.amazonaws.com" })),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let actions = prop_oneof![
        Just(json!("kms:*")),
        Just(json!(USE)),
        Just(json!(GRANT)),
        prop::collection::vec("kms:[A-Z][a-z]{0,4}\\*?", 0..3).prop_map(|all| json!(all)),
    ];
    let condition = prop_oneof![
        Just(None),
        Just(Some(json!({ "Bool": { FOR_AWS: "true" } }))),
        "[a-z]{1,4}".prop_map(|value| Some(json!({ "StringEquals": { "kms:ViaService": value } }))),
    ];
    (
        "(Allow|Deny)",
        "(Principal|NotPrincipal)",
        principal(),
        "(Action|NotAction)",
        actions,
        condition,
        "[a-c]?",
    )
        .prop_map(|(effect, who, principal, what, actions, condition, extra)| {
            let mut statement = json!({ "Effect": effect, who: principal, what: actions, "Resource": "*" });
            let fields = statement.as_object_mut().unwrap();
            fields.extend(condition.map(|condition| ("Condition".to_owned(), condition)));
            fields.insert(format!("Unknown{extra}"), json!([1, null]));
            statement
        })
}

proptest! {
    /// Nothing but the principals of the console's statements changes, and nothing is taken away.
    #[test]
    fn adding_a_user_keeps_all_that_was_there(statements in prop::collection::vec(statement(), 1..6)) {
        let before = policy(&json!(statements));
        let Some(after) = before.with_user(ROLE) else { return Ok(()) };
        prop_assert!(after.is_user(ROLE));
        prop_assert!(after.with_user(ROLE).is_none());
        prop_assert_eq!(Policy::parse(&after.pretty()).unwrap(), after.clone());
        for caller in [None, Some(OTHER)] {
            prop_assert_eq!(before.can_be_changed_by(ACCOUNT, caller), after.can_be_changed_by(ACCOUNT, caller));
        }
        for (old, new) in before.statements().iter().zip(after.statements()) {
            if old == new {
                continue;
            }
            prop_assert!(part_of(old).is_some());
            let mut names = principals(old, "Principal");
            names.push(ROLE);
            prop_assert_eq!(&names, &principals(new, "Principal"));
            let mut reverted = new.clone();
            reverted["Principal"] = old["Principal"].clone();
            prop_assert_eq!(&reverted.to_string(), &old.to_string());
        }
    }

    #[test]
    fn any_text_is_a_policy_or_an_error(text in "\\PC{0,60}", field in "(Statement|Effect|Principal)") {
        let _ = Policy::parse(&text);
        let _ = Policy::parse(&format!("{{\"{field}\": {text}}}"));
    }

    /// Against the definition, letter by letter.
    #[test]
    fn wildcards_match_as_defined(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
        fn defined(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.first(), text.first()) {
                (None, None) => true,
                (Some(b'*'), _) => defined(&pattern[1..], text) || (!text.is_empty() && defined(pattern, &text[1..])),
                (Some(b'?'), Some(_)) => defined(&pattern[1..], &text[1..]),
                (Some(p), Some(t)) => p == t && defined(&pattern[1..], &text[1..]),
                _ => false,
            }
        }
        prop_assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), defined(pattern.as_bytes(), text.as_bytes()));
    }
}
