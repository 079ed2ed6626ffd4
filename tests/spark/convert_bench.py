"""`./dev bench convert-spark`: `org.emrkeys.spark.Convert` with one executor and with two, of one core each.

Small objects in the clear become format v2. The S3 (`emrkeys-bench serve`) answers each request after some
milliseconds, as S3 does: executors wait for it, and more of them wait for more objects at once. Each run is a process
of its own, in turns; the seconds are those of the job, without the start of Spark.
"""

import argparse
import concurrent.futures
import http.client
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
import jobs

SIZE = 64 << 10
WRITERS = 8
WARM = 500
"""Objects that are converted first, for classes to be loaded."""


def run(options) -> None:
    """One run, in this process; prints the seconds."""
    jars = [str(jar) for part in ("jars", "emrkeys") for jar in sorted((ROOT / "build/spark" / part).glob("*.jar"))]
    with tempfile.TemporaryDirectory() as folder:
        site = {
            **cluster.aes("k", pathlib.Path(folder)),
            "emrkeys.default.key": "k",
            "emrkeys.s3.endpoint": f"http://127.0.0.1:{options.port}",
            "emrkeys.s3.region": "us-east-1",
            "emrkeys.s3.path-style-access": "true",
        }
        application = cluster.Application(
            site,
            pathlib.Path(folder),
            **{
                "spark.master": f"local-cluster[{options.run},1,1024]",
                "spark.cores.max": str(options.run),
                "spark.jars": ",".join(jars),
            },
        )

        def convert(prefix: str) -> float:
            start = time.monotonic()
            options = ["--recursive", "--from-plaintext"]
            code, out = jobs.run(application.session, "Convert", f"s3://bench/{prefix}-", *options)
            if code != 0:
                sys.exit(f"exit code {code}: {out}")
            return time.monotonic() - start

        convert("warm")
        print(json.dumps(convert("table")))
        application.stop()


def fill(port: int, prefix: str, objects: int) -> None:
    content = os.urandom(SIZE)

    def put(numbers) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for number in numbers:
            connection.request("PUT", f"/bench/{prefix}-{number:06}", content)
            connection.getresponse().read()

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(put, [range(first, objects, WRITERS) for first in range(WRITERS)]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="emrkeys-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=4_000, help="of 64 KiB")
    parser.add_argument("--milliseconds", type=int, default=20, help="after which the S3 answers")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    cluster.set_environment()
    if options.run:
        run(options)
        return
    seconds = {1: [], 2: []}
    for number in range(options.rounds):
        for executors in seconds:
            seconds[executors].append(measure(options, executors))
        print(f"round {number + 1}: one {seconds[1][-1]:.1f} s, two {seconds[2][-1]:.1f} s", flush=True)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2])]
    ratio = statistics.median(ratios)
    options.result.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "objects": options.objects,
        "milliseconds": options.milliseconds,
        "cores": os.cpu_count(),
        "seconds": seconds,
        "ratios": ratios,
        "ratio": ratio,
    }
    options.result.write_text(json.dumps(document, indent=2) + "\n")
    print(f"two executors are {ratio:.2f} times as fast as one (goal: >= 1.6)")


def measure(options, executors: int) -> float:
    command = [str(options.tools), "serve", str(options.milliseconds)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        fill(port, "warm", WARM)
        fill(port, "table", options.objects)
        again = [sys.executable, __file__, *sys.argv[1:], "--run", str(executors), "--port", str(port)]
        done = subprocess.run(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{executors} executors failed:\n{done.stderr[:4000]}")
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        server.stdin.close()
        server.wait()


if __name__ == "__main__":
    main()
