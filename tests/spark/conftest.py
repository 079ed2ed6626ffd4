"""The setup that all tests share: the servers, and a Spark whose driver and executors have the jars of `--files`."""

import os
import pathlib
import sys

import pyspark
import pytest

from cluster import Application, Standalone
from localaws.client import FOLDER, set_environment
from servers import Servers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def pytest_addoption(parser):
    parser.addoption(
        "--files", type=pathlib.Path, default=ROOT / "build/spark", help="what the Gradle task sparkFiles wrote"
    )
    parser.addoption(
        "--servers-python", default=ROOT / ".dev/venv/bin/python", help="the Python with tests/servers/requirements.txt"
    )
    parser.addoption("--rows", type=int, default=200_000, help="rows of the large table")


def pytest_configure(config):
    set_environment()
    # Spark's own Python processes look for the modules of the tests too.
    os.environ.update(
        PYSPARK_PYTHON=sys.executable, PYTHONPATH=os.pathsep.join(map(str, (HERE, FOLDER))), SPARK_LOCAL_IP="127.0.0.1"
    )


@pytest.fixture(scope="session")
def files(request):
    return request.config.getoption("--files")


@pytest.fixture(scope="session")
def jars(files):
    """The jars that S3A needs beside Spark; our jar is not among them."""
    return [str(jar) for jar in sorted((files / "jars").glob("*.jar"))]


@pytest.fixture(scope="session")
def reads_without_commitment(jars):
    """For tests in which S3A reads objects of the SDK v1's clients, or of format v2."""
    if any("amazon-s3-encryption-client-java-4" in jar for jar in jars):
        pytest.skip("S3 Encryption Client 4 refuses objects whose keys are not committed to")


@pytest.fixture(scope="session")
def iceberg_jars(files):
    """Iceberg's runtime; an empty list if Iceberg has no runtime for this release of Spark."""
    return [str(jar) for jar in (files / "iceberg").glob("*.jar")]


@pytest.fixture(scope="session")
def emrkeys_jar(files):
    (jar,) = (files / "emrkeys").glob("*.jar")
    return str(jar)


@pytest.fixture(scope="session")
def servers(request, files, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    started = Servers(request.config.getoption("--servers-python"), (files / "cli").read_text(), state)
    yield started
    started.close()


@pytest.fixture(scope="session")
def spark_home(tmp_path_factory):
    """pyspark's own, in a folder of which Spark may write below `work`, where the executors' logs are."""
    home = tmp_path_factory.mktemp("spark-home")
    for entry in pathlib.Path(pyspark.__file__).parent.iterdir():
        if entry.name != "work":
            (home / entry.name).symlink_to(entry)
    os.environ["SPARK_HOME"] = str(home)
    return home


@pytest.fixture(scope="module")
def application(spark_home, tmp_path_factory, jars, emrkeys_jar, iceberg_jars):
    """Starts an application with Hadoop's properties; at the end its executors have to end.

    All drivers are one JVM, whose class path is that of the first: each has the jars that one of them needs.
    """
    started = []

    def start(site, **more):
        more = {"spark.jars": ",".join([emrkeys_jar, *jars, *iceberg_jars]), **more}
        started.append(Application(site, tmp_path_factory.mktemp("application"), **more))
        return started[-1].session

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def standalone(spark_home, tmp_path_factory):
    started = Standalone(spark_home, tmp_path_factory.mktemp("standalone"))
    yield started
    started.stop()
