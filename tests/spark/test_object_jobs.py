"""`org.emrkeys.spark.Rewrap` and `Convert`: objects that change by the hundred, under trouble."""

import base64
import collections
import json
import signal
import threading
import time
import types
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import cluster
from emrfs import ENCRYPTION_ONLY, Emrfs
from jobs import Submitter, counts, finish, run
from servers import KEY_FIELD, VERSION_FIELD, description

ROWS_OF_AN_OBJECT = 1000
"""So many rows of --rows for each object: 200 objects where there are 200,000 rows."""
MOVED_BEFORE_A_KILL = 40
TEXT = "some text"
SECRET = bytes(range(7, 39))
"""The key that a credential store holds."""


@pytest.fixture(scope="module")
def lake(servers, files, tmp_path_factory):
    """A bucket under a keyring, but for one folder."""
    bucket, keys, kms_key = servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/lake.keyring"
    servers.keyring("create", document, "--name", "lake", "--kms-key-id", kms_key)
    folder = tmp_path_factory.mktemp("keys")
    site = {
        **cluster.keyring("lake", document, kms_key, servers.endpoint),
        **cluster.aes("other", folder),
        **cluster.rule(f"s3://{bucket}/elsewhere/,s3://{bucket}/emrfs/", "other"),
        "emrkeys.key.third.type": "aes",
        "emrkeys.key.third.credential": "third",
        "hadoop.security.credential.provider.path": f"localjceks://file{folder}/keys.jceks",
        "emrkeys.keyring.max-age": "1s",
        "emrkeys.default.key": "lake",
    }
    emrfs = Emrfs(files, servers.endpoint, site, folder)
    site.update(cluster.s3a(servers.endpoint))

    def rotate():
        servers.keyring("rotate", document, "--kms-key-id", kms_key)
        time.sleep(1.5)  # then every JVM reads the document again before it uses it

    return types.SimpleNamespace(bucket=bucket, site=site, folder=folder, rotate=rotate, emrfs=emrfs)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """The folder of Spark's event log."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def spark(lake, standalone, application, events):
    watched = {
        "spark.master": standalone.url,
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.minTaskRuntime": "3s",
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    session = application(lake.site, **watched)
    store_secret(session, "third")
    return session


def store_secret(spark, alias: str) -> None:
    """Puts the secret into the credential store of the application's properties."""
    jvm, conf = spark.sparkContext._jvm, spark.sparkContext._jsc.hadoopConfiguration()
    password = spark.sparkContext._gateway.new_array(jvm.char, 2 * len(SECRET))
    for number, character in enumerate(SECRET.hex()):
        password[number] = character
    store = jvm.org.apache.hadoop.security.alias.CredentialProviderFactory.getProviders(conf).get(0)
    store.createCredentialEntry(alias, password)
    store.flush()


@pytest.fixture(scope="module")
def fill(servers, lake, spark):
    """Makes objects of their own names with the content and the envelope of one that S3A wrote."""
    spark.range(1).selectExpr(f"'{TEXT}' as text").coalesce(1).write.text(f"s3a://{lake.bucket}/seed")
    (original,) = servers.objects(lake.bucket, "seed/part-")
    found = servers.s3.get_object(Bucket=lake.bucket, Key=original)
    body, metadata = found["Body"].read(), found["Metadata"]

    def put(name):
        servers.s3.put_object(Bucket=lake.bucket, Key=name, Body=body, Metadata=metadata)

    def fill(names):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(put, names))

    return fill


@pytest.fixture
def submitter(spark_home, emrkeys_jar, lake):
    return Submitter(spark_home, emrkeys_jar, lake.site)


@pytest.fixture
def kept(tmp_path):
    """A checkpoint and a report."""
    options = ["--checkpoint", f"file://{tmp_path}/mark", "--report", f"file://{tmp_path}/report"]
    return types.SimpleNamespace(checkpoint=tmp_path / "mark", report=tmp_path / "report", options=options)


def versions(servers, lake, prefix):
    return {
        name: description(metadata)[VERSION_FIELD] for name, metadata in servers.objects(lake.bucket, prefix).items()
    }


