"""`emrkeys audit`: objects of every kind, what cannot be looked at, and the page in a browser."""

import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess

import pytest
from support import TIMEOUT, properties
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from envelopes import Aes, seal
from lake import Lake

HOSTILE = "p/<script>document.title='owned'</script>\u202e"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def envelope(kek: bytes, description: dict) -> dict:
    """Metadata as the SDK v1's V2 client writes it: the data key wrapped under `kek`."""
    nonce = os.urandom(12)
    wrapped = nonce + AESGCM(kek).encrypt(nonce, os.urandom(32), b"AES/GCM/NoPadding")
    return {
        "x-amz-key-v2": b64(wrapped),
        "x-amz-iv": b64(os.urandom(12)),
        "x-amz-cek-alg": "AES/GCM/NoPadding",
        "x-amz-tag-len": "128",
        "x-amz-wrap-alg": "AES/GCM",
        "x-amz-matdesc": json.dumps(description),
    }


@pytest.fixture
def lake(servers, tool, keys, tmp_path):
    """A bucket with an object of every kind, and the configuration that knows the key `main`."""
    uri = keys.aes("main.key")
    kek = (tmp_path / "main.key").read_bytes()
    bucket = servers.bucket()

    def put(name, metadata=None, body=b"x" * 100):
        servers.s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata=metadata or {})

    conf = properties({"emrkeys.key.main.type": "aes", "emrkeys.key.main.file": uri, "emrkeys.default.key": "main"})
    (tmp_path / "content").write_bytes(b"x" * 100)
    tool.ok("put", "content", f"s3://{bucket}/p/good", *conf)
    stored = json.loads(servers.s3.head_object(Bucket=bucket, Key="p/good")["Metadata"]["x-amz-matdesc"])
    servers.control("DELETE", "calls")
    put("p/plain")
    put("p/folder/", body=b"")
    put(HOSTILE)
    put("p/wrong", envelope(os.urandom(32), stored))
    put("p/unknown", envelope(kek, {**stored, "emrkeys.key": "gone"}))
    cbc = {"x-amz-key": b64(os.urandom(48)), "x-amz-iv": b64(os.urandom(16)), "x-amz-matdesc": json.dumps(stored)}
    put("p/cbc", cbc, b"y" * 112)
    put("p/broken", {"x-amz-key-v2": "%%%"})
    put("p/legacy", {**envelope(kek, stored), "x-amz-wrap-alg": "AESWrap", "x-amz-key-v2": b64(os.urandom(40))})
    put("p/file")
    mark = {"x-amz-crypto-instr-file": ""}
    put("p/file.instruction", mark, json.dumps(envelope(kek, stored)).encode())
    put("p/lost.instruction", mark, json.dumps(envelope(kek, stored)).encode())
    put("p/older", envelope(kek, {**stored, "emrkeys.version": "0" * 16}))
    return bucket, conf


def findings(document) -> dict:
    return {finding["finding"]: finding for finding in document["findings"]}


