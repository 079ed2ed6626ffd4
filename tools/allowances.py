"""Faults that are counted per folder against a committed allowance, which may only fall.

A check gives the faults that it finds; `tools/allowances.json` says how many each folder may still have. More is an
error, and so is an allowance above the count: what is repaired stays repaired. `python -m tools.CHECK --lower` writes
lower allowances; no command raises one.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.paths import ROOT

FILE = ROOT / "tools/allowances.json"

Allowances = dict[str, dict[str, int]]
"""Rule -> folder -> how many faults; what is not there is 0."""


@dataclass(frozen=True, order=True)
class Fault:
    """One place that breaks a rule."""

    rule: str
    file: str
    """The path from the project's root."""
    line: int
    text: str

    @property
    def folder(self) -> str:
        """The area that it counts for: two levels, or the file itself at the root."""
        parts = self.file.split("/")
        return "/".join(parts[:2]) if len(parts) > 2 else "/".join(parts[:-1]) or parts[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


def tracked(*patterns: str) -> list[str]:
    """The files that git knows, new ones too, whose paths match."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted({name for name in names if name and (ROOT / name).is_file()})


def problems(faults: Iterable[Fault], allowances: Allowances, rules: Iterable[str]) -> list[str]:
    """A text for each folder that has more faults than allowed, with all of them, or fewer."""
    found = defaultdict(list)
    for fault in faults:
        found[fault.rule, fault.folder].append(fault)
    for rule in rules:
        for folder in allowances.get(rule, {}):
            found.setdefault((rule, folder), [])
    texts = []
    for (rule, folder), here in sorted(found.items()):
        allowed = allowances.get(rule, {}).get(folder, 0)
        if len(here) > allowed:
            texts.append(f"{folder}: {len(here)} times {rule}, {allowed} allowed:")
            texts += [f"  {fault}" for fault in sorted(here)]
        elif len(here) < allowed:
            texts.append(f"{folder}: {len(here)} times {rule}, {allowed} allowed: lower it (--lower)")
    return texts


def lowered(faults: Iterable[Fault], allowances: Allowances, rules: Iterable[str]) -> Allowances:
    """The allowances with those of `rules` lowered to what is found."""
    counts = Counter((fault.rule, fault.folder) for fault in faults)
    result = dict(allowances)
    for rule in rules:
        kept = {
            folder: min(allowed, counts[rule, folder])
            for folder, allowed in sorted(allowances.get(rule, {}).items())
            if counts[rule, folder]
        }
        result[rule] = kept
    return {rule: folders for rule, folders in sorted(result.items()) if folders}


def main(name: str, rules: Iterable[str], find: Callable[[], list[Fault]]) -> int:
    """The command line of a check: reports, or lowers the allowances; `--all` shows every fault."""
    rules = list(rules)
    allowances: Allowances = json.loads(FILE.read_text()) if FILE.is_file() else {}
    faults = find()
    arguments = sys.argv[1:]
    if arguments == ["--lower"]:
        allowances = lowered(faults, allowances, rules)
        FILE.write_text(json.dumps(allowances, indent=2) + "\n")
    elif arguments == ["--all"]:
        print("\n".join(map(str, sorted(faults))))
        return 0
    elif arguments:
        print(f"usage: python -m tools.{name} [--lower | --all]", file=sys.stderr)
        return 2
    texts = problems(faults, allowances, rules)
    allowed = sum(sum(allowances.get(rule, {}).values()) for rule in rules)
    print("\n".join(texts) or f"{name}: nothing beyond the {allowed} faults that are allowed")
    return 1 if texts else 0
