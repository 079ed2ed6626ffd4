"""The examples of `--help`: each is run as a terminal of 80 columns shows it, and none is slow by nature."""

import json
import re
from xml.sax.saxutils import escape

import pytest

from markdown import ROOT
from person import KMS_KEY, REGION
from support import Tool
from terminal import lines, shown

NOT_RUN = {"hadoop jar emrkeys.jar doctor": "it needs Hadoop; tests/e2e run it"}
COMMANDS = re.findall(r"^## `emrkeys ([\w -]+)`", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
OF_KEYRINGS = [f"keyring {name}" for name in "list show disable enable retire destroy rewrap".split()]
"""In an order in which the example of each can follow those before it."""


def examples(help: str) -> list[str]:
    """The commands of the examples: lines with two spaces before them, and those with more that go on with them."""
    text = re.split(r"^Examples?:\n", help, flags=re.MULTILINE)[1]
    text = "".join(line + "\n" for line in text.splitlines() if line.startswith("  "))
    found = [each.strip() for each in re.split(r"^  (?! )", text, flags=re.MULTILINE)]
    return [each for each in found if each and not each.startswith("emrkeys.key.")]


@pytest.fixture
def printed(operator) -> dict[str, list[str]]:
    """The examples of every command, as printed."""
    tool = Tool(operator.tool, operator.servers.endpoint, operator.folder)
    helps = {name: "\n".join(lines(shown(tool, 80, *name.split(), "--help"))) for name in COMMANDS}
    for name, text in helps.items():
        assert re.search(r"^Examples?:$", text, re.MULTILINE), f"{name} has no example"
    return {name: examples(text) for name, text in helps.items()}


@pytest.fixture
def run(operator):
    """Runs an example. Folders of the system are in the operator's folder."""

    def run(example: str) -> None:
        command = re.sub(r"(?<= )/(?=etc/|usr/)", f"{operator.folder}/", example)
        command = KMS_KEY.sub(lambda found: operator.kms_key(found[0]), command)
        # The documents that init makes are not to be those that the other examples have.
        where = "mkdir -p fresh && cd fresh && " if command.startswith("emrkeys init") else ""
        operator.shell(where + re.sub(r"\bARN\b", operator.kms_key("ARN"), command))

    return run


@pytest.fixture
def world(operator):
    """KMS keys, configurations and a table, as the examples name them; they make the keyring themselves."""
    for alias in ("alias/lake", "alias/lake-2026"):
        operator.servers.client("kms", REGION).create_alias(AliasName=alias, TargetKeyId=operator.kms_key(alias))
    emrfs = {
        "fs.s3.cse.enabled": "true",
        "fs.s3.cse.encryptionMaterialsProvider": "org.emrkeys.S3EncryptionMaterialsProvider",
        "fs.s3.cse.encryptionV2.enabled": "true",
    }
    keys = {
        "emrkeys.key.lake.type": "keyring",
        "emrkeys.key.lake.uri": "s3://keys/lake.keyring",
        "emrkeys.key.lake.kms-key-id": operator.kms_key("alias/lake"),
        "emrkeys.default.key": "lake",
    }
    site = {**emrfs, **keys}
    (operator.folder / "emr.json").write_text(json.dumps([{"Classification": "emrfs-site", "Properties": site}]))
    (operator.folder / "keys.conf").write_text("".join(f"{name}={value}\n" for name, value in site.items()))
    entry = "<property><name>{}</name><value>{}</value></property>".format
    for file, of in (("usr/share/aws/emr/emrfs/conf/emrfs-site.xml", emrfs), ("etc/hadoop/conf/core-site.xml", keys)):
        path = operator.folder / file
        path.parent.mkdir(parents=True)
        entries = "".join(entry(name, escape(value)) for name, value in of.items())
        path.write_text(f"<configuration>{entries}</configuration>")
    (operator.folder / "etc/emrkeys").mkdir()
    (operator.folder / "table.parquet").write_bytes(b"PAR1")
    return operator


def test_every_example_works_as_it_is_printed(printed, world, run):
    (create,), (rotate,) = printed.pop("keyring create"), printed.pop("keyring rotate")
    run(create)
    world.put("raw/part-0.parquet", "emr.json")
    for _ in range(3):
        run(rotate)
    for key in ("raw/part-0.csv", "sales/a"):
        world.put(key, "emr.json")
    left_out = set()
    for name in [*(name for name in printed if name not in OF_KEYRINGS), *OF_KEYRINGS]:
        for example in printed.pop(name):
            if example in NOT_RUN:
                left_out.add(example)
                continue
            run(example)
    assert left_out == set(NOT_RUN)
    assert not printed
    assert (world.folder / "audit.html").exists() and (world.folder / "convert.jsonl").exists()


def test_who_wants_the_beginning_of_an_object_is_shown_how_to_read_no_more(printed):
    beginnings = [example for name in ("cat", "get") for example in printed[name] if re.search(r"\bhead\b", example)]
    assert len(beginnings) == 2
    assert all("--range" in example for example in beginnings)
