"""The checks of wording and sizes, and the allowances that may only fall."""

import pytest

from tools import prose, sizes
from tools.allowances import Fault, lowered, problems

RULE = "a rule"


def faults(folder, count):
    return [Fault(RULE, f"{folder}/file.rs", line, "text") for line in range(count)]


def test_fault_counts_for_its_area():
    assert Fault(RULE, "rust/core/src/a/b.rs", 1, "").folder == "rust/core"
    assert Fault(RULE, "docs/a.md", 1, "").folder == "docs"
    assert Fault(RULE, "README.md", 1, "").folder == "README.md"


def test_as_many_faults_as_allowed_are_no_problem():
    assert problems(faults("rust/core", 2), {RULE: {"rust/core": 2}}, [RULE]) == []


def test_more_faults_than_allowed_are_reported_with_their_places():
    texts = problems(faults("rust/core", 2), {RULE: {"rust/core": 1}}, [RULE])
    assert texts[0] == "rust/core: 2 times a rule, 1 allowed:"
    assert len(texts) == 3


@pytest.mark.parametrize("left", [0, 1])
def test_allowance_above_the_count_is_reported(left):
    (text,) = problems(faults("rust/core", left), {RULE: {"rust/core": 2}}, [RULE])
    assert text == f"rust/core: {left} times a rule, 2 allowed: lower it (--lower)"


def test_allowances_only_fall():
    allowances = {RULE: {"a/b": 3, "c/d": 1, "e/f": 2}, "another": {"x": 1}}
    found = [*faults("a/b", 1), *faults("c/d", 5)]
    assert lowered(found, allowances, [RULE]) == {RULE: {"a/b": 1, "c/d": 1}, "another": {"x": 1}}


@pytest.mark.parametrize(
    ("name", "line", "rule"),
    [
        ("a.rs", "/// What the key is.", "sentence without a subject"),
        ("a.rs", "    let x = 1; // Fine. Whoever asks.", "sentence without a subject"),
        ("A.java", "   * Who may read it.", "sentence without a subject"),
        ("a.py", '    """What it does."""', "sentence without a subject"),
        ("a.md", "- Good. What comes next is bad.", "sentence without a subject"),
        ("a.md", "The cache believes the refusal.", "machine that believes"),
        ("a.rs", "//! The code tells users.", "machine that tells"),
        ("a.gradle", "// the file is none", "is none"),
    ],
)
def test_wording_is_found_in_documents_and_comments(name, line, rule):
    assert [fault.rule for fault in prose.wording(name, [line])] == [rule]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.rs", 'let what = "What is this";'),
        ("a.rs", "/// Says what the key is."),
        ("a.md", "## What is it?"),
        ("a.md", "`is none`"),
        ("a.py", "is_none = value is None"),
    ],
)
def test_wording_leaves_code_and_questions_alone(name, line):
    assert prose.wording(name, [line]) == []


def test_code_in_documents_is_left_alone():
    assert prose.wording("a.md", ["```", "What a line", "```"]) == []


def test_long_lines_are_found_but_not_in_tables_and_addresses():
    assert len(prose.long_lines("a.md", ["word " * 30])) == 1
    assert prose.long_lines("a.md", ["| " + "word " * 30, "https://example.org/" + "x" * 120, "x" * 120]) == []


def test_length_of_functions_is_measured_through_strings_and_comments():
    rust = 'fn a() {\n    let s = "}";\n    // }\n    let c = \'{\';\n}\n\nfn b(x: [u8; 4]) -> u8 {\n    1\n}\n'
    assert list(sizes.functions("a.rs", rust)) == [("a", 1, 5), ("b", 7, 3)]
    java = "class A {\n  int f(\n      int x) throws E {\n    if (x) {\n    }\n    return 1;\n  }\n\n  abstract void g();\n}\n"
    assert list(sizes.functions("A.java", java)) == [("f", 2, 6)]


def test_rust_function_without_a_body_is_left_out():
    assert list(sizes.functions("a.rs", "trait T {\n    fn a(&self);\n    fn b(&self) {\n    }\n}\n")) == [("b", 3, 2)]
