//! Every input of the corpus, which libFuzzer begins with: none shows a fault.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use emrkeys_fuzz::TARGETS;

#[test]
fn no_input_of_the_corpus_shows_a_fault() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            eprintln!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
        target(&[]);
        target(&[0xff; 300]);
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap();
    for folder in folders {
        let name = folder.unwrap().file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "{name:?}");
    }
}
