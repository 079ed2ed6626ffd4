"""A bucket of objects under keys that a configuration knows."""

import json
import pathlib
import subprocess
import time
import urllib.parse

from envelopes import Aes, Rsa
from support import TIMEOUT, properties, wait_for


class Lake:
    """A bucket, two AES keys and an RSA pair, and a configuration that knows them all."""

    def __init__(self, servers, keys, tool):
        self.servers, self.tool = servers, tool
        self.bucket = servers.bucket()
        self.uri = f"s3://{self.bucket}/"
        public, private = keys.rsa("pair")
        self.old, self.new = (self._aes(keys.aes(name)) for name in ("old", "new"))
        self.pair = Rsa(self._read(private))
        self.site = {
            "emrkeys.key.old.type": "aes",
            "emrkeys.key.old.file": (tool.folder / "old").as_uri(),
            "emrkeys.key.new.type": "aes",
            "emrkeys.key.new.file": (tool.folder / "new").as_uri(),
            "emrkeys.key.pair.type": "rsa",
            "emrkeys.key.pair.public": public,
            "emrkeys.key.pair.private": private,
            "emrkeys.key.pair.legacy-name": "payroll",
            "emrkeys.default.key": "old",
        }

    @property
    def conf(self) -> list[str]:
        """The configuration as options."""
        return properties(self.site)

    def _aes(self, uri: str) -> Aes:
        return Aes(self._read(uri))

    @staticmethod
    def _read(uri: str) -> bytes:
        return pathlib.Path(urllib.parse.urlparse(uri).path).read_bytes()

    def version(self, key: str) -> str:
        """The version that new objects under this key get."""
        properties_of_key = f"emrkeys.key.{key}."
        kind = self.site.get(properties_of_key + "type")
        if kind == "aes":
            return self._aes(self.site[properties_of_key + "file"]).fingerprint()
        if kind == "rsa":
            return Rsa(self._read(self.site[properties_of_key + "private"])).fingerprint()
        site = {**self.site, "emrkeys.default.key": key}
        return self.tool.json("explain", self.uri + "x", *properties(site))[0]["version"]["id"]

    def describe(self, key: str) -> dict:
        return {"emrkeys.key": key, "emrkeys.version": self.version(key)}

    def put(self, name: str, body: bytes, metadata: dict, **more) -> None:
        self.servers.s3.put_object(Bucket=self.bucket, Key=name, Body=body, Metadata=metadata, **more)

    def get(self, name: str) -> tuple[bytes, dict]:
        found = self.servers.s3.get_object(Bucket=self.bucket, Key=name)
        return found["Body"].read(), found["Metadata"]

    def grants(self, name: str) -> list:
        return self.servers.s3.get_object_acl(Bucket=self.bucket, Key=name)["Grants"]

    def delete(self, name: str) -> None:
        self.servers.s3.delete_object(Bucket=self.bucket, Key=name)

    def age(self, name: str, seconds: float = 3600) -> None:
        """Has the object be written so long ago."""
        self.servers.control("POST", "object", {"bucket": self.bucket, "key": name, "modified": time.time() - seconds})

    def during(self, run: subprocess.Popen, call: str, number: int, action, status: int = 0) -> dict:
        """The document of a run during which, once so many of these calls have begun, something else happens.

        Requests that are held go on after that.
        """
        wait_for(lambda: self.servers.calls().get(call, 0) >= number)
        action()
        self.servers.clear_faults()
        out, _ = run.communicate(timeout=TIMEOUT)
        assert run.returncode == status, out
        return json.loads(out)

    def rewrap(self, *options, **more) -> dict:
        return self.tool.json(
            "rewrap", self.uri, "--to", "new", "--from", "old,pair", *self.conf, *options, **more
        )
