"""`./dev bench spark` and `./dev bench tables`: one job with and without encryption.

The configurations of `spark` are: no encryption, Hadoop's own encryption by KMS, emrkeys on the JDK's ciphers,
emrkeys on ours, and the client factory of emrkeys, which only reads, on the objects of the one before it. Those of
`tables` encrypt by Parquet: with the KMS client of Parquet's own tests, with emrkeys on the JDK's ciphers and on
ours; beside S3A's encryption with emrkeys. Each runs in processes of its own, in turns: N rounds of all of them, and
ratios are those of a round. Wall-clock and CPU seconds are those of the job, without the start of Spark; the CPU is
that of all JVMs. Each table is read once in JVMs that have hardly read before, as by a short job, and then again: of
those reads the medians count. The JVMs of the client factory have not written either, so that its first read also
loads what the others' writes did. The last figure is the throughput of reads at random positions of one object, 4 MiB
each, which S3A decrypts by AES-CTR. Calls of KMS are those of the whole application, a small table to warm up and the
large object included.
"""

import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/servers"))

import cluster
from localaws.client import LocalAws

READ = "read-factory"
CONFIGURATIONS = {
    "spark": ("plain", "cse-kms", "emrkeys-jdk", "emrkeys", READ),
    "tables": ("plain", "parquet-example", "parquet-jdk", "parquet", "emrkeys"),
}
MIB = 1 << 20
POSITIONS = 48
PIECE = 4 * MIB
OBJECT = 32 * MIB  # the local S3 reads all of it for each request


def site(name: str, endpoint: str, kms_key: str) -> dict:
    s3a = cluster.s3a(endpoint)
    if not name.startswith("emrkeys"):
        s3a = {property: value for property, value in s3a.items() if not is_ours(property)}
    if name == "cse-kms":
        s3a.update({"fs.s3a.encryption.algorithm": "CSE-KMS", "fs.s3a.encryption.key": kms_key})
    if name == READ:
        s3a["fs.s3a.s3.client.factory.impl"] = "org.emrkeys.S3AReadClientFactory"
    if name == "parquet-example":
        s3a.update(parquet("org.apache.parquet.crypto.keytools.mocks.InMemoryKMS"))
        key = base64.b64encode(os.urandom(16)).decode()
        s3a["parquet.encryption.key.list"] = f"lake:{key},cards:{key}"
    elif name.startswith("parquet"):
        s3a.update(parquet("org.emrkeys.parquet.EmrKeysKmsClient"))
    if name.startswith(("emrkeys", "parquet", READ)) and name != "parquet-example":
        s3a.update(cluster.kms_cached("lake", kms_key, endpoint))
        s3a.update(cluster.kms_cached("cards", kms_key, endpoint) if name.startswith("parquet") else {})
        s3a["emrkeys.default.key"] = "lake"
        s3a["emrkeys.jce.install"] = "off" if name.endswith("-jdk") else "first"
    return s3a


def parquet(client: str) -> dict:
    """Parquet encrypts every file, the footer and one column under keys of their own."""
    return {
        "parquet.crypto.factory.class": "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory",
        "parquet.encryption.kms.client.class": client,
        "parquet.encryption.footer.key": "lake",
        "parquet.encryption.column.keys": "lake:id;cards:text",
    }


def is_ours(property: str) -> bool:
    return property.startswith("fs.s3a.encryption.") or property == "fs.s3a.audit.execution.interceptors"


def cpu(application) -> float:
    """Seconds of processor time that the application's JVMs have had."""
    driver = application.session.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    ticks = 0
    for pid in [driver, *cluster.jvms(application.marker)]:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Clock:
    """Seconds that pass, and those of processor time that the application's JVMs have."""

    def __init__(self, application):
        self._application = application
        self._last = time.monotonic(), cpu(application)

    def lap(self) -> tuple:
        """Both, since the last call."""
        before, self._last = self._last, (time.monotonic(), cpu(self._application))
        return tuple(now - then for now, then in zip(self._last, before))


def run(options) -> None:
    """One configuration, in this process; prints what was measured."""
    files = ROOT / "build/spark"
    jars = [str(jar) for part in ("jars", "emrkeys", "bench") for jar in sorted((files / part).glob("*.jar"))]
    with tempfile.TemporaryDirectory() as folder:
        settings = site(options.run, options.endpoint, options.kms_key)
        # Hadoop's own encryption makes its own client of KMS, which looks here.
        java = f"-Daws.endpointUrlKms={options.endpoint}"
        application = cluster.Application(settings, pathlib.Path(folder), java, **{"spark.jars": ",".join(jars)})
        spark = application.session
        writes = options.run != READ
        # Loads classes and makes connections.
        if writes:
            spark.range(1000).selectExpr("id", "id as text").write.parquet(f"s3a://{options.bucket}/warm")
        spark.read.parquet(f"s3a://{options.bucket}/warm").count()
        clock = Clock(application)
        rows = spark.range(0, options.rows, 1, 4).selectExpr(
            "id", "id % 8 as part", "sha2(cast(id as string), 256) as text"
        )
        if writes:
            rows.write.partitionBy("part").parquet(f"s3a://{options.bucket}/table")
        written = clock.lap()
        reads = []
        for _ in range(1 + options.reads):
            table = spark.read.parquet(f"s3a://{options.bucket}/table")
            found = table.selectExpr("sum(id)", "sum(length(text))").first()
            assert tuple(found) == (sum(range(options.rows)), 64 * options.rows), found
            reads.append(clock.lap())
        later = [statistics.median(values) for values in zip(*reads[1:])]
        result = {
            "write_seconds": written[0],
            "write_cpu_seconds": written[1],
            "read_seconds": reads[0][0],
            "read_cpu_seconds": reads[0][1],
            "again_seconds": later[0],
            "again_cpu_seconds": later[1],
            "positioned_mib_per_second": positioned(spark, f"s3a://{options.bucket}/large", writes),
        }
        application.stop()
    print(json.dumps(result))


