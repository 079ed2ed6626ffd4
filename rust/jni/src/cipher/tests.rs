//! Data through [`pieces::run`] against a model, on direct memory and on the arrays of a JVM that copies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::undocumented_unsafe_blocks
)]

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::raw::c_void;
use std::ptr;

use emrkeys_crypto::cipher::Direction;
use emrkeys_crypto::gcm::Gcm;
use jni::sys::{
    jarray, jboolean, jbyte, jbyteArray, jint, jobject, jsize, JNIEnv, JNINativeInterface_, JNI_ABORT,
};
use proptest::prelude::*;

use super::memory::{overlap, Memory, Overlap, Sides};
use super::object::Object;
use super::*;

const KEY: [u8; 32] = [9; 32];
const IV: [u8; 12] = [5; 12];

/// A byte array of a JVM that copies: what `GetPrimitiveArrayCritical` gives is a copy of the whole array, which
/// `ReleasePrimitiveArrayCritical` writes back unless its mode forbids it.
struct Array {
    bytes: Vec<u8>,
    lent: Option<Vec<u8>>,
}

thread_local! {
    static PINS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

unsafe fn array<'a>(reference: jobject) -> &'a mut Array {
    unsafe { &mut *reference.cast::<Array>() }
}

fn nothing_is_pinned() {
    assert_eq!(PINS.get(), 0, "a call of Java while an array is pinned");
}

unsafe extern "system" fn length(_: *mut JNIEnv, reference: jarray) -> jsize {
    nothing_is_pinned();
    unsafe { array(reference) }.bytes.len() as jsize
}

unsafe extern "system" fn same(_: *mut JNIEnv, a: jobject, b: jobject) -> jboolean {
    nothing_is_pinned();
    a == b
}

unsafe extern "system" fn get(_: *mut JNIEnv, from: jbyteArray, at: jsize, len: jsize, to: *mut jbyte) {
    nothing_is_pinned();
    let bytes = &unsafe { array(from) }.bytes[at as usize..(at + len) as usize];
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len()) };
}

unsafe extern "system" fn set(_: *mut JNIEnv, to: jbyteArray, at: jsize, len: jsize, from: *const jbyte) {
    nothing_is_pinned();
    let bytes = &mut unsafe { array(to) }.bytes[at as usize..(at + len) as usize];
    unsafe { ptr::copy_nonoverlapping(from.cast(), bytes.as_mut_ptr(), bytes.len()) };
}

unsafe extern "system" fn pin(_: *mut JNIEnv, reference: jarray, _: *mut jboolean) -> *mut c_void {
    PINS.set(PINS.get() + 1);
    let array = unsafe { array(reference) };
    assert!(array.lent.is_none(), "one array is pinned twice");
    array.lent.insert(array.bytes.clone()).as_mut_ptr().cast()
}

unsafe extern "system" fn unpin(_: *mut JNIEnv, reference: jarray, base: *mut c_void, mode: jint) {
    PINS.set(PINS.get() - 1);
    let array = unsafe { array(reference) };
    let lent = array.lent.take().expect("what was pinned");
    assert_eq!(lent.as_ptr().cast_mut().cast(), base);
    if mode == JNI_ABORT {
        assert!(lent == array.bytes, "an input was written to");
    } else {
        array.bytes = lent;
    }
}

/// The functions of JNI that this folder calls.
fn copying_jvm() -> Box<MaybeUninit<JNINativeInterface_>> {
    let mut table = Box::new(MaybeUninit::<JNINativeInterface_>::zeroed());
    let at = table.as_mut_ptr();
    unsafe {
        (&raw mut (*at).v1_4.GetArrayLength).write(length);
        (&raw mut (*at).v1_4.IsSameObject).write(same);
        (&raw mut (*at).v1_4.GetByteArrayRegion).write(get);
        (&raw mut (*at).v1_4.SetByteArrayRegion).write(set);
        (&raw mut (*at).v1_4.GetPrimitiveArrayCritical).write(pin);
        (&raw mut (*at).v1_4.ReleasePrimitiveArrayCritical).write(unpin);
    }
    table
}

