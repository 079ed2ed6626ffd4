"""Keys of tables: `emrkeys wrap` and `unwrap`, and encrypted Parquet files in `inspect`, `audit` and `doctor`."""

import base64
import json
import os
import pty
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support import ROOT, properties

ICEBERG_CLASS = "org.emrkeys.iceberg.EmrKeysKeyManagementClient"
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


def placed(servers, keys, place: str, key: str, content: bytes):
    """The content in a new bucket, or in a local file: its URI, or its path."""
    if place == "file":
        return keys.file(key.rpartition("/")[2], content)
    bucket = servers.bucket()
    servers.s3.put_object(Bucket=bucket, Key=key, Body=content)
    return f"s3://{bucket}/{key}"


@pytest.mark.parametrize("place", ["s3", "file"])
def test_inspect_says_which_key_protects_what(servers, tool, keys, both, place):
    content = (FILES / "encrypted-footer.parquet").read_bytes()
    uri = placed(servers, keys, place, "t/part-0.parquet", content)
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


class Material:
    """Files of Parquet's key material, as parquet-java writes them beside `part-0.parquet`."""

    NAME = "_KEY_MATERIAL_FOR_part-0.parquet.json"

    def __init__(self, tool, site: dict):
        self.tool, self.site = tool, site
        self.data_key = os.urandom(16)

    def wrap(self, key: str, value: bytes) -> str:
        (answer,) = ask(self.tool, "wrap", self.site, {"table": "parquet", "key": key, "value": b64(value)})
        return answer["value"]

    def content(self, footer: str = "lake", column: str = "cards") -> bytes:
        """The footer's key with double wrapping, that of a column without."""
        kek, kek_id = os.urandom(16), os.urandom(16)
        nonce = os.urandom(12)
        inner = nonce + AESGCM(kek).encrypt(nonce, self.data_key, kek_id)
        shared = {"keyMaterialType": "PKMT1", "kmsInstanceID": "DEFAULT", "kmsInstanceURL": "DEFAULT"}
        entries = {
            "footerKey": {
                **shared,
                "isFooterKey": True,
                "doubleWrapping": True,
                "masterKeyID": footer,
                "keyEncryptionKeyID": b64(kek_id),
                "wrappedKEK": self.wrap(footer, kek),
                "wrappedDEK": b64(inner),
            },
            "card": {
                "keyMaterialType": "PKMT1",
                "isFooterKey": False,
                "doubleWrapping": False,
                "masterKeyID": column,
                "wrappedDEK": self.wrap(column, self.data_key),
            },
        }
        return json.dumps({name: json.dumps(entry) for name, entry in entries.items()}).encode()

    def rewrap(self, place: str, *options: str, status: int = 0) -> dict:
        return self.tool.json("rewrap", place, "--key-material", *options, *properties(self.site), status=status)

    def keys(self, place: str) -> dict:
        (found,) = self.tool.json("inspect", place, "--for", "tables", *properties(self.site))
        return {entry["reference"]: entry for entry in found["keyMaterial"]}


def parsed(content: bytes) -> dict:
    return {name: json.loads(entry) for name, entry in json.loads(content).items()}


@pytest.fixture
def material(tool, keys):
    document = tool.folder / "lake.keyring"
    site = {
        **configured(keys, cards=8),
        "emrkeys.key.lake.type": "keyring",
        "emrkeys.key.lake.uri": document.as_uri(),
        "emrkeys.key.lake.protector-file": keys.aes("protector"),
    }
    tool.ok("keyring", "create", "lake", *properties(site))
    return Material(tool, site)


def rotated(material, column: str = "lake", footer: str = "lake") -> bytes:
    content = material.content(footer, column)
    material.tool.ok("keyring", "rotate", "lake", *properties(material.site))
    return content


