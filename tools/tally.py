"""Counting tests: what each suite reports, and the sum that closes a run."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Count:
    """The tests of one part of a run."""

    part: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.part}: {self.passed} passed, {self.failed} failed{skipped}"


def suite(part: str, status: int, passed: int, failed: int, skipped: int) -> Count:
    """The count of a suite whose process ended with `status`.

    A suite that failed without a failed test (it did not compile, it crashed), or that ran nothing, counts as one
    failure: no failure is lost in the sum.
    """
    if failed == 0 and (status != 0 or passed + skipped == 0):
        failed = 1
    return Count(part, passed, failed, skipped)


def check(part: str, ok: bool) -> Count:
    """A check that is right or wrong as a whole counts as one test."""
    return Count(part, passed=int(ok), failed=int(not ok))


def skipped(part: str) -> Count:
    return Count(part, skipped=1)


_CARGO_RESULT = re.compile(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


def cargo(part: str, status: int, output: str) -> Count:
    """Sums the result line of every test binary that `cargo test` ran."""
    results = [tuple(map(int, match.groups())) for match in _CARGO_RESULT.finditer(output)]
    passed, failed, ignored = (sum(column) for column in zip(*results)) if results else (0, 0, 0)
    return suite(part, status, passed, failed, ignored)


def junit(part: str, status: int, reports: Iterable[Path]) -> Count:
    """Sums reports in JUnit's XML, of the console launcher and of pytest alike.

    A report that is missing or cut off is one of a suite that crashed, so it counts as a failure.
    """
    total = failed = skipped_tests = 0
    for report in reports:
        try:
            root = ElementTree.parse(report).getroot()
        except (OSError, ElementTree.ParseError):
            status = status or 1
            continue
        for element in [root] if root.tag == "testsuite" else root.findall("testsuite"):
            total += int(element.get("tests", 0))
            failed += int(element.get("failures", 0)) + int(element.get("errors", 0))
            skipped_tests += int(element.get("skipped", 0))
    return suite(part, status, max(0, total - failed - skipped_tests), failed, skipped_tests)


@dataclass
class Tally:
    """The counts of a run, in the order in which its parts ended."""

    counts: list[Count] = field(default_factory=list)

    def add(self, count: Count) -> Count:
        self.counts.append(count)
        return count

    def _sum(self) -> Count:
        return Count(
            "",
            sum(count.passed for count in self.counts),
            sum(count.failed for count in self.counts),
            sum(count.skipped for count in self.counts),
        )

    @property
    def ok(self) -> bool:
        """Whether something was counted and nothing failed."""
        return bool(self.counts) and self._sum().failed == 0

    def table(self) -> list[str]:
        """A line for each part."""
        return [
            f"{count.part:<44} {count.passed:6d} passed {count.failed:4d} failed {count.skipped:4d} skipped"
            for count in self.counts
        ]

    def closing_line(self) -> str:
        """`N passed, N failed[, N skipped]`: the last line of every run, which CI reads."""
        return str(self._sum()).removeprefix(": ")
