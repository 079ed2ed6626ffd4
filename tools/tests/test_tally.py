"""Counting: no failure is lost, whatever the form in which a suite reports it."""

from tools import tally
from tools.tally import Count, Tally

CARGO = """\
running 3 tests
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.01s
"""
PYTEST = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">
<testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="0.1"><testcase name="a&gt;b"/></testsuite></testsuites>"""
CONSOLE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="JUnit Jupiter" tests="5" skipped="1" failures="0" errors="0" time="1">
<testcase name="says &lt;testsuite tests=&quot;99&quot;"><system-out><![CDATA[<testsuite tests="99">]]></system-out></testcase></testsuite>"""


def test_cargo_sums_every_test_binary():
    assert tally.cargo("Rust", 101, CARGO) == Count("Rust", 13, 2, 1)


def test_cargo_that_did_not_compile_is_a_failure():
    assert tally.cargo("Rust", 101, "error: could not compile") == Count("Rust", 0, 1, 0)


def test_cargo_whose_binary_crashed_after_others_passed_is_a_failure():
    output = CARGO.splitlines()[1] + "\nerror: test failed\nprocess didn't exit successfully (signal: 11)"
    assert tally.cargo("Rust", 101, output) == Count("Rust", 3, 1, 1)


def test_junit_reads_reports_of_pytest_and_of_the_console_launcher(tmp_path):
    for name, text in {"a.xml": PYTEST, "b.xml": CONSOLE}.items():
        (tmp_path / name).write_text(text)
    assert tally.junit("both", 1, sorted(tmp_path.glob("*.xml"))) == Count("both", 8, 3, 4)


def test_junit_report_that_is_cut_off_is_a_failure(tmp_path):
    (tmp_path / "a.xml").write_text(CONSOLE)
    (tmp_path / "b.xml").write_text(PYTEST[:150])
    assert tally.junit("crashed", 0, sorted(tmp_path.glob("*.xml"))) == Count("crashed", 4, 1, 1)


def test_junit_report_that_is_missing_is_a_failure(tmp_path):
    assert tally.junit("crashed", 0, [tmp_path / "none.xml"]) == Count("crashed", 0, 1, 0)
    assert tally.junit("empty", 0, []) == Count("empty", 0, 1, 0)


def test_suite_that_fails_without_a_failed_test_counts_as_a_failure():
    assert tally.suite("crash", 134, 20, 0, 0) == Count("crash", 20, 1, 0)


def test_suite_that_runs_nothing_counts_as_a_failure():
    assert tally.suite("none", 0, 0, 0, 0).failed == 1
    assert tally.suite("all skipped", 0, 0, 0, 2) == Count("all skipped", 0, 0, 2)


def test_closing_line_names_skipped_tests_only_if_there_are_some():
    counted = Tally([Count("a", 3), Count("b", 2, 1)])
    assert counted.closing_line() == "5 passed, 1 failed"
    assert not counted.ok
    counted = Tally([Count("a", 3), Count("b", 2, 0, 4)])
    assert counted.closing_line() == "5 passed, 0 failed, 4 skipped"
    assert counted.ok


def test_run_that_counts_nothing_is_not_ok():
    assert not Tally().ok
