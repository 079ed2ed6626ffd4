//! Which key a new object gets: the longest prefix wins.
//!
//! Prefixes are sorted once; each entry knows the longest other entry that is a prefix of it. A look-up is a binary
//! search for the last entry that is not after the object's location, then a walk up those links: the first entry on
//! it that the location starts with is the longest. The walk only compares lengths (with what the location and the
//! entry found have in common), so its cost does not depend on the number of rules.

use std::collections::BTreeMap;

use crate::uri::S3Location;

/// One rule, parsed: every location below `prefix` (and, where given, written by `job_flow`) belongs to `target`.
#[derive(Clone, Debug)]
pub(crate) struct Rule<T> {
    pub(crate) prefix: S3Location,
    pub(crate) job_flow: Option<String>,
    pub(crate) target: T,
}

/// The rules of one configuration, ready for look-ups. `T` is what a rule gives.
#[derive(Debug)]
pub(crate) struct Rules<T> {
    /// By bucket, then sorted by prefix.
    buckets: BTreeMap<String, Vec<Node<T>>>,
}

#[derive(Debug)]
struct Node<T> {
    prefix: Vec<u8>,
    /// The index of the longest entry that is a proper prefix of this one.
    parent: Option<usize>,
    any_job_flow: Option<T>,
    by_job_flow: BTreeMap<String, T>,
}

impl<T> Default for Rules<T> {
    /// No rules.
    fn default() -> Self {
        Rules {
            buckets: BTreeMap::new(),
        }
    }
}

impl<T> Rules<T> {
    /// Sorts the rules. Where two of them have the same prefix and job flow, gives back the targets of both.
    pub(crate) fn new(rules: impl IntoIterator<Item = Rule<T>>) -> Result<Self, (T, T)> {
        let mut sorted: BTreeMap<String, BTreeMap<Vec<u8>, Node<T>>> = BTreeMap::new();
        for Rule {
            prefix: S3Location { bucket, key },
            job_flow,
            target,
        } in rules
        {
            let node = sorted
                .entry(bucket)
                .or_default()
                .entry(key)
                .or_insert_with_key(|key| Node {
                    prefix: key.clone(),
                    parent: None,
                    any_job_flow: None,
                    by_job_flow: BTreeMap::new(),
                });
            match job_flow {
                None => match node.any_job_flow.take() {
                    None => node.any_job_flow = Some(target),
                    Some(other) => return Err((other, target)),
                },
                Some(job_flow) => {
                    if let Some(other) = node.by_job_flow.remove(&job_flow) {
                        return Err((other, target));
                    }
                    node.by_job_flow.insert(job_flow, target);
                }
            }
        }
        let buckets = sorted
            .into_iter()
            .map(|(bucket, nodes)| (bucket, link_parents(nodes.into_values().collect())))
            .collect();
        Ok(Rules { buckets })
    }

    /// Every prefix with its job flow and what it gives, sorted.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (S3Location, Option<&str>, &T)> {
        self.buckets.iter().flat_map(|(bucket, nodes)| {
            nodes.iter().flat_map(move |node| {
                let any = node.any_job_flow.iter().map(|target| (None, target));
                let by = node
                    .by_job_flow
                    .iter()
                    .map(|(id, target)| (Some(id.as_str()), target));
                any.chain(by).map(move |(job_flow, target)| {
                    let prefix = S3Location {
                        bucket: bucket.clone(),
                        key: node.prefix.clone(),
                    };
                    (prefix, job_flow, target)
                })
            })
        })
    }

    /// The result of the rule with the longest matching prefix; at one prefix a rule for the job flow comes first.
    pub(crate) fn find(&self, location: &S3Location, job_flow: Option<&str>) -> Option<&T> {
        self.matching(location).find_map(|node| {
            job_flow
                .and_then(|id| node.by_job_flow.get(id))
                .or(node.any_job_flow.as_ref())
        })
    }

    /// All that [`Rules::find`] may give there, for one job flow or another.
    pub(crate) fn find_all(&self, location: &S3Location) -> Given<'_, T> {
        let mut given = Given {
            targets: Vec::new(),
            to_all: false,
        };
        for node in self.matching(location) {
            given.targets.extend(node.by_job_flow.values());
            given.targets.extend(&node.any_job_flow);
            given.to_all = node.any_job_flow.is_some();
            if given.to_all {
                break;
            }
        }
        given
    }

    /// The entries that the location starts with, the longest first.
    fn matching(&self, location: &S3Location) -> impl Iterator<Item = &Node<T>> {
        let nodes = self.buckets.get(&location.bucket).map_or(&[][..], Vec::as_slice);
        let after = nodes.partition_point(|node| node.prefix <= location.key);
        let mut at = after.checked_sub(1);
        let common = at.map_or(0, |last| common_prefix(&nodes[last].prefix, &location.key));
        let linked = std::iter::from_fn(move || {
            let node = &nodes[at?];
            at = node.parent;
            Some(node)
        });
        // Entries above are prefixes of the one found, so as far as `common` they are prefixes of the key too.
        linked.filter(move |node| node.prefix.len() <= common)
    }
}

/// The results of the rules at a location, whatever the job flow.
pub(crate) struct Given<'a, T> {
    pub(crate) targets: Vec<&'a T>,
    /// Whether they give something to every job flow.
    pub(crate) to_all: bool,
}

