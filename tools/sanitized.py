"""The native code under instruments, for `./dev test --full`: fuzz targets, and the JNI library with AddressSanitizer.

Both are built by the stable compiler. A wrapper around it adds flags for the crates of this project alone, in a target
folder of their own, so that nothing that ships or that other tests use is touched.
"""

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools import features, jdk, jvm, linted, packages, setup, tally
from tools.console import die, note, step, warn
from tools.paths import BUILD, CARGO_TARGET, ROOT, relative
from tools.schedule import Job
from tools.tally import Count

TARGET = CARGO_TARGET / "instrumented"
FUZZ_SECONDS = 60
"""How long each target runs, unless the variable FUZZ_SECONDS says so."""
FUZZ_FAULT = 77
"""The exit status of libFuzzer for an input that shows a fault."""
SELF_TEST_RUNS = 20_000_000
"""Inputs within which libFuzzer finds the self-test's fault: it needs up to a million. Blind, it would need 2^40."""
SELF_TEST_SAYS = "the self-test's fault"
"""The words of its panic."""
CORPUS = ROOT / "rust/fuzz/corpus"
ASAN_FAULT = 77
"""The exit status of a process that AddressSanitizer ends."""
ASAN_TESTS = r"org\.emrkeys\.(jce|provider|bridge)\.(?!NativeLoaderTest).*Test"
"""The classes of the unit tests in which bytes of Java's cross to native code and back."""
_BUILD_FUZZ = "fuzz targets: build"
_SELF_TEST = "fuzz targets: self-test"
_BUILD_ASAN = "library with AddressSanitizer"


def _cargo(name: str, title: str, wrapper: str, *arguments: str) -> Sequence[Count]:
    linted.share(linted=TARGET / "debug")
    environment = {"RUSTC_WORKSPACE_WRAPPER": str(ROOT / "tools" / wrapper), "CARGO_TARGET_DIR": str(TARGET)}
    done = step(name, title, ("cargo", "build", "--locked", *features.BUILD, *arguments), environment=environment)
    return [] if done.ok else [tally.check(title, False)]


# ---- Fuzz targets ---------------------------------------------------------------------------------------------------


def targets() -> list[str]:
    """The names of all fuzz targets, each of which has a folder of inputs."""
    return sorted(folder.name for folder in CORPUS.iterdir())


def build_fuzz() -> Sequence[Count]:
    if not shutil.which("c++"):
        packages.need("a C++ compiler, for libFuzzer", "g++")
    arguments = ("-p", "emrkeys-fuzz", "--features", "emrkeys-fuzz/libfuzzer", "--bin", "emrkeys-fuzz")
    return _cargo("fuzz-build", _BUILD_FUZZ, "rustc-coverage.sh", *arguments)


def seconds() -> int:
    """How long each target runs."""
    asked = os.environ.get("FUZZ_SECONDS", "") or str(FUZZ_SECONDS)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", asked):
        die(f"FUZZ_SECONDS={asked}: give whole seconds, 1 to 999999")
    return int(asked)


def self_test() -> Sequence[Count]:
    """Has libFuzzer look for a fault that it finds only by the coverage of its inputs: if it does not find it, the runs
    of the targets show little."""
    faults = BUILD / "fuzz-faults/self-test"
    shutil.rmtree(faults, ignore_errors=True)
    faults.mkdir(parents=True)
    command = (TARGET / "debug/emrkeys-fuzz", f"-runs={SELF_TEST_RUNS}", "-seed=1", f"-artifact_prefix={faults}/")
    environment = {"EMRKEYS_FUZZ": "self-test"}
    done = step("fuzz-self-test", _SELF_TEST, command, environment=environment, expected=FUZZ_FAULT)
    found = done.ok and SELF_TEST_SAYS in done.text() and any(faults.iterdir())
    if not found:
        warn(f"libFuzzer does not find a fault behind five bytes in {SELF_TEST_RUNS:,} runs: it is blind")
    return [tally.check(_SELF_TEST, found)]


def fuzz(target: str) -> Sequence[Count]:
    """Runs a target. The inputs that it finds stay in build/fuzz/TARGET, from where the next run goes on."""
    found = BUILD / "fuzz" / target
    faults = BUILD / "fuzz-faults" / target
    for folder in (found, faults):
        folder.mkdir(parents=True, exist_ok=True)
    command = (
        TARGET / "debug/emrkeys-fuzz",
        f"-max_total_time={seconds()}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={faults}/",
        found,
        CORPUS / target,
    )
    done = step(f"fuzz-{target}", f"fuzz target {target}", command, environment={"EMRKEYS_FUZZ": target})
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.text())
    coverage = re.findall(r"cov: (\d+)", done.text())
    if done.ok and runs and coverage:
        note(f"fuzz target {target}: {runs[1]} inputs, {coverage[-1]} places in the code")
    for fault in re.findall(r"Test unit written to (\S+)", done.text()):
        warn(f"{target} fails: {relative(Path(fault))}. It goes to {relative(CORPUS / target)} with the repair")
    return [tally.check(f"fuzz target {target}", done.ok and runs is not None)]


