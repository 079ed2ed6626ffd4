"""Checks the English of documents and comments, and the length of lines.

`python -m tools.prose` checks; see `allowances` for the options. The rules are few, and each catches a habit that makes
text hard to read: a noun left out at the start of a sentence, machines that believe or tell, "is none".
"""

import re
import sys
from collections.abc import Iterator

from tools.allowances import Fault, main, tracked
from tools.paths import ROOT

MAX_LINE = 120
"""Characters of a line of code or text."""

RULES = {
    "sentence without a subject": re.compile(r"(?:^|[.:;!] +)(?:What|Who|Whoever)\b(?!.*\?)"),
    "machine that believes": re.compile(r"\bbeliev(?:e|es|ed|ing)\b", re.IGNORECASE),
    "machine that tells": re.compile(r"\b(?:tell|tells|told)\b", re.IGNORECASE),
    "is none": re.compile(r"\b(?:is|are|was|were) none\b", re.IGNORECASE),
}
LONG_LINE = f"line over {MAX_LINE} characters"

_DOCUMENTS = ("*.md",)
_CODE = ("*.rs", "*.java", "*.py", "*.gradle", "*.toml", "*.sh", "dev")
_GENERATED = {"docs/cli.md", "docs/configuration.md"}
"""Written from the texts in the code, where they are checked."""

_COMMENT = re.compile(r"^\s*(?:///?!?|//|/\*\*?|\*|#)(?:\s+|$)(.*)|.*?\s(?://|#) (.*)")


def prose_of(name: str, lines: list[str]) -> Iterator[tuple[int, str]]:
    """The number and text of each line that is for people."""
    fenced = quoted = False
    for number, line in enumerate(lines, 1):
        if name.endswith(".md"):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif not fenced:
                yield number, re.sub(r"`[^`]*`", "`x`", line.lstrip("#>-*| 0123456789."))
            continue
        if name.endswith(".py"):
            quotes = line.count('"""')
            if quotes or quoted:
                yield number, line.strip().removeprefix('"""')
            if quotes == 1:
                quoted = not quoted
            if quotes or quoted:
                continue
        match = _COMMENT.match(line)
        if match:
            yield number, match[1] if match[1] is not None else match[2]


def find() -> list[Fault]:
    """Every fault in the files of this project."""
    faults = []
    for name in tracked(*_DOCUMENTS, *_CODE):
        if name.startswith("tools/tests/") or name == "tools/prose.py":
            continue  # they quote what is forbidden
        lines = (ROOT / name).read_text().splitlines()
        faults += long_lines(name, lines)
        if name not in _GENERATED:
            faults += wording(name, lines)
    return faults


def wording(name: str, lines: list[str]) -> list[Fault]:
    return [
        Fault(rule, name, number, text.strip()[:100])
        for number, text in prose_of(name, lines)
        for rule, pattern in RULES.items()
        if pattern.search(text)
    ]


def long_lines(name: str, lines: list[str]) -> list[Fault]:
    """Rows of tables and lines that are one long word, such as a URL, cannot be broken."""
    return [
        Fault(LONG_LINE, name, number, f"{len(line)} characters")
        for number, line in enumerate(lines, 1)
        if len(line) > MAX_LINE and not line.startswith("|") and " " in line.strip().lstrip("/#*-! ")
    ]


if __name__ == "__main__":
    sys.exit(main("prose", [*RULES, LONG_LINE], find))
