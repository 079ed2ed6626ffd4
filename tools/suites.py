"""The suites of `./dev test`, as jobs for the scheduler; tests/README.md says what each stands for."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import checks, features, jdk, jvm, linted, packages, sanitized, setup, symbols, tally
from tools.console import Done, step, warn
from tools.paths import BUILD, LOGS, NEWEST_SPARK_PYTHON, RESULTS, ROOT, SPARK_PYTHON, TOOL, VENV_PYTHON, ZIG, relative
from tools.schedule import Job
from tools.tally import Count

PARTS = ("check", "rust", "servers", "cli", "java", "e2e", "s3a", "tables", "spark")
QUICK = ("check", "rust", "java", "e2e")
"""The parts of `./dev test quick`, each on the JDK that builds alone."""
S3A_STACKS = ("s3ec31", "s3ec35", "s3ec401")
"""Releases of the S3 Encryption Client; gradle/dependencies.gradle has their versions."""
S3A_STACKS_FULL = (*S3A_STACKS, "s3ec40")
"""Those of `./dev test --full`: 4.0.0 writes and refuses what 4.0.1 does."""
S3A_JAVA = {"s3ec401": 17}
"""The least Java of a release of Hadoop, if it is not 8."""
ALL_JAVA = ("classes", "testClasses", "e2eClasses", "s3aClasses", "tablesClasses", "benchClasses")
"""The Gradle tasks that compile all Java."""
CAPACITY = 1.5
"""Suites side by side for each core: a third of their time they wait, for servers and for keys that become older."""
SHORT_LIVED = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""For JVMs that live for seconds, as Spark's do: the second compiler takes a third of their time and never pays."""
LIBRARY_AND_TOOL = ("cargo", "build", *features.BUILD)
"""The command of Gradle's task cargoCli; begun early, it compiles while Gradle downloads."""
BESIDE_CARGO = {"CARGO_TERM_QUIET": "true"}
"""For Gradle while that command runs: its own Cargo waits, and need not say so."""


@dataclass(frozen=True)
class Options:
    """The extent of one run of `./dev test`."""

    parts: Sequence[str] = PARTS
    full: bool = False
    quick: bool = False


def gradle_command(*arguments: str) -> list[str]:
    """Gradle with javac's warnings as errors."""
    return [setup.gradle(), "--console=plain", "-Pstrict", *arguments]


