"""The jobs of `./dev test`: what needs what, and what runs on which Java."""

from pathlib import Path

import pytest

from tools import jdk, packages, sanitized, suites
from tools.console import Failure
from tools.jdk import Java
from tools.paths import ROOT
from tools.suites import Options, Suites

BUILDER, NEWEST, OLDEST = Java(17, Path("/java17")), Java(25, Path("/java25")), Java(8, Path("/java8"))
JAVA21 = Java(21, Path("/java21"))


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(packages, "want", lambda *_: None)
    monkeypatch.setattr(jdk, "tested", lambda _: [BUILDER, NEWEST, OLDEST])
    monkeypatch.setattr(jdk, "java21", lambda: JAVA21)
    monkeypatch.setattr(jdk, "for_spark", lambda: BUILDER)


def jobs(**options):
    return {job.name: job for job in Suites(Options(**options), BUILDER).jobs()}


@pytest.mark.parametrize("options", [{}, {"full": True}])
def test_every_need_is_a_job_of_the_whole_run(options):
    found = jobs(**options)
    assert {need for job in found.values() for need in job.needs} <= found.keys()


@pytest.mark.parametrize("part", suites.PARTS)
def test_each_part_runs_alone(part):
    alone = jobs(parts=[part])
    whole = jobs()
    assert alone.keys() <= whole.keys()
    assert len(alone) >= 2


def test_a_full_run_has_java_21_and_every_stack_of_s3a_too():
    more = {"Java unit tests, Java 21", "end to end, Java 21", "S3A, S3 Encryption Client 40"}
    assert more <= jobs(full=True).keys()
    assert not more & jobs().keys()


def test_a_full_run_fuzzes_each_target_and_has_a_library_with_address_sanitizer():
    targets = {path.name for path in (ROOT / "rust/fuzz/corpus").iterdir()}
    more = {f"fuzz target {target}" for target in targets} | {"library with AddressSanitizer, tests"}
    more |= {"fuzz targets: self-test"}
    assert more <= jobs(full=True).keys()
    assert not more & jobs().keys()


@pytest.mark.parametrize("asked", ["0", "a minute", "1.5"])
def test_fuzz_seconds_that_are_no_number_are_refused(monkeypatch, asked):
    monkeypatch.setenv("FUZZ_SECONDS", "600")
    assert sanitized.seconds() == 600
    monkeypatch.setenv("FUZZ_SECONDS", asked)
    with pytest.raises(Failure, match="FUZZ_SECONDS"):
        jobs(full=True)


def test_hadoop_3_5_is_left_out_where_an_older_java_builds():
    found = {job.name for job in Suites(Options(), Java(11, Path("/java11"))).jobs()}
    assert "S3A, S3 Encryption Client 35" in found and "S3A, S3 Encryption Client 401" not in found


def test_the_whole_run_has_every_java():
    found = jobs()
    for java in (BUILDER, NEWEST, OLDEST):
        assert f"end to end, Java {java.version}" in found
        assert [name for name in found if name.startswith("Java unit tests") and name.endswith(f"Java {java.version}")]
    assert "end to end, SDK of 2019, Java 8" in found


def test_calls_of_native_code_are_checked_on_the_newest_java():
    checked = "Java unit tests with -Xcheck:jni, Java 25"
    assert checked in jobs()
    assert "Java unit tests, Java 25" not in jobs()
    assert {checked, "Java unit tests, Java 25"} <= jobs(full=True).keys()


def test_the_quick_run_has_only_the_jdk_that_builds():
    found = jobs(parts=suites.QUICK, quick=True)
    assert [name for name in found if "Java 17" in name] != []
    assert not [name for name in found if "Java 25" in name or "Java 8" in name or "SDK" in name]


@pytest.mark.parametrize(
    ("options", "sampled"),
    [({}, [8, 25]), ({"parts": suites.QUICK, "quick": True}, [17]), ({"full": True}, [])],
)
def test_the_end_to_end_suite_runs_whole_unless_it_is_quick_or_another_java(monkeypatch, options, sampled):
    run = []
    monkeypatch.setattr(suites, "_junit", lambda tests, _: run.append(tests))
    for name, job in jobs(**options).items():
        if name.startswith("end to end, Java"):
            job.run()
    assert sorted(tests.java.version for tests in run if tests.sample) == sampled


def test_lints_are_part_of_the_checks():
    assert {"clippy", "formatting", "style", "tools", "licences", "Java build"} <= jobs(parts=["check"]).keys()
