"""`./dev bench NAME`: builds all that a benchmark needs, then measures, so that the measurement runs alone."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools import jdk, jvm, packages, setup
from tools.console import attached, die, note, step
from tools.paths import BUILD, CARGO_TARGET, LOGS, ROOT, SPARK_PYTHON, VENV_PYTHON
from tools.suites import gradle_command

RESULTS = BUILD / "bench"
JVM_BENCHMARKS = ("materials", "crypto", "objects", "kms")
NAMES = (*JVM_BENCHMARKS, "cli", "convert", "convert-spark", "spark", "tables")


def run(name: str, arguments: Sequence[str], parser: argparse.ArgumentParser) -> bool:
    """Whether the benchmark ran to its end. `arguments` are its own options."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    setup.need_rust()
    builder = jdk.need_builder()
    setup.need_python()
    if name == "cli":
        for peer in ("age", "openssl"):
            if not shutil.which(peer):
                packages.need("a peer of the benchmark", peer)
    if name in ("cli", "convert"):
        return _tool(name, arguments)
    setup.need_zig()
    if name == "convert-spark":
        return _spark("convert", name, (*_server(), *arguments))
    if name in ("spark", "tables"):
        return _spark("table", name, ("--of", name, *arguments))
    parser.add_argument("--java", type=Path, metavar="HOME", help="measure on another Java (NAME-javaN.json)")
    parser.add_argument("--rounds", default="5", metavar="N")
    parser.add_argument("--objects", default="10000", metavar="N", help="of the benchmark kms")
    parser.add_argument("--chart", action="store_true", help="draws docs/*.svg from the results")
    return _jvm(name, parser.parse_args(arguments), builder)


def _jvm(name: str, options: argparse.Namespace, builder: jdk.Java) -> bool:
    java, result = builder, RESULTS / f"{name}.json"
    if options.java:
        java = jdk.Java(jdk.version_of(options.java), options.java)
        result = result.with_stem(f"{name}-java{java.version}")
    program = f"bench{name.capitalize()}"
    tasks = [f"{program}Run", *(["benchChartRun"] if options.chart else [])]
    if not step("bench-build", "building the jar and the benchmark", gradle_command("-Pshipped", *tasks)).ok:
        return False
    if name == "materials":
        arguments = [str(result), jvm.jar(program)]
    else:
        arguments = [str(result), options.objects if name == "kms" else options.rounds]
    if not attached(jvm.command(program, java, arguments), LOGS / "bench.log", jvm.ENVIRONMENT):
        return False
    note(f"result in {result.relative_to(ROOT)}")
    if options.chart:
        command = jvm.command("benchChart", builder, [str(RESULTS), str(ROOT / "docs")])
        return step("chart", "drawing the charts in docs", command).ok
    return True


def _tool(name: str, arguments: Sequence[str]) -> bool:
    """The operator's tool as it ships, beside the same S3 client without encryption, and other peers."""
    # Built the same way, so that nothing but encryption is between the two clients.
    for crate in ("emrkeys-cli", "emrkeys-bench"):
        if not step("bench-tools", f"{crate} (release build)", ("cargo", "build", "--release", "-p", crate)).ok:
            return False
    release, result = CARGO_TARGET / "release", RESULTS / f"{name}.json"
    tools = ("--tool", release / "emrkeys", "--tools", release / "emrkeys-bench")
    return _python(VENV_PYTHON, ROOT / f"tests/bench/{name}.py", result, *tools, *arguments)


def _server() -> Sequence[str | Path]:
    """The option that names an S3 that costs next to nothing, which is built."""
    command = ("cargo", "build", "--release", "-p", "emrkeys-bench")
    if not step("bench-tools", "emrkeys-bench (release build)", command).ok:
        die("the server of the benchmark was not built")
    return "--tools", CARGO_TARGET / "release/emrkeys-bench"


def _spark(script: str, name: str, arguments: Sequence[str | Path]) -> bool:
    """Jobs of Spark's."""
    java = jdk.for_spark() or die("Spark needs Java 17 or 21")
    if not setup.need_spark():
        return False
    if not step("bench-spark", "the jar and what Spark needs", gradle_command("-Pshipped", "sparkFiles")).ok:
        return False
    result = RESULTS / f"{name}.json"
    return _python(SPARK_PYTHON, ROOT / f"tests/spark/{script}_bench.py", result, *arguments, java=java)


def _python(python: Path, script: Path, result: Path, *arguments: str | Path, java: jdk.Java | None = None) -> bool:
    variables = {"PYTHONDONTWRITEBYTECODE": "1", **({"JAVA_HOME": str(java.home)} if java else {})}
    if not attached((python, script, result, *arguments), LOGS / "bench.log", variables):
        return False
    note(f"result in {result.relative_to(ROOT)}")
    return True
