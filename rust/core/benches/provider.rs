//! How long it takes to load a configuration of many rules, and to get materials under it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;

use criterion::{criterion_group, criterion_main, Criterion};
use emrkeys_core::{Client, Config, Inputs, Provider, Request, Settings, StoredDescription};

const RULES: usize = 10_000;

fn settings(folder: &std::path::Path) -> Settings {
    let file = folder.join("main.key");
    std::fs::write(&file, [7; 32]).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut settings = Settings::from(
        [
            ("emrkeys.key.main.type", "aes".to_owned()),
            ("emrkeys.key.main.file", format!("file://{}", file.display())),
            ("emrkeys.default.key", "main".to_owned()),
            ("fs.s3.cse.materialsDescription.enabled", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    for rule in 0..RULES {
        settings.insert(
            format!("emrkeys.rule.r{rule}.prefix"),
            format!("s3://lake/team-{}/set-{rule}/", rule % 97),
        );
        settings.insert(format!("emrkeys.rule.r{rule}.key"), "main".to_owned());
    }
    settings
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let open = || Provider::open(Config::parse(Client::S3, &settings).unwrap(), &Inputs::new()).unwrap();
    criterion.bench_function("open/10000-rules", |bencher| bencher.iter(open));

    let (provider, _) = open();
    let write = [
        ("Path", "s3://lake/team-42/set-7123/year=2026/part-00000.parquet"),
        ("JobflowId", "j-1"),
    ];
    criterion.bench_function("write/10000-rules", |bencher| {
        bencher.iter(|| {
            provider
                .materials(Request::Description(StoredDescription::from_iter(black_box(
                    write,
                ))))
                .unwrap()
        })
    });
    let written = provider
        .materials(Request::Description(StoredDescription::from_iter(write)))
        .unwrap()
        .unwrap();
    let stored = written.description;
    criterion.bench_function("read/10000-rules", |bencher| {
        bencher.iter(|| {
            provider
                .materials(Request::Description(black_box(&stored).clone()))
                .unwrap()
        })
    });
}

criterion_group!(provider, benches);
criterion_main!(provider);
