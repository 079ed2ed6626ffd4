"""`org.emrkeys.spark.Rewrap`.

A keyring is rotated, and every object moves to the new version. Meanwhile the objects are read, and the job is killed
and started again.
"""

import base64
import json
import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import cluster
from localaws.client import REGION
from servers import VERSION_FIELD, description

ROWS_OF_AN_OBJECT = 200
"""So many objects for so many rows of --rows: 1,000 where there are 200,000."""
MOVED_BEFORE_A_KILL = 100


@pytest.fixture(scope="module")
def lake(servers):
    """Many small objects under the first version of a keyring, whose second version encrypts by now."""
    bucket, keys, kms_key = servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/lake.keyring"
    servers.keyring("create", document, "--name", "lake", "--kms-key-id", kms_key)
    site = {
        **cluster.s3a(servers.endpoint),
        **cluster.keyring("lake", document, kms_key, servers.endpoint),
        "emrkeys.default.key": "lake",
    }
    return bucket, document, kms_key, site


@pytest.fixture(scope="module")
def spark(lake, application):
    return application(lake[-1])


def copies(servers, bucket: str, names: list[str], original: str) -> None:
    """Objects of their own names with the content and the envelope of one that S3A wrote."""
    found = servers.s3.get_object(Bucket=bucket, Key=original)
    body, metadata = found["Body"].read(), found["Metadata"]
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda name: servers.s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata=metadata), names
            )
        )


def submit(spark_home, jar, site, *arguments):
    properties = [argument for name, value in site.items() for argument in ("--conf", f"spark.hadoop.{name}={value}")]
    command = [
        str(spark_home / "bin/spark-submit"),
        "--master",
        cluster.MASTER,
        "--class",
        "org.emrkeys.spark.Rewrap",
        "--conf",
        "spark.ui.enabled=false",
        "--conf",
        "spark.driver.host=127.0.0.1",
        *properties,
        jar,
        *arguments,
    ]
    return subprocess.Popen(
        command, env={**os.environ, "AWS_REGION": REGION}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=cluster.HANG)
    return process.returncode, out, err


def counts(out: str) -> dict:
    return {name: int(count) for count, name in re.findall(r"^ +(\d+)  ([a-z-]+)$", out, re.MULTILINE)}