def test_an_inventory_tells_the_same_as_the_listing(servers, tool, lake):
    bucket, conf = lake
    listed = tool.json("audit", f"s3://{bucket}/p/", *conf)
    names = [found["Key"] for found in servers.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    inventory = servers.inventory(bucket, [*names[::-1], "q/elsewhere"])
    servers.control("DELETE", "calls")
    found = tool.json("audit", f"s3://{bucket}/p/", "--inventory", inventory, *conf)
    assert "s3.ListObjectsV2" not in servers.calls()
    assert found["groups"] == listed["groups"]
    counts = lambda document: {name: finding["objects"] for name, finding in findings(document).items()}
    assert counts(found) == counts(listed)


def test_every_kind_is_told_apart(servers, tool, lake):
    bucket, conf = lake
    document = tool.json("audit", f"s3://{bucket}/p/", *conf, "--objects", "all.csv")
    assert document["objects"] == 13
    found = {
        name: sorted(e.removeprefix(f"s3://{bucket}/") for e in f["examples"]) for name, f in findings(document).items()
    }
    assert found["plaintext"] == sorted([HOSTILE, "p/plain"])
    assert found["cbc"] == ["p/cbc"]
    assert found["legacy-wrap"] == ["p/legacy"]
    assert found["retired-key"] == ["p/unknown"]
    assert found["unreadable:KEY_NOT_CONFIGURED"] == ["p/unknown"]
    assert "p/wrong" in found["unreadable:WRAPPED_KEY_INVALID"]
    assert found["old-version"] == ["p/older"]
    assert found["malformed"] == ["p/broken"]
    assert found["orphaned-instruction"] == ["p/lost.instruction"]
    rows = {
        row["object"].removeprefix(f"s3://{bucket}/"): row
        for row in csv.DictReader(io.StringIO((tool.folder / "all.csv").read_text()))
    }
    assert rows["p/good"]["readable"] == "yes" and rows["p/good"]["findings"] == ""
    assert rows["p/file"]["readable"] == "yes" and rows["p/file"]["envelope"] == "instruction file"
    assert rows["p/folder/"]["findings"] == ""
    # The listing says which objects have an instruction file: nothing else is asked for.
    assert servers.calls()["s3.GetObject"] == 1


@pytest.fixture
def peers(servers, tool, keys):
    """Objects with the descriptions of every provider, and of a key that was renamed.

    A configuration knows them all.
    """
    lake = Lake(servers, keys, tool)
    arn = servers.kms_key()
    lake.site |= {
        "emrkeys.key.old.aliases": "before",
        "emrkeys.key.new.match.keyid": "cloudhsm:1,2",
        "emrkeys.key.kms.type": "kms",
        "emrkeys.key.kms.kms-key-id": arn,
    }

    def in_kms(wrap: str, context: dict) -> tuple[bytes, dict]:
        made = servers.kms.generate_data_key(KeyId=arn, NumberOfBytes=32, EncryptionContext=context)
        body, metadata = seal(b"x", Aes(os.urandom(32)), "v2", context)
        return body, {**metadata, "x-amz-wrap-alg": wrap, "x-amz-key-v2": b64(made["CiphertextBlob"])}

    lake.put("renamed", *seal(b"x", lake.old, "v2", {**lake.describe("old"), "emrkeys.key": "before"}))
    lake.put("rsa", *seal(b"x", lake.pair, "v2", {"rsa_name": "payroll"}))
    lake.put("service", *seal(b"x", lake.new, "v2", {"keyid": "cloudhsm:1,2", "encryptedkey": "c"}))
    lake.put("kms", *in_kms("kms", {"kms_cmk_id": arn}))
    lake.put("kms-context", *in_kms("kms+context", {"aws:x-amz-cek-alg": "AES/GCM/NoPadding"}))
    lake.put("nameless", *seal(b"x", lake.new, "v2", {}))
    return lake, arn


STORED = {"renamed": "before", "rsa": "payroll", "service": "cloudhsm:1,2", "kms-context": "", "nameless": ""}
CONFIGURED = {"renamed": "old", "rsa": "pair", "service": "new", "kms": "kms", "kms-context": "kms", "nameless": "new"}


def rows_of(lake, *options) -> dict:
    lake.tool.ok("audit", lake.uri, *options, "--objects", "all.jsonl")
    rows = map(json.loads, (lake.tool.folder / "all.jsonl").read_text().splitlines())
    return {row["object"].removeprefix(lake.uri): row for row in rows}


def test_every_providers_description_leads_to_the_key_that_is_configured(peers):
    lake, _ = peers
    site = {**lake.site, "emrkeys.legacy.key": "new"}
    rows = rows_of(lake, *properties(site))
    assert {name: row["key"] for name, row in rows.items()} == CONFIGURED
    assert {row["readable"] for row in rows.values()} == {"yes"}
    # The default is the key that was renamed; none of the others is given to new objects.
    assert {name for name, row in rows.items() if "retired-key" not in row["findings"]} == {"renamed"}
    assert rows["renamed"]["findings"] == []
    site |= {"emrkeys.default.key": "kms"}
    retired = {name for name, row in rows_of(lake, *properties(site)).items() if "retired-key" in row["findings"]}
    assert retired == {"renamed", "rsa", "service", "nameless"}


def test_what_only_unwrapping_proves_is_not_said_without_it(servers, peers):
    lake, arn = peers
    stored = {**STORED, "kms": arn}
    assert {name: row["key"] for name, row in rows_of(lake).items()} == stored
    site = properties({**lake.site, "emrkeys.legacy.key": "old"})
    told = {**CONFIGURED, "kms-context": "", "nameless": ""}
    assert {name: row["key"] for name, row in rows_of(lake, *site, "--no-unwrap").items()} == told
    servers.kms.disable_key(KeyId=arn)
    rows = rows_of(lake, *site)
    assert {name: row["key"] for name, row in rows.items()} == told
    for name in ("kms-context", "nameless"):
        assert [finding.split(":")[0] for finding in rows[name]["findings"]] == ["unreadable"]


def test_another_providers_key_that_is_not_configured_is_retired(peers):
    lake, _ = peers
    site = {name: value for name, value in lake.site.items() if not name.startswith("emrkeys.key.pair")}
    for options in ([], ["--no-unwrap"]):
        row = rows_of(lake, *properties(site), *options)["rsa"]
        assert row["key"] == "payroll" and "retired-key" in row["findings"]


@pytest.fixture
def ruled(servers, keys, tool):
    """A lake with a rule for a folder, and objects that keep to it or not."""
    lake = Lake(servers, keys, tool)
    lake.site |= {
        "fs.s3.cse.materialsDescription.enabled": "true",
        "emrkeys.rule.pay.prefix": lake.uri + "pay/",
        "emrkeys.rule.pay.key": "pair",
    }
    lake.put("pay/right", *seal(b"x", lake.pair, "v2", {"rsa_name": "payroll"}))
    lake.put("pay/copied", *seal(b"x", lake.old, "v2", lake.describe("old")))
    lake.put("open/copied", *seal(b"x", lake.pair, "v2", {"rsa_name": "payroll"}))
    lake.put("open/right", *seal(b"x", lake.old, "v2", lake.describe("old")))
    lake.put("open/plain", b"x", {})
    lake.put("open/by-s3", b"x", {}, ServerSideEncryption="AES256")
    lake.put("open/empty/", b"", {})
    return lake


def test_an_object_under_the_key_of_another_place_is_a_finding(ruled):
    for options in ([], ["--no-unwrap"]):
        rows = rows_of(ruled, *properties(ruled.site), *options)
        others = {name for name, row in rows.items() if "other-key" in row["findings"]}
        assert others == {"pay/copied", "open/copied"}


def test_shares_say_who_encrypts_in_all_and_by_folder(ruled):
    document = ruled.tool.json("audit", ruled.uri, *properties(ruled.site))
    shares = document["shares"]
    assert [shares[kind]["objects"] for kind in ("client", "serverSideOnly", "nothing")] == [4, 1, 1]
    assert shares["encryptedPercent"] == 66.6
    folders = {folder["folder"]: folder for folder in document["folders"]}
    assert (folders["pay/"]["encryptedPercent"], folders["open/"]["encryptedPercent"]) == (100, 50)
    assert (folders["pay/"]["withFindings"], folders["open/"]["withFindings"], folders["open/"]["objects"]) == (1, 3, 5)
    assert {"plaintext", "server-side-only"} <= findings(document).keys()
    told = ruled.tool.ok("audit", ruled.uri, *properties(ruled.site))
    assert "66.6 % encrypted by clients (4 objects), 16.7 % by S3 alone (1 object), 16.7 % by nothing" in told
    assert "100.0 %" in told


def test_a_prefix_without_objects_is_no_clean_bill(ruled):
    assert "no object" in ruled.tool.fails(7, "audit", ruled.uri + "mistyped/", *properties(ruled.site))


@pytest.mark.parametrize("forged", [False, True])
def test_readable_is_proven_by_the_content_where_the_wrap_proves_nothing(servers, keys, tool, forged):
    lake = Lake(servers, keys, tool)
    body, metadata = seal(b"x" * 100, lake.pair, "encryption-only", {"rsa_name": "payroll"})
    other, _ = seal(b"x" * 100, lake.pair, "encryption-only", {"rsa_name": "payroll"})
    metadata["x-amz-unencrypted-content-length"] = "100"
    lake.put("x", other if forged else body, metadata)
    row = rows_of(lake, *lake.conf)["x"]
    assert row["readable"] == ("OBJECT_DAMAGED" if forged else "yes")
    assert lake.servers.calls()["s3.GetObject"] == 1


def test_one_object_is_no_plural(tool, lake, tmp_path):
    bucket, conf = lake
    told = tool.ok("audit", f"s3://{bucket}/p/plain", *conf, "--html", "audit.html")
    assert ": 1 object, 100 bytes" in told and "plaintext: 1 object," in told
    assert not re.search(r"\b1 (objects|kinds)", told + re.sub("<[^>]*>", " ", (tmp_path / "audit.html").read_text()))


def test_forms_and_exit_codes(tool, lake):
    bucket, conf = lake
    uri = f"s3://{bucket}/p/"
    table = list(csv.DictReader(io.StringIO(tool.ok("audit", uri, *conf, "--output", "csv"))))
    assert sum(int(row["objects"]) for row in table) == 13
    assert "plaintext: 2 objects" in tool.ok("audit", uri, "--no-unwrap")
    tool.fails(6, "audit", uri, *conf, "--fail-on-findings")
    # A reader that goes away does not change the verdict.
    command = [str(tool.path), "audit", uri, *conf, "--fail-on-findings"]
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", *command],
        env=tool.env,
        cwd=tool.folder,
        capture_output=True,
    )
    assert done.returncode == 6
    tool.ok("audit", uri + "good", *conf, "--fail-on-findings")
    assert "audit alone" in tool.fails(2, "keyring", "list", "s3://a/b", "--output", "csv")


