"""The parts of a release that are made here: bill of materials, notices, Maven repository, checksums."""

import hashlib
import json
import shutil
import subprocess
import tempfile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

from tools import crates, package
from tools.crates import Crate

LOCK = """
[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa"

[[package]]
name = "emrkeys-cli"
version = "0.1.0"
"""

COMPILERS = {"rustc": "rustc 1.95.0"}


def crate(folder, name="a", text="Permission"):
    folder = folder / name
    folder.mkdir()
    (folder / "LICENSE-MIT").write_text(text)
    (folder / "license_helper.rs").write_text("no licence")
    return Crate(name, "1.0.0", "MIT OR Apache-2.0", "aa", folder)


def node(package_id, *needed):
    dependencies = [{"pkg": name, "dep_kinds": [{"kind": kind}]} for name, kind in needed]
    return {"id": package_id, "deps": dependencies}


def package_of(name, source="registry", kind="lib", licence="MIT/Apache-2.0"):
    return {
        "id": name, "name": name, "version": "1.0.0", "license": licence, "source": source,
        "manifest_path": f"/r/{name}/Cargo.toml", "targets": [{"kind": [kind]}],
    }  # fmt: skip


def test_crates_of_build_scripts_tests_and_macros_are_not_linked():
    names = ["linked", "deep", "builds", "tests", "macros"]
    metadata = {
        "packages": [
            package_of("emrkeys-cli", source=None),
            *(package_of(name, kind="proc-macro" if name == "macros" else "lib") for name in names),
        ],
        "resolve": {
            "nodes": [
                node("emrkeys-cli", ("linked", None), ("builds", "build"), ("tests", "dev"), ("macros", None)),
                node("linked", ("deep", None)),
                *(node(name) for name in names[1:]),
            ]
        },
    }
    checksums = {(name, "1.0.0"): "aa" for name in names}
    found = crates._linked(metadata, checksums)
    assert {(crate.name, crate.direct, crate.needs) for crate in found} == {
        ("linked", True, ("pkg:cargo/deep@1.0.0",)), ("deep", False, ())
    }  # fmt: skip
    assert {crate.licence for crate in found} == {"MIT OR Apache-2.0"}


def test_checksums_come_from_the_lock_file():
    assert crates._checksums(LOCK) == {("a", "1.0.0"): "aa"}


def test_bill_of_materials_names_every_crate_and_is_the_same_each_time(tmp_path):
    listed = [crate(tmp_path, "a"), crate(tmp_path, "b")]
    document = crates.cyclonedx("0.1.0", listed, COMPILERS)
    assert document == crates.cyclonedx("0.1.0", listed, COMPILERS)
    parsed = json.loads(document)
    assert [component["purl"] for component in parsed["components"]] == ["pkg:cargo/a@1.0.0", "pkg:cargo/b@1.0.0"]
    assert parsed["dependencies"][0]["ref"] == parsed["metadata"]["component"]["bom-ref"]
    assert parsed["serialNumber"].startswith("urn:uuid:")


def test_bill_of_materials_of_this_project_is_valid():
    """By the schema of CycloneDX itself, and by SPDX's list of licences."""
    linked = crates.shipped(["x86_64", "aarch64"])
    document = crates.cyclonedx("0.1.0", linked, COMPILERS)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    licences = get_spdx_licensing()
    assert {crate.licence: licences.validate(crate.licence).errors for crate in linked if crate.licence} == {
        crate.licence: [] for crate in linked
    }
    parsed = json.loads(document)
    known = {component["bom-ref"] for component in parsed["components"]}
    reached, waiting = set(), [parsed["metadata"]["component"]["bom-ref"]]
    needs = {entry["ref"]: entry["dependsOn"] for entry in parsed["dependencies"]}
    while waiting:
        for one in set(needs[waiting.pop()]) - reached:
            reached.add(one)
            waiting.append(one)
    assert reached == known


def test_notices_have_each_text_once(tmp_path):
    text = crates.notices([crate(tmp_path, "a"), crate(tmp_path, "b"), crate(tmp_path, "c", "Another")])
    assert text.count("Permission") == 1
    assert "a 1.0.0, b 1.0.0" in text
    assert "no licence" not in text


def test_jars_are_laid_out_as_a_maven_repository(tmp_path):
    for kind in ("", "-sources", "-javadoc"):
        (tmp_path / f"emrkeys-0.1.0{kind}.jar").write_bytes(kind.encode())
    package.maven(tmp_path, "0.1.0")
    folder = tmp_path / "maven/org/emrkeys/emrkeys/0.1.0"
    assert {file.name for file in folder.iterdir() if file.suffix in (".jar", ".pom")} == {
        "emrkeys-0.1.0.jar", "emrkeys-0.1.0-sources.jar", "emrkeys-0.1.0-javadoc.jar", "emrkeys-0.1.0.pom"
    }  # fmt: skip
    pom = folder / "emrkeys-0.1.0.pom"
    assert "<version>0.1.0</version>" in pom.read_text()
    assert (folder / f"{pom.name}.sha1").read_text() == hashlib.sha1(pom.read_bytes()).hexdigest()
    assert (tmp_path / "emrkeys-0.1.0.jar").is_file()


def test_differences_of_two_releases_are_named(tmp_path):
    for name, text in {"one": "aa  same\nbb  differs\ncc  missing\n", "two": "aa  same\ndd  differs\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "SHA256SUMS").write_text(text)
    assert package.differences(tmp_path / "one", tmp_path / "two") == ["differs", "missing"]
    assert package.differences(tmp_path / "one", tmp_path / "one") == []


def test_checksums_are_what_sha256sum_checks(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").write_text("text")
    (tmp_path / "SHA256SUMS.asc").write_text("old")
    package.write_checksums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text().count("\n") == 1
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)


@pytest.mark.skipif(not shutil.which("gpg"), reason="no gpg")
def test_signature_is_one_that_gpg_verifies(tmp_path, monkeypatch):
    # The sockets of gpg's agent need a short path.
    with tempfile.TemporaryDirectory() as home:
        monkeypatch.setenv("GNUPGHOME", home)
        user = "release@example.org"
        make = ("gpg", "--batch", "--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "1d")
        subprocess.run(make, check=True, capture_output=True)
        (tmp_path / "file").write_text("text")
        package.write_checksums(tmp_path)
        monkeypatch.setenv(package.GPG_KEY, user)
        assert package.sign(tmp_path) and package.sign(tmp_path)  # a signature of an earlier run is in nobody's way
        verify = ("gpg", "--verify", "SHA256SUMS.asc", "SHA256SUMS")
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True).returncode == 0
        (tmp_path / "SHA256SUMS").write_text("another")
        assert subprocess.run(verify, cwd=tmp_path, capture_output=True).returncode == 1
        monkeypatch.setenv(package.GPG_KEY, "nobody@example.org")
        assert not package.sign(tmp_path)
        subprocess.run(("gpgconf", "--kill", "all"))


def test_release_without_a_key_keeps_no_old_signature(tmp_path, monkeypatch):
    monkeypatch.delenv(package.GPG_KEY, raising=False)
    (tmp_path / "SHA256SUMS.asc").write_text("old")
    assert package.sign(tmp_path)
    assert not (tmp_path / "SHA256SUMS.asc").exists()