fn link_parents<T>(mut nodes: Vec<Node<T>>) -> Vec<Node<T>> {
    let mut open: Vec<usize> = Vec::new();
    for index in 0..nodes.len() {
        while open
            .last()
            .is_some_and(|&top| !nodes[index].prefix.starts_with(&nodes[top].prefix))
        {
            open.pop();
        }
        nodes[index].parent = open.last().copied();
        open.push(index);
    }
    nodes
}

fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(l, r)| l == r).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(prefix: &str, job_flow: Option<&str>, target: &'static str) -> Rule<&'static str> {
        let prefix = S3Location::parse(prefix).unwrap();
        Rule {
            prefix,
            job_flow: job_flow.map(str::to_owned),
            target,
        }
    }

    fn find(rules: &Rules<&'static str>, location: &str, job_flow: Option<&str>) -> Option<&'static str> {
        rules
            .find(&S3Location::parse(location).unwrap(), job_flow)
            .copied()
    }

    #[test]
    fn all_that_may_be_given_there_is_given() {
        let rules = Rules::new([
            rule("s3://lake/a/", None, "short"),
            rule("s3://lake/a/b/", Some("j-1"), "flow"),
            rule("s3://lake/a/b/c/", Some("j-2"), "deep"),
            rule("s3://lake/z/", None, "elsewhere"),
            rule("s3://lake/y/", Some("j-1"), "flow only"),
        ])
        .unwrap();
        let given = |uri: &str| {
            let given = rules.find_all(&S3Location::parse(uri).unwrap());
            (
                given.targets.into_iter().copied().collect::<Vec<_>>(),
                given.to_all,
            )
        };
        assert_eq!(given("s3://lake/a/b/c/d"), (vec!["deep", "flow", "short"], true));
        assert_eq!(given("s3://lake/a/b/x"), (vec!["flow", "short"], true));
        assert_eq!(given("s3://lake/a/x"), (vec!["short"], true));
        assert_eq!(given("s3://lake/y/x"), (vec!["flow only"], false));
        assert_eq!(given("s3://pond/a/x"), (vec![], false));
    }

    #[test]
    fn the_longest_prefix_wins() {
        let rules = Rules::new([
            rule("s3://lake", None, "bucket"),
            rule("s3://lake/raw/", None, "raw"),
            rule("s3://lake/raw/pii/", None, "pii"),
            rule("s3://lake/rawest", None, "rawest"),
        ])
        .unwrap();
        for (location, expected) in [
            ("s3://lake/raw/pii/a", Some("pii")),
            ("s3a://lake/raw/pii/", Some("pii")),
            ("s3://lake/raw/pii", Some("raw")),
            ("s3://lake/raw/zzz", Some("raw")),
            ("s3://lake/raw", Some("bucket")),
            ("s3://lake/rawest", Some("rawest")),
            ("s3://lake/rawes", Some("bucket")),
            ("s3://lake", Some("bucket")),
            ("s3://lakes/raw/", None),
        ] {
            assert_eq!(find(&rules, location, None), expected, "{location}");
        }
    }

    #[test]
    fn a_rule_for_a_job_flow_beats_one_without_only_at_the_same_prefix() {
        let rules = Rules::new([
            rule("s3://lake/a/", None, "a"),
            rule("s3://lake/a/", Some("j-1"), "a-j1"),
            rule("s3://lake/a/b/", None, "ab"),
            rule("s3://lake/only/", Some("j-1"), "only-j1"),
        ])
        .unwrap();
        assert_eq!(find(&rules, "s3://lake/a/x", Some("j-1")), Some("a-j1"));
        assert_eq!(find(&rules, "s3://lake/a/x", Some("j-2")), Some("a"));
        assert_eq!(find(&rules, "s3://lake/a/b/x", Some("j-1")), Some("ab"));
        assert_eq!(find(&rules, "s3://lake/only/x", Some("j-1")), Some("only-j1"));
        assert_eq!(find(&rules, "s3://lake/only/x", None), None);
    }

    #[test]
    fn two_rules_with_the_same_prefix_are_refused() {
        let twice = [
            rule("s3://lake/a%20b", None, "1"),
            rule("s3a://lake/a b", None, "2"),
        ];
        assert_eq!(Rules::new(twice).unwrap_err(), ("1", "2"));
        let twice = [
            rule("s3://lake/a", Some("j-1"), "1"),
            rule("s3://lake/a", Some("j-1"), "2"),
        ];
        assert_eq!(Rules::new(twice).unwrap_err(), ("1", "2"));
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_a_scan(
            prefixes in proptest::collection::btree_set("[ab/]{0,6}", 0..40),
            keys in proptest::collection::vec("[ab/]{0,8}", 1..20),
        ) {
            let location = |key: &str| S3Location { bucket: "lake".into(), key: key.as_bytes().to_vec() };
            let rules = Rules::new(prefixes.iter().map(|prefix| Rule {
                prefix: location(prefix), job_flow: None, target: prefix.clone(),
            })).unwrap();
            for key in keys {
                let scanned = prefixes.iter().filter(|prefix| key.starts_with(*prefix)).max_by_key(|p| p.len());
                prop_assert_eq!(rules.find(&location(&key), None), scanned);
            }
        }
    }
}