def test_what_is_refused_or_vanishes_ends_nothing(servers, tool, lake):
    bucket, conf = lake
    servers.deny("s3", "HeadObject")
    document = tool.json("audit", f"s3://{bucket}/p/", *conf)
    assert document["objects"] == 13
    assert findings(document)["not-seen:STORE_DENIED"]["objects"] == 13
    servers.clear_faults()
    servers.fault(service="s3", op="HeadObject", status=404, code="NotFound", message="gone", count=None)
    document = tool.json("audit", f"s3://{bucket}/p/", *conf)
    assert findings(document)["not-seen:OBJECT_NOT_FOUND"]["objects"] == 13


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_all_text_of_the_page_has_contrast(theme, tool, lake, tmp_path):
    """At least 4.5 to 1, as WCAG 2.2 asks for text (criterion 1.4.3), on either background."""
    bucket, conf = lake
    tool.ok("audit", f"s3://{bucket}/p/", *conf, "--html", "audit.html")
    themes = re.findall(r":root { (?:color-scheme[^;]*; )?(--text[^}]*)}", (tmp_path / "audit.html").read_text())
    colours = dict(re.findall(r"--(\w+): (#\w+);", themes[theme]))
    for text in ("text", "dim", "bad", "doubtful"):
        for back in ("back", "soft"):
            lighter, darker = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, back)


