"""The operator's tool against its peers; called by `./dev bench cli`, needs Python's own library alone.

`get`, `put`, `inspect`, `audit` and `rewrap` against the same S3 client without encryption (`emrkeys-bench store`: a
list and a HEAD of each object, and copies in place), on an S3 that costs next to nothing (`emrkeys-bench serve`); files
against age and openssl; `explain`, and the first lines of a large object, from start to end. Every round runs all of
them in turn, each in a process of its own; a ratio is the median of the rounds' own ratios, so that a machine
that slows down slows both sides.
"""

import argparse
import http.client
import json
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
BUCKET = "/bench"
TOUCH = (
    "import mmap, sys; mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"
)
"""A program that takes so many bytes of memory and gives them back. A virtual machine returns free pages to its host,
and the process that wants them first waits longer than the measured commands take."""
JOBS = 16
"""Objects asked for at once; what the tool does by default."""
MANY = ("inspect", "audit", "rewrap")
"""The cases of many small objects."""


def main() -> None:
    parser = arguments(5, "for inspect, audit and rewrap", 1024, "for get, put and files")
    parser.add_argument(
        "--folder", type=pathlib.Path, help="for the files; default: in memory where that is large enough"
    )
    options = parser.parse_args()
    where = options.folder or folder(options.mebibytes)
    results = measured(Bench, options, where)
    peers = {"age": output("age", "--version"), "openssl": output("openssl", "version")}
    write(options.result, {**describe_machine(), **peers, "folder": str(where)}, results)


