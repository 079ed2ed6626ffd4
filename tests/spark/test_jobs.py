"""Jobs under trouble: tasks fail, tasks are overtaken, the keyring is rotated."""

import re
import threading
import time
import types

import pytest
from pyspark import TaskContext

import cluster
from servers import VERSION_FIELD, description

PARTITIONS = 4
ROWS = 3000  # of each partition
ROWS_OF_FILE = 200
FAILS, HANGS = 0, 1  # two of the partitions
SECONDS_OF_HANGING = 300
WIDTH = 200  # Python hands rows over by the 64 KiB: enough of them, that files are written before the grief
# Spark's own protocol renames; S3A's magic committer completes uploads, by two classes of spark-hadoop-cloud.
COMMITTERS = {
    "file": {
        "spark.sql.sources.commitProtocolClass": (
            "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"
        ),
        "spark.sql.parquet.output.committer.class": "org.apache.parquet.hadoop.ParquetOutputCommitter",
    },
    "magic": {
        "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
        "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
    },
}
FOLDERS = {"file": "/_temporary/", "magic": "/__magic"}


@pytest.fixture(scope="module")
def lake(servers):
    bucket, keys, kms_key = servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/lake.keyring"
    servers.keyring("create", document, "--name", "lake", "--kms-key-id", kms_key)
    site = {
        **cluster.s3a(servers.endpoint),
        **cluster.keyring("lake", document, kms_key, servers.endpoint),
        "fs.s3a.committer.magic.enabled": "true",
        "emrkeys.keyring.max-age": "1s",
        "emrkeys.default.key": "lake",
    }
    calls = servers.calls().get("kms.Decrypt", 0)
    return types.SimpleNamespace(
        bucket=bucket, site=site, document=document, kms_key=kms_key, root=f"s3a://{bucket}", decrypts_before=calls
    )


@pytest.fixture(scope="module")
def spark(lake, standalone, application):
    speculation = {
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.multiplier": "1.1",
        "spark.speculation.minTaskRuntime": "10s",  # else whatever is a little slower is overtaken too
    }
    return application(lake.site, **speculation, **{"spark.master": standalone.url})


def troubled(hanging):
    """Gives each row with its partition and attempt.

    The first attempt of one partition fails when its files are written, that of another hangs.
    """

    def run(partition, rows):
        attempt = TaskContext.get().attemptNumber()
        for count, row in enumerate(rows):
            if attempt == 0 and count == 2 * ROWS // 3:
                if partition == FAILS:
                    time.sleep(2)
                    raise RuntimeError("a task that fails on its first attempt")
                if partition == HANGS and hanging:
                    time.sleep(SECONDS_OF_HANGING)
            yield row.id, partition, attempt, f"{row.id:0{WIDTH}}"

    return run


class Watch:
    """The folders of task attempts, as they come and go below a committer's folder."""

    def __init__(self, servers, bucket, prefix, folder):
        self.attempts = set()
        self._pattern = re.compile(re.escape(folder) + r".*/(attempt_\w+)/.*part-")
        self._look = lambda: servers.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._over.wait(0.2):
            for found in self._look():
                if attempt := self._pattern.search(found["Key"]):
                    self.attempts.add(attempt.group(1))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def of(self, partition: int) -> int:
        return sum(f"_m_{partition:06}_" in attempt for attempt in self.attempts)


# Not both with the magic committer: when the job is done, the attempt that was overtaken and the driver abort the same
# uploads, and if the driver comes second, Hadoop 3.4.2 fails the job.
@pytest.mark.parametrize("committer, hanging", [("file", True), ("magic", False)])
def test_tasks_that_fail_or_are_overtaken_leave_nothing_and_spoil_nothing(committer, hanging, lake, spark, servers):
    place = f"{lake.root}/{committer}"
    for name, value in COMMITTERS[committer].items():
        spark.conf.set(name, value)
    source = spark.range(0, PARTITIONS * ROWS, 1, PARTITIONS).rdd.mapPartitionsWithIndex(troubled(hanging))
    table = spark.createDataFrame(source, "id long, partition int, attempt int, text string")
    start = time.monotonic()
    with Watch(servers, lake.bucket, f"{committer}/", FOLDERS[committer]) as watch:
        table.write.option("fs.s3a.committer.name", committer).option("maxRecordsPerFile", ROWS_OF_FILE).parquet(place)
    assert time.monotonic() - start < SECONDS_OF_HANGING, "the second attempt did not overtake the first"
    assert watch.of(FAILS) == 2 and watch.of(HANGS) == 1 + hanging, watch.attempts

    rows = sorted(map(tuple, spark.read.parquet(place).collect()))
    assert [(row[0], row[3]) for row in rows] == [(number, f"{number:0{WIDTH}}") for number in range(PARTITIONS * ROWS)]
    assert {row[1:3] for row in rows} == {(FAILS, 1), (HANGS, int(hanging)), (2, 0), (3, 0)}
    names = servers.objects(lake.bucket, f"{committer}/")
    files = {name for name in names if name.endswith(".parquet")}
    assert len(files) == PARTITIONS * ROWS // ROWS_OF_FILE, names
    assert names.keys() - files <= {f"{committer}/", f"{committer}/_SUCCESS"}
    assert servers.s3.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", []) == []


def test_after_a_rotation_running_executors_write_under_the_new_version_and_read_both(lake, spark, servers):
    def versions(folder):
        return {
            description(metadata)[VERSION_FIELD] for metadata in servers.objects(lake.bucket, folder + "/").values()
        }

    def write(folder):
        spark.range(0, 1000, 1, 4).write.parquet(f"{lake.root}/{folder}")

    def rotate():
        rotated.update(servers.keyring("rotate", lake.document, "--kms-key-id", lake.kms_key))

    rotated = {}
    write("before")
    calls_of_the_tool = servers.kms_calls(rotate)["kms.Decrypt"]
    time.sleep(3)  # the document is read again after a second
    write("after")
    (before,), (after,) = versions("before"), versions("after")
    states = {version["id"]: version["state"] for version in rotated["keyring"]["versions"]}
    assert states == {before: "decrypt-only", after: "active"}
    assert spark.read.parquet(f"{lake.root}/before", f"{lake.root}/after").count() == 2000
    decrypts = servers.calls()["kms.Decrypt"] - lake.decrypts_before - calls_of_the_tool
    assert 1 <= decrypts <= cluster.JVMS, "a JVM asks once, whatever the number of versions"
