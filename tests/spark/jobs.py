"""The jobs of org.emrkeys.spark: in an application of their own, or in the one of the tests."""

import os
import pathlib
import re
import subprocess

import cluster
from localaws.client import REGION


class Submitter:
    """spark-submit, with the jar of emrkeys and the properties of a site."""

    def __init__(self, home: pathlib.Path, jar: str, site: dict):
        self._home = home
        self._jar = jar
        self._site = site

    def start(self, job: str, *arguments: str, master: str = "local[2]") -> subprocess.Popen:
        options = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
        options.update({f"spark.hadoop.{name}": value for name, value in self._site.items()})
        command = [str(self._home / "bin/spark-submit"), "--master", master, "--class", f"org.emrkeys.spark.{job}"]
        for name, value in options.items():
            command += ["--conf", f"{name}={value}"]
        return subprocess.Popen(
            [*command, self._jar, *arguments],
            env={**os.environ, "AWS_REGION": REGION},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Status, standard output and standard error."""
    out, err = process.communicate(timeout=cluster.HANG)
    return process.returncode, out, err


def run(spark, job: str, *arguments: str) -> tuple[int, str]:
    """Runs a job in an application that is there; gives its exit code and its output."""
    context = spark.sparkContext
    jvm = context._jvm
    out = jvm.java.io.ByteArrayOutputStream()
    array = context._gateway.new_array(jvm.java.lang.String, len(arguments))
    for number, argument in enumerate(arguments):
        array[number] = argument
    code = getattr(jvm.org.emrkeys.spark, job).run(context._jsc, jvm.java.io.PrintStream(out, True), array)
    return code, out.toString()


def counts(out: str) -> dict:
    """The outcomes of a run, without those of earlier ones."""
    return {name: int(count) for count, name in re.findall(r"^ +(\d+)  ([a-z-]+)$", out, re.MULTILINE)}
