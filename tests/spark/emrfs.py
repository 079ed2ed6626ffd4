"""The stand-in for EMRFS (tests/emrfs): the SDK v1's clients, in a process of their own."""

import itertools
import os
import pathlib
import subprocess
import xml.sax.saxutils

import cluster

ENCRYPTION_ONLY, V1, V2 = "V1_ENCRYPTION_ONLY", "V1_AUTHENTICATED", "V2_AUTHENTICATED"


class Emrfs:
    """EMRFS with the keys and rules of a site."""

    def __init__(self, files: pathlib.Path, endpoint: str, keys: dict, folder: pathlib.Path):
        site = {
            **keys,
            "fs.s3.cse.encryptionMaterialsProvider": "org.emrkeys.S3EncryptionMaterialsProvider",
            "fs.s3.cse.materialsDescription.enabled": "true",
        }
        self._configuration = folder / "emrfs-site.xml"
        self._configuration.write_text("<configuration>%s</configuration>" % "".join(map(_property, site.items())))
        self._java = [os.environ["JAVA_HOME"] + "/bin/java", "-cp", (files / "stand-in.classpath").read_text()]
        self._java += [f"-Demrkeys.test.endpoint={endpoint}", "org.emrkeys.tests.emrfs.Transfer"]

    def transfer(self, mode: str, direction: str, pairs) -> None:
        """Puts or gets pairs of a local file and an object."""
        names = [str(name) for name in itertools.chain.from_iterable(pairs)]
        command = [*self._java, mode, str(self._configuration), direction, *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=cluster.HANG)
        assert done.returncode == 0, done.stderr


def _property(entry) -> str:
    name, value = map(xml.sax.saxutils.escape, entry)
    return f"<property><name>{name}</name><value>{value}</value></property>"