class Suites:
    """Makes the jobs of one run."""

    def __init__(self, options: Options, builder: jdk.Java):
        self._options = options
        self._builder = builder
        self._parts = set(options.parts)
        self._needs_jar = bool(self._parts & {"java", "e2e", "s3a", "tables", "spark"})

    def jobs(self) -> list[Job]:
        """Compilation first, then what takes longest: a core that waits at the end is lost. Suites count as one core
        each, for a job that asked for more would wait until all others are done."""
        parts = self._parts
        found = [Job("Python packages", self._install_python, load=0.25)]
        if self._needs_jar or "cli" in parts:
            found.append(Job("library and tool", self._cargo_build, load=1.5))
        if self._needs_jar or "check" in parts:
            found.append(Job("Java build", self._gradle_build, load=0.5))
        if "check" in parts:
            found += checks.fast_jobs()
        if parts & {"check", "rust"}:
            # Cargo builds one thing at a time; what others wait for comes first.
            found.append(Job("Rust build", self._rust_build, needs=("library and tool", "Java build")))
        if "check" in parts:
            found.append(Job("clippy", _clippy, needs=("Rust build",), load=0))
        makers: list[tuple[str, Callable[[], list[Job]]]] = [
            ("rust", self._rust),
            ("spark", self._spark),
            ("e2e", self._e2e),
            ("java", self._java),
            ("s3a", self._s3a),
            ("tables", self._tables),
            ("cli", self._cli),
            ("servers", self._servers),
        ]
        for part, make in makers:
            if part in parts:
                found += make()
        return found

    # ---- Builds -----------------------------------------------------------------------------------------------

    def _install_python(self) -> Sequence[Count]:
        setup.need_python()
        return []

    def _cargo_build(self) -> Sequence[Count]:
        done = step("cargo-build", "native library and operator's tool", LIBRARY_AND_TOOL)
        return [] if done.ok else [tally.check("cargo build", False)]

    def _gradle_build(self) -> Sequence[Count]:
        """All Java, the jar, and what each suite needs to run, in one start of Gradle."""
        tasks, counts = [*ALL_JAVA], []
        if "check" in self._parts:
            tasks.insert(0, "verifyDependencies")
        if self._parts & {"java"}:
            tasks.append("unitRun")
        if "e2e" in self._parts:
            tasks += ["e2eRun", "e2eOldSdkRun"]
        if "s3a" in self._parts:
            tasks += [f"{stack}Run" for stack in self._s3a_stacks()]
        if "tables" in self._parts:
            tasks.append("tablesRun")
        if "spark" in self._parts:
            tasks += ["sparkFiles", *(["sparkNewestFiles"] if self._options.full else [])]
        flags = ["-Pshipped", "-Parches=x86_64,aarch64"] if self._options.full else []
        command = gradle_command("--continue", *flags, *tasks)
        done = step("gradle", "all Java and the jar", command, environment={} if flags else BESIDE_CARGO)
        if "check" in self._parts:
            verified = re.search(r":verifyDependencies( FAILED)?$", done.text(), re.MULTILINE)
            counts.append(tally.check("dependency checksums", verified is not None and not verified[1]))
        counts.append(tally.check("jar, javac -Xlint", done.ok))
        return counts + (symbol_counts() if self._options.full and self._needs_jar and done.ok else [])

    def _rust_build(self) -> Sequence[Count]:
        """All targets: benchmarks are linted too."""
        linted.share()
        command = ("cargo", "test", *features.TESTS, "--all-targets", "--no-run")
        done = step("rust-build", "Rust tests: build, with clippy", command, environment=linted.ENVIRONMENT)
        return [] if done.ok else [tally.check("Rust tests: build", False)]

    # ---- Rust, and the operator's tool ------------------------------------------------------------------------

    def _rust(self) -> list[Job]:
        def run() -> Sequence[Count]:
            command = ("cargo", "test", *features.TESTS, "--no-fail-fast")
            done = step("rust", "Rust tests", command, environment=linted.ENVIRONMENT)
            return [tally.cargo("Rust", done.status, done.text())]

        instrumented = sanitized.rust_jobs() if self._options.full else []
        return [Job("Rust", run, needs=("Rust build",)), *instrumented]

    def _cli(self) -> list[Job]:
        def run() -> Sequence[Count]:
            packages.want("chromium", "chromium", "opens the page of an audit")
            full = ["--full"] if self._options.full else []
            return [_pytest("cli", "operator's tool", VENV_PYTHON, f"--tool={TOOL}", "-n", "2", *full)]

        return [Job("operator's tool", run, needs=("Python packages", "library and tool"))]

    def _servers(self) -> list[Job]:
        def run() -> Sequence[Count]:
            return [_pytest("servers", "local servers", VENV_PYTHON)]

        return [Job("local servers", run, needs=("Python packages",), load=0.5)]

    # ---- Java -------------------------------------------------------------------------------------------------

    def _javas(self) -> list[jdk.Java]:
        if self._options.quick:
            return [self._builder]
        javas = jdk.tested(self._builder)
        other = jdk.java21() if self._options.full else None
        return [*javas, other] if other and other not in javas else javas

    def _junit(self, tests: jvm.Tests, title: str, load: float = 1) -> Job:
        return Job(title, lambda: [_junit(tests, title)], needs=("Python packages", "Java build"), load=load)

    def _soaks(self) -> tuple[tuple[str, str], ...]:
        if not self._options.full:
            return ()
        return (("emrkeys.test.soak-seconds", "60"), ("emrkeys.test.tls-megabytes", "1024"))

    def _java(self) -> list[Job]:
        packages.want("cryptsetup", "cryptsetup-bin", "opens a LUKS volume with the key of local disks")
        newest = max(self._javas(), key=lambda java: java.version)
        plain = self._javas()
        if not self._options.full and newest != self._builder:
            plain.remove(newest)  # there the checks run, which is the same suite
        jobs = [
            self._junit(jvm.Tests("unit", java, properties=self._soaks()), f"Java unit tests, Java {java.version}")
            for java in plain
        ]
        if not self._options.quick:
            tests = jvm.Tests("unit", newest, check_jni=True)
            jobs.append(self._junit(tests, f"Java unit tests with -Xcheck:jni, Java {newest.version}"))
        return jobs + (sanitized.java_jobs(self._builder) if self._options.full else [])

    def _e2e(self) -> list[Job]:
        """Whole on the JDK that builds, except in a quick run; on others, and with the SDK of EMR 5's time, the part
        that depends on them."""
        sample, jobs = not self._options.full, []
        for java in self._javas():
            part = sample and (self._options.quick or java != self._builder)
            tests = jvm.Tests("e2e", java, sample=part, properties=self._soaks())
            jobs.append(self._junit(tests, f"end to end, Java {java.version}"))
        if not self._options.quick:
            oldest = min(self._javas(), key=lambda java: java.version)
            tests = jvm.Tests("e2eOldSdk", oldest, sample=sample, properties=self._soaks())
            jobs.append(self._junit(tests, f"end to end, SDK of 2019, Java {oldest.version}"))
        return jobs

    def _s3a_stacks(self) -> list[str]:
        """The stacks that the JDK that builds can run."""
        stacks = S3A_STACKS_FULL if self._options.full else S3A_STACKS
        return [stack for stack in stacks if S3A_JAVA.get(stack, 8) <= self._builder.version]

    def _s3a(self) -> list[Job]:
        if len(self._s3a_stacks()) < len(S3A_STACKS):
            warn(f"Java {self._builder.version} builds: Hadoop 3.5, which needs 17, is not tested")
        return [
            self._junit(jvm.Tests(stack, self._builder), f"S3A, S3 Encryption Client {stack.removeprefix('s3ec')}")
            for stack in self._s3a_stacks()
        ]

    def _tables(self) -> list[Job]:
        return [self._junit(jvm.Tests("tables", self._builder), "Parquet and Iceberg")]

    def _spark(self) -> list[Job]:
        java = jdk.for_spark()
        if java is None:
            warn("no Java 17 or 21 found: Spark is not tested")
            return [Job("Spark", lambda: [tally.skipped("Spark")])]
        jobs = self._spark_jobs(java, "Spark", SPARK_PYTHON, BUILD / "spark")
        if self._options.full:
            jobs += self._spark_jobs(java, "Spark, newest release", NEWEST_SPARK_PYTHON, BUILD / "spark-newest")
        return jobs

    def _spark_jobs(self, java: jdk.Java, title: str, python: Path, files: Path) -> list[Job]:
        rows = 2_000_000 if self._options.full else 200_000

        def install() -> Sequence[Count]:
            return [] if setup.need_spark(python) else [tally.check(f"{title}: pyspark", False)]

        def run() -> Sequence[Count]:
            options = (f"--rows={rows}", f"--basetemp={BUILD / f'{files.name}-run'}", f"--files={files}")
            environment = {"JAVA_HOME": str(java.home), **SHORT_LIVED}
            return [_pytest("spark", title, python, *options, name=files.name, environment=environment)]

        return [
            Job(f"{title}: pyspark", install, needs=("Python packages",), load=0.25),
            Job(title, run, needs=(f"{title}: pyspark", "Java build")),
        ]


