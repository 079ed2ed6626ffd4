"""`emrkeys convert`: objects are encrypted anew, in place, and keep everything else."""

import csv
import json
import os
import pty
import subprocess

import pytest

from convert_lake import LARGE, TEXT, ConvertLake
from envelopes import FORMATS, Kms, context, description, seal, unseal
from support import TIMEOUT

ODD_NAMES = ["a b+%2F%/ü", "tab\tbell\x07end\x01", "emoji-\u2603\U0001f3c4", "?q#f&'\"\\"]


LAKE = ConvertLake


@pytest.mark.parametrize("to", ["v2", "v4"])
def test_objects_of_every_client_get_the_format_and_the_key_of_the_rules(lake, to):
    for how in FORMATS:
        for key in ("old", "pair"):
            lake.put(f"{how}/{key}", *lake.seal(how=how, key=key, owner="team"))
    lines = lake.report("--format", to)
    for name, line in lines.items():
        body, metadata = lake.get(name)
        assert unseal(body, metadata, lake.new) == TEXT
        assert description(metadata) == lake.describe("new")
        assert metadata["owner"] == "team"
        assert metadata["x-amz-unencrypted-content-length"] == str(len(TEXT))
        assert ("x-amz-3" in metadata) == (to == "v4") and "x-amz-key" not in metadata
        assert line["outcome"] == "converted" and line["compared"] == "checksum"
        assert line["before"]["format"] == name.split("/")[0] and line["after"]["format"] == to
        assert line["bytes"] == len(TEXT) and line["after"]["length"] == len(body)
        assert line["verified"] == ("padding" if name.startswith("encryption") else "tag")
    assert len(lines) == 8
    assert lake.convert("--format", to)["counts"] == {"current": 8}


def test_an_object_as_it_should_be_gets_a_fresh_data_key_only_where_that_is_asked_for(lake):
    sealed = lake.seal(how="v2", key="new")
    lake.put("a", *sealed)
    assert lake.convert()["counts"] == {"current": 1} and lake.get("a") == sealed
    assert lake.convert("--renew")["counts"] == {"converted": 1}
    assert lake.get("a")[0] != sealed[0] and unseal(*lake.get("a"), lake.new) == TEXT


def test_objects_under_kms_keys_are_read_and_written(lake):
    key = lake.servers.kms_key()
    lake.site |= {
        "emrkeys.key.kms.type": "kms",
        "emrkeys.key.kms.kms-key-id": key,
        "emrkeys.key.cached.type": "kms-cached",
        "emrkeys.key.cached.kms-key-id": key,
    }
    lake.put("a", *lake.seal())
    for to, format in (("kms", "v2"), ("cached", "v4"), ("kms", "v4"), ("new", "v2")):
        options = ["--to", to, "--format", format, "--from", "kms,cached"]
        assert lake.convert(*options)["counts"] == {"converted": 1}
        assert lake.convert(*options)["counts"] == {"current": 1}
        if to == "kms":
            body, metadata = lake.get("a")
            assert unseal(body, metadata, Kms(lake.servers.kms, key, context(metadata))) == TEXT
    assert unseal(*lake.get("a"), lake.new) == TEXT


