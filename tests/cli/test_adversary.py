"""Adversaries against whom there is no protection in emrkeys, and what they get: docs/security.md has the table."""

import base64
import json

from envelopes import seal
from support import properties, shifted_clock

TEXT = b"text"
OBJECTS = 30
"""Many more than calls that are made again."""


def audited(lake) -> list[dict]:
    return [json.loads(line) for line in (lake.tool.folder / "audit.json").read_text().splitlines()]


def test_who_writes_the_configuration_chooses_the_key_of_new_objects_and_the_audit_log_names_it(lake):
    lake.site["emrkeys.audit"] = (lake.tool.folder / "audit.json").as_uri()
    lake.put("before", *seal(TEXT, lake.old, "v2", lake.describe("old")))
    (lake.tool.folder / "text").write_bytes(TEXT)
    lake.tool.ok("put", "text", lake.uri + "mine", *lake.conf)
    changed = {**lake.site, "emrkeys.default.key": "new"}
    lake.tool.ok("put", "text", lake.uri + "theirs", *properties(changed))
    written = {line["uri"].rsplit("/", 1)[1]: line["key"] for line in audited(lake) if line["purpose"] == "encrypt"}
    assert written == {"mine": "old", "theirs": "new"}
    # Objects that are there keep their key: the configuration can take it away, and can put no other in its place.
    assert lake.tool.run("cat", lake.uri + "before", *properties(changed), input=b"").stdout == TEXT
    changed["emrkeys.key.old.file"] = changed["emrkeys.key.new.file"]
    assert "KEY_VERSION_UNKNOWN" in lake.tool.fails(1, "cat", lake.uri + "before", *properties(changed))


def test_who_writes_objects_in_aes_cbc_changes_their_first_block_at_will_and_no_error_shows_it(lake):
    text, wanted = b"pay 100 to Alice", b"pay 900 to Carol"
    body, metadata = seal(text + TEXT, lake.old, "encryption-only", lake.describe("old"))
    vector = base64.b64decode(metadata["x-amz-iv"])
    vector = bytes(old ^ is_now ^ was for old, is_now, was in zip(vector, wanted, text))
    lake.put("x", body, {**metadata, "x-amz-iv": base64.b64encode(vector).decode()})
    command = ["cat", lake.uri + "x", "--allow-unauthenticated", *properties(lake.site)]
    assert lake.tool.run(*command, input=b"").stdout == wanted + TEXT


def test_another_object_or_an_older_one_under_the_same_key_reads_as_it_was(lake):
    for name in ("one", "two"):
        lake.put(name, *seal(name.encode(), lake.old, "v2", lake.describe("old")))
    lake.put("one", *lake.get("two"))
    assert lake.tool.run("cat", lake.uri + "one", *properties(lake.site), input=b"").stdout == b"two"


def test_a_date_that_is_set_changes_the_times_in_the_audit_log_and_the_age_of_no_key(lake):
    # Each look at the date finds it an hour later, which is older than a key may grow. The AWS SDK fills each moment
    # that it finds skipped into a log: jumps of a month cost it seconds each.
    jumping = shifted_clock(lake.tool.folder, "3600 * __sync_add_and_fetch(&looks, 1)")
    lake.site |= {
        "emrkeys.key.cached.type": "kms-cached",
        "emrkeys.key.cached.kms-key-id": lake.servers.kms_key(),
        "emrkeys.default.key": "cached",
        "emrkeys.audit": (lake.tool.folder / "audit.json").as_uri(),
    }
    (lake.tool.folder / "text").write_bytes(TEXT)
    lake.tool.ok("put", "text", lake.uri + "0", *lake.conf)
    for number in range(1, OBJECTS):
        lake.put(str(number), *lake.get("0"))  # under one wrapped key, which serves for ten minutes

    def decrypt_calls(**env) -> int:
        lake.servers.control("DELETE", "calls")
        lake.tool.json("audit", lake.uri, "--jobs", "1", *lake.conf, env=env)
        return lake.servers.calls()["kms.Decrypt"]

    assert decrypt_calls() == 1
    (lake.tool.folder / "audit.json").unlink()
    # The AWS SDK may take a jump for an answer that stalls, and then the call is made again, some times. If the date
    # made keys older, each object would need a call.
    assert decrypt_calls(**jumping) < OBJECTS
    assert len({line["time"][:13] for line in audited(lake)}) > 3, "the date did not jump"
