"""Applications of spark-submit, with the jars on the class path, from the start of the driver to its end."""

import pathlib
import subprocess
import uuid

import pytest

import cluster
from servers import KEY_FIELD, description

JOB = pathlib.Path(__file__).parent / "job.py"


@pytest.fixture
def site(servers):
    keys, kms_key = servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/lake.keyring"
    servers.keyring("create", document, "--name", "lake", "--kms-key-id", kms_key)
    return {
        **cluster.s3a(servers.endpoint),
        **cluster.keyring("lake", document, kms_key, servers.endpoint),
        "emrkeys.default.key": "lake",
    }


@pytest.fixture
def submit(spark_home, tmp_path):
    def run(settings, class_path, target, *options):
        class_path = ":".join(class_path)
        settings = {**settings, "spark.driver.extraClassPath": class_path, "spark.executor.extraClassPath": class_path}
        properties = tmp_path / "spark.properties"
        properties.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = [
            str(spark_home / "bin/spark-submit"),
            "--properties-file",
            str(properties),
            *options,
            str(JOB),
            target,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=cluster.HANG)

    return run


def test_the_jar_works_on_the_class_path_and_every_jvm_ends(servers, site, submit, jars, emrkeys_jar, tmp_path):
    bucket, marker = servers.bucket(), uuid.uuid4().hex
    settings = cluster.settings(site, tmp_path, marker)
    settings["spark.driver.extraJavaOptions"] = settings["spark.executor.extraJavaOptions"]
    done = []
    calls = servers.kms_calls(lambda: done.append(submit(settings, [*jars, emrkeys_jar], f"s3a://{bucket}/table")))
    assert done[0].returncode == 0, done[0].stderr
    assert done[0].stdout.split() == ["sum", str(sum(range(1000)))]
    cluster.assert_ended(marker)
    stored = servers.objects(bucket)
    assert len([name for name in stored if "/part-" in name]) == 4
    assert {description(metadata)[KEY_FIELD] for metadata in stored.values()} == {"lake"}
    assert 1 <= calls["kms.Decrypt"] <= cluster.JVMS


def test_s3a_does_not_find_the_jar_where_spark_adds_it_below_s3as_own_class_loader(
    servers, site, submit, jars, emrkeys_jar, tmp_path
):
    """A limit of Hadoop's, and a trap: S3A on the class path looks for the keyring there and nowhere else."""
    bucket = servers.bucket()
    settings = cluster.settings(site, tmp_path, uuid.uuid4().hex)
    done = submit({**settings, "spark.master": "local[1]"}, jars, f"s3a://{bucket}/table", "--jars", emrkeys_jar)
    assert done.returncode != 0
    assert "ClassNotFoundException" in done.stderr and "org.emrkeys.S3A" in done.stderr
    assert servers.objects(bucket) == {}
