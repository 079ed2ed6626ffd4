"""`./dev bench spark`: one job without encryption, with Hadoop's own encryption by KMS, and with emrkeys on the JDK's ciphers and on ours.

Each configuration runs in processes of its own, in turns: N rounds of all of them. Wall-clock and CPU seconds are those of the job, without
the start of Spark; the CPU is that of all JVMs. The last figure is the throughput of reads at random positions of one object, 8 MiB each,
which S3A decrypts by AES-CTR."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import pyspark

import cluster
from conftest import ROOT, pytest_configure
from servers import Servers

HERE = pathlib.Path(__file__).resolve().parent
CONFIGURATIONS = ("plain", "cse-kms", "emrkeys-jdk", "emrkeys")
POSITIONS = 48
PIECE = 8 << 20
OBJECT = 256 << 20


def site(name: str, endpoint: str, kms_key: str, folder: str) -> dict:
    s3a = cluster.s3a(endpoint)
    for property in ("fs.s3a.encryption.algorithm", "fs.s3a.encryption.cse.custom.keyring.class.name"):
        custom = s3a.pop(property)
        if name.startswith("emrkeys"):
            s3a[property] = custom
    if name == "cse-kms":
        s3a.update({"fs.s3a.encryption.algorithm": "CSE-KMS", "fs.s3a.encryption.key": kms_key})
    if name.startswith("emrkeys"):
        s3a.update(cluster.kms_cached("lake", kms_key, endpoint))
        s3a["emrkeys.default.key"] = "lake"
        s3a["emrkeys.jce.install"] = "off" if name == "emrkeys-jdk" else "first"
    return s3a


def cpu(marker: str) -> float:
    """Seconds of processor time that the JVMs of the application and this process's own have had."""
    ticks = 0
    parents = {os.getpid()}
    driver = [int(line.split("/")[2]) for line in map(str, pathlib.Path("/proc").glob("[0-9]*/stat")) if parent(line) in parents]
    for pid in {*cluster.jvms(marker), *driver}:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def parent(stat: str) -> int:
    try:
        return int(pathlib.Path(stat).read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has just ended
        return 0


def run(options) -> None:
    """One configuration, in this process; prints what was measured."""
    files = ROOT / "build/spark"
    jars = [str(jar) for jar in sorted((files / "jars").glob("*.jar"))] + [str(jar) for jar in (files / "emrkeys").glob("*.jar")]
    with tempfile.TemporaryDirectory() as folder:
        # Hadoop's own encryption makes its own client of KMS, which looks here.
        java = f"-Daws.endpointUrlKms={options.endpoint}"
        more = {"spark.jars": ",".join(jars), "spark.driver.extraJavaOptions": java}
        settings = cluster.settings({}, pathlib.Path(folder), "x")
        more["spark.executor.extraJavaOptions"] = f"{java} " + settings["spark.executor.extraJavaOptions"].replace("=x", f"={options.marker}")
        application = cluster.Application(site(options.run, options.endpoint, options.kms_key, folder), pathlib.Path(folder), **more)
        application.marker = options.marker
        spark = application.session
        spark.range(1000).write.parquet(f"s3a://{options.bucket}/warm")  # classes loaded, connections made
        spark.read.parquet(f"s3a://{options.bucket}/warm").count()
        start, before = time.monotonic(), cpu(options.marker)
        rows = spark.range(0, options.rows, 1, 4).selectExpr("id", "id % 8 as part", "sha2(cast(id as string), 256) as text")
        rows.write.partitionBy("part").parquet(f"s3a://{options.bucket}/table")
        written = time.monotonic()
        found = spark.read.parquet(f"s3a://{options.bucket}/table").selectExpr("sum(id)", "sum(length(text))").first()
        assert tuple(found) == (sum(range(options.rows)), 64 * options.rows), found
        result = {
            "write_seconds": written - start,
            "read_seconds": time.monotonic() - written,
            "cpu_seconds": cpu(options.marker) - before,
            "positioned_mib_per_second": positioned(spark, f"s3a://{options.bucket}/large"),
        }
        spark.stop()
    print(json.dumps(result))


def positioned(spark, uri: str) -> float:
    jvm = spark.sparkContext._jvm
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    path = jvm.org.apache.hadoop.fs.Path(uri)
    fs = path.getFileSystem(conf)
    nowhere = jvm.org.apache.commons.io.output.NullOutputStream.INSTANCE
    copy = jvm.org.apache.hadoop.io.IOUtils.copyBytes
    out = fs.create(path, True)
    zeros = jvm.org.apache.commons.io.input.NullInputStream(OBJECT)
    copy(zeros, out, 1 << 20, True)
    content = fs.open(path)
    start = time.monotonic()
    for number in range(POSITIONS):
        content.seek((number * 37 % 31) * PIECE + 12345)
        copy(content, nowhere, PIECE, False)
    seconds = time.monotonic() - start
    content.close()
    return POSITIONS * PIECE / (1 << 20) / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers-python", default=ROOT / ".dev/venv/bin/python")
    parser.add_argument("--run", choices=CONFIGURATIONS, help=argparse.SUPPRESS)
    for name in ("--endpoint", "--kms-key", "--bucket", "--marker"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pytest_configure(None)
    os.environ["SPARK_HOME"] = str(pathlib.Path(pyspark.__file__).parent)
    if options.run:
        run(options)
        return
    servers = Servers(str(options.servers_python), HERE.parent / "servers", (ROOT / "build/spark/cli").read_text())
    kms_key = servers.kms_key()
    rounds = {name: [] for name in CONFIGURATIONS}
    for number in range(options.rounds):
        for name in CONFIGURATIONS:
            bucket, before = servers.bucket(), servers.calls()
            command = [sys.executable, __file__, str(options.result), "--run", name, "--rows", str(options.rows)]
            command += ["--endpoint", servers.endpoint, "--kms-key", kms_key, "--bucket", bucket, "--marker", bucket]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                sys.exit(f"{name} failed:\n{done.stderr[-4000:]}")
            measured = json.loads(done.stdout.splitlines()[-1])
            calls = servers.calls()
            measured["kms_calls"] = sum(n - before.get(call, 0) for call, n in calls.items() if call.startswith("kms."))
            rounds[name].append(measured)
            print(f"round {number + 1}, {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in measured.items()), flush=True)
    servers.close()
    medians = {name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in rounds.items()}
    options.result.parent.mkdir(parents=True, exist_ok=True)
    document = {"rows": options.rows, "rounds": options.rounds, "medians": medians, "all": rounds}
    options.result.write_text(json.dumps(document, indent=2) + "\n")
    heads = ("write s", "read s", "CPU s", "positioned MiB/s", "KMS calls")
    print(f"\n{'median of ' + str(options.rounds):14}" + "".join(f"{head:>18}" for head in heads))
    for name, values in medians.items():
        print(f"{name:14}" + "".join(f"{value:18.1f}" for value in values.values()))


if __name__ == "__main__":
    main()
