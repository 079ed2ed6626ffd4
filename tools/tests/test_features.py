"""Crates that the tests would compile again are found in the output of `cargo tree`."""

from tools import features
from tools.paths import ROOT

TREE = f"""\
emrkeys-cli v0.1.0 ({ROOT}/rust/cli)|default
serde v1.0.0|alloc,std
serde_derive v1.0.0 (proc-macro)|default
serde v1.0.0|alloc,std (*)

serde v1.0.0|std
"""


def test_crates_of_others_are_read_with_all_their_sets_of_features():
    assert features.parse(TREE) == {"serde v1.0.0": {"alloc,std", "std"}, "serde_derive v1.0.0": {"default"}}


def test_only_crates_that_the_tests_compile_with_other_features_are_reported():
    build = {"a v1": {"std"}, "b v1": {"std"}, "c v1": {""}}
    tests = {"a v1": {"std", "alloc"}, "b v1": {"alloc,std"}}
    (line,) = features.differences(build, tests)
    assert line.startswith("b v1:")