def test_key_material_gets_the_present_version_and_stays_readable_without_the_old_one(tool, keys, material):
    content = rotated(material, column="cards")
    place = keys.file(material.NAME, content)
    path = tool.folder / material.NAME
    path.chmod(0o640)
    checksum = tool.folder / f".{material.NAME}.crc"
    checksum.write_bytes(b"crc\0 of the old content")
    dry = material.rewrap(place, "--dry-run")
    assert dry["counts"] == {"would-be-rewrapped": 1} and path.read_bytes() == content and checksum.exists()
    done = material.rewrap(tool.folder.as_uri(), "--report", str(tool.folder / "report"))
    assert done["counts"] == {"rewrapped": 1}
    (change,) = done["changes"]
    assert change["from"].startswith("lake/1-") and change["to"].startswith("lake/2-")
    (line,) = (tool.folder / "report").read_text().splitlines()
    assert (json.loads(line)["outcome"], json.loads(line)["uri"]) == ("rewrapped", place)
    assert path.stat().st_mode & 0o777 == 0o640 and not checksum.exists()
    tool.ok("keyring", "disable", "lake", "1", *properties(material.site))
    found = material.keys(place)
    assert {name: (key["key"], key["readable"]) for name, key in found.items()} == {
        "footerKey": ("lake", True),
        "card": ("cards", True),
    }
    assert found["footerKey"]["version"].startswith("2-")
    before, after = parsed(content), parsed(path.read_bytes())
    assert before["card"] == after["card"]
    assert before["footerKey"].pop("wrappedKEK") != after["footerKey"].pop("wrappedKEK")
    assert before["footerKey"] == after["footerKey"]
    assert material.rewrap(place)["counts"] == {"current": 1}


def test_key_material_in_s3_is_replaced_under_its_etag_and_other_objects_are_passed_over(servers, tool, material):
    bucket = servers.bucket()
    content = rotated(material)
    name = f"t/{material.NAME}"
    servers.s3.put_object(
        Bucket=bucket, Key=name, Body=content, Metadata={"owner": "sales"}, ContentType="application/json"
    )
    servers.s3.put_object(Bucket=bucket, Key="t/part-0.parquet", Body=(FILES / "encrypted-footer.parquet").read_bytes())
    servers.control("DELETE", "calls")
    assert material.rewrap(f"s3://{bucket}/t/")["counts"] == {"rewrapped": 1}
    assert servers.calls().get("s3.GetObject") == 1
    stored = servers.s3.get_object(Bucket=bucket, Key=name)
    assert (stored["Metadata"], stored["ContentType"]) == ({"owner": "sales"}, "application/json")
    assert {entry["masterKeyID"] for entry in parsed(stored["Body"].read()).values()} == {"lake"}
    # By the name of the data, too.
    assert material.rewrap(f"s3://{bucket}/t/part-0.parquet")["counts"] == {"current": 1}
    tool.ok("keyring", "disable", "lake", "1", *properties(material.site))
    found = tool.json("audit", f"s3://{bucket}/t/", *properties({**material.site, "emrkeys.default.key": "lake"}))
    (group,) = [group for group in found["groups"] if group["mode"] == "Parquet key material"]
    assert group["readable"] == "yes" and group["version"].startswith("2-")
    # The other mode names them, and leaves them alone.
    site = properties({**material.site, "emrkeys.default.key": "lake"})
    objects = tool.json("rewrap", f"s3://{bucket}/t/", "--to", "lake", *site)
    assert objects["counts"] == {"parquet-key-material": 1, "plaintext": 1}


def test_a_rewrite_of_key_material_at_the_same_moment_wins(servers, material):
    bucket, content = servers.bucket(), rotated(material)
    servers.s3.put_object(Bucket=bucket, Key=material.NAME, Body=content)
    servers.fault(service="s3", op="PutObject", status=412, code="PreconditionFailed", message="changed", count=None)
    done = material.rewrap(f"s3://{bucket}/{material.NAME}", status=1)
    assert [error["code"] for error in done["errors"]] == ["OBJECT_CHANGED"]
    assert servers.s3.get_object(Bucket=bucket, Key=material.NAME)["Body"].read() == content