def _clippy() -> Sequence[Count]:
    """Reads what the build of the Rust tests said."""
    found = linted.warnings((LOGS / "rust-build.log").read_text(errors="replace"))
    for crate in found:
        warn(f"{crate} has warnings: {relative(LOGS / 'rust-build.log')}")
    return [tally.check("cargo clippy", not found)]


def _pytest(
    folder: str,
    part: str,
    python: Path,
    *options: str,
    name: str | None = None,
    environment: dict[str, str | None] | None = None,
) -> Count:
    """Runs the tests in tests/FOLDER; `name`, by default FOLDER, is that of the log and the report."""
    report = RESULTS / f"{name or folder}.xml"
    report.unlink(missing_ok=True)
    done = step(
        name or folder,
        f"tests of {part}" if folder != "spark" else part,
        (python, "-m", "pytest", f"--junitxml={report}", *options),
        folder=ROOT / "tests" / folder,
        environment={"PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
    )
    return tally.junit(part, done.status, [report])


def _junit(tests: jvm.Tests, title: str) -> Count:
    done = step(tests.name, title, tests.prepare(), environment=jvm.ENVIRONMENT)
    status = done.status
    if tests.check_jni and _jni_complaints(done):
        warn(f"the JVM complains of our native code: {done.log}")
        status = status or 1
    return tally.junit(title, status, tests.reports.glob("*.xml"))


def _jni_complaints(done: Done) -> bool:
    """Whether -Xcheck:jni found something in a call from this project: the stack trace follows the complaint."""
    lines = done.text().splitlines()
    complaints = (at for at, line in enumerate(lines) if re.search(r"(WARNING|FATAL ERROR) in native method", line))
    return any("org.emrkeys" in line for at in complaints for line in lines[at : at + 13])


def symbol_counts() -> list[Count]:
    """Checks every library in the jar of a release."""
    counts = []
    for library in sorted((BUILD / "native/native").glob("linux-*/libemrkeys_jni.so")):
        part = f"symbols of {library.parent.name}"
        if not os.access(ZIG, os.X_OK):
            warn(f"{library.parent.name}: symbol versions not checked, the library was built without zig")
            counts.append(tally.skipped(part))
            continue
        found = symbols.problems(library)
        for problem in found:
            warn(f"{library.parent.name}: {problem}")
        counts.append(tally.check(part, not found))
    return counts or [tally.check("symbols", False)]


def memory_counts() -> list[Count]:
    """Looks for reads and writes out of bounds in the ciphers and in aws-lc below them.

    valgrind sees every instruction, assembly too, but knows no AVX-512 and says so, so that the code without it runs.
    AddressSanitizer sees our own vector code. Miri runs the parts without foreign code.
    """
    setup.need_rust()
    host = setup.host_triple()
    runner = f"CARGO_TARGET_{host.upper().replace('-', '_')}_RUNNER"
    valgrind = (
        "valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite"
    )
    tests = ("-p", "emrkeys-crypto", "--no-fail-fast", "--lib", "--test", "streaming", "--test", "vectors")
    done = step(
        "memory-valgrind",
        "tests of the ciphers under valgrind",
        ("cargo", "test", *tests),
        environment={"PROPTEST_CASES": "20", runner: valgrind},
    )
    counts = [tally.cargo("ciphers, valgrind", done.status, done.text())]
    if not setup.has_nightly():
        warn("no nightly Rust: AddressSanitizer is left out (rustup toolchain install nightly --profile minimal)")
        return counts
    done = step(
        "memory-asan",
        "tests of the ciphers with AddressSanitizer",
        ("cargo", "+nightly", "test", "--target", host, *tests),
        environment={"RUSTFLAGS": "-Zsanitizer=address"},
    )
    counts.append(tally.cargo("ciphers, AddressSanitizer", done.status, done.text()))
    if not setup.has_miri():
        warn("no Miri: it is left out (rustup +nightly component add miri rust-src)")
        return counts
    done = step(
        "memory-miri",
        "memory that threads share, under Miri",
        ("cargo", "+nightly", "miri", "test", "--manifest-path", ROOT / "rust/miri/Cargo.toml"),
        environment={"CARGO_TARGET_DIR": str(BUILD / "miri")},
    )
    return [*counts, tally.cargo("Miri", done.status, done.text())]
