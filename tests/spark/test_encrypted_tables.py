"""Tables that Parquet and Iceberg encrypt under the keys of emrkeys: by Spark, and Parquet's files by PyArrow too."""

import base64
import io
import json
import subprocess
import types

import pyarrow
import pyarrow.parquet
import pyarrow.parquet.encryption
import pytest
from pyspark.sql import functions as f

import cluster

ROWS = 1000
SECRET = "somebody whose name is private "
EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"


@pytest.fixture(scope="module")
def lake(servers, files, tmp_path_factory):
    """A keyring and two keys, a bucket that only tables encrypt, and one that S3A encrypts."""
    folder = tmp_path_factory.mktemp("tables")
    plain, sealed, keys, kms_key = servers.bucket(), servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/lake.keyring"
    servers.keyring("create", document, "--name", "lake", "--kms-key-id", kms_key)
    site = {
        **cluster.s3a(servers.endpoint),
        **cluster.keyring("lake", document, kms_key, servers.endpoint),
        **cluster.kms_cached("cloud", servers.kms_key(), servers.endpoint),
        **cluster.aes("cards", folder),
        "emrkeys.default.key": "lake",
        "emrkeys.keyring.max-age": "1s",
        f"fs.s3a.bucket.{plain}.encryption.algorithm": "",
        "parquet.crypto.factory.class": "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory",
        "parquet.encryption.kms.client.class": "org.emrkeys.parquet.EmrKeysKmsClient",
        "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
        "iceberg.engine.hive.lock-enabled": "false",  # Spark brings no connection pool for the tables of locks
    }
    tool = [(files / "cli").read_text()]
    defined = [f"-D{name}={value}" for name, value in site.items() if name.startswith("emrkeys.")]
    return types.SimpleNamespace(
        site=site,
        document=document,
        kms_key=kms_key,
        plain=plain,
        sealed=sealed,
        tool=lambda command: [*tool, command, *defined, "--endpoint-url", servers.endpoint],
    )


@pytest.fixture(scope="module")
def spark(lake, application, iceberg_jars):
    catalog = "spark.sql.catalog.lake"
    iceberg = {
        "spark.sql.extensions": EXTENSIONS,
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "hive",
        f"{catalog}.warehouse": f"s3a://{lake.plain}/warehouse",
        f"{catalog}.encryption.kms-impl": "org.emrkeys.iceberg.EmrKeysKeyManagementClient",
    }
    return application(lake.site, **(iceberg if iceberg_jars else {}))


@pytest.fixture(scope="module")
def iceberg(spark, iceberg_jars):
    if not iceberg_jars:
        pytest.skip("Iceberg has no runtime for this release of Spark")
    # Derby, in which the metastore keeps its tables, writes a log to where the tests run.
    spark.sparkContext._jvm.java.lang.System.setProperty("derby.stream.error.file", "/dev/null")
    spark.sql("CREATE NAMESPACE IF NOT EXISTS lake.sales")


def table(spark, rows=ROWS):
    name = f.concat(f.lit(SECRET), f.format_string("%06d", f.col("id")))
    return spark.range(0, rows, 1, 2).select("id", name.alias("name"), name.alias("card"))


def options(token: str, **more: str) -> dict:
    """Parquet keeps what it unwrapped by its access token, which nothing else looks at."""
    return {"parquet.encryption.key.access.token": token, **{key.replace("_", "."): more[key] for key in more}}


ENCRYPTED = {"parquet.encryption.footer.key": "lake", "parquet.encryption.column.keys": "cards:card;lake:name"}


def objects(servers, bucket, prefix):
    found = {name: servers.stored(bucket, name) for name in servers.objects(bucket, prefix)}
    return {name: content for name, content in found.items() if content and not name.endswith("_SUCCESS")}


