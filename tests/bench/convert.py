"""`emrkeys convert` against a plain copy by the same client; called by `./dev bench convert`.

Objects in AES-CBC become format v2 on an S3 that costs next to nothing (`emrkeys-bench serve`); the peer reads and
writes the same objects without any cryptography (`emrkeys-bench store copy`). A dry run over a simulated listing shows
that memory does not grow with the number of objects.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import cli

MIB = 1 << 20
SMALL = 64 << 10
JOBS = 16
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--tool", type=pathlib.Path, required=True, help="emrkeys, a release build")
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="emrkeys-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--objects", type=int, default=10_000, help="of 64 KiB")
    parser.add_argument("--large", type=int, default=20, help="objects of --mebibytes")
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--planned", type=int, default=1_000_000, help="objects of the dry run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emrkeys-bench-") as name:
        bench = Bench(options, pathlib.Path(name))
        try:
            results = bench.run()
        finally:
            bench.close()
    cli.write(options.result, cli.describe_machine(), results)


class Bench(cli.Client):
    def run(self) -> list[dict]:
        import envelopes

        key = self.files / "aes.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(32))
        self.conf = ["-Demrkeys.key.k.type=aes", f"-Demrkeys.key.k.file={key.as_uri()}", "-Demrkeys.default.key=k"]
        wrapping, description = envelopes.Aes(key.read_bytes()), {"emrkeys.key": "k"}
        small = envelopes.seal(os.urandom(SMALL - 16), wrapping, "encryption-only", description)
        large = envelopes.seal(os.urandom(MIB) * self.options.mebibytes, wrapping, "encryption-only", description)
        for number in range(self.options.rounds):
            for provider in ("plain", "emrkeys"):
                self.fill(small, large)
                self.measure(provider, "small", self.options.objects * SMALL)
                self.measure(provider, "large", self.options.large * self.options.mebibytes * MIB)
            print(f"    round {number + 1} of {self.options.rounds}", flush=True)
        self.put(f"/simulated-{self.options.planned}/template", *small)
        return self.results(self.plan())

    def fill(self, small, large) -> None:
        for number in range(self.options.objects):
            self.put(f"/bench/small/{number:06}", *small)
        for number in range(self.options.large):
            self.put(f"/bench/large/{number:06}", *large)

    def put(self, path: str, body: bytes, metadata: dict) -> None:
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        self.connection.request("PUT", path, body, headers)
        self.connection.getresponse().read()

    def measure(self, provider: str, case: str, size: int) -> None:
        prefix = f"s3://bench/{case}/"
        if provider == "plain":
            command = [str(self.options.tools), "store", "copy", prefix, str(JOBS)]
        else:
            command = [str(self.options.tool), "convert", prefix, "--yes", "--jobs", str(JOBS), *self.conf]
        seconds, resident = self.call(command)
        self.rates.setdefault((case, provider), []).append(size / seconds / 1e9)
        self.seconds.setdefault(provider, []).append(seconds)
        self.resident.setdefault(provider, []).append(resident / MIB)

    def plan(self) -> list[float]:
        """The most memory, in MiB, of a dry run over many objects, and of one over a tenth of them."""
        uri = f"s3://simulated-{self.options.planned}/"
        checkpoint = str(self.files / "mark")
        command = [str(self.options.tool), "convert", uri, "--dry-run", "--jobs", str(JOBS), *self.conf]
        return [self.call([*command, "--checkpoint", checkpoint])[1] / MIB]

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