def test_every_object_moves_to_the_new_version_through_two_kills_and_stays_readable(
    request, servers, spark_home, emrkeys_jar, spark, lake, tmp_path
):
    bucket, document, kms_key, site = lake
    spark.range(1).selectExpr("'some text' as text").coalesce(1).write.text(f"s3a://{bucket}/first")
    (original,) = [name for name in servers.objects(bucket, "first/part-")]
    content = "some text"
    number = request.config.getoption("--rows") // ROWS_OF_AN_OBJECT
    names = [f"lake/{n:06}" for n in range(number)]
    copies(servers, bucket, names, original)
    servers.s3.put_object(Bucket=bucket, Key="lake/plain", Body=b"text")
    old = description(servers.s3.head_object(Bucket=bucket, Key=names[0])["Metadata"])[VERSION_FIELD]
    servers.keyring("rotate", document, "--kms-key-id", kms_key)

    stop, unreadable, reads = threading.Event(), [], []

    def read():
        # Through S3A itself, an object after the other, all the time.
        while not stop.is_set():
            some = names[len(reads) % 7 :: max(1, number // 40)]
            try:
                found = spark.read.text([f"s3a://{bucket}/{name}" for name in some]).collect()
                assert [row[0] for row in found] == [content] * len(some)
            except Exception as error:
                unreadable.append(error)
            reads.append(len(some))

    reader = threading.Thread(target=read)
    reader.start()
    arguments = [
        f"s3://{bucket}/lake/",
        "--to",
        "lake",
        "--checkpoint",
        f"file://{tmp_path}/mark",
        "--report",
        f"file://{tmp_path}/report",
    ]
    slow = ["--batch", "10", "--threads", "1"]
    try:
        for _ in range(2):
            moved = lambda: servers.calls().get("s3.CopyObject", 0)
            before, process = moved(), submit(spark_home, emrkeys_jar, site, *arguments, *slow)
            cluster.wait_for(lambda: moved() > before + MOVED_BEFORE_A_KILL or process.poll() is not None)
            assert process.poll() is None, finish(process)
            process.send_signal(signal.SIGKILL)
            finish(process)
            before = len(reads)
            cluster.wait_for(lambda: len(reads) > before)
        status, out, err = finish(submit(spark_home, emrkeys_jar, site, *arguments))
    finally:
        stop.set()
        reader.join()
    assert status == 0, err
    assert not unreadable
    assert not (tmp_path / "mark").exists()
    versions = {description(metadata)[VERSION_FIELD] for name, metadata in servers.objects(bucket, "lake/0").items()}
    assert len(versions) == 1 and old not in versions
    assert counts(out)["plaintext"] == 1 and "failed" not in counts(out)

    lines = [
        json.loads(line) for file in (tmp_path / "report").glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    assert {line["uri"] for line in lines} == {f"s3://{bucket}/{name}" for name in [*names, "lake/plain"]}
    status, out, _ = finish(submit(spark_home, emrkeys_jar, site, f"s3://{bucket}/lake/", "--to", "lake"))
    assert (status, counts(out)) == (0, {"current": number, "plaintext": 1})


def test_an_inventory_stands_for_the_listing(servers, spark_home, emrkeys_jar, spark, lake, tmp_path):
    bucket, document, kms_key, site = lake
    names = [f"some/{number}" for number in range(40)]
    spark.range(1).selectExpr("'some text' as text").coalesce(1).write.text(f"s3a://{bucket}/seed")
    (original,) = servers.objects(bucket, "seed/part-")
    copies(servers, bucket, [*names, "some/unlisted"], original)
    servers.keyring("rotate", document, "--kms-key-id", kms_key)
    inventory = servers.inventory(bucket, [*names, "some/deleted"])
    arguments = [
        f"s3://{bucket}/some/",
        "--to",
        "lake",
        "--inventory",
        inventory,
        "--batch",
        "3",
        "--checkpoint",
        f"file://{tmp_path}/mark",
    ]
    before = servers.calls().get("s3.ListObjectsV2", 0)
    status, out, err = finish(submit(spark_home, emrkeys_jar, site, *arguments))
    assert (status, counts(out)) == (0, {"rewrapped": 40, "gone": 1}), err
    assert servers.calls().get("s3.ListObjectsV2", 0) == before
    versions = {
        name: description(metadata)[VERSION_FIELD] for name, metadata in servers.objects(bucket, "some/").items()
    }
    old = versions.pop("some/unlisted")
    assert old not in versions.values() and len(set(versions.values())) == 1
    wrong = servers.inventory("another", names)
    status, _, err = finish(
        submit(spark_home, emrkeys_jar, site, f"s3://{bucket}/some/", "--to", "lake", "--inventory", wrong)
    )
    assert status == 1 and "[INVALID_INVENTORY]" in err


def test_what_cannot_move_is_counted_and_the_command_line_is_checked(servers, spark_home, emrkeys_jar, lake):
    bucket, _, _, site = lake
    envelope = {
        "x-amz-key-v2": base64.b64encode(bytes(60)).decode(),
        "x-amz-iv": base64.b64encode(bytes(12)).decode(),
        "x-amz-cek-alg": "AES/GCM/NoPadding",
        "x-amz-tag-len": "128",
        "x-amz-wrap-alg": "AES/GCM",
        "x-amz-matdesc": '{"emrkeys.key":"none","emrkeys.version":"1"}',
    }
    servers.s3.put_object(Bucket=bucket, Key="bad/a", Body=bytes(20), Metadata=envelope)
    status, out, _ = finish(submit(spark_home, emrkeys_jar, site, f"s3://{bucket}/bad/", "--to", "lake"))
    assert (status, counts(out)) == (1, {"failed": 1})
    status, _, err = finish(submit(spark_home, emrkeys_jar, site, f"s3://{bucket}/bad/", "--too", "lake"))
    assert status == 2 and "unexpected argument --too" in err