class ToolKms(pyarrow.parquet.encryption.KmsClient):
    """A KMS client of PyArrow that asks the operator's tool."""

    def __init__(self, tool):
        super().__init__()
        self._processes = {
            command: subprocess.Popen(tool(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for command in ("wrap", "unwrap")
        }

    def _ask(self, command: str, key: str, value: bytes) -> str:
        process = self._processes[command]
        request = {"table": "parquet", "key": key, "value": base64.b64encode(value).decode()}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        if "error" in answer:
            raise PermissionError(answer["error"]["message"])
        return answer["value"]

    def wrap_key(self, key_bytes, master_key_identifier):
        return self._ask("wrap", master_key_identifier, key_bytes)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return base64.b64decode(self._ask("unwrap", master_key_identifier, base64.b64decode(wrapped_key)))

    def close(self):
        for process in self._processes.values():
            process.stdin.close()
            assert process.wait(cluster.HANG) == 0


@pytest.fixture
def crypto(lake):
    """PyArrow's crypto factory over the tool."""
    client = ToolKms(lake.tool)
    yield pyarrow.parquet.encryption.CryptoFactory(lambda _: client)
    client.close()


KMS = pyarrow.parquet.encryption.KmsConnectionConfig()


def read_by_arrow(crypto, content: bytes, columns=None) -> pyarrow.Table:
    properties = crypto.file_decryption_properties(KMS)
    return pyarrow.parquet.read_table(io.BytesIO(content), columns=columns, decryption_properties=properties)


@pytest.fixture(scope="module")
def written(lake, spark, servers):
    """A table of encrypted files, and the calls of KMS while it was written and read."""
    place = f"s3a://{lake.plain}/encrypted"

    def job():
        table(spark).write.options(**ENCRYPTED).parquet(place)
        assert spark.read.parquet(place).select(f.sum("id"), f.max("card")).first() == (
            sum(range(ROWS)),
            f"{SECRET}{ROWS - 1:06}",
        )

    return types.SimpleNamespace(place=place, calls=servers.kms_calls(job))


def test_a_table_of_parquet_is_encrypted_and_read_and_joined_at_one_call_of_kms_for_each_jvm(
    lake, spark, servers, written
):
    stored = objects(servers, lake.plain, "encrypted/")
    assert len(stored) == 2
    for name, content in stored.items():
        assert content.startswith(b"PARE") and content.endswith(b"PARE"), name
        assert SECRET.encode() not in content, name
    assert 1 <= written.calls["kms.Decrypt"] <= cluster.JVMS
    assert written.calls.get("kms.GenerateDataKey", 0) == 0
    joined = spark.read.parquet(written.place).join(table(spark, 10).select("id"), "id")
    assert joined.count() == 10


def test_a_footer_in_the_clear_is_signed_and_its_columns_are_encrypted(lake, spark, servers):
    place = f"s3a://{lake.plain}/plain-footer"
    table(spark).write.options(**ENCRYPTED, **{"parquet.encryption.plaintext.footer": "true"}).parquet(place)
    for name, content in objects(servers, lake.plain, "plain-footer/").items():
        assert content.endswith(b"PAR1") and SECRET.encode() not in content, name
    assert spark.read.parquet(place).where(f"card >= '{SECRET}'").count() == ROWS


def test_a_reader_without_the_key_of_one_column_reads_the_others_and_is_told_which_key_it_lacks(spark, written):
    less = options("without cards", **{"emrkeys.key.cards.file": "file:///nonexistent/cards.key"})
    reader = spark.read.options(**less).parquet(written.place)
    assert reader.select("name").distinct().count() == ROWS
    with pytest.raises(Exception) as refused:
        reader.select("card").distinct().count()
    assert "[KEY_FILE_NOT_FOUND]" in str(refused.value)


def test_files_of_both_versions_are_read_after_a_rotation_and_not_those_of_a_disabled_one(lake, spark, servers):
    def write(folder, token):
        table(spark, 10).write.options(**ENCRYPTED, **options(token)).parquet(f"s3a://{lake.plain}/{folder}")

    def change(command, *version):
        return servers.keyring(command, lake.document, *version, "--kms-key-id", lake.kms_key)

    write("rotated/before", "before")
    versions = change("rotate")["keyring"]["versions"]
    (older,) = [version["id"] for version in versions if version["state"] == "decrypt-only"]
    newer = options("after", **{"emrkeys.keyring.max-age": "2s"})  # a configuration of its own reads the keyring anew
    table(spark, 10).write.options(**ENCRYPTED, **newer).parquet(f"s3a://{lake.plain}/rotated/after")
    both = [f"s3a://{lake.plain}/rotated/{folder}" for folder in ("before", "after")]
    assert spark.read.options(**newer).parquet(*both).select("card", "name").count() == 20
    change("disable", older)
    try:
        later = options("later", **{"emrkeys.keyring.max-age": "3s"})
        assert spark.read.options(**later).parquet(both[1]).where("name > ''").count() == 10
        with pytest.raises(Exception) as refused:
            spark.read.options(**later).parquet(both[0]).where("name > ''").count()
        assert "[KEY_VERSION_DISABLED]" in str(refused.value)
    finally:
        change("enable", older)


def test_a_changed_byte_fails_in_an_encrypted_file_and_passes_unseen_through_s3a(lake, spark, servers):
    uncompressed = {"compression": "none", "parquet.enable.dictionary": "false"}

    def write(bucket, folder, **more):
        place = f"s3a://{bucket}/{folder}"
        table(spark).coalesce(1).write.options(**uncompressed, **more).parquet(place)
        (stored,) = objects(servers, bucket, folder + "/").items()
        return place, *stored

    def change(bucket, name, content, at):
        found = servers.s3.head_object(Bucket=bucket, Key=name)["Metadata"]
        changed = bytearray(content)
        changed[at] ^= 1
        servers.s3.put_object(Bucket=bucket, Key=name, Body=bytes(changed), Metadata=found)

    # The same bytes three times: in the clear, to know where a name stands; through S3A; and by Parquet itself.
    _, _, clear = write(lake.plain, "clear")
    place, name, content = write(lake.sealed, "sealed")
    assert len(content) == len(clear) + 16 and SECRET.encode() not in content
    change(lake.sealed, name, content, clear.index(SECRET.encode() + b"000007"))
    names = {row.name for row in spark.read.parquet(place).select("name").collect()}
    expected = {f"{SECRET}{number:06}" for number in range(ROWS)}
    assert expected - names == {f"{SECRET}000007"}, "a wrong name, and no error"
    assert names - expected == {chr(ord(SECRET[0]) ^ 1) + SECRET[1:] + "000007"}

    place, name, content = write(lake.plain, "encrypted-one", **ENCRYPTED)
    change(lake.plain, name, content, len(content) // 2)
    with pytest.raises(Exception) as refused:
        spark.read.parquet(place).select("name", "card").collect()
    assert "Tag" in str(refused.value) or "tag" in str(refused.value), refused.value


def test_arrow_reads_what_spark_wrote_and_is_refused_by_the_same_codes(lake, servers, written, crypto):
    tables = [read_by_arrow(crypto, content) for content in objects(servers, lake.plain, "encrypted/").values()]
    names = sorted(name for read in tables for name in read.column("card").to_pylist())
    assert names == [f"{SECRET}{number:06}" for number in range(ROWS)]


def test_spark_reads_what_arrow_wrote(lake, spark, servers, crypto):
    configuration = pyarrow.parquet.encryption.EncryptionConfiguration(
        footer_key="lake", column_keys={"cards": ["card"], "cloud": ["name"]}, data_key_length_bits=256
    )
    rows = pyarrow.table(
        {"id": range(ROWS), "name": [f"{SECRET}{n}" for n in range(ROWS)], "card": [f"card {n}" for n in range(ROWS)]}
    )
    out = io.BytesIO()
    properties = crypto.file_encryption_properties(KMS, configuration)
    with pyarrow.parquet.ParquetWriter(out, rows.schema, encryption_properties=properties) as writer:
        writer.write_table(rows)
    assert SECRET.encode() not in out.getvalue()
    servers.s3.put_object(Bucket=lake.plain, Key="arrow/part-0.parquet", Body=out.getvalue())
    read = spark.read.parquet(f"s3a://{lake.plain}/arrow").orderBy("id").collect()
    assert [(row.id, row.name, row.card) for row in read] == [
        (number, f"{SECRET}{number}", f"card {number}") for number in range(ROWS)
    ]


@pytest.mark.usefixtures("iceberg")
def test_an_iceberg_table_is_encrypted_through_all_its_files(lake, spark, servers):
    def job():
        spark.sql(
            "CREATE TABLE lake.sales.people (id bigint, name string) USING iceberg "
            "TBLPROPERTIES ('format-version'='3', 'encryption.key-id'='cloud')"
        )
        for part in range(3):
            rows = table(spark).where(f"id % 3 = {part}").select("id", "name")
            rows.writeTo("lake.sales.people").append()
        spark.sql(
            "MERGE INTO lake.sales.people t USING (SELECT 5 AS id, 'somebody else' AS name) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET name = s.name"
        )
        spark.sql("CALL lake.system.rewrite_data_files(table => 'sales.people', options => map('rewrite-all', 'true'))")
        spark.sql("CALL lake.system.rewrite_manifests('sales.people')")
        read = spark.table("lake.sales.people")
        assert read.count() == ROWS
        assert read.where("id = 5").first().name == "somebody else"

    calls = servers.kms_calls(job)
    assert 1 <= calls["kms.GenerateDataKey"] <= cluster.JVMS
    assert calls.get("kms.Decrypt", 0) <= cluster.JVMS * (cluster.JVMS - 1)
    stored = objects(servers, lake.plain, "warehouse/")
    data = [content for name, content in stored.items() if name.endswith(".parquet")]
    assert len(data) > 3 and all(content.startswith(b"PARE") for content in data)
    manifests = [content for name, content in stored.items() if name.endswith(".avro")]
    assert len(manifests) > 5 and all(content.startswith(b"AGS1") for content in manifests)
    assert not any(SECRET.encode() in content for content in stored.values())

    history = [row.snapshot_id for row in spark.table("lake.sales.people.snapshots").orderBy("committed_at").collect()]
    assert spark.read.option("versionAsOf", history[0]).table("lake.sales.people").count() == len(range(0, ROWS, 3))


@pytest.mark.usefixtures("iceberg")
def test_old_snapshots_of_iceberg_are_read_after_a_rotation(lake, spark, servers):
    spark.sql(
        "CREATE TABLE lake.sales.rotated (id bigint, name string) USING iceberg "
        "TBLPROPERTIES ('format-version'='3', 'encryption.key-id'='lake')"
    )
    table(spark, 10).select("id", "name").writeTo("lake.sales.rotated").append()
    servers.keyring("rotate", lake.document, "--kms-key-id", lake.kms_key)
    table(spark, 10).select("id", "name").writeTo("lake.sales.rotated").append()
    history = [row.snapshot_id for row in spark.table("lake.sales.rotated.snapshots").orderBy("committed_at").collect()]
    assert spark.read.option("versionAsOf", history[0]).table("lake.sales.rotated").count() == 10
    assert spark.table("lake.sales.rotated").count() == 20


@pytest.mark.usefixtures("iceberg")
def test_an_iceberg_table_under_a_key_that_is_not_configured_is_not_made(spark):
    with pytest.raises(Exception) as refused:
        spark.sql(
            "CREATE TABLE lake.sales.nowhere USING iceberg "
            "TBLPROPERTIES ('format-version'='3', 'encryption.key-id'='nobody') AS SELECT 1 AS id"
        )
    assert "[UNKNOWN_KEY]" in str(refused.value)
