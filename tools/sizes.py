"""Checks that no source file and no function is too long to be read at one go.

`python -m tools.sizes` checks; see `allowances` for the options.
"""

import re
import sys
from collections.abc import Iterator

from tools.allowances import Fault, main, tracked
from tools.paths import ROOT

MAX_FILE = 600
MAX_FUNCTION = 80
"""Lines, from the one with the name to the closing brace."""
LONG_FILE = f"file over {MAX_FILE} lines"
LONG_FUNCTION = f"function over {MAX_FUNCTION} lines"

_RUST_FUNCTION = re.compile(
    r"^[ \t]*(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"\" )*fn (\w+)", re.MULTILINE
)
_JAVA_METHOD = re.compile(
    r"^ {2,4}(?!return\b|throw\b|else\b|new\b|case\b)(?:[\w@<>\[\],.?]+ +)*(\w+)"
    r"\((?:[^;{}()]|\([^()]*\))*\)\s*(?:throws [\w., \n]+)?\{",
    re.MULTILINE,
)
_JAVA_NOT_METHODS = {"if", "for", "while", "switch", "catch", "synchronized", "try"}
_NOISE = re.compile(r"""//[^\n]*|/\*.*?\*/|r#"(.*?)"#|"(?:[^"\\]|\\.)*"|'(?:[^'\\\n]|\\.)'""", re.DOTALL)


def quiet(text: str) -> str:
    """The source with comments and literals emptied, each line where it was."""
    return _NOISE.sub(lambda match: '""' + "\n" * match[0].count("\n"), text)


def functions(name: str, text: str) -> Iterator[tuple[str, int, int]]:
    """The name, the first line and the number of lines of each function with a body."""
    code = quiet(text)
    for match in (_RUST_FUNCTION if name.endswith(".rs") else _JAVA_METHOD).finditer(code):
        if match[1] in _JAVA_NOT_METHODS:
            continue
        start = match.start(1)
        opening = code.find("{", match.end() if name.endswith(".rs") else match.end() - 1)
        semicolon = _semicolon(code, match.end())
        if opening < 0 or (name.endswith(".rs") and semicolon is not None and semicolon < opening):
            continue
        depth, end = 1, opening + 1
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        yield match[1], code.count("\n", 0, start) + 1, code.count("\n", start, end) + 1


def _semicolon(code: str, start: int) -> int | None:
    """The semicolon that ends a declaration without a body; those in array types, such as `[u8; 4]`, are not it."""
    depth = 0
    for at in range(start, len(code)):
        depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(code[at], 0)
        if code[at] == "{":
            return None
        if code[at] == ";" and depth == 0:
            return at
    return None


def find() -> list[Fault]:
    """Every file and function that is too long."""
    faults = []
    for name in tracked("*.rs", "*.java", "*.py", "*.gradle"):
        text = (ROOT / name).read_text()
        lines = text.count("\n")
        if lines > MAX_FILE:
            faults.append(Fault(LONG_FILE, name, 1, f"{lines} lines"))
        if name.endswith((".rs", ".java")):
            faults += [
                Fault(LONG_FUNCTION, name, line, f"{function} has {length} lines")
                for function, line, length in functions(name, text)
                if length > MAX_FUNCTION
            ]
    return faults


if __name__ == "__main__":
    sys.exit(main("sizes", [LONG_FILE, LONG_FUNCTION], find))
