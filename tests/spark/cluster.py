"""Spark applications with executors in JVMs of their own, and the properties that S3A and emrkeys need."""

import glob
import os
import pathlib
import re
import subprocess
import time
import uuid

import pyspark
from pyspark.sql import SparkSession

from localaws import client
from localaws.client import REGION

MASTER = "local-cluster[2,1,1024]"
JVMS = 3  # the driver and two executors
MARKER = "emrkeys.test.application"
HANG = 900
"""Seconds after which a test gives up. Every wait is for an event; this only ends a test whose event never comes, and
is far beyond what a busy machine takes."""


def set_environment() -> None:
    """The environment of the local servers' clients, and Spark's own, on this machine alone."""
    client.set_environment()
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_HOME"] = str(pathlib.Path(pyspark.__file__).parent)


def s3a(endpoint: str) -> dict:
    """S3A on the local servers, with our keyring."""
    return {
        "fs.s3a.encryption.algorithm": "CSE-CUSTOM",
        "fs.s3a.encryption.cse.custom.keyring.class.name": "org.emrkeys.S3AKeyring",
        "fs.s3a.audit.execution.interceptors": "org.emrkeys.S3AReadInterceptor",
        "fs.s3a.endpoint": endpoint,
        "fs.s3a.endpoint.region": REGION,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
        "fs.s3a.aws.credentials.provider": (
            "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"
        ),
        # Spark 4.1 chooses the magic committer by itself if spark-hadoop-cloud is there. It cannot overwrite
        # partitions.
        "fs.s3a.committer.magic.enabled": "false",
        "fs.s3a.input.stream.type": "classic",  # docs/s3a.md; Hadoop 3.4.2 has no other
        "fs.s3a.attempts.maximum": "2",
        "fs.s3a.retry.limit": "2",
    }


def keyring(name: str, uri: str, kms_key: str, endpoint: str) -> dict:
    return {
        f"emrkeys.key.{name}.type": "keyring",
        f"emrkeys.key.{name}.uri": uri,
        f"emrkeys.key.{name}.kms-key-id": kms_key,
        f"emrkeys.key.{name}.endpoint": endpoint,
        "emrkeys.s3.endpoint": endpoint,
        "emrkeys.s3.region": REGION,
        "emrkeys.s3.path-style-access": "true",
    }


def kms_cached(name: str, kms_key: str, endpoint: str) -> dict:
    return {
        f"emrkeys.key.{name}.type": "kms-cached",
        f"emrkeys.key.{name}.kms-key-id": kms_key,
        f"emrkeys.key.{name}.endpoint": endpoint,
    }


def aes(name: str, folder: pathlib.Path) -> dict:
    """An AES key in a new file that only its owner can read."""
    file = folder / f"{name}.key"
    file.touch(mode=0o600)
    file.write_bytes(os.urandom(32))
    return {f"emrkeys.key.{name}.type": "aes", f"emrkeys.key.{name}.file": file.as_uri()}


def rule(prefix: str, key: str) -> dict:
    """A rule for an S3 URI, named after its key."""
    return {f"emrkeys.rule.{key}.prefix": prefix, f"emrkeys.rule.{key}.key": key}


def settings(site: dict, folder: pathlib.Path, marker: str, java: str = "") -> dict:
    """The properties of an application, with Hadoop's in `site`; `java` are options of its JVMs."""
    spark = {
        "spark.master": MASTER,
        "spark.cores.max": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # both executors, before the first task
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": java,
        "spark.executor.extraJavaOptions": f"-D{MARKER}={marker} {java}",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    return {**spark, **{f"spark.hadoop.{name}": value for name, value in site.items()}}


class Standalone:
    """A cluster of two workers on addresses of their own.

    Spark never runs a second attempt beside the first on one host.
    """

    def __init__(self, home: pathlib.Path, folder: pathlib.Path):
        self._home = home
        self.folder = folder
        self._processes = []
        log = self._start("Master", "127.0.0.1", "--port", "0")
        self.url = wait_for(lambda: re.search(r"spark://127\.0\.0\.1:\d+", log.read_text())).group()
        for address in ("127.0.0.1", "127.0.0.2"):
            self._start(
                "Worker", address, "--cores", "1", "--memory", "1g", "--work-dir", str(folder / address), self.url
            )

    def _start(self, role: str, address: str, *arguments: str) -> pathlib.Path:
        log = self.folder / f"{role}-{address}.log"
        main = f"org.apache.spark.deploy.{role.lower()}.{role}"
        command = [str(self._home / "bin/spark-class"), main, "--host", address, "--webui-port", "0", *arguments]
        environment = {**os.environ, "SPARK_LOCAL_IP": address}
        with log.open("wb") as out:
            self._processes.append(subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT))
        return log

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=HANG)


class Application:
    """An application of this process. All of one process share the driver's JVM, and so its class path."""

    def __init__(self, site: dict, folder: pathlib.Path, java: str = "", **more: str):
        assert SparkSession.getActiveSession() is None, "this process runs an application, whose settings would stay"
        self.marker = uuid.uuid4().hex
        builder = SparkSession.builder.appName(self.marker)
        for name, value in {**settings(site, folder, self.marker, java), **more}.items():
            builder = builder.config(name, value)
        self.session = builder.getOrCreate()
        # The first application's properties are the JVM's own, from which later ones would inherit.
        system = self.session.sparkContext._jvm.java.lang.System
        for name in system.getProperties().stringPropertyNames().toArray():
            if name.startswith("spark.") and not name.startswith("spark.submit."):
                system.clearProperty(name)

    def stop(self) -> None:
        assert jvms(self.marker), "the executors were not found while they ran"
        self.session.stop()
        assert_ended(self.marker)


def jvms(marker: str) -> list:
    """The ids of the JVMs of an application that have not ended."""
    found = []
    for line in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            arguments = pathlib.Path(line).read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if f"-D{MARKER}={marker}".encode() in arguments:
            found.append(int(line.split("/")[2]))
    return found


def assert_ended(marker: str) -> None:
    """Waits for the processes to end: a thread that keeps a JVM alive would keep it for good."""
    wait_for(lambda: not jvms(marker))


def wait_for(condition):
    """Returns the result of `condition` once that is true."""
    end = time.monotonic() + HANG
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return result