/// Runs `body` on the memory of arrays with these contents, the second being the first if it is `None`. Returns what
/// is then in them.
fn on_arrays<R>(
    first: Vec<u8>,
    second: Option<Vec<u8>>,
    body: impl FnOnce(Memory, Memory) -> R,
) -> (Vec<u8>, Vec<u8>, R) {
    let table = copying_jvm();
    let mut env: JNIEnv = table.as_ptr();
    let mut one = Array {
        bytes: first,
        lent: None,
    };
    let mut other = second.map(|bytes| Array { bytes, lent: None });
    let a = (&raw mut one).cast();
    let b = other.as_mut().map_or(a, |other| ptr::from_mut(other).cast());
    let result = unsafe {
        body(
            Memory::new(&mut env, a, ptr::null_mut()).unwrap(),
            Memory::new(&mut env, b, ptr::null_mut()).unwrap(),
        )
    };
    nothing_is_pinned();
    let other = other.map_or_else(|| one.bytes.clone(), |other| other.bytes);
    (one.bytes, other, result)
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut gcm = Gcm::new(&KEY).unwrap();
    gcm.start(Direction::Encrypt, &IV).unwrap();
    let mut out = vec![0; plain.len() + 16];
    let (body, tag) = out.split_at_mut(plain.len());
    gcm.update(plain, body).unwrap();
    gcm.finish(tag).unwrap();
    out
}

fn started(mode: jint) -> Object {
    let mut object = Object::new(GCM, &KEY, 1 << 24).unwrap();
    object.start(mode, &IV, 16).unwrap();
    object
}

/// Where the parts of a message are when they are passed on, and where their output goes.
#[derive(Clone, Debug)]
struct Layout {
    mode: jint,
    /// Lengths that the message is cut by; the last call gets the rest.
    cuts: Vec<usize>,
    /// Offsets of the input and of the output.
    at: Vec<(usize, usize)>,
    memory: usize,
}

fn layout() -> impl Strategy<Value = (usize, Layout)> {
    let size = prop_oneof![
        4 => 0usize..2000,
        2 => 0usize..20_000,
        1 => (pieces::CRITICAL - 40)..(pieces::CRITICAL + 40),
        1 => 0usize..700_000,
    ];
    let offset = prop_oneof![0usize..40, 0usize..3000, Just(0usize), 0usize..600_000];
    (
        size,
        0i32..3,
        prop::collection::vec(prop_oneof![0usize..40, 0usize..2000, 0usize..300_000], 0..4),
        prop::collection::vec((offset.clone(), offset, any::<bool>()), 4),
        0usize..3,
    )
        .prop_map(|(size, mode, cuts, at, memory)| {
            let at = at
                .into_iter()
                .map(|(from, to, equal)| (from, if equal { from } else { to }))
                .collect();
            (
                size,
                Layout {
                    mode,
                    cuts,
                    at,
                    memory,
                },
            )
        })
}

/// One call as JCE makes it: `part` lies at one offset of a memory, the output goes to another of the same or another
/// memory. Everything outside of the output stays as it was. Returns the output.
fn call(
    object: &mut Object,
    part: &[u8],
    (from_at, to_at): (usize, usize),
    memory: usize,
    last: bool,
) -> Vec<u8> {
    let room = part.len() + 16 + if last { 1 << 20 } else { 0 };
    let mut before = vec![0xee; (from_at + part.len()).max(to_at + room)];
    before[from_at..from_at + part.len()].copy_from_slice(part);
    let mut run = |from: Memory, to: Memory| {
        let sides = Sides::new((from, from_at, part.len()), (to, to_at)).unwrap();
        pieces::run(object, &sides, last)
    };
    let (input, after, result) = match memory {
        0 => {
            let mut buffer = before.clone();
            let whole = Memory::of_slice(&mut buffer);
            let result = run(whole, whole);
            (None, buffer, result)
        }
        1 => {
            let (_, after, result) = on_arrays(before.clone(), None, run);
            (None, after, result)
        }
        _ => {
            let (input, after, result) = on_arrays(before.clone(), Some(before.clone()), run);
            (Some(input), after, result)
        }
    };
    let count = result.unwrap();
    if let Some(input) = input {
        assert!(input == before, "the input was written to");
    }
    assert!(
        after[..to_at] == before[..to_at],
        "bytes before the output changed"
    );
    assert!(
        after[to_at + count..] == before[to_at + count..],
        "bytes behind the output changed"
    );
    after[to_at..to_at + count].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_layout_of_input_and_output_gives_what_the_model_gives((size, layout) in layout()) {
        let plain: Vec<u8> = (0..size).map(|i| (i * 7 + i / 251) as u8).collect();
        let sealed = sealed(&plain);
        let (mut rest, expected) = if layout.mode == ENCRYPT { (&plain[..], &sealed) } else { (&sealed[..], &plain) };
        let mut object = started(layout.mode);
        let mut out = Vec::new();
        let mut at = layout.at.iter().copied().cycle();
        for cut in &layout.cuts {
            let (part, later) = rest.split_at((*cut).min(rest.len()));
            let got = call(&mut object, part, at.next().unwrap(), layout.memory, false);
            if layout.mode == DECRYPT_VERIFIED {
                prop_assert!(got.is_empty());
            }
            out.extend(got);
            rest = later;
        }
        out.extend(call(&mut object, rest, at.next().unwrap(), layout.memory, true));
        prop_assert!(out == *expected);
    }
}

