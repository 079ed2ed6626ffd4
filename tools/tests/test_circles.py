"""Import circles are found, whatever the form of the import; and what is no circle is not reported."""

from tools import circles
from tools.paths import ROOT


def crate(folder, files):
    for name, text in files.items():
        file = folder / "c/src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return circles.rust_arrows(folder / "c/src")


def test_trees_of_use_are_taken_apart():
    paths = list(circles.use_paths("crate::a::{self, b, c::{d, e as f},\n g::*}"))
    assert paths == ["crate::a", "crate::a::b", "crate::a::c::d", "crate::a::c::e", "crate::a::g::*"]


def test_paths_lead_to_the_file_that_has_the_module(tmp_path):
    arrows = crate(
        tmp_path,
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use crate::b::deep::Thing;",
            "b/mod.rs": "mod deep; fn f() { super::a::call() }",
            "b/deep.rs": "use super::Other; use std::io;",
        },
    )
    assert arrows["c/a.rs"] == {"c/b/deep.rs"}
    assert arrows["c/b/mod.rs"] == {"c/a.rs"}
    assert arrows["c/b/deep.rs"] == {"c/b/mod.rs"}
    assert arrows["c/lib.rs"] == set()
    assert circles.circles(arrows) == [["c/a.rs", "c/b/deep.rs", "c/b/mod.rs"]]


def test_tests_comments_and_strings_are_left_out(tmp_path):
    arrows = crate(
        tmp_path,
        {
            "lib.rs": "",
            "a.rs": '// crate::b::X\nconst S: &str = "crate::b";\n'
            "#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::b::X; fn f() { {} } }",
            "a/tests.rs": "use crate::b::X;",
            "b.rs": "use crate::a::Y;",
        },
    )
    assert arrows["c/a.rs"] == set()
    assert circles.circles(arrows) == []


def test_packages_that_need_each_other_are_a_circle(tmp_path):
    for name, text in {
        "org/x/A.java": "package org.x;\nimport org.x.y.B;\n",
        "org/x/y/B.java": "package org.x.y;\nimport static org.x.A.f;\nimport java.util.List;\n",
        "org/x/z/C.java": "package org.x.z;\nimport org.x.A;\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert circles.circles(circles.java_arrows(tmp_path)) == [["org.x", "org.x.y"]]


def test_vocabulary_imports_nothing_of_the_project():
    for name in circles.VOCABULARY:
        text = (ROOT / "java/src/main/java" / (name.replace(".", "/") + ".java")).read_text()
        assert "import org.emrkeys" not in text


def test_allowed_arrow_hides_its_circle_until_it_is_no_longer_needed():
    circle = {"a": {"b"}, "b": {"a"}}
    assert circles.problems([circle], frozenset()) != []
    assert circles.problems([circle], frozenset({("b", "a")})) == []
    assert circles.problems([{"a": {"b"}, "b": set()}], frozenset({("b", "a")})) == [
        "b -> a is no longer part of a circle: remove it from ALLOWED"
    ]
