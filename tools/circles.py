"""Finds import circles: among the modules of each Rust crate, and among the Java packages.

`python -m tools.circles` prints each circle. Imports go one way: two modules that need each other can only be
understood and changed together. Tests may import what they like and are left out.

Rust: a path leads to the file that has the longest part of it as its module. The arrow goes between the two modules
side by side that hold the importing file and that file: a folder is one module for what is outside it. A module and
what it contains are no circle. Java: an arrow goes from the package of an import to the package of the imported class.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.paths import ROOT

Arrows = Mapping[str, set[str]]
"""Module or package -> those that it imports."""

ALLOWED: frozenset[tuple[str, str]] = frozenset()
"""Arrows of circles that are still to be cut. An entry that lies on no circle is an error: it is to be removed."""

VOCABULARY = frozenset({"org.emrkeys.EmrKeysException"})
"""Java classes that users name, and that every package may import. They import nothing of
the project, which a test checks, so no circle goes through them."""

_LINE_COMMENT = re.compile(r"//.*")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([a-z]+\))? )?mod \w+ \{")
_USE = re.compile(r"\buse\s+([^;]*);")
_PATH = re.compile(r"(?<![\w:])[a-z]\w*(?:::\w+)+")


def without_tests(text: str) -> str:
    """The source without comments, strings and modules of tests."""
    text = _STRING.sub('""', _LINE_COMMENT.sub("", text))
    while match := _TEST_MODULE.search(text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: match.start()] + text[end:]
    return text


def use_paths(tree: str) -> Iterator[str]:
    """The paths of a `use`: `a::{b, c::{d, e as f}}` gives a::b, a::c::d, a::c::e."""
    tree = tree.strip()
    if "{" not in tree:
        yield tree.split(" as ")[0].strip()
        return
    head, rest = tree.split("{", 1)
    depth, start = 0, 0
    body = rest[: rest.rindex("}")]
    for at, letter in enumerate([*body, ","]):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            part = body[start:at].strip()
            start = at + 1
            if part:
                yield from use_paths(head + part if part != "self" else head.removesuffix("::"))


def _module(file: Path, source: Path) -> tuple[str, ...]:
    parts = file.relative_to(source).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts


def rust_arrows(source: Path) -> dict[str, set[str]]:
    """The arrows of one crate; `source` is its folder src. Modules are named by their path in the crate."""
    files = {
        _module(file, source): file
        for file in sorted(source.rglob("*.rs"))
        if file.name != "tests.rs" and "tests" not in file.relative_to(source).parts
    }
    arrows: dict[str, set[str]] = {}
    for module, file in files.items():
        text = without_tests(file.read_text())
        paths = {path for use in _USE.findall(text) for path in use_paths(use)} | set(_PATH.findall(text))
        for target in {_target(path, module, files) for path in paths} - {None}:
            side_by_side = next(((a, b) for a, b in zip(_parents(module), _parents(target)) if a != b), None)
            if side_by_side:
                one, other = ("/".join((source.parent.name, *names)) for names in side_by_side)
                arrows.setdefault(one, set()).add(other)
    return arrows


def _parents(module: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The modules that hold `module`, from the outermost to itself."""
    return [module[: length + 1] for length in range(len(module))]


def _target(path: str, module: tuple[str, ...], files: Mapping[tuple[str, ...], Path]) -> tuple[str, ...] | None:
    """The module of its own file that a path leads to, from inside `module`; `None` for another crate's."""
    names = path.split("::")
    place = list(module)
    if names[0] == "crate":
        place, names = [], names[1:]
    elif names[0] not in ("super", "self") and (*module, names[0]) not in files:
        return None
    while names and names[0] in ("super", "self"):
        if names.pop(0) == "super":
            place = place[:-1]
    for name in names:
        if (*place, name) not in files:
            break
        place.append(name)
    return tuple(place) if tuple(place) in files else None


def java_arrows(source: Path) -> dict[str, set[str]]:
    """The arrows between the packages below `source`."""
    arrows: dict[str, set[str]] = {}
    for file in sorted(source.rglob("*.java")):
        package = ".".join(file.parent.relative_to(source).parts)
        imports = re.findall(r"^import (?:static )?([a-z.0-9]+)\.([A-Z]\w*)", file.read_text(), re.MULTILINE)
        names = {name for name, cls in imports if name != package and f"{name}.{cls}" not in VOCABULARY}
        arrows.setdefault(package, set()).update(names)
    return {package: {name for name in found if name in arrows} for package, found in arrows.items()}


def circles(arrows: Arrows) -> list[list[str]]:
    """The sets of nodes that all reach each other, by Tarjan's algorithm; a single node is no circle."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def problems(graphs: list[Arrows], allowed: frozenset[tuple[str, str]]) -> list[str]:
    """Each circle that is left without the allowed arrows, and each allowed arrow that lies on no circle."""
    texts, needed = [], set()
    for arrows in graphs:
        for members in circles(arrows):
            needed |= {(a, b) for a in members for b in arrows[a] if b in members}
        cut = {node: {other for other in others if (node, other) not in allowed} for node, others in arrows.items()}
        for members in circles(cut):
            inside = [f"{a} -> {b}" for a in members for b in sorted(cut[a]) if b in members]
            texts.append(f"{len(members)} modules or packages form a circle:\n    " + "\n    ".join(inside))
    texts += [f"{a} -> {b} is no longer part of a circle: remove it from ALLOWED" for a, b in sorted(allowed - needed)]
    return texts


def graphs(root: Path) -> list[Arrows]:
    """Of every crate and of the Java sources."""
    crates = [rust_arrows(manifest.parent / "src") for manifest in sorted(root.glob("rust/*/Cargo.toml"))]
    return [*crates, java_arrows(root / "java/src/main/java")]


def main() -> int:
    found = problems(graphs(ROOT), ALLOWED)
    print("\n".join(found) or "no import circle")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
