"""`emrkeys convert` against a plain copy by the same client; called by `./dev bench convert`.

Objects in AES-CBC become format v2 on an S3 that costs next to nothing (`emrkeys-bench serve`); the peer reads and
writes the same objects without any cryptography (`emrkeys-bench store copy`). A dry run over a simulated listing shows
that memory does not grow with the number of objects.
"""

import http.client
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys

import cli
from cli import JOBS, MIB

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import envelopes  # noqa: E402

SMALL = 64 << 10


def main() -> None:
    parser = cli.arguments(3, "of 64 KiB", 256, "of each large object")
    parser.add_argument("--large", type=int, default=20, help="objects of --mebibytes")
    parser.add_argument("--planned", type=int, default=1_000_000, help="objects of the dry run")
    options = parser.parse_args()
    cli.write(options.result, cli.describe_machine(), cli.measured(Bench, options))


class Bench(cli.Client):
    def run(self) -> list[dict]:
        key = self.files / "aes.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(32))
        self.conf = ["-Demrkeys.key.k.type=aes", f"-Demrkeys.key.k.file={key.as_uri()}", "-Demrkeys.default.key=k"]
        explained = subprocess.run(
            [self.options.tool, "explain", "s3://bench/a", "--output", "json", *self.conf],
            check=True,
            capture_output=True,
            env=self.env,
        )
        version = json.loads(explained.stdout)[0]["version"]["id"]
        self.wrapping = envelopes.Aes(key.read_bytes())
        self.description = {"emrkeys.key": "k", "emrkeys.version": version}
        for number in range(self.options.rounds):
            for provider in ("plain", "emrkeys"):
                self.apart(self.fill)
                self.measure(provider, "small", self.options.objects * SMALL)
                self.measure(provider, "large", self.options.large * self.options.mebibytes * MIB)
            print(f"    round {number + 1} of {self.options.rounds}", flush=True)
        return self.results(self.plan())

    @staticmethod
    def apart(what) -> None:
        """In a process of its own: Linux counts the memory of this one as that of the processes it starts."""
        process = multiprocessing.get_context("fork").Process(target=what)
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit("the objects could not be written")

    def fill(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)

        def put_all(paths, content: bytes) -> None:
            body, metadata = envelopes.seal(content, self.wrapping, "encryption-only", self.description)
            headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
            for path in paths:
                connection.request("PUT", path, body, headers)
                connection.getresponse().read()

        small = [f"/bench/small-{number:06}" for number in range(self.options.objects)]
        put_all([*small, f"/simulated-{self.options.planned}/template"], os.urandom(SMALL - 16))
        large = [f"/bench/large-{number:06}" for number in range(self.options.large)]
        put_all(large, os.urandom(MIB) * self.options.mebibytes)

    def measure(self, provider: str, case: str, size: int) -> None:
        prefix = f"s3://bench/{case}-"
        if provider == "plain":
            command = [str(self.options.tools), "store", "copy", prefix, str(JOBS)]
        else:
            options = ["--recursive", "--yes", "--jobs", str(JOBS), *self.conf]
            command = [str(self.options.tool), "convert", prefix, *options]
        seconds, resident = self.call(command)
        self.rates.setdefault((case, provider), []).append(size / seconds / 1e9)
        self.seconds.setdefault(provider, []).append(seconds)
        self.resident.setdefault(provider, []).append(resident / MIB)

    def plan(self) -> list[float]:
        """The most memory, in MiB, of a dry run over many objects."""
        uri = f"s3://simulated-{self.options.planned}/"
        command = [str(self.options.tool), "convert", uri, "--dry-run", "--jobs", str(JOBS), *self.conf]
        return [self.call(command)[1] / MIB]

    def results(self, planned: list[float]) -> list[dict]:
        table = cli.Table()
        for (case, provider), rates in self.rates.items():
            table.add(f"convert-{case}", 0, provider, "GB/s", rates)
        for case in ("small", "large"):
            ratios = [ours / plain for ours, plain in zip(self.rates[case, "emrkeys"], self.rates[case, "plain"])]
            table.add(f"convert-{case}-ratio", 0, "emrkeys/plain", "ratio", ratios)
        whole = {
            provider: [sum(pair) for pair in zip(seconds[::2], seconds[1::2])]
            for provider, seconds in self.seconds.items()
        }
        ratios = [plain / ours for plain, ours in zip(whole["plain"], whole["emrkeys"])]
        table.add("convert-ratio", 0, "emrkeys/plain", "ratio", ratios, ">= 0.8")
        table.add("convert-resident", 0, "emrkeys", "MiB", [max(self.resident["emrkeys"])], "< 128")
        table.add("convert-planned-resident", self.options.planned, "emrkeys", "MiB", planned, "< 128")
        return table.rows


if __name__ == "__main__":
    sys.exit(main())