def test_wrapped_keys_move_to_another_key_only_from_the_keys_that_are_named(tool, keys, material):
    content = material.content()
    place = keys.file(material.NAME, content)
    path = tool.folder / material.NAME
    # A user who may write beside the data could have put the wrapped key of `cards` there.
    assert material.rewrap(place, "--to", "lake", status=1)["counts"] == {"other-key": 1}
    assert path.read_bytes() == content
    assert material.rewrap(place, "--to", "lake", "--from", "cards")["counts"] == {"rewrapped": 1}
    assert {entry["masterKeyID"] for entry in parsed(path.read_bytes()).values()} == {"lake"}
    assert all(key["readable"] for key in material.keys(place).values())
    tool.fails(2, "rewrap", place, "--key-material", "--from", "cards", *properties(material.site))
    tool.fails(1, "rewrap", place, "--key-material", "--to", "lakes", *properties(material.site))


def test_keys_that_are_not_configured_stay_and_a_damaged_one_keeps_the_file_as_it_is(tool, keys, material):
    content = rotated(material, column="cards")
    place = keys.file(material.NAME, content)
    path = tool.folder / material.NAME
    whole = material.site
    material.site = {name: value for name, value in whole.items() if ".cards." not in name}
    assert material.rewrap(place, status=1)["counts"] == {"partly-rewrapped": 1}
    material.site = whole
    assert all(key["readable"] for key in material.keys(place).values())
    damaged = parsed(content)
    wrapped = bytearray(base64.b64decode(damaged["card"]["wrappedDEK"]))
    wrapped[-1] ^= 1
    damaged["card"]["wrappedDEK"] = b64(bytes(wrapped))
    for bad in (json.dumps({name: json.dumps(entry) for name, entry in damaged.items()}), "[]", "{}x"):
        path.write_text(bad)
        # The entries are read in the order of their names: an error after the first one changes nothing either.
        code = "WRAPPED_KEY_INVALID" if "card" in bad else "INVALID_ENVELOPE"
        done = material.rewrap(place, "--to", "lake", "--from", "cards", status=1)
        assert [error["code"] for error in done["errors"]] == [code]
        assert path.read_text() == bad
    path.unlink()
    assert "_KEY_MATERIAL_FOR_" in tool.fails(7, "rewrap", place, "--key-material", *properties(material.site))


@pytest.mark.parametrize("place", ["s3", "file"])
def test_iceberg_metadata_shows_which_snapshots_are_lost_with_a_version_of_a_key(servers, tool, keys, material, place):
    def wrapped() -> str:
        request = {"table": "iceberg", "key": "lake", "value": b64(os.urandom(16))}
        return ask(tool, "wrap", material.site, request)[0]["value"]

    def entry(name: str, by: str, value: str) -> dict:
        return {"key-id": name, "encrypted-by-id": by, "encrypted-key-metadata": value}

    first = wrapped()
    tool.ok("keyring", "rotate", "lake", *properties(material.site))
    lists = [entry(f"m{n}", "k1" if n < 2 else "k2", b64(os.urandom(60))) for n in range(3)]
    document = {
        "format-version": 3,
        "properties": {"encryption.key-id": "lake"},
        "snapshots": [{"snapshot-id": n, "key-id": f"m{n}"} for n in range(3)],
        "encryption-keys": [entry("k1", "lake", first), entry("k2", "lake", wrapped()), *lists],
    }
    content = json.dumps(document).encode()
    tool.ok("keyring", "disable", "lake", "1", *properties(material.site))
    uri = placed(servers, keys, place, "t/metadata/00001-a.metadata.json", content)
    (found,) = tool.json("inspect", uri, "--for", "tables", *properties(material.site))
    assert found["iceberg"]["key"] == "lake"
    kek1, kek2 = found["iceberg"]["keys"]
    assert (kek1["snapshots"], kek1["readable"], kek1["why"]["code"]) == (2, False, "KEY_VERSION_DISABLED")
    assert (kek2["snapshots"], kek2["readable"], kek2["version"][:2]) == (1, True, "2-")
    text = tool.ok("inspect", uri)
    assert "2 snapshots: key lake, version 1-" in text and "encrypted table, of key lake" in text
    if place == "s3":
        site = {**material.site, "emrkeys.default.key": "lake"}
        found = tool.json("audit", uri.partition("metadata/")[0], *properties(site))
        (group,) = found["groups"]
        assert (group["mode"], group["readable"]) == ("Iceberg metadata, in the clear", "KEY_VERSION_DISABLED")
        assert {finding["finding"] for finding in found["findings"]} == {
            "plaintext", "old-version", "unreadable:KEY_VERSION_DISABLED",
        }  # fmt: skip


