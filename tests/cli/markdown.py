"""The fenced blocks of README.md and docs/*.md. Each carries a mark in an HTML comment on the line before it:

`<!-- recipe: NAME -->` for a block that test_recipes.py runs, `<!-- not run: REASON -->` for one that no test can run.
"""

import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = re.compile(r"<!-- reference: begin \(generated\) -->.*?<!-- reference: end -->", re.DOTALL)
"""The help texts of the tool, which its own tests write and compare."""
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<kind>recipe|not run): (?P<mark>[^\n]+) -->\n)?"
    r"^(?P<indent> *)```[^\n]*\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


def without(pattern: re.Pattern, text: str) -> str:
    """The text with empty lines in place of whatever matches."""
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)


class Block(NamedTuple):
    document: pathlib.Path
    line: int
    kind: str | None
    """`recipe`, `not run`, or None where the block has no mark."""
    mark: str | None
    """The name of a recipe, or why the block is not run."""
    text: str

    def __str__(self):
        return f"{self.document.name}:{self.line}"


def blocks() -> list[Block]:
    """All of them, in the order of the documents."""
    found = []
    for document in DOCUMENTS:
        text = without(GENERATED, document.read_text())
        for block in BLOCK.finditer(text):
            indent = block["indent"]
            lines = block["text"].splitlines(keepends=True)
            body = "".join(line.removeprefix(indent) for line in lines)
            found.append(Block(document, text.count("\n", 0, block.start()) + 1, block["kind"], block["mark"], body))
    return found
