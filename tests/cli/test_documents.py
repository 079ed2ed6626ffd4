"""README.md and docs/*.md as documents: their links lead somewhere, and no sentence stands twice."""

import collections
import itertools
import re
import urllib.parse

import pytest

import markdown

LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Those that GitHub gives the headings."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", markdown.DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document):
    for link in LINK.finditer(document.read_text()):
        target = document.parent / urllib.parse.unquote(link["path"]) if link["path"] else document
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in anchors(target.read_text()), link[0]


def sentences(text: str) -> list[str]:
    """The sentences of a document outside of blocks and generated parts, of at least eight words."""
    prose = markdown.without(markdown.BLOCK, markdown.without(markdown.GENERATED, text))
    paragraphs = re.split(r"\n\s*\n|\n(?=\||#|- |\d+\. )", prose)
    parts = (re.split(r"(?<=[.:;])\s+|\s*\|\s*", paragraph) for paragraph in paragraphs)
    cleaned = (" ".join(part.split()).strip(" .-") for part in itertools.chain.from_iterable(parts))
    return [sentence for sentence in cleaned if len(sentence.split()) >= 8]


def test_no_sentence_stands_twice():
    all_of_them = (sentences(path.read_text()) for path in markdown.DOCUMENTS)
    found = collections.Counter(itertools.chain.from_iterable(all_of_them))
    assert len(found) > 500
    twice = [sentence for sentence, count in found.items() if count > 1]
    assert not twice, "\n".join(twice)


TESTS = {
    ".rs": r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn (\w+)",
    ".py": r"^def (test_\w+)",
    ".java": r"@Test\b[^;{]*? void (\w+)|^(?:public )?class (\w+Test)\b",
}
"""How a test begins, in each language."""


def test_each_row_of_the_security_model_names_tests_that_exist():
    text = (markdown.ROOT / "docs/security.md").read_text()
    table = text[text.index("## An adversary's table") : text.index("## Separation")]
    rows = [row.split("|")[3] for row in table.splitlines() if row.startswith("| ")]
    named = [set(re.findall(r"`([^`]+)`", row)) for row in rows[1:]]
    assert len(named) > 20 and all(named)
    exist = set()
    for path in itertools.chain(*((markdown.ROOT / folder).rglob("*") for folder in ("rust", "java", "tests"))):
        if path.suffix in TESTS and path.is_file():
            found = re.findall(TESTS[path.suffix], path.read_text(), re.MULTILINE)
            exist.update(*(name if isinstance(name, tuple) else (name,) for name in found))
    assert not set.union(*named) - exist