def arguments(rounds: int, objects: str, mebibytes: int, large: str) -> argparse.ArgumentParser:
    """The options of a benchmark of the tool; `objects` and `large` say what their numbers are for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--tool", type=pathlib.Path, required=True, help="emrkeys, a release build")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="emrkeys-bench")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--objects", type=int, default=10_000, help=objects)
    parser.add_argument("--mebibytes", type=int, default=mebibytes, help=large)
    return parser


def measured(kind: type, options: argparse.Namespace, where: str | pathlib.Path | None = None) -> list[dict]:
    """The results of a benchmark, a class with `run` and `close`, whose files are below `where` while it runs."""
    with tempfile.TemporaryDirectory(prefix="emrkeys-bench-", dir=where) as name:
        bench = kind(options, pathlib.Path(name))
        try:
            return bench.run()
        finally:
            bench.close()


def write(result: pathlib.Path, machine: dict, results: list[dict]) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join("    " + json.dumps(row) for row in results)
    result.write_text(f'{{\n  "machine": {json.dumps(machine)},\n  "results": [\n{rows}\n  ]\n}}\n')


def folder(mebibytes: int) -> str:
    """Disks differ, and programs in whether they wait for them: memory is the same for all."""
    memory = pathlib.Path("/dev/shm")
    available = int(field("/proc/meminfo", "MemAvailable").split()[0]) * 1024
    # Three files, three objects in the server (one while it replaces another), and room to work in.
    if memory.is_dir() and min(available, shutil.disk_usage(memory).free) > 8 * mebibytes * MIB:
        return str(memory)
    print("    note: memory is too small; the disk is measured too, and only emrkeys waits for it")
    return tempfile.gettempdir()


def field(file: str, name: str) -> str:
    lines = pathlib.Path(file).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "unknown")


def describe_machine() -> dict:
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "os": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
    }


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Client:
    """An S3 that costs next to nothing, and how its clients are run."""

    def __init__(self, options, files: pathlib.Path):
        self.options = options
        self.files = files
        self.server = subprocess.Popen(
            [options.tools, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.server.stdout.readline())
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self.rates: dict[tuple[str, str], list[float]] = {}
        self.seconds: dict = {}
        self.resident: dict = {}
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(files),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def close(self) -> None:
        self.connection.close()
        self.server.stdin.close()
        self.server.wait(timeout=30)

    def call(self, command: list[str]) -> tuple[float, int]:
        """Seconds from start to end, and the most memory that was resident, in bytes.

        The latter is no less than this process has itself, for Linux counts from before the program was loaded.
        """
        start = time.perf_counter()
        with subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            said = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command} failed: {said.decode(errors='replace')}")
        return seconds, usage.ru_maxrss * 1024


class Table:
    """The rows of a result, which are printed as they come."""

    def __init__(self):
        self.rows: list[dict] = []

    def add(self, case: str, of: int, provider: str, unit: str, samples: list[float], goal: str = "") -> None:
        value = statistics.median(samples)
        row = {"case": case, "size": of, "threads": 1, "provider": provider, "unit": unit}
        low, high = round(min(samples), 3), round(max(samples), 3)
        self.rows.append({**row, "value": round(value, 3), "min": low, "max": high})
        verdict = ""
        if goal:
            sign, limit = goal.split()
            met = value >= float(limit) if sign == ">=" else value < float(limit)
            self.rows[-1].update(goal=goal, met=met)
            verdict = f"  goal {goal}: {'met' if met else 'MISSED'}"
        print(
            f"    {case:28} {provider:20} {value:10.3f} {unit:9} "
            f"({min(samples):.3f} to {max(samples):.3f}){verdict}"
        )


class Bench(Client):
    def run(self) -> list[dict]:
        self.prepare()
        for number in range(self.options.rounds):
            self.round(number)
            print(f"    round {number + 1} of {self.options.rounds}", flush=True)
        return self.results()

    def path(self, name: str) -> str:
        return str(self.files / name)

    def prepare(self) -> None:
        block = os.urandom(MIB)
        with open(self.path("in"), "wb") as file:
            for _ in range(self.options.mebibytes):
                file.write(block)
        key = self.files / "aes.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(32))
        other = self.files / "other.key"
        other.touch(mode=0o600)
        other.write_bytes(os.urandom(32))
        self.conf = ["-Demrkeys.default.key=k"]
        for name, file in ("k", key), ("l", other):
            self.conf += [f"-Demrkeys.key.{name}.type=aes", f"-Demrkeys.key.{name}.file={file.as_uri()}"]
        output("age-keygen", "-o", self.path("age.key"))
        self.recipient = output("age-keygen", "-y", self.path("age.key"))
        self.ctr = ["-aes-256-ctr", "-K", os.urandom(32).hex(), "-iv", os.urandom(16).hex()]
        self.objects()

    def objects(self) -> None:
        """Many objects: each as the tool would have written it."""
        with open(self.path("small"), "wb") as file:
            file.write(b"content")
        self.call(self.tool("put", self.path("small"), "s3://bench/small"))
        connection = self.connection
        connection.request("HEAD", f"{BUCKET}/small")
        answer = connection.getresponse()
        answer.read()
        metadata = {name: value for name, value in answer.getheaders() if name.lower().startswith("x-amz-meta-")}
        if not metadata:
            raise SystemExit("the small object has no envelope")
        for number in range(self.options.objects):
            connection.request("PUT", f"{BUCKET}/many-{number:06}", b"x" * 23, metadata)
            connection.getresponse().read()

    def tool(self, command: str, *arguments: str) -> list[str]:
        return [str(self.options.tool), command, *arguments, *self.conf]

    @staticmethod
    def head(command: list[str]) -> list[str]:
        """The command, whose reader has seen enough after some lines."""
        return ["sh", "-c", f"{shlex.join(command)} 2>/dev/null | head -c 1000 | wc -c | grep -qx 1000"]

    def store(self, *arguments: str) -> list[str]:
        return [str(self.options.tools), "store", *arguments]

    def round(self, number: int) -> None:
        plain, sealed = "s3://bench/plain", "s3://bench/sealed"
        out = self.path("out")
        self.measure("s3-put", "plain", self.store("put", self.path("in"), plain))
        self.measure("s3-put", "emrkeys", self.tool("put", self.path("in"), sealed))
        self.measure("s3-get", "plain", self.store("get", plain, out), out)
        self.measure("s3-get", "emrkeys", self.tool("get", sealed, out), out)
        self.measure("s3-cat", "plain", self.store("get", plain, "-"))
        self.measure("s3-cat", "emrkeys", self.tool("cat", sealed, "--release-unverified"))
        self.measure("inspect", "plain", self.store("head", "s3://bench/many-", str(JOBS)))
        self.measure("inspect", "emrkeys", self.tool("inspect", "--recursive", "s3://bench/many-", "--jobs", str(JOBS)))
        many = "s3://bench/many-"
        self.measure("audit", "plain", self.store("head", many, str(JOBS)))
        self.measure("audit", "emrkeys", self.tool("audit", many, "--jobs", str(JOBS)))
        self.measure("rewrap", "plain", self.store("in-place", many, str(JOBS)))
        to, source = ("l", "k") if number % 2 == 0 else ("k", "l")
        options = ["--to", to, "--from", source, "--recursive", "--yes", "--jobs", str(JOBS)]
        self.measure("rewrap", "emrkeys", self.tool("rewrap", many, *options))
        for how in ["--range", "0-9999"], ["--release-unverified"]:
            self.measure(f"cat-head {how[0]}", "emrkeys", self.head(self.tool("cat", sealed, *how)))
        into, outof = self.path("in"), self.path("sealed")
        self.measure("file-put", "emrkeys", self.tool("put", into, f"file://{outof}"))
        self.measure(
            "file-get", "emrkeys", self.tool("get", f"file://{outof}", out), out, outof, outof + ".instruction"
        )
        self.measure("file-put", "age", ["age", "-r", self.recipient, "-o", outof, into])
        self.measure("file-get", "age", ["age", "-d", "-i", self.path("age.key"), "-o", out, outof], out, outof)
        openssl = ["openssl", "enc", *self.ctr]
        self.measure("file-put", "openssl", [*openssl, "-in", into, "-out", outof])
        self.measure("file-get", "openssl", [*openssl, "-d", "-in", outof, "-out", out], out, outof)
        for _ in range(10):
            self.measure("explain", "emrkeys", self.tool("explain", "s3://bench/a/b"))

    def measure(self, case: str, provider: str, command: list[str], *leaves: str) -> None:
        """Compares a copy among the files that the command `leaves` with the original, and removes them all."""
        if case.startswith(("s3-", "file-")):
            # In a process of its own: what is measured would count this process's memory as its own.
            subprocess.run([sys.executable, "-c", TOUCH, str(3 * self.options.mebibytes * MIB)], check=True)
        seconds, resident = self.call(command)
        self.seconds.setdefault((case, provider), []).append(seconds)
        self.resident.setdefault((case, provider), []).append(resident)
        if self.path("out") in leaves:
            subprocess.run(["cmp", self.path("in"), self.path("out")], check=True)
        for path in leaves:
            os.unlink(path)

    def results(self) -> list[dict]:
        size, objects = self.options.mebibytes * MIB, self.options.objects
        table = Table()
        add = table.add
        for (case, provider), seconds in self.seconds.items():
            if case == "explain":
                add(case, 0, provider, "ms", [1000 * second for second in seconds], "< 30")
            elif case.startswith("cat-head"):
                add(case, size, provider, "ms", [1000 * second for second in seconds], "< 1000")
            elif case in MANY:
                add(case, objects, provider, "objects/s", [objects / second for second in seconds])
            else:
                add(case, size, provider, "GB/s", [size / second / 1e9 for second in seconds])
        ours = lambda case: self.seconds[case, "emrkeys"]
        for case, provider, goal in [
            ("s3-put", "plain", ">= 0.8"),
            ("s3-get", "plain", ">= 0.8"),
            ("s3-cat", "plain", ""),
            ("inspect", "plain", ">= 0.6"),
            ("audit", "plain", ">= 0.6"),
            ("rewrap", "plain", ">= 0.6"),
            ("file-put", "age", ">= 1"),
            ("file-put", "openssl", ">= 1"),
            ("file-get", "age", ">= 1"),
            ("file-get", "openssl", ">= 1"),
        ]:
            ratios = [theirs / our for theirs, our in zip(self.seconds[case, provider], ours(case))]
            add(f"{case}-ratio", objects if case in MANY else size, f"emrkeys/{provider}", "ratio", ratios, goal)
        for case in ["s3-put", "s3-get", "s3-cat", "file-put", "file-get"]:
            samples = [resident / MIB for resident in self.resident[case, "emrkeys"]]
            add(f"{case}-resident", size, "emrkeys", "MiB", samples, "< 64")
        return table.rows


if __name__ == "__main__":
    sys.exit(main())
