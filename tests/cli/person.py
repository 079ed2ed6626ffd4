"""A person who follows the documents and the help, in a world with the buckets that these print."""

import json
import pathlib
import re

from localaws.client import LocalAws

import envelopes
import markdown
from shell import Shell
from support import Tool

BLOCKS = {block.mark: block for block in markdown.blocks() if block.kind == "recipe"}
KMS_KEY = re.compile(r"arn:aws:kms:eu-west-1:111122223333:key/[\w-]+")
REGION = "eu-west-1"


class Operator:
    """A person with a shell, the tool and the documents."""

    def __init__(self, servers: LocalAws, tool: pathlib.Path, folder: pathlib.Path):
        self.servers, self.tool, self.folder = servers, tool, folder
        self.followed: set[str] = set()
        self.kms_keys: dict[str, str] = {}
        self._shell = Shell(Tool(tool, servers.endpoint, folder))
        self._shell.env |= {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}  # boto3 reads the second alone
        for bucket in ("keys", "lake"):
            servers.client("s3", REGION).create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )

    def kms_key(self, printed: str) -> str:
        """The KMS key that stands for the one with the printed ARN."""
        if printed not in self.kms_keys:
            self.kms_keys[printed] = self.servers.kms_key(REGION)
        return self.kms_keys[printed]

    def text(self, name: str) -> str:
        """A recipe with the placeholders replaced."""
        self.followed.add(name)
        text = BLOCKS[name].text.replace("/etc/emrkeys/", f"{self.folder}/")
        return KMS_KEY.sub(lambda found: self.kms_key(found[0]), text)

    def save(self, name: str, file: str) -> None:
        """Saves a block of properties or a document under this name in the working folder."""
        (self.folder / file).write_text(self.text(name))

    def run(self, name: str, status: int = 0) -> str:
        """Runs the commands of a recipe, in a shell that ends at the first that fails; gives what they print."""
        return self.shell(self.text(name), status)

    def shell(self, commands: str, status: int = 0) -> str:
        """Runs commands that must end with this status; gives what they print."""
        return self._shell.ok(commands, status=status)

    def errors(self, commands: str) -> str:
        """Runs commands that must fail; gives what they print on standard error."""
        done = self._shell.run(commands)
        assert done.returncode != 0, commands
        return done.stderr

    def put(self, key: str, conf: str) -> bytes:
        """Has the tool write s3://lake/KEY as a cluster with this configuration does; gives the content."""
        content = f"the content of {key}".encode()
        (self.folder / "content").write_bytes(content)
        self.shell(f"emrkeys put content s3://lake/{key} --conf {conf}")
        return content

    def store(self, key: str, wrapping_key, how: str, description: dict) -> bytes:
        """Writes s3://lake/KEY as the provider of somebody else does; gives the content."""
        content = f"the content of {key}".encode()
        body, metadata = envelopes.seal(content, wrapping_key, how, description)
        self.servers.s3.put_object(Bucket="lake", Key=key, Body=body, Metadata=metadata)
        return content

    def cat(self, key: str, conf: str) -> bytes:
        return self.shell(f"emrkeys cat s3://lake/{key} --allow-unauthenticated --conf {conf}").encode()

    def described(self, key: str) -> dict:
        """The stored description of s3://lake/KEY."""
        return envelopes.description(self.servers.s3.head_object(Bucket="lake", Key=key)["Metadata"])

    def doctor(self, conf: str, *options: str) -> dict[str, list[str]]:
        """The levels of each check."""
        found = json.loads(self.shell(f"emrkeys doctor --conf {conf} --output json {' '.join(options)}"))
        levels: dict[str, list[str]] = {}
        for check in found["checks"]:
            levels.setdefault(check["check"], []).append(check["level"])
        return levels