def test_everything_but_the_content_stays(lake):
    everything = {
        "ContentType": "text/csv",
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "ContentEncoding": "x-none",
        "ContentLanguage": "de",
        "StorageClass": "STANDARD_IA",
        "ServerSideEncryption": "AES256",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    everyone = "http://acs.amazonaws.com/groups/global/AllUsers"
    for name, text in (("small", TEXT), ("large", LARGE)):
        sealed = lake.seal(text, owner="team")
        lake.put(name, *sealed, **everything, Tagging="a=b%3Dc&d=%C3%BC")
        lake.servers.s3.put_object_acl(Bucket=lake.bucket, Key=name, ACL="public-read")
    before = {name: lake.head(name) for name in ("small", "large")}
    assert lake.convert()["counts"] == {"converted": 2}
    for name, text in (("small", TEXT), ("large", LARGE)):
        head = lake.head(name)
        for field in ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"):
            assert head[field] == everything[field]
        for field in ("StorageClass", "ServerSideEncryption"):
            assert head.get(field) == before[name].get(field), field
        assert lake.tags(name) == {"a": "b=c", "d": "ü"}
        grants = [grant for grant in lake.grants(name) if grant["Grantee"].get("URI") == everyone]
        assert {"READ"} == {grant["Permission"] for grant in grants}
        assert unseal(*lake.get(name), lake.new) == text and lake.get(name)[1]["owner"] == "team"


def test_plaintext_is_encrypted_where_that_is_asked_for(lake):
    file = lake.seal(how="v2")
    lake.put("a", TEXT, {"owner": "team"}, ContentType="text/csv", ServerSideEncryption="AES256")
    lake.put("empty", b"", {})
    lake.put("large", LARGE, {})
    lake.put("folder/", b"", {})
    lake.put("old_$folder$", b"", {})
    lake.put("beside", file[0], {})
    lake.put("beside.instruction", json.dumps(file[1]).encode(), {})
    lake.put("text.instruction", b"a text like another", {})
    assert lake.convert()["counts"] == {"plaintext": 7, "converted": 1}
    lines = lake.report("--from-plaintext")
    skipped = {name: line["why"] for name, line in lines.items() if line["outcome"] == "skipped"}
    assert skipped == {"beside": "current", "folder/": "directory-marker", "old_$folder$": "directory-marker"}
    for name, text in {"a": TEXT, "empty": b"", "large": LARGE, "text.instruction": b"a text like another"}.items():
        assert unseal(*lake.get(name), lake.new) == text
        assert lines[name]["verified"] == "nothing"
    assert lake.head("a")["ContentType"] == "text/csv" and lake.get("a")[1]["owner"] == "team"


def test_an_instruction_file_is_never_taken_for_plaintext(lake):
    body, metadata = lake.seal(how="v2")
    lake.put("a", body, {})
    lake.put("a.instruction", json.dumps(metadata).encode(), {})  # without the mark, as PHP's client has it
    lake.servers.deny("s3", "PutObject", resource="/a")
    lines = lake.report("--from-plaintext", status=1)
    assert lines["a.instruction"]["why"] == "instruction-file" and lines["a"]["code"] == "STORE_DENIED"


@pytest.mark.parametrize("suffix", [".instruction", ".how"])
def test_an_envelope_moves_from_an_instruction_file_into_the_metadata(lake, suffix):
    beside = ["--instruction-suffix", suffix]
    for how in FORMATS:
        body, metadata = lake.seal(how=how)
        own = {name: metadata.pop(name) for name in ("x-amz-c", "x-amz-d", "x-amz-i") if name in metadata}
        lake.put(how, body, {**own, "owner": "team"})
        lake.put(how + suffix, json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
    assert lake.convert(*beside)["counts"]["converted"] == 4
    for how in FORMATS:
        body, metadata = lake.get(how)
        assert unseal(body, metadata, lake.new) == TEXT and metadata["owner"] == "team"
    left = lake.servers.s3.list_objects_v2(Bucket=lake.bucket)["Contents"]
    assert sorted(found["Key"] for found in left) == sorted(FORMATS)


def test_plaintext_comes_back_only_where_it_is_confirmed(lake):
    body, metadata = lake.seal(how="v2")
    lake.put("in/metadata", *lake.seal(owner="team"))
    lake.put("in/file", body, {})
    lake.put("in/file.instruction", json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
    lake.servers.s3.put_object_acl(Bucket=lake.bucket, Key="in/file", ACL="public-read")
    lake.put("in/large", *lake.seal(LARGE, how="v2"))
    lake.put("in/plain", TEXT, {})
    command = lake.command("--to-plaintext", uri=lake.uri + "in/")
    assert "--confirm" in lake.tool.fails(2, *command)
    lake.tool.fails(4, *command, "--confirm", lake.uri)
    lake.tool.fails(2, *command, "--format", "v2")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [lake.tool.path, *command, "--output", "json"],
        cwd=lake.tool.folder,
        env=lake.tool.env,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.write(ours, (lake.uri + "in/\n").encode())
    out, told = process.communicate(timeout=TIMEOUT)
    os.close(ours), os.close(theirs)
    assert process.returncode == 0 and (lake.uri + "in/").encode() in told
    counts = json.loads(out)["counts"]
    assert counts.pop("gone", 0) + counts.pop("instruction-file", 0) == 1
    assert counts == {"converted": 3, "current": 1}
    assert lake.get("in/metadata") == (TEXT, {"owner": "team"})
    assert lake.get("in/file") == (TEXT, {}) and lake.get("in/plain") == (TEXT, {})
    assert lake.get("in/large")[0] == LARGE
    assert "READ" in {grant["Permission"] for grant in lake.grants("in/file")}
    found = lake.servers.s3.list_objects_v2(Bucket=lake.bucket, Prefix="in/file")["Contents"]
    assert [one["Key"] for one in found] == ["in/file"]


def test_an_instruction_file_that_a_killed_run_left_does_not_stand_beside_plaintext(lake):
    body, metadata = lake.seal(how="v2")
    lake.put("a", body, metadata)
    lake.put("a.instruction", json.dumps(metadata).encode(), {"x-amz-crypto-instr-file": ""})
    lake.put("b", *lake.seal())
    lake.put("b.instruction", b"an object like others", {})
    for name in ("a", "b"):
        lake.convert("--to-plaintext", "--confirm", lake.uri + name, uri=lake.uri + name)
        assert lake.get(name) == (TEXT, {})
    left = lake.servers.s3.list_objects_v2(Bucket=lake.bucket)["Contents"]
    assert [found["Key"] for found in left] == ["a", "b", "b.instruction"]


def test_a_bucket_where_the_requester_pays(lake):
    lake.put("small", *lake.seal())
    lake.put("large", *lake.seal(LARGE))
    lake.servers.control("POST", "requester-pays", {"bucket": lake.bucket})
    assert "[STORE_DENIED]" in lake.tool.fails(5, *lake.command())
    assert lake.convert("--request-payer", "requester")["counts"] == {"converted": 2}
    assert "--request-payer" in lake.tool.fails(2, *lake.command("--request-payer", "owner"))


def test_what_does_not_prove_whole_is_reported_and_left(lake):
    cbc, gcm, large = lake.seal(), lake.seal(how="v2"), lake.seal(LARGE)
    noted = {"x-amz-unencrypted-content-length": str(len(TEXT))}
    damaged = {
        "cut-block": (cbc[0][:-16], {**cbc[1], **noted}),
        "cut-byte": (cbc[0][:-1], cbc[1]),
        "empty": (b"", cbc[1]),
        "flipped": (gcm[0][:-20] + bytes(4) + gcm[0][-16:], gcm[1]),
        "cut-tag": (gcm[0][:-16], {**gcm[1], "x-amz-unencrypted-content-length": str(len(TEXT) - 16)}),
        "large-cut": (large[0][:-16], {**large[1], "x-amz-unencrypted-content-length": str(len(LARGE))}),
        "large-flipped": lake.seal(LARGE, how="v4"),
        "wrong-key": seal(TEXT, lake.new, "v2", lake.describe("old")),
        "no-key": seal(TEXT, lake.old, "v2", {"emrkeys.key": "none", "emrkeys.version": "1"}),
        "no-file": (gcm[0], noted),
    }
    flipped = bytearray(damaged["large-flipped"][0])
    flipped[12_000_000] ^= 1
    damaged["large-flipped"] = bytes(flipped), damaged["large-flipped"][1]
    for name, sealed in damaged.items():
        lake.put(name, *sealed)
    codes = {name: line["code"] for name, line in lake.report(status=1).items()}
    assert codes == {
        **dict.fromkeys(damaged, "OBJECT_DAMAGED"),
        "cut-block": codes["cut-block"],
        "cut-tag": "OBJECT_DAMAGED",
        "large-cut": codes["large-cut"],
        "wrong-key": "WRAPPED_KEY_INVALID",
        "no-key": "KEY_NOT_CONFIGURED",
        "no-file": "INSTRUCTION_FILE_MISSING",
    }
    assert {codes["cut-block"], codes["large-cut"]} <= {"OBJECT_DAMAGED", "INVALID_ENVELOPE"}
    for name, sealed in damaged.items():
        assert lake.get(name) == sealed
    assert not lake.has_uploads()


def test_metadata_that_would_not_fit_is_found_before_anything_is_written(lake):
    for name, room in (("full", 2048), ("fits", 1700)):
        body, metadata = lake.seal(how="encryption-only")
        used = sum(len(field) + len(value) for field, value in metadata.items())
        lake.put(name, body, {**metadata, "filler": "x" * (room - used - len("filler"))})
    full = lake.get("full")
    lines = lake.report(status=1)
    assert lines["full"]["code"] == "DESCRIPTION_TOO_LARGE" and lines["fits"]["outcome"] == "converted"
    assert lake.get("full") == full


def test_names_are_taken_as_they_are(lake):
    for name in ODD_NAMES:
        lake.put(name, *lake.seal(name.encode()))
    assert set(lake.report()) == set(ODD_NAMES)
    for name in ODD_NAMES:
        assert unseal(*lake.get(name), lake.new) == name.encode()


def test_an_object_that_was_copied_from_elsewhere_is_not_given_to_the_holders_of_its_new_places_key(lake):
    copied = lake.seal(key="pair")
    lake.put("copied", *copied)
    for options in ([], ["--to-plaintext", "--confirm", lake.uri]):
        command = ["convert", lake.uri, *lake.conf, *options]
        assert lake.tool.json(*command, status=1)["counts"] == {"other-key": 1}
        assert lake.get("copied") == copied
    assert "[KEY_NOT_CONFIGURED]" in lake.tool.fails(1, *command[:-3], "--from", "pear")
    assert lake.convert()["counts"] == {"converted": 1}


def test_a_dry_run_says_what_it_would_take_and_changes_nothing(lake):
    sealed = {"small": lake.seal(), "large": lake.seal(LARGE), "current": lake.seal(how="v2", key="new")}
    for name, object in sealed.items():
        lake.put(name, *object)
    planned = lake.convert("--dry-run", "--checkpoint", "mark", "--report", "report")
    assert planned["counts"] == {"would-be-converted": 2, "current": 1}
    assert planned["bytes"] == sum(len(sealed[name][0]) for name in ("small", "large"))
    assert all(lake.get(name) == object for name, object in sealed.items())
    assert not (lake.tool.folder / "mark").exists()
    lake.servers.control("DELETE", "calls")
    lake.convert()
    taken = {name.removeprefix("s3."): count for name, count in lake.servers.calls().items()}
    for operation, count in planned["requests"].items():
        # One that turned out to be current, asked for with its content.
        assert taken[operation] - (operation == "GetObject") == count, operation
    changes = {(change["from"].split()[0], change["to"]): change["objects"] for change in planned["changes"]}
    assert changes == {("encryption-only", "v2 new"): 2}


def test_where_s3_confirms_no_checksum_the_object_is_read_again(lake):
    lake.put("small", *lake.seal())
    lake.put("large", *lake.seal(LARGE))
    lines = lake.report("--second-read")
    assert {line["compared"] for line in lines.values()} == {"second read"}
    assert lake.servers.calls()["s3.GetObject"] == 1 + 4 + 2
    assert unseal(*lake.get("large"), lake.new) == LARGE


def test_an_older_version_stays_and_is_reported(lake):
    lake.put("null", *lake.seal())
    lake.servers.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    lake.put("a", *lake.seal())
    lake.put("large", *lake.seal(LARGE))
    before = {name: lake.head(name)["VersionId"] for name in ("a", "large")}
    document = lake.convert("--report", "report.jsonl")
    assert document["notes"]["with an older version under the old key"] == 3
    for text in (lake.tool.folder / "report.jsonl").read_text().splitlines():
        line = json.loads(text)
        name = line["uri"].removeprefix(lake.uri)
        assert line["oldVersion"] == before.get(name, "null")
        assert line["after"]["version"] == lake.head(name)["VersionId"] != line["oldVersion"]
        old = lake.servers.s3.get_object(Bucket=lake.bucket, Key=name, VersionId=line["oldVersion"])
        assert unseal(old["Body"].read(), old["Metadata"], lake.old) == (LARGE if name == "large" else TEXT)


def test_a_report_in_csv_has_a_line_for_each_object(lake):
    lake.put("a,b", *lake.seal())
    lake.put("plain", b"text", {})
    lake.put("broken", b"", lake.seal()[1])
    lake.convert("--report", "report.csv", status=1)
    with open(lake.tool.folder / "report.csv", newline="") as file:
        rows = {row["uri"].removeprefix(lake.uri): row for row in csv.DictReader(file)}
    assert {name: (row["outcome"], row["why"]) for name, row in rows.items()} == {
        "a,b": ("converted", ""),
        "plain": ("skipped", "plaintext"),
        "broken": ("failed", "OBJECT_DAMAGED"),
    }
    assert rows["a,b"]["before_format"] == "encryption-only" and rows["a,b"]["after_format"] == "v2"
    # A second run adds lines, and no second head.
    lake.convert("--report", "report.csv", status=1)
    assert (lake.tool.folder / "report.csv").read_text().count("before_format") == 1


def test_a_report_that_cannot_be_written_stops_the_work(lake):
    for number in range(40):
        lake.put(f"{number:02}", *lake.seal())
    told = lake.tool.fails(1, *lake.command("--report", "/dev/full", "--jobs", "1", "--checkpoint", "mark"))
    assert "/dev/full" in told


def test_an_inventory_stands_for_the_listing(lake):
    names = ["a b+%/ü", "plain", *(f"t/{number}" for number in range(5))]
    for name in [*names, "unlisted"]:
        lake.put(name, *lake.seal())
    lake.put("plain", b"text", {})
    inventory = lake.servers.inventory(lake.bucket, [*names, "deleted since"], files=2)
    assert lake.convert("--inventory", inventory)["counts"] == {"converted": 6, "plaintext": 1, "gone": 1}
    assert "s3.ListObjectsV2" not in lake.servers.calls()
    assert description(lake.get("unlisted")[1])["emrkeys.key"] == "old"


def test_a_uri_is_one_object_unless_it_says_otherwise(lake):
    for name in ("part", "part-1", "part/2"):
        lake.put(name, *lake.seal())
    counts = lambda uri, *options, status=0: lake.convert(*options, uri=lake.uri + uri, status=status)["counts"]
    assert counts("part") == {"converted": 1}
    assert counts("part/") == {"converted": 1}
    assert counts("part", "--recursive") == {"current": 2, "converted": 1}
    assert counts("par", status=7) == {"gone": 1}
    assert "no object" in lake.tool.fails(7, *lake.command(uri=lake.uri + "mistyped/"))