def test_an_audit_says_the_keys_of_the_table_that_a_stream_lies_in(servers, tool, material):
    bucket = servers.bucket()

    def put(key: str, body: bytes = b"AGS1" + bytes(100)):
        servers.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def metadata(*wrapped: str) -> bytes:
        keys = [
            {"key-id": f"k{n}", "encrypted-by-id": "lake", "encrypted-key-metadata": value}
            for n, value in enumerate(wrapped)
        ]
        properties = {"encryption.key-id": "lake"}
        location = f"s3a://{bucket}/data/orders/data/"
        document = {"format-version": 3, "location": location, "properties": properties, "encryption-keys": keys}
        return json.dumps(document).encode()

    def wrapped() -> str:
        request = {"table": "iceberg", "key": "lake", "value": b64(os.urandom(16))}
        return ask(tool, "wrap", material.site, request)[0]["value"]

    first = wrapped()
    tool.ok("keyring", "rotate", "lake", *properties(material.site))
    newest = metadata(first, wrapped())
    put("data/orders/data/metadata/00009-a.metadata.json", metadata(first))
    put("data/orders/data/metadata/00010-b.metadata.json", newest)
    put("data/orders/data/metadata/snap-1.avro")
    put("data/orders/data/data/part=1/x.avro")
    # A copy of the metadata names another place, and here is no metadata at all.
    put("copy/metadata/00010-b.metadata.json", newest)
    put("copy/data/x.avro")
    put("x/y.avro")
    found = tool.json("audit", f"s3://{bucket}/", *properties({**material.site, "emrkeys.default.key": "lake"}))
    streams = {group["key"]: group for group in found["groups"] if group["mode"] == "Iceberg"}
    assert {key: group["objects"] for key, group in streams.items()} == {"lake": 2, "": 2}
    versions = streams["lake"]["version"].split(", ")
    assert [version[:2] for version in versions] == ["1-", "2-"]
    # Which of the versions leads to the file is not known, so neither is whether it is readable.
    assert streams["lake"]["readable"] == "-" and streams["lake"]["wrap"] == "emrkeys"
    alone = tool.json("audit", f"s3://{bucket}/data/orders/data/data/", "--no-unwrap")
    assert [group["key"] for group in alone["groups"]] == ["lake"]


def test_explain_says_what_would_use_a_key_and_which_versions_it_has(tool, material):
    tool.ok("keyring", "rotate", "lake", *properties(material.site))
    named = {
        **material.site,
        "parquet.encryption.kms.client.class": "org.emrkeys.parquet.EmrKeysKmsClient",
        "parquet.encryption.footer.key": "lake",
        "parquet.encryption.column.keys": "cards:card,holder;lake:amount",
        "spark.sql.catalog.x.encryption.kms-impl": ICEBERG_CLASS,
        "emrkeys.rule.sales.prefix": "s3://sales/",
        "emrkeys.rule.sales.key": "lake",
    }
    (lake,) = tool.json("explain", "lake", "--for", "tables", *properties(named))
    assert [version["state"] for version in lake["versions"]] == ["decrypt-only", "active"]
    assert lake["version"]["id"] == lake["versions"][1]["id"] and lake["wrapsTableKeys"]
    assert lake["parquet"] == {"asks": True, "properties": ["parquet.encryption.footer.key"], "columns": ["amount"]}
    assert lake["iceberg"]["catalogs"] == ["spark.sql.catalog.x.encryption.kms-impl"]
    assert lake["rules"] == [{"rule": "sales", "prefix": "s3://sales/"}]
    text = tool.ok("explain", "--for", "tables", *properties(named))
    assert "columns card, holder" in text
    assert "cards (aes)" in text and "lake (keyring)" in text
    tool.fails(1, "explain", "lakes", "--for", "tables", *properties(named))
    # A location has the answer that it has for objects.
    (found,) = tool.json("explain", "s3://sales/a", "--for", "tables", *properties(named))
    assert found["key"] == "lake"