#[test]
fn a_message_that_is_held_back_writes_nothing_if_its_tag_is_wrong() {
    for size in [0, 100, 900, 5000, 700_000] {
        for held in [0, size / 2] {
            let mut message = sealed(&vec![3; size]);
            message[size] ^= 1;
            let mut object = started(DECRYPT_VERIFIED);
            let (first, rest) = message.split_at(held);
            assert!(call(&mut object, first, (0, 0), 1, false).is_empty());
            let (input, output, result) =
                on_arrays(rest.to_vec(), Some(vec![0xee; size + 16]), |from, to| {
                    let sides = Sides::new((from, 0, rest.len()), (to, 0)).unwrap();
                    pieces::run(&mut object, &sides, true)
                });
            assert_eq!(result, Err(CODE_TAG_MISMATCH));
            assert!(input == rest && output.iter().all(|byte| *byte == 0xee));
        }
    }
}

#[test]
fn an_output_that_is_too_short_is_refused_before_a_byte_is_written() {
    for mode in [ENCRYPT, DECRYPT_STREAMING, DECRYPT_VERIFIED] {
        let message = sealed(&vec![3; 300_000]);
        let mut object = started(mode);
        let (_, output, result) = on_arrays(message.clone(), Some(vec![0xee; 299_999]), |from, to| {
            let sides = Sides::new((from, 0, message.len()), (to, 0)).unwrap();
            pieces::run(&mut object, &sides, true)
        });
        assert_eq!(result, Err(CODE_RANGE));
        assert!(output.iter().all(|byte| *byte == 0xee));
    }
}

/// All cases of small numbers, against sets of bytes; those at the upper end must not overflow.
#[test]
fn overlap_is_that_of_sets_of_bytes() {
    for base in [0, usize::MAX - 24] {
        for from in 0..12 {
            for to in 0..12 {
                for len in 0..12 {
                    for out_len in 0..12 {
                        let common = (from..from + len).any(|byte| (to..to + out_len).contains(&byte));
                        let expected = match (common, to > from) {
                            (false, _) => Overlap::Apart,
                            (true, false) => Overlap::Behind,
                            (true, true) => Overlap::Ahead,
                        };
                        assert_eq!(
                            overlap(base + from, len, base + to, out_len),
                            expected,
                            "{len} bytes at {from}, {out_len} bytes at {to}"
                        );
                    }
                }
            }
        }
    }
}

/// A name that `CipherNatives` and this crate have in common is the same number, and neither lacks a name of the other.
#[test]
fn java_has_the_same_numbers() {
    let java = include_str!("../../../../java/src/main/java/org/emrkeys/bridge/CipherNatives.java");
    let theirs: BTreeMap<&str, jint> = java
        .lines()
        .filter_map(|line| {
            let declaration = line.trim().strip_prefix("public static final int ")?;
            let (name, value) = declaration.strip_suffix(';')?.split_once(" = ")?;
            Some((name, value.parse().unwrap()))
        })
        .collect();
    let ours: BTreeMap<&str, jint> = SHARED.iter().copied().collect();
    assert_eq!(ours, theirs);
}