# ---- AddressSanitizer -----------------------------------------------------------------------------------------------


def _runtime() -> str | None:
    """The runtime of AddressSanitizer that is put before the JVM, in which it must be the first library."""
    done = step("asan-runtime", "looking for AddressSanitizer", ("cc", "-print-file-name=libasan.so"))
    found = Path(done.text().strip())
    return str(found.resolve()) if done.ok and found.is_absolute() and found.exists() else None


def build_asan() -> Sequence[Count]:
    """The library, laid out as in the jar."""
    failed = _cargo("asan-build", _BUILD_ASAN, "rustc-asan.sh", "--lib", "-p", "emrkeys-jni")
    if failed:
        return failed
    folder = BUILD / "asan/native" / f"linux-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libemrkeys_jni.so"
    shutil.copyfile(TARGET / "debug" / library.name, library)
    content = library.read_bytes()
    if b"__asan_report_load" not in content:
        warn(f"{relative(library)} has no AddressSanitizer")
        return [tally.check(_BUILD_ASAN, False)]
    digest = hashlib.sha256(content).hexdigest()
    (folder / f"{library.name}.sha256").write_text(digest + "\n")
    return []


def _watched(runtime: str, reports: Path) -> dict[str, str | None]:
    """The environment of a JVM in which AddressSanitizer watches the library, with its reports in a new folder."""
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    return {
        **jvm.ENVIRONMENT,
        "LD_PRELOAD": runtime,
        # The JVM has its own use for SIGSEGV, and ends without giving all memory back.
        "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:allow_user_segv_handler=1:"
        f"detect_leaks=0:abort_on_error=0:exitcode={ASAN_FAULT}:log_path={reports}/report:"
        f"suppressions={ROOT / 'tools/asan.supp'}",
    }


def asan_notices(java: jdk.Java, runtime: str, access: str) -> Count:
    """Lets the library `read` or `write` outside of a buffer of Java's, for which AddressSanitizer must end the
    process."""
    title = f"{_BUILD_ASAN}: a {access} outside of a buffer"
    reports = BUILD / f"asan/fault-{access}"
    options = ["--add-opens=java.base/java.nio=ALL-UNNAMED", *jvm.with_asan(BUILD / "asan")]
    command = jvm.command("unit", java, [access], options, main="org.emrkeys.bridge.BufferFault")
    environment = _watched(runtime, reports)
    done = step(f"asan-fault-{access}", title, command, environment=environment, expected=ASAN_FAULT)
    told = "".join(report.read_text(errors="replace") for report in reports.iterdir())
    noticed = done.ok and "heap-buffer-overflow" in told and f"{access.upper()} of size" in told
    if not noticed:
        warn(f"AddressSanitizer does not notice a {access} outside of a buffer: {relative(done.log)}")
    return tally.check(title, noticed)


def asan(java: jdk.Java) -> Sequence[Count]:
    """The tests of ciphers and of the boundary, on the instrumented library, once it has noticed faults on purpose."""
    title = f"{_BUILD_ASAN}, Java {java.version}"
    runtime = _runtime()
    if runtime is None:
        warn("the C compiler has no AddressSanitizer (apt-get install gcc): the library is not tested with it")
        return [tally.skipped(title)]
    noticed = [asan_notices(java, runtime, access) for access in ("read", "write")]
    tests = jvm.Tests("unit", java, classes=ASAN_TESTS, asan=BUILD / "asan")
    reports = BUILD / "asan/report"
    done = step(tests.name, title, tests.prepare(), environment=_watched(runtime, reports))
    status = done.status
    for report in sorted(reports.iterdir()):
        warn(f"AddressSanitizer complains: {relative(report)}")
        status = status or 1
    return [*noticed, tally.junit(title, status, tests.reports.glob("*.xml"))]


def rust_jobs() -> list[Job]:
    """Fuzzing, for a whole run."""
    seconds()  # refused before anything runs
    jobs = [
        Job(_BUILD_FUZZ, build_fuzz, needs=("Rust build",)),
        Job(_SELF_TEST, self_test, needs=(_BUILD_FUZZ,)),
    ]
    for target in targets():
        jobs.append(Job(f"fuzz target {target}", lambda target=target: fuzz(target), needs=(_BUILD_FUZZ,)))
    return jobs


def java_jobs(java: jdk.Java) -> list[Job]:
    """AddressSanitizer, for a whole run."""
    return [
        Job(_BUILD_ASAN, build_asan, needs=("Rust build", "library and tool")),
        Job(f"{_BUILD_ASAN}, tests", lambda: asan(java), needs=(_BUILD_ASAN, "Java build", "Python packages")),
    ]