@pytest.fixture
def catalogs(keys, both):
    """The catalog `own` has another key `lake`, and one more; `other` has what all have."""
    own = "spark.sql.catalog.own"
    return {
        **both,
        "spark.sql.catalog.other.encryption.kms-impl": ICEBERG_CLASS,
        f"{own}.encryption.kms-impl": ICEBERG_CLASS,
        f"{own}.emrkeys.key.lake.file": keys.file("own.key", bytes([9]) * 32),
        f"{own}.emrkeys.key.sales.type": "aes",
        f"{own}.emrkeys.key.sales.file": keys.file("sales.key", bytes([10]) * 32),
    }


def test_explain_answers_for_each_catalog_that_has_properties_of_its_own(tool, catalogs):
    shared, own = tool.json("explain", "lake", "--for", "tables", *properties(catalogs))
    assert (shared["catalog"], own["catalog"]) == (None, "own")
    assert shared["version"]["id"] != own["version"]["id"]
    assert shared["iceberg"]["catalogs"] == ["spark.sql.catalog.other.encryption.kms-impl"]
    assert own["iceberg"]["catalogs"] == ["spark.sql.catalog.own.encryption.kms-impl"]
    names = [answer["key"] for answer in tool.json("explain", "--for", "tables", *properties(catalogs))]
    assert names == ["cards", "lake", "cards", "lake", "sales"]
    text = tool.ok("explain", "sales", "--for", "tables", *properties(catalogs))
    assert "catalog     own" in text and "parquet" not in text
    wrong = {**catalogs, "spark.sql.catalog.own.emrkeys.key.lake.fil": "x"}
    refused = tool.fails(1, "explain", "lake", "--for", "tables", *properties(wrong))
    assert "spark.sql.catalog.own.emrkeys.key.lake.fil" in refused


def test_the_doctor_looks_at_each_catalog_that_has_properties_of_its_own(tool, catalogs):
    def lines(site: dict, status: int = 0) -> list[tuple[str, str, str]]:
        report = tool.json("doctor", "--for", "tables", *properties(site), status=status)
        return [(found["check"], found["level"], found["message"]) for found in report["checks"]]

    def of(found: list, check: str) -> list[tuple[str, bool]]:
        return [(level, message.startswith("catalog own: ")) for name, level, message in found if name == check]

    good = lines(catalogs)
    assert of(good, "keys.open") == [("ok", False), ("ok", True)]
    assert [level for check, level, _ in good if check == "iceberg.kms-client"] == ["ok", "ok"]
    # Without Hadoop nothing but the catalog is configured.
    alone = {name: value for name, value in catalogs.items() if ".own." in name}
    alone["spark.sql.catalog.own.emrkeys.key.lake.type"] = "aes"
    assert of(lines(alone), "keys.open") == [("ok", True)]
    lost = {**alone, "spark.sql.catalog.own.emrkeys.key.sales.file": "file:///absent.key"}
    assert of(lines(lost), "keys.open") == [("warning", True), ("ok", True)]
    deaf = {name: value for name, value in alone.items() if "kms-impl" not in name}
    assert [level for check, level, _ in lines(deaf) if check == "iceberg.kms-client"] == ["warning"]
    named = {**alone, "spark.sql.catalog.own.table-default.encryption.key-id": "nobody"}
    assert [level for check, level, _ in lines(named, status=1) if check == "iceberg.keys"] == ["fail"]
