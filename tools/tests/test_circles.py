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


def test_arrow_goes_between_the_modules_side_by_side(tmp_path):
    arrows = crate(
        tmp_path,
        {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use crate::b::deep::Thing;",
            "b/mod.rs": "mod deep; fn f() { super::a::call() }",
            "b/deep.rs": "use super::Other; use std::io;",
        },
    )
    assert arrows == {"c/a": {"c/b"}, "c/b": {"c/a"}}
    assert circles.circles(arrows) == [["c/a", "c/b"]]


def test_module_and_what_it_contains_are_no_circle(tmp_path):
    arrows = crate(
        tmp_path,
        {
            "lib.rs": "mod b; pub use b::deep::Thing;",
            "b/mod.rs": "mod deep; mod other; use deep::Thing; pub enum Error {}",
            "b/deep.rs": "use super::Error; use crate::Thing;",
            "b/other.rs": "",
        },
    )
    assert circles.circles(arrows) == []


def test_modules_in_one_folder_that_need_each_other_are_a_circle(tmp_path):
    arrows = crate(
        tmp_path,
        {
            "b/mod.rs": "mod one; mod two;",
            "b/one.rs": "use super::two::Two;",
            "b/two/mod.rs": "mod deep; fn f() { deep::call() }",
            "b/two/deep.rs": "fn call() { crate::b::one::call() }",
        },
    )
    assert circles.circles(arrows) == [["c/b/one", "c/b/two"]]


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
    assert arrows == {"c/b": {"c/a"}}


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