def positioned(spark, uri: str, writes: bool) -> float:
    """MiB a second of an object read at positions in no order."""
    context = spark.sparkContext
    jvm = context._jvm
    path = jvm.org.apache.hadoop.fs.Path(uri)
    fs = path.getFileSystem(context._jsc.hadoopConfiguration())
    buffer = context._gateway.new_array(jvm.byte, PIECE)
    if writes:
        out = fs.create(path, True)
        for _ in range(OBJECT // PIECE):
            out.write(buffer)
        out.close()
    content = fs.open(path)
    start = time.monotonic()
    for number in range(POSITIONS):
        content.readFully((number * 5 % 7) * PIECE + 12345, buffer)
    seconds = time.monotonic() - start
    content.close()
    return POSITIONS * PIECE / MIB / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--of", choices=CONFIGURATIONS, default="spark", help="the configurations to compare")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reads", type=int, default=5, help="of the table, after the first")
    parser.add_argument("--only", help="of the configurations, those named, by commas; plain is always measured")
    parser.add_argument("--servers-python", default=ROOT / ".dev/venv/bin/python")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    for name in ("--endpoint", "--kms-key", "--bucket"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cluster.set_environment()
    if options.run:
        run(options)
        return
    servers = LocalAws(options.servers_python)
    kms_key = servers.kms_key()
    names = CONFIGURATIONS[options.of]
    only = options.only.split(",") if options.only else names
    if unknown := set(only) - set(names):
        parser.error(f"--only {','.join(unknown)}: {options.of} has {', '.join(names)}")
    needed = {"plain", *only, *(["emrkeys"] if READ in only else [])}  # READ reads what that one wrote
    rounds = {name: [] for name in names if name in needed}
    bucket = ""
    for number in range(options.rounds):
        for name in rounds:
            bucket, before = bucket if name == READ else servers.bucket(), servers.calls()
            command = [sys.executable, __file__, str(options.result), "--run", name, "--rows", str(options.rows)]
            command += ["--reads", str(options.reads)]
            command += ["--endpoint", servers.endpoint, "--kms-key", kms_key, "--bucket", bucket]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                sys.exit(f"{name} failed:\n{done.stderr[-4000:]}")
            measured = json.loads(done.stdout.splitlines()[-1])
            calls = servers.calls()
            measured["kms_calls"] = sum(n - before.get(call, 0) for call, n in calls.items() if call.startswith("kms."))
            measured["s3_calls"] = sum(n - before.get(call, 0) for call, n in calls.items() if call.startswith("s3."))
            rounds[name].append(measured)
            print(
                f"round {number + 1}, {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in measured.items()),
                flush=True,
            )
    servers.close()
    results = {name: summary(runs, rounds["plain"]) for name, runs in rounds.items()}
    options.result.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "rows": options.rows,
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "jvms": cluster.JVMS,
        "results": results,
        "all": rounds,
    }
    options.result.write_text(json.dumps(document, indent=2) + "\n")
    heads = (
        *("write s", "its CPU s", "read s", "its CPU s", "again s", "its CPU s"),
        *("positioned MiB/s", "KMS calls", "S3 calls"),
    )
    print(f"\n{f'median of {options.rounds} (of plain)':24}" + "".join(f"{head:>17}" for head in heads))
    for name, values in results.items():
        print(f"{name:24}" + "".join(f"{cell(value):>17}" for value in values.values()))


def summary(runs: list, plain: list) -> dict:
    """The medians, and where that can be, each round's ratio to the same round without encryption, and their median."""
    values = {}
    for key in runs[0]:
        values[key] = {"median": statistics.median(one[key] for one in runs)}
        if all(base[key] for base in plain):
            ratios = [one[key] / base[key] for one, base in zip(runs, plain)]
            values[key] |= {"ratio": statistics.median(ratios), "ratios": ratios}
    return values


def cell(value: dict) -> str:
    return f"{value['median']:.1f}" + (f" ({value['ratio']:.2f})" if "ratio" in value else "")


if __name__ == "__main__":
    main()
