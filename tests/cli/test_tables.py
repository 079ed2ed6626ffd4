"""Keys of tables: `emrkeys wrap` and `unwrap`, and encrypted Parquet files in `inspect`, `audit` and `doctor`."""

import base64
import json
import os
import pty
import subprocess

import pytest
from conftest import ROOT, properties

FILES = ROOT / "rust/objects/tests/data"
"""Parquet files that PyArrow wrote, under the AES keys `lake` (32 bytes 07) and `cards` (32 bytes 08)."""


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def configured(keys, **named: int) -> dict:
    """AES keys by name: 32 times a byte."""
    site = {}
    for name, byte in named.items():
        site[f"emrkeys.key.{name}.type"] = "aes"
        site[f"emrkeys.key.{name}.file"] = keys.file(f"{name}.key", bytes([byte]) * 32)
    return site


@pytest.fixture
def both(keys):
    return configured(keys, lake=7, cards=8)


def ask(tool, command: str, site: dict, *requests: dict) -> list[dict]:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    return [json.loads(line) for line in tool.ok(command, *properties(site), input=lines).splitlines()]


def test_a_program_wraps_and_unwraps_keys_line_by_line_and_gets_codes_for_refusals(tool, both):
    key = os.urandom(16)
    good = {"table": "parquet", "key": "lake", "value": b64(key)}
    first, denied, second = ask(tool, "wrap", both, good, {**good, "key": "nobody"}, {**good, "table": "iceberg"})
    assert denied["error"]["code"] == "UNKNOWN_KEY"
    assert first["value"] != second["value"] and key not in base64.b64decode(first["value"])
    wrapped = {**good, "value": first["value"]}
    answers = ask(tool, "unwrap", both, wrapped, {**wrapped, "table": "iceberg"}, {**wrapped, "key": "cards"})
    assert answers[0] == {"value": b64(key)}
    assert [answer["error"]["code"] for answer in answers[1:]] == ["WRAPPED_KEY_INVALID"] * 2


def test_malformed_requests_are_answered_and_quoted_nowhere(tool, both):
    secret = "canary" * 4
    lines = f'{{"table":"parquet","key":"lake","value":"{secret}"\nnot json {secret}\n\n{"x" * 200_000}\n'
    done = tool.run("wrap", *properties(both), input=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and {answer["error"]["code"] for answer in answers} == {"INVALID_VALUE"}
    assert secret not in done.stdout + done.stderr


def test_no_key_is_printed_on_a_terminal(tool, both):
    parent, child = pty.openpty()
    try:
        done = subprocess.run(
            [tool.path, "unwrap", *properties(both)],
            stdin=subprocess.DEVNULL,
            stdout=child,
            stderr=subprocess.PIPE,
            env=tool.env,
        )
    finally:
        os.close(child)
        os.close(parent)
    assert done.returncode == 2 and b"terminal" in done.stderr


@pytest.mark.parametrize("place", ["s3", "file"])
def test_inspect_says_which_key_protects_what(servers, tool, keys, both, place):
    content = (FILES / "encrypted-footer.parquet").read_bytes()
    if place == "s3":
        bucket = servers.bucket()
        servers.s3.put_object(Bucket=bucket, Key="t/part-0.parquet", Body=content)
        uri = f"s3://{bucket}/t/part-0.parquet"
    else:
        uri = keys.file("part-0.parquet", content)
    (found,) = tool.json("inspect", uri)
    assert found["parquet"]["columnsKnown"] is False
    assert [key["key"] for key in found["parquet"]["keys"]] == ["lake"]
    (found,) = tool.json("inspect", uri, "--for", "tables", *properties(both))
    assert (found["parquet"]["footer"], found["parquet"]["algorithm"]) == ("encrypted", "AES_GCM_V1")
    protected = {(",".join(key["columns"]), key["footer"]): key for key in found["parquet"]["keys"]}
    assert {what: key["key"] for what, key in protected.items()} == {
        ("", True): "lake",
        ("card", False): "cards",
        ("name", False): "lake",
    }
    assert all(key["readable"] and key["version"].startswith("fp1-") for key in protected.values())
    text = tool.ok("inspect", uri, "--for", "tables", *properties(both))
    assert "card: key cards, version fp1-" in text and "encrypted footer, AES_GCM_V1" in text


def test_inspect_reads_a_reader_without_one_key_its_refusal(tool, keys):
    uri = keys.file("part-0.parquet", (FILES / "encrypted-footer.parquet").read_bytes())
    (found,) = tool.json("inspect", uri, "--for", "tables", *properties(configured(keys, lake=7)))
    codes = {",".join(key["columns"]): (key["why"] or {}).get("code") for key in found["parquet"]["keys"]}
    assert codes == {"": None, "name": None, "card": "KEY_NOT_CONFIGURED"}


def test_an_audit_counts_encrypted_files_by_their_keys_and_not_as_plaintext(servers, tool, both):
    bucket = servers.bucket()
    for name in ("encrypted-footer", "signed-footer"):
        body = (FILES / f"{name}.parquet").read_bytes()
        servers.s3.put_object(Bucket=bucket, Key=f"t/{name}.parquet", Body=body)
    servers.s3.put_object(Bucket=bucket, Key="t/manifest.avro", Body=b"AGS1" + bytes(100))
    servers.s3.put_object(Bucket=bucket, Key="t/plain.parquet", Body=b"PAR1\x00\x00\x00\x00\x01\x00\x00\x00PAR1")
    servers.s3.put_object(Bucket=bucket, Key="t/plain.avro", Body=b"Obj\x01" + bytes(100))
    site = {**both, "emrkeys.default.key": "lake"}
    found = tool.json("audit", f"s3://{bucket}/t/", *properties(site))
    modes = {group["mode"]: group for group in found["groups"]}
    assert {mode: group["objects"] for mode, group in modes.items()} == {
        "Parquet": 1,
        "Parquet, footer in the clear": 1,
        "Iceberg": 1,
        "plaintext": 2,
    }
    assert modes["Parquet"]["key"] == "cards, lake" and modes["Parquet"]["readable"] == "yes"
    assert {finding["finding"]: finding["objects"] for finding in found["findings"]} == {"plaintext": 2}


def test_the_doctor_looks_at_what_parquet_needs(tool, both):
    classes = {
        "parquet.crypto.factory.class": "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory",
        "parquet.encryption.kms.client.class": "org.emrkeys.parquet.EmrKeysKmsClient",
    }

    def levels(site: dict, status: int = 0) -> dict:
        report = tool.json("doctor", "--for", "tables", *properties(site), status=status)
        return {found["check"]: found["level"] for found in report["checks"]}

    named = {"parquet.encryption.footer.key": "lake"}
    good = levels({**both, **classes, **named})
    assert {good[check] for check in ("parquet.kms-client", "parquet.crypto-factory", "parquet.keys")} == {"ok"}
    without = {name: value for name, value in classes.items() if "factory" not in name}
    assert levels({**both, **without}, status=1)["parquet.crypto-factory"] == "fail"
    assert levels({**both, **classes, "parquet.encryption.footer.key": "lakes"}, status=1)["parquet.keys"] == "fail"
    classification = json.loads(tool.ok("emr-config", "classification", "--for", "tables", *properties(both)))
    assert classification[0]["Classification"] == "core-site"
    assert classes.items() <= classification[0]["Properties"].items()
