"""Tables that move between Spark and EMRFS, for which the SDK v1's clients stand in (tests/emrfs)."""

import pathlib
import types

import pytest

import cluster
from emrfs import ENCRYPTION_ONLY, V1, V2, Emrfs
from servers import KEY_FIELD, description

WRAPS = {V1: "AESWrap", V2: "AES/GCM"}
KEYS = ["aes", "keyring"]
ROWS = 1000


@pytest.fixture(scope="module")
def lake(servers, files, tmp_path_factory):
    bucket, old, keys, kms_key = servers.bucket(), servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/keyring.keyring"
    servers.keyring("create", document, "--name", "keyring", "--kms-key-id", kms_key)
    folder = tmp_path_factory.mktemp("emrfs")
    keys = {
        **cluster.aes("aes", folder),
        **cluster.keyring("keyring", document, kms_key, servers.endpoint),
        **cluster.rule(f"s3://{bucket}/aes/", "aes"),
        **cluster.rule(f"s3://{bucket}/keyring/", "keyring"),
        **cluster.aes("old", folder),
        **cluster.rule(f"s3://{old}/", "old"),
        "emrkeys.s3a.allow-legacy": "true",
    }
    site = {**cluster.s3a(servers.endpoint), **keys, "fs.s3a.encryption.cse.v1.compatibility.enabled": "true"}
    site[f"fs.s3a.bucket.{old}.encryption.algorithm"] = ""
    site[f"fs.s3a.bucket.{old}.s3.client.factory.impl"] = "org.emrkeys.S3AReadClientFactory"
    emrfs = Emrfs(files, servers.endpoint, keys, folder)
    return types.SimpleNamespace(bucket=bucket, old=old, site=site, transfer=emrfs.transfer, folder=folder)


@pytest.fixture(scope="module")
def spark(lake, application):
    return application(lake.site)


@pytest.fixture(scope="module")
def written(lake, spark):
    """For each key a folder with a parquet table that Spark wrote."""
    for key in KEYS:
        spark.range(0, ROWS, 1, 2).selectExpr("id", "concat('text ', id) text").write.parquet(
            f"s3a://{lake.bucket}/{key}/spark"
        )
    return "spark"


def parts(servers, lake, folder):
    return [name for name in servers.objects(lake.bucket, folder + "/") if "/part-" in name]


def assert_is_the_table(table):
    assert sorted(map(tuple, table.collect())) == [(row, f"text {row}") for row in range(ROWS)]


@pytest.mark.usefixtures("reads_without_commitment")
def test_files_that_spark_wrote_are_read_by_emrfs_and_its_files_by_spark(lake, spark, servers, written):
    """The v2 client reads Spark's files; as plain files they go back through both clients, and Spark reads those."""
    fetched = {}
    for key in KEYS:
        folder = lake.folder / key
        folder.mkdir()
        for part in parts(servers, lake, f"{key}/{written}"):
            fetched[f"{key}/" + pathlib.Path(part).name] = folder / pathlib.Path(part).name
    uri = f"s3://{lake.bucket}/"
    lake.transfer(V2, "get", [(file, uri + name.replace("/", f"/{written}/")) for name, file in fetched.items()])
    for key in KEYS:
        assert_is_the_table(spark.read.parquet((lake.folder / key).as_uri()))
    for mode in (V1, V2):
        lake.transfer(mode, "put", [(file, uri + name.replace("/", f"/{mode}/")) for name, file in fetched.items()])
        for key in KEYS:
            stored = servers.objects(lake.bucket, f"{key}/{mode}/").values()
            assert {metadata["x-amz-wrap-alg"] for metadata in stored} == {WRAPS[mode]}
            assert {description(metadata)[KEY_FIELD] for metadata in stored} == {key}
            assert_is_the_table(spark.read.parquet(f"s3a://{lake.bucket}/{key}/{mode}"))


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_tables_in_aes_cbc_are_read_by_the_client_factory(lake, spark, servers, form):
    plain = lake.folder / f"plain-{form}"
    rows = spark.range(0, 20 * ROWS, 1, 2).selectExpr("id", "sha2(cast(id as string), 256) text")
    rows.write.format(form).save(plain.as_uri())
    files = sorted(plain.glob("part-*"))
    lake.transfer(ENCRYPTION_ONLY, "put", [(file, f"s3://{lake.old}/{form}/{file.name}") for file in files])
    for metadata in servers.objects(lake.old, f"{form}/").values():
        assert "x-amz-key" in metadata and description(metadata)[KEY_FIELD] == "old"
    table = spark.read.format(form).load(f"s3a://{lake.old}/{form}")
    assert table.selectExpr("count(*)", "sum(id)", "sum(length(text))").first() == (
        20 * ROWS,
        sum(range(20 * ROWS)),
        64 * 20 * ROWS,
    )
    assert sorted(table.where("id > 19990").collect()) == sorted(rows.where("id > 19990").collect())
