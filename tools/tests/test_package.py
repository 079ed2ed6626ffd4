"""The parts of a release that are made here: bill of materials, notices, Maven repository, checksums."""

import hashlib
import json
import subprocess

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
    assert sorted(crate.name for crate in found) == ["deep", "linked"]
    assert {crate.licence for crate in found} == {"MIT OR Apache-2.0"}


def test_checksums_come_from_the_lock_file():
    assert crates._checksums(LOCK) == {("a", "1.0.0"): "aa"}


def test_bill_of_materials_names_every_crate_and_is_the_same_each_time(tmp_path):
    listed = [crate(tmp_path, "a"), crate(tmp_path, "b")]
    document = crates.cyclonedx("0.1.0", listed)
    assert document == crates.cyclonedx("0.1.0", listed)
    parsed = json.loads(document)
    assert [component["purl"] for component in parsed["components"]] == ["pkg:cargo/a@1.0.0", "pkg:cargo/b@1.0.0"]
    assert parsed["dependencies"][0]["ref"] == parsed["metadata"]["component"]["bom-ref"]
    assert parsed["serialNumber"].startswith("urn:uuid:")


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
