//! The release of EMR, which decides the algorithm name of local-disk keys and the connector behind `s3://`.

use std::path::Path;

/// The `SecretKeySpec` algorithm that local-disk encryption asks for from release 7.1.0 on.
pub(crate) const ALGORITHM: &str = "AES";
/// The one it asks for up to release 7.0.0. Source: EMR Management Guide, "Custom key provider for local disks".
pub(crate) const ALGORITHM_TO_7_0: &str = "AES/GCM/NoPadding";

/// Where EMR's instance controller describes the node (JSON with a field `releaseLabel`).
pub(crate) const RELEASE_FILE: &str = "/mnt/var/lib/info/extraInstanceData.json";

/// The major and minor number of a release of EMR.
pub type Release = (u32, u32);

/// The release that a label names: `emr-7.1.0` gives (7, 1).
pub fn parse(label: &str) -> Option<Release> {
    let mut numbers = label.strip_prefix("emr-")?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    numbers.next()?.parse::<u32>().ok()?;
    numbers.next().is_none().then_some((major, minor))
}

/// The algorithm name for a release.
pub(crate) fn algorithm(release: Release) -> &'static str {
    if release >= (7, 1) {
        ALGORITHM
    } else {
        ALGORITHM_TO_7_0
    }
}

/// The release that the node's own file gives: `Ok(None)` where there is no such file, as off EMR.
pub(crate) fn of_node(file: &Path) -> Result<Option<Release>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .as_ref()
        .and_then(|node| node.get("releaseLabel")?.as_str())
        .and_then(parse)
        .map(Some)
        .ok_or_else(|| {
            format!(
                "{} has no field releaseLabel of the form emr-7.1.0",
                file.display()
            )
        })
}

/// The algorithm name for the keys of local disks, and a warning if the release is not known: `release` as configured,
/// else as the node's `file` says.
pub(crate) fn local_disk_algorithm(
    release: Option<(u32, u32)>,
    file: Option<&Path>,
) -> (&'static str, Option<String>) {
    let mut warning = None;
    let release = release.or_else(|| {
        of_node(file.unwrap_or(Path::new(RELEASE_FILE))).unwrap_or_else(|why| {
            warning = Some(format!(
                "the EMR release is not known ({why}); local-disk keys get the algorithm name of the \
                 newest; set emrkeys.local-disk.emr-release"
            ));
            None
        })
    });
    (release.map_or(ALGORITHM, algorithm), warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_changed_with_release_7_1_0() {
        for (label, expected) in [
            ("emr-5.36.0", ALGORITHM_TO_7_0),
            ("emr-6.15.0", ALGORITHM_TO_7_0),
            ("emr-7.0.0", ALGORITHM_TO_7_0),
            ("emr-7.1.0", ALGORITHM),
            ("emr-7.10.0", ALGORITHM),
            ("emr-10.0.0", ALGORITHM),
        ] {
            assert_eq!(algorithm(parse(label).unwrap()), expected, "{label}");
        }
    }

    #[test]
    fn a_label_of_another_form_is_no_release() {
        for label in [
            "",
            "emr",
            "emr-7",
            "emr-7.1",
            "emr-7.1.0.0",
            "7.1.0",
            "emr-a.b.c",
            "emr--1.0.0",
        ] {
            assert_eq!(parse(label), None, "{label}");
        }
    }

    #[test]
    fn the_release_is_read_from_the_nodes_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("extraInstanceData.json");
        assert_eq!(of_node(&file), Ok(None));
        std::fs::write(&file, r#"{"releaseLabel": "emr-7.0.0", "other": 1}"#).unwrap();
        assert_eq!(of_node(&file), Ok(Some((7, 0))));
        std::fs::write(&file, "{").unwrap();
        assert!(of_node(&file).is_err());
    }
}
