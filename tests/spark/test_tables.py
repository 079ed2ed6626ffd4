"""Tables of three formats under two keys, written, read and joined."""

import types

import pytest
from pyspark.sql import functions as f

import cluster
from servers import KEY_FIELD, description, in_clear

CUSTOMERS = 1000
REGIONS = 7
DAYS = 5
NAME = "somebody whose name is private "


def amount(sale: int) -> int:
    return sale * 7919 % 10007


@pytest.fixture(scope="module")
def rows(request):
    return request.config.getoption("--rows")


@pytest.fixture(scope="module")
def lake(servers):
    """A bucket with two folders and their keys, and nothing for what is elsewhere."""
    bucket, keys, kms_key = servers.bucket(), servers.bucket(), servers.kms_key()
    document = f"s3://{keys}/sales.keyring"
    servers.keyring("create", document, "--name", "sales", "--kms-key-id", kms_key)
    site = {
        **cluster.s3a(servers.endpoint),
        **cluster.keyring("sales", document, kms_key, servers.endpoint),
        **cluster.kms_cached("people", servers.kms_key(), servers.endpoint),
        **cluster.rule(f"s3://{bucket}/sales/", "sales"),
        **cluster.rule(f"s3://{bucket}/people/", "people"),
    }
    return types.SimpleNamespace(bucket=bucket, site=site, root=f"s3a://{bucket}")


@pytest.fixture(scope="module")
def spark(lake, application):
    # Without broadcasts each join is a shuffle, which adaptive execution then changes.
    return application(lake.site, **{"spark.sql.autoBroadcastJoinThreshold": "-1"})


@pytest.fixture(scope="module")
def sales(lake, spark, servers, rows):
    """The calls of KMS while the large table was written and read once."""
    table = spark.range(0, rows, 1, 4).select(
        "id",
        (f.col("id") % CUSTOMERS).alias("customer"),
        (f.col("id") * 7919 % 10007).alias("amount"),
        f.concat(f.lit("sale "), f.col("id")).alias("text"),
        (f.col("id") % DAYS).alias("day"),
    )

    def job():
        table.write.partitionBy("day").parquet(f"{lake.root}/sales/table")
        assert spark.read.parquet(f"{lake.root}/sales/table").count() == rows

    return servers.kms_calls(job)


@pytest.fixture(scope="module")
def people(lake, spark, servers):
    """The calls of KMS while the two small tables were written and read once."""
    ids = f.col("id")
    customers = spark.range(0, CUSTOMERS, 1, 4).select(
        ids.alias("customer"), (ids % REGIONS).alias("region"), f.concat(f.lit(NAME), ids).alias("name")
    )
    regions = spark.range(0, REGIONS, 1, 2).select(ids.alias("region"), f.concat(f.lit(NAME), ids).alias("head"))

    def job():
        customers.write.orc(f"{lake.root}/people/customers")
        regions.write.option("header", True).csv(f"{lake.root}/people/regions")
        assert read_customers(lake, spark).count() == CUSTOMERS
        assert read_regions(lake, spark).count() == REGIONS

    return servers.kms_calls(job)


def read_customers(lake, spark):
    return spark.read.orc(f"{lake.root}/people/customers")


def read_regions(lake, spark):
    return spark.read.option("header", True).schema("region long, head string").csv(f"{lake.root}/people/regions")


def test_partitions_are_read_as_they_were_written(lake, spark, sales, rows):
    table = spark.read.parquet(f"{lake.root}/sales/table")
    read = table.groupBy("day").agg(f.count("*"), f.sum("amount"), f.min("text"), f.max("text")).collect()
    expected = []
    for day in range(DAYS):
        ids = range(day, rows, DAYS)
        texts = [f"sale {sale}" for sale in ids]
        expected.append((day, len(ids), sum(map(amount, ids)), min(texts), max(texts)))
    assert sorted(map(tuple, read)) == expected


def test_a_join_of_three_formats_under_two_keys_is_what_plain_python_computes(lake, spark, sales, people, rows):
    joined = (
        spark.read.parquet(f"{lake.root}/sales/table")
        .join(read_customers(lake, spark), "customer")
        .join(read_regions(lake, spark), "region")
        .groupBy("head")
        .agg(f.sum("amount").alias("amount"), f.countDistinct("name").alias("people"))
    )
    result = sorted(map(tuple, joined.collect()))
    assert "isFinalPlan=true" in joined._jdf.queryExecution().executedPlan().toString(), "no adaptive execution"
    amounts = [0] * REGIONS
    for sale in range(rows):
        amounts[sale % CUSTOMERS % REGIONS] += amount(sale)
    people_of = [len(range(region, CUSTOMERS, REGIONS)) for region in range(REGIONS)]
    assert result == [(f"{NAME}{region}", amounts[region], people_of[region]) for region in range(REGIONS)]


def test_rewritten_partitions_replace_the_old_ones_and_no_others(lake, spark, sales, rows):
    place = f"{lake.root}/sales/partitions"
    spark.range(0, 100).select("id", (f.col("id") % 4).alias("part")).write.partitionBy("part").parquet(place)
    again = spark.range(0, 10).select("id", f.lit(2).cast("long").alias("part"))
    again.write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy("part").parquet(place)
    read = spark.read.parquet(place).groupBy("part").count().collect()
    assert sorted(map(tuple, read)) == [(0, 25), (1, 25), (2, 10), (3, 25)]


def test_every_object_is_under_the_key_of_its_folder(lake, servers, sales, people):
    stored = servers.objects(lake.bucket)
    assert {description(metadata)[KEY_FIELD] for name, metadata in stored.items() if name.startswith("sales/")} == {
        "sales"
    }
    assert {description(metadata)[KEY_FIELD] for name, metadata in stored.items() if name.startswith("people/")} == {
        "people"
    }
    assert all(name.startswith(("sales/", "people/")) for name in stored)


def test_no_object_is_in_the_clear(lake, servers, sales, people):
    stored = servers.objects(lake.bucket)
    assert len(stored) > 2 * DAYS
    for name, metadata in stored.items():
        # "115" is AES-GCM with a key that is committed to, as S3 Encryption Client 4 writes it.
        assert metadata.get("x-amz-cek-alg", metadata.get("x-amz-c")) in ("AES/GCM/NoPadding", "115"), name
        assert not in_clear(servers.stored(lake.bucket, name), NAME.encode()), name


def test_a_folder_without_a_rule_is_not_written(lake, spark, servers, sales):
    with pytest.raises(Exception) as refused:
        spark.range(0, 10).write.parquet(f"{lake.root}/elsewhere/table")
    assert "[NO_RULE]" in str(refused.value)
    assert servers.objects(lake.bucket, "elsewhere/") == {}


def test_nothing_is_left_of_the_committers_work(lake, servers, sales, people):
    assert [name for name in servers.objects(lake.bucket) if "_temporary" in name or ".spark-staging" in name] == []
    assert servers.s3.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", []) == []


def test_a_keyring_calls_kms_at_most_once_in_each_jvm(sales):
    assert 1 <= sales["kms.Decrypt"] <= cluster.JVMS
    assert sales.get("kms.GenerateDataKey", 0) == 0


def test_a_cached_kms_key_calls_kms_once_for_each_jvm_that_writes_and_each_pair_that_reads(people):
    # Each JVM writes under a key-encryption key of its own, and reads those of the two others.
    assert 1 <= people["kms.GenerateDataKey"] <= cluster.JVMS
    assert people["kms.Decrypt"] <= cluster.JVMS * (cluster.JVMS - 1)
