"""The Rust tests are compiled by clippy, and share the crates of others with library and tool."""

import os
import subprocess

import pytest

from tools import linted

BUILD = """\
warning: spurious network error (3 tries remaining)
   Compiling emrkeys-core v0.1.0 (/x/rust/core)
warning: unused variable: `x`
 --> rust/core/src/lib.rs:1:5
warning: `emrkeys-core` (lib) generated 1 warning (run `cargo fix --lib -p emrkeys-core` to apply 1 suggestion)
warning: `emrkeys-core` (lib test) generated 2 warnings (1 duplicate)
    Finished `test` profile [unoptimized + debuginfo] target(s) in 1.0s
"""
LIBRARY = """\
[package]
name = "emrkeys-of-test"
version = "0.1.0"
edition = "2021"
[lib]
crate-type = ["cdylib", "rlib"]
[dependencies]
other = { path = "OTHER" }
[workspace]
"""


def test_crates_with_warnings_are_found_in_what_cargo_says():
    assert linted.warnings(BUILD) == ["`emrkeys-core` (lib)", "`emrkeys-core` (lib test)"]
    assert linted.warnings("warning: spurious network error (3 tries remaining)\n    Finished") == []


def test_crates_of_others_are_linked_once_and_ours_never(tmp_path):
    built, target = tmp_path / "built", tmp_path / "linted"
    for name in ("deps/libserde-1.rlib", "deps/libemrkeys_jni.so", ".fingerprint/serde-1/x", ".fingerprint/emrkeys-a-1/x"):
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).write_text(name)
    linted.share(built, target)
    (target / "deps/libserde-1.rlib").unlink()
    (target / "deps/libserde-1.rlib").write_text("another")
    linted.share(built, target)
    found = {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()}
    assert found == {"deps/libserde-1.rlib", ".fingerprint/serde-1/x"}
    assert (target / "deps/libserde-1.rlib").read_text() == "another"
    assert (built / "deps/libserde-1.rlib").read_text() == "deps/libserde-1.rlib"


@pytest.fixture
def cargo(tmp_path):
    """Runs Cargo on a crate with a warning of clippy's, that needs a crate of another workspace's."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        (folder / "src").mkdir(parents=True)
    manifest = LIBRARY.replace("OTHER", str(other))
    (ours / "Cargo.toml").write_text(manifest)
    (ours / "src/lib.rs").write_text("pub fn ours(of: &Vec<u8>) -> usize { other::other(of) }\n")
    (other / "Cargo.toml").write_text(manifest.split("[lib]")[0].replace("emrkeys-of-test", "other") + "[workspace]\n")
    (other / "src/lib.rs").write_text("pub fn other(of: &[u8]) -> usize { of.len() }\n")

    def run(*arguments, **environment):
        done = subprocess.run(
            ("cargo", *arguments, "--offline"),
            cwd=ours,
            env={**os.environ, "CARGO_TARGET_DIR": str(tmp_path / "target"), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    return run


def test_clippy_compiles_only_ours_and_warns_each_time(tmp_path, cargo):
    target = tmp_path / "target"
    cargo("build")
    linted.share(target / "debug", target / "linted/debug")
    environment = {**linted.ENVIRONMENT, "CARGO_TARGET_DIR": str(target / "linted")}
    for compiled in (True, False):
        said = cargo("test", "--no-run", **environment)
        assert ("Compiling emrkeys-of-test" in said, "Compiling other" in said) == (compiled, False)
        assert "`emrkeys-of-test` (lib)" in linted.warnings(said)
    (tmp_path / "ours/src/lib.rs").touch()
    assert linted.warnings(cargo("test", "--no-run", **environment)) != []


def test_what_cargo_built_stays_as_it_was(tmp_path, cargo):
    target = tmp_path / "target"
    cargo("build")
    library = target / "debug/libemrkeys_of_test.so"
    before = library.read_bytes(), library.stat().st_mtime_ns
    linted.share(target / "debug", target / "linted/debug")
    cargo("test", "--no-run", **{**linted.ENVIRONMENT, "CARGO_TARGET_DIR": str(target / "linted")})
    assert "Compiling" not in cargo("build")
    assert (library.read_bytes(), library.stat().st_mtime_ns) == before