def luminance(colour: str) -> float:
    """The relative luminance that WCAG 2.2 defines."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


def test_the_page_sorts_and_filters_and_runs_no_script_of_others(tool, lake, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on the path")
    bucket, conf = lake
    tool.ok("audit", f"s3://{bucket}/p/", *conf, "--html", "audit.html")
    page = (tmp_path / "audit.html").as_uri()

    def dom(fragment: str) -> str:
        done = subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                "--v=0",
                f"--user-data-dir={tmp_path}/chromium",
                "--dump-dom",
                page + fragment,
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert ":CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    def rows(text: str) -> list[str]:
        return re.findall(r"<tr( hidden=\"\")?>(.*?)</tr>", text.split("<tbody>")[1], re.S)

    plain = dom("#sort=8")
    assert "<title>Audit of" in plain and "&lt;script&gt;document.title" in plain
    counts = [int(re.findall(r'class="number">(\d+)<', row)[0]) for _, row in rows(plain)]
    assert counts == sorted(counts) and len(set(counts)) > 1
    assert 'aria-sort="ascending"' in plain
    sifted = rows(dom("#filter=plaintext"))
    shown = [row for hidden, row in sifted if not hidden]
    assert len(shown) == 1 and "plaintext" in shown[0] and len(sifted) > 1
