//! A target with a fault, by which `./dev test --full` knows that libFuzzer sees where its inputs lead.

use std::hint::black_box;

use crate::Target;

/// The target and its name. It is no product's, has no corpus, and is in no list.
pub const SELF_TEST: (&str, Target) = ("self-test", self_test);

/// Panics behind five bytes, one after another. One right byte more leads one branch further, which the counters show;
/// by chance alone one input in 2^40 leads to the end.
fn self_test(data: &[u8]) {
    let &[first, second, third, fourth, fifth, ..] = data else {
        return;
    };
    // Five comparisons: the operands of a single one are known to libFuzzer without the counters.
    let is = |byte: u8, wanted: u8| black_box(byte) == wanted;
    let found = is(first, b'f') && is(second, b'a') && is(third, b'u') && is(fourth, b'l') && is(fifth, b't');
    assert!(!found, "the self-test's fault");
}
