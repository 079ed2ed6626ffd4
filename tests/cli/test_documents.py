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
    parts = (re.split(r"(?<=[.:;])\s+|\s*\|\s*", paragraph) for paragraph in re.split(r"\n\s*\n|\n(?=\||#|- |\d+\. )", prose))
    cleaned = (" ".join(part.split()).strip(" .-") for part in itertools.chain.from_iterable(parts))
    return [sentence for sentence in cleaned if len(sentence.split()) >= 8]


def test_no_sentence_stands_twice():
    found = collections.Counter(itertools.chain.from_iterable(sentences(path.read_text()) for path in markdown.DOCUMENTS))
    assert len(found) > 500
    twice = [sentence for sentence, count in found.items() if count > 1]
    assert not twice, "\n".join(twice)