def reported(spark, kept) -> list:
    """The rows of a report, which Spark reads as a table."""
    assert not (kept.report / "_intents").exists()
    return [row.asDict() for row in spark.read.json(kept.report.as_uri()).collect()]


class Reader:
    """Reads objects through S3A as long as it is open, one after the other."""

    def __init__(self, spark, bucket, names):
        self.reads, self.failures = 0, []
        self._spark, self._bucket, self._names = spark, bucket, names
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            some = self._names[self.reads % 7 :: max(1, len(self._names) // 20)]
            try:
                found = self._spark.read.text([f"s3a://{self._bucket}/{name}" for name in some]).collect()
                assert [row[0] for row in found] == [TEXT] * len(some)
            except Exception as error:
                self.failures.append(error)
            self.reads += 1

    def wait_for_a_read(self):
        before = self.reads
        cluster.wait_for(lambda: self.reads > before)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_every_object_moves_through_two_kills_stays_readable_and_is_reported_as_moved(
    request, servers, submitter, spark, fill, lake, kept
):
    names = [f"lake/{n:06}" for n in range(request.config.getoption("--rows") // ROWS_OF_AN_OBJECT)]
    fill(names)
    servers.s3.put_object(Bucket=lake.bucket, Key="lake/plain", Body=b"text")
    (old,) = set(versions(servers, lake, "lake/0").values())
    lake.rotate()
    arguments = [f"s3://{lake.bucket}/lake/", "--to", "lake", *kept.options]

    def moved():
        return servers.calls().get("s3.CopyObject", 0)

    with Reader(spark, lake.bucket, names) as reader:
        # The executors of the first end by themselves, once their driver is gone.
        for master in ("local-cluster[1,2,1024]", "local[2]"):
            before = moved()
            held = servers.hold("CopyObject", after=MOVED_BEFORE_A_KILL, count=None)
            process = submitter.start("Rewrap", *arguments, "--batch", "10", "--threads", "1", master=master)
            cluster.wait_for(lambda: moved() > before + MOVED_BEFORE_A_KILL or process.poll() is not None)
            assert process.poll() is None, finish(process)
            process.send_signal(signal.SIGKILL)
            servers.release(held)
            finish(process)
            reader.wait_for_a_read()
        status, out = run(spark, "Rewrap", *arguments)
        reader.wait_for_a_read()
    assert status == 0, out
    assert not reader.failures
    assert not kept.checkpoint.exists()
    (new,) = set(versions(servers, lake, "lake/0").values())
    assert new != old
    assert counts(out)["plaintext"] == 1 and "failed" not in counts(out)

    rows = {row["uri"].rpartition("/")[2]: row for row in reported(spark, kept)}
    assert rows.pop("plain")["why"] == "plaintext"
    assert len(rows) == len(names) == len(reported(spark, kept)) - 1
    moves = {(row["outcome"], row["from"], row["to"]) for row in rows.values()}
    assert moves == {("rewrapped", f"lake/{old}", f"lake/{new}")}
    status, out = run(spark, "Rewrap", f"s3://{lake.bucket}/lake/", "--to", "lake")
    assert (status, counts(out)) == (0, {"current": len(names), "plaintext": 1})


@pytest.mark.parametrize("rotated", [False, True])
def test_a_job_stops_when_too_many_objects_fail_and_goes_on_before_these(
    rotated, servers, spark, fill, lake, kept
):
    prefix = f"stop-{rotated}/"
    names = [f"{prefix}{n:03}" for n in range(130)]  # three rounds of 40, and one of 10
    fill(names)
    lake.rotate()
    (old,) = set(versions(servers, lake, prefix).values())
    servers.deny("s3", "CopyObject", resource=f"{lake.bucket}/{prefix}11")
    arguments = [f"s3://{lake.bucket}/{prefix}", "--to", "lake", "--batch", "5", *kept.options]
    status, out = run(spark, "Rewrap", *arguments)
    servers.clear_faults()
    assert (status, counts(out)) == (1, {"rewrapped": 110, "failed": 10}), out
    assert "[OBJECTS_FAILED]" in out
    assert {name for name, version in versions(servers, lake, prefix).items() if version == old} == set(names[110:])

    if rotated:
        lake.rotate()
    status, out = run(spark, "Rewrap", *arguments)
    assert status == 0, out
    assert ("begins anew" in out) == rotated
    assert counts(out) == {"rewrapped": 130 if rotated else 50}
    assert len(set(versions(servers, lake, prefix).values())) == 1
    rows = reported(spark, kept)
    outcomes = collections.Counter(row["outcome"] for row in rows)
    assert outcomes == ({"rewrapped": 110 + 130, "failed": 10} if rotated else {"rewrapped": 130})
    assert {row["uri"] for row in rows} == {f"s3://{lake.bucket}/{name}" for name in names}


def test_an_object_under_a_key_of_another_place_stays_and_is_reported_unless_the_key_is_named(
    servers, spark, fill, lake, kept
):
    spark.range(1).selectExpr("'secret' as text").coalesce(1).write.text(f"s3a://{lake.bucket}/elsewhere")
    (original,) = servers.objects(lake.bucket, "elsewhere/part-")
    source = {"Bucket": lake.bucket, "Key": original}
    servers.s3.copy_object(Bucket=lake.bucket, Key="mine/copied", CopySource=source)
    fill(["mine/own"])
    before = servers.objects(lake.bucket, "mine/copied")
    assert description(before["mine/copied"])[KEY_FIELD] == "other"
    lake.rotate()
    arguments = [f"s3://{lake.bucket}/mine/", "--to", "lake", "--report", kept.report.as_uri()]
    status, out = run(spark, "Rewrap", *arguments)
    assert (status, counts(out)) == (1, {"other-key": 1, "rewrapped": 1}), out
    assert servers.objects(lake.bucket, "mine/copied") == before
    (left,) = [row for row in reported(spark, kept) if row["outcome"] == "skipped"]
    assert (left["why"], left["uri"]) == ("other-key", f"s3://{lake.bucket}/mine/copied")

    status, out = run(spark, "Rewrap", *arguments, "--from", "other")
    assert (status, counts(out)) == (0, {"current": 1, "rewrapped": 1}), out
    moved = servers.objects(lake.bucket, "mine/copied")
    assert description(moved["mine/copied"])[KEY_FIELD] == "lake"


def test_an_inventory_stands_for_the_listing(servers, spark, fill, lake, tmp_path):
    names = [f"some/{number}" for number in range(20)]
    fill([*names, "some/unlisted"])
    lake.rotate()
    arguments = [f"s3://{lake.bucket}/some/", "--to", "lake", "--batch", "1"]
    before = servers.calls().get("s3.ListObjectsV2", 0)
    inventory = servers.inventory(lake.bucket, [*names, "some/deleted"])
    status, out = run(spark, "Rewrap", *arguments, "--inventory", inventory, "--checkpoint", f"file://{tmp_path}/mark")
    assert (status, counts(out)) == (0, {"rewrapped": 20, "gone": 1}), out
    assert servers.calls().get("s3.ListObjectsV2", 0) == before
    found = versions(servers, lake, "some/")
    old = found.pop("some/unlisted")
    assert old not in found.values() and len(set(found.values())) == 1
    with pytest.raises(Exception, match=r"\[INVALID_INVENTORY\]"):
        run(spark, "Rewrap", *arguments, "--inventory", servers.inventory("another", names))


def test_failures_are_counted_and_the_command_line_is_checked(servers, spark, lake, submitter):
    envelope = {
        "x-amz-key-v2": base64.b64encode(bytes(60)).decode(),
        "x-amz-iv": base64.b64encode(bytes(12)).decode(),
        "x-amz-cek-alg": "AES/GCM/NoPadding",
        "x-amz-tag-len": "128",
        "x-amz-wrap-alg": "AES/GCM",
        "x-amz-matdesc": '{"emrkeys.key":"none","emrkeys.version":"1"}',
    }
    servers.s3.put_object(Bucket=lake.bucket, Key="bad/a", Body=bytes(20), Metadata=envelope)
    status, out = run(spark, "Rewrap", f"s3://{lake.bucket}/bad/", "--to", "lake")
    assert (status, counts(out)) == (1, {"failed": 1})
    for wrong in (["--too", "lake"], ["--to", "lake", "--max-failures", "200%"], []):
        with pytest.raises(Exception, match="unexpected argument|a share from|needed"):
            run(spark, "Rewrap", f"s3://{lake.bucket}/bad/", *wrong)
    status, _, err = finish(submitter.start("Rewrap", f"s3://{lake.bucket}/bad/", "--too", "lake"))
    assert status == 2 and "unexpected argument --too" in err


@pytest.fixture(scope="module")
def cbc(servers, lake, spark, tmp_path_factory):
    """A table of EMRFS in its default mode, AES-CBC: the rows of each file, by its object."""
    folder = tmp_path_factory.mktemp("table")
    spark.range(0, 1000, 1, 2).selectExpr("id", "concat('text ', id) text").write.parquet((folder / "t").as_uri())
    files = sorted((folder / "t").glob("*.parquet"))
    names = {f"emrfs/table/{file.name}": file for file in files}
    large = folder / "large"
    large.write_bytes(bytes(range(256)) * (70 << 10))  # 17.5 MiB: three pieces
    names["emrfs/large"] = large
    pairs = [(file, f"s3://{lake.bucket}/{name}") for name, file in names.items()]
    lake.emrfs.transfer(ENCRYPTION_ONLY, "put", pairs)
    for metadata in servers.objects(lake.bucket, "emrfs/").values():
        assert metadata["x-amz-key"]  # the format of the SDK v1's first client
    return names


@pytest.fixture
def small(servers, lake, cbc):
    """Makes objects of their own names, whose content is that of the table's first file."""
    name = next(iter(cbc))
    found = servers.s3.get_object(Bucket=lake.bucket, Key=name)
    body, metadata = found["Body"].read(), found["Metadata"]
    assert "x-amz-key" in metadata, "it is converted by now"

    def put(name):
        servers.s3.put_object(Bucket=lake.bucket, Key=name, Body=body, Metadata=metadata)

    def make(names):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(put, names))

    return make


def read_table(spark, lake, folder):
    return sorted(map(tuple, spark.read.parquet(f"s3a://{lake.bucket}/{folder}").collect()))


@pytest.mark.usefixtures("reads_without_commitment")
def test_a_conversion_that_is_killed_goes_on_and_each_object_is_reported_once(
    servers, submitter, spark, small, lake, kept
):
    names = [f"emrfs/killed/{number:03}.parquet" for number in range(60)]
    small(names)
    arguments = [f"s3://{lake.bucket}/emrfs/killed/", *kept.options]

    def put():
        return servers.calls().get("s3.PutObject", 0)

    before = put()
    held = servers.hold("PutObject", after=10, count=None)
    process = submitter.start("Convert", *arguments, "--batch", "4", "--threads", "1")
    cluster.wait_for(lambda: put() > before + 10 or process.poll() is not None)
    assert process.poll() is None, finish(process)
    process.send_signal(signal.SIGKILL)
    servers.release(held)
    finish(process)
    status, out = run(spark, "Convert", *arguments)
    assert status == 0, out
    assert not kept.checkpoint.exists()
    rows = reported(spark, kept)
    assert sorted(row["uri"] for row in rows) == [f"s3://{lake.bucket}/{name}" for name in names]
    assert {row["outcome"] for row in rows} == {"converted"}
    assert {row["before"]["format"] for row in rows} == {"encryption-only"}
    assert len(read_table(spark, lake, "emrfs/killed")) == 60 * 500


@pytest.mark.usefixtures("reads_without_commitment")
def test_of_two_attempts_at_an_object_one_converts_it_and_it_counts_once(servers, spark, small, lake, kept):
    names = [f"emrfs/spec/{number}.parquet" for number in range(8)]
    small(names)
    slow = f"{lake.bucket}/{names[3]}"
    # The first attempt has read the object, and S3 keeps it waiting before it stores the new one.
    held = servers.hold("PutObject", resource=slow)
    watch = servers.fault(service="s3", op="*", resource=slow, delay=0.001, count=None)
    before = servers.calls()["s3.PutObject"]
    status, out = run(spark, "Convert", f"s3://{lake.bucket}/emrfs/spec/", "--batch", "1", *kept.options)
    assert (status, counts(out)) == (0, {"converted": 8}), out
    assert servers.calls()["s3.PutObject"] - before > 8, "there was no second attempt"
    (etag, seen) = (servers.s3.head_object(Bucket=lake.bucket, Key=names[3])["ETag"], servers.hits(watch))
    servers.release(held)
    # Refused, the first attempt looks at the object again.
    cluster.wait_for(lambda: servers.hits(watch) > seen)
    servers.clear_faults()
    assert servers.s3.head_object(Bucket=lake.bucket, Key=names[3])["ETag"] == etag
    rows = reported(spark, kept)
    assert sorted(row["uri"] for row in rows) == [f"s3://{lake.bucket}/{name}" for name in names]
    assert {row["outcome"] for row in rows} == {"converted"}
    assert len(read_table(spark, lake, "emrfs/spec")) == 8 * 500


def test_an_object_that_nothing_proves_stays_in_doubt_until_it_is_whole(servers, spark, small, lake, kept):
    names = [f"emrfs/doubt/{number}.parquet" for number in range(3)]
    small(names)
    arguments = [f"s3://{lake.bucket}/emrfs/doubt/", *kept.options]
    # The store changes a byte and confirms no checksum.
    servers.fault(service="s3", op="PutObject", alter=True, count=1, resource=f"{lake.bucket}/{names[1]}")
    status, out = run(spark, "Convert", *arguments)
    assert (status, counts(out)) == (1, {"converted": 2, "failed": 1}), out
    for _ in range(2):
        status, out = run(spark, "Convert", *arguments)
        assert (status, counts(out)) == (1, {"current": 2, "failed": 1}), out
    codes = [row["code"] for row in reported(spark, kept) if row["outcome"] == "failed"]
    assert sorted(codes) == ["OBJECT_DAMAGED", "OBJECT_DAMAGED", "REPLACEMENT_NOT_PROVEN"]

    small([names[1]])
    status, out = run(spark, "Convert", *arguments)
    assert (status, counts(out)) == (0, {"converted": 1, "current": 2}), out
    assert not kept.checkpoint.exists()


@pytest.mark.usefixtures("reads_without_commitment")
def test_objects_in_cbc_are_converted_and_s3a_reads_them(servers, spark, small, cbc, lake, kept):
    damaged = f"emrfs/table/{'x' * 20}"
    small([damaged])
    found = servers.s3.get_object(Bucket=lake.bucket, Key=damaged)
    body = found["Body"].read()[:-16]
    servers.s3.put_object(Bucket=lake.bucket, Key=damaged, Body=body, Metadata=found["Metadata"])
    servers.s3.put_object(Bucket=lake.bucket, Key="emrfs/table/plain", Body=b"text")
    results = []
    for folder in ("table/", "large"):
        arguments = [f"s3://{lake.bucket}/emrfs/{folder}", "--recursive", "--report", kept.report.as_uri()]
        results.append(run(spark, "Convert", *arguments))
    assert [(status, counts(out)) for status, out in results] == [
        (1, {"converted": 2, "failed": 1, "plaintext": 1}),
        (0, {"converted": 1}),
    ], results
    assert servers.stored(lake.bucket, damaged) == body
    servers.s3.delete_object(Bucket=lake.bucket, Key=damaged)
    servers.s3.delete_object(Bucket=lake.bucket, Key="emrfs/table/plain")
    for name in cbc:
        metadata = servers.objects(lake.bucket, name)[name]
        assert (metadata["x-amz-cek-alg"], metadata["x-amz-wrap-alg"]) == ("AES/GCM/NoPadding", "AES/GCM")
        assert description(metadata)[KEY_FIELD] == "other"
    assert read_table(spark, lake, "emrfs/table") == [(row, f"text {row}") for row in range(1000)]
    ((_, content),) = spark.sparkContext.binaryFiles(f"s3a://{lake.bucket}/emrfs/large").collect()
    assert content == cbc["emrfs/large"].read_bytes()

    rows = {row["uri"].rpartition("/")[2]: row for row in reported(spark, kept)}
    converted = [row for row in rows.values() if row["outcome"] == "converted"]
    assert {(row["before"]["format"], row["after"]["format"]) for row in converted} == {("encryption-only", "v2")}
    assert sum(row["bytes"] for row in converted) == sum(file.stat().st_size for file in cbc.values())
    assert rows["x" * 20]["outcome"] == "failed" and rows["plain"]["why"] == "plaintext"


def test_a_folder_is_encrypted_and_leaves_encryption_once_its_prefix_is_confirmed(servers, spark, lake):
    prefix = f"s3://{lake.bucket}/clear/"
    servers.s3.put_object(Bucket=lake.bucket, Key="clear/a", Body=b"text")
    status, out = run(spark, "Convert", prefix, "--from-plaintext", "--format", "v4", "--to", "lake")
    assert (status, counts(out)) == (0, {"converted": 1}), out
    first = servers.stored(lake.bucket, "clear/a")
    assert b"text" not in first
    as_it_is = [prefix, "--format", "v4", "--to", "lake"]
    status, out = run(spark, "Convert", *as_it_is, "--second-read")
    assert (status, counts(out)) == (0, {"current": 1}), out
    status, out = run(spark, "Convert", *as_it_is, "--renew")
    assert (status, counts(out)) == (0, {"converted": 1}), out
    assert servers.stored(lake.bucket, "clear/a") != first, "a fresh data key"
    for wrong in ([], ["--confirm", f"s3://{lake.bucket}/"], ["--confirm", prefix, "--to", "lake"]):
        with pytest.raises(Exception, match="--to-plaintext"):
            run(spark, "Convert", prefix, "--to-plaintext", *wrong)
    status, out = run(spark, "Convert", prefix, "--to-plaintext", "--confirm", prefix)
    assert (status, counts(out)) == (0, {"converted": 1}), out
    assert servers.stored(lake.bucket, "clear/a") == b"text"


def test_counts_are_accumulators_and_no_secret_is_in_properties_event_logs_or_pages(
    servers, spark, standalone, fill, lake, events, kept
):
    fill([f"watched/{number}" for number in range(20)])
    status, out = run(spark, "Rewrap", f"s3://{lake.bucket}/watched/", "--to", "third", *kept.options)
    assert (status, counts(out)) == (0, {"rewrapped": 20}), out

    context = spark.sparkContext
    pages = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/"
    texts = [fetch(pages + page) for page in ("environment", "stages", "executors", "jobs")]
    texts.append(fetch(f"{context.uiWebUrl}/environment/"))
    assert accumulators(json.loads(texts[1]))["emrkeys rewrapped"] == 20
    assert accumulators(json.loads(texts[1]))["emrkeys objects"] == 20
    written = [*events.rglob("*"), *standalone.folder.rglob("*"), *kept.report.rglob("*")]
    texts += [file.read_bytes() for file in written if file.is_file() and file.suffix != ".jar"]
    assert any(b"emrkeys.key.third.credential" in text for text in texts)
    for key in (SECRET, (lake.folder / "other.key").read_bytes()):
        for form in (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key)):
            assert not any(form in text for text in texts)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def accumulators(stages: list) -> dict:
    """The accumulators of the newest job: each job has its own, under the same names."""
    newest = {}
    for stage in stages:
        for found in stage["accumulatorUpdates"]:
            name = found["name"]
            if name.startswith("emrkeys ") and found["id"] >= newest.get(name, (0, 0))[0]:
                newest[name] = max(newest.get(name, (0, 0)), (found["id"], int(found["value"])))
    return {name: value for name, (_, value) in newest.items()}
