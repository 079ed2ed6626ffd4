//! Java's memory: arrays and direct buffers, borrowed for one call.
//!
//! This module keeps these rules, so that the rest of the crate need not know them:
//!
//! - An array is pinned by `GetPrimitiveArrayCritical` for at most 256 KiB of work. While one is pinned there is no
//!   call of Java, no allocation and no wait in this crate; the bodies that run meanwhile call ciphers alone.
//! - The JVM may pin or copy; `-Xcheck:jni` and JVMs that cannot pin copy. So an input is released without write-back
//!   (`JNI_ABORT`): a copy that is written back would undo the output. An array that is input and output is pinned
//!   once, because two copies of one array do not see each other.
//! - A `&mut` slice never overlaps another slice.

use std::ops::Range;
use std::ptr;

use jni::sys::{jbyteArray, jint, jobject, JNIEnv, JNI_ABORT};
use zeroize::Zeroizing;

use super::{index, CODE_BACKEND, CODE_RANGE};

/// One side of a call: a byte array, or the address of a direct buffer.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    env: *mut JNIEnv,
    array: jbyteArray,
    address: *mut u8,
    len: usize,
}

/// Copies from an array. The JVM checks the range: if it is not inside, nothing is copied and an exception is pending.
///
/// # Safety
/// `env` is this thread's environment and `array` a live reference of a byte array.
pub(super) unsafe fn read_region(env: *mut JNIEnv, array: jbyteArray, offset: jint, out: &mut [u8]) {
    // SAFETY: by this function's contract; `out` is as long as said, and no slice here exceeds an array.
    unsafe {
        let get = (**env).v1_4.GetByteArrayRegion;
        get(env, array, offset, out.len() as jint, out.as_mut_ptr().cast());
    }
}

/// Copies to an array, as [`read_region`] does from one.
///
/// # Safety
/// As for [`read_region`].
pub(super) unsafe fn write_region(env: *mut JNIEnv, array: jbyteArray, offset: jint, data: &[u8]) {
    // SAFETY: as in `read_region`.
    unsafe {
        let set = (**env).v1_4.SetByteArrayRegion;
        set(env, array, offset, data.len() as jint, data.as_ptr().cast());
    }
}

impl Memory {
    /// An array if `array` is not null, else a direct buffer, else nothing, with a length of 0.
    ///
    /// # Safety
    /// `env` is this thread's environment; `array` and `buffer` are null or live references of a byte array and a
    /// direct buffer. The result is used during this native call alone.
    pub(super) unsafe fn new(env: *mut JNIEnv, array: jbyteArray, buffer: jobject) -> Result<Self, jint> {
        let mut memory = Memory {
            env,
            array,
            address: ptr::null_mut(),
            len: 0,
        };
        // SAFETY: by this function's contract; the functions exist since JNI 1.4.
        unsafe {
            if !array.is_null() {
                memory.len = index(((**env).v1_4.GetArrayLength)(env, array))?;
            } else if !buffer.is_null() {
                memory.address = ((**env).v1_4.GetDirectBufferAddress)(env, buffer).cast();
                let capacity = ((**env).v1_4.GetDirectBufferCapacity)(env, buffer);
                if memory.address.is_null() {
                    return Err(CODE_RANGE);
                }
                memory.len = usize::try_from(capacity).map_err(|_| CODE_RANGE)?;
            }
        }
        Ok(memory)
    }

    /// A slice of this crate's own, as if it were a direct buffer.
    pub(super) fn of_slice(slice: &mut [u8]) -> Self {
        Memory {
            env: ptr::null_mut(),
            array: ptr::null_mut(),
            address: slice.as_mut_ptr(),
            len: slice.len(),
        }
    }

    /// Bytes of the array or buffer.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Fails unless `len` bytes at `offset` are inside.
    pub(super) fn check(&self, offset: usize, len: usize) -> Result<(), jint> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(CODE_RANGE),
        }
    }

    /// Copies `out.len()` bytes at `offset`.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), jint> {
        self.check(offset, out.len())?;
        // SAFETY: the range is inside the array or buffer (checked), `out` is as long as said, and both stay alive for
        // the call because Java holds references in the frame of the native method.
        unsafe {
            if !self.array.is_null() {
                read_region(self.env, self.array, offset as jint, out);
            } else if !out.is_empty() {
                ptr::copy_nonoverlapping(self.address.add(offset), out.as_mut_ptr(), out.len());
            }
        }
        Ok(())
    }

    /// Copies `data` to `offset`.
    pub(super) fn write(&self, offset: usize, data: &[u8]) -> Result<(), jint> {
        self.check(offset, data.len())?;
        // SAFETY: as in `read`.
        unsafe {
            if !self.array.is_null() {
                write_region(self.env, self.array, offset as jint, data);
            } else if !data.is_empty() {
                ptr::copy_nonoverlapping(data.as_ptr(), self.address.add(offset), data.len());
            }
        }
        Ok(())
    }

    /// A copy of `len` bytes at `offset`, in `copy`, which is made longer if need be.
    pub(super) fn copy<'a>(
        &self,
        offset: usize,
        len: usize,
        copy: &'a mut Zeroizing<Vec<u8>>,
    ) -> Result<&'a [u8], jint> {
        self.check(offset, len)?;
        if copy.len() < len {
            // A new one, and not a longer one: a reallocation would leave the old bytes behind.
            let mut longer = Vec::new();
            longer.try_reserve_exact(len).map_err(|_| CODE_BACKEND)?;
            longer.resize(len, 0);
            *copy = Zeroizing::new(longer);
        }
        self.read(offset, &mut copy[..len])?;
        Ok(&copy[..len])
    }

    /// A copy of all bytes.
    pub(super) fn to_vec(self) -> Result<Zeroizing<Vec<u8>>, jint> {
        let mut out = Zeroizing::new(Vec::new());
        self.copy(0, self.len, &mut out)?;
        Ok(out)
    }

    /// The address of the buffer, or the JVM's of the array, until the pin drops.
    ///
    /// # Safety
    /// Until the pin drops: no JNI call, no allocation, nothing that waits. `release` is 0 if something is written,
    /// `JNI_ABORT` if nothing is.
    unsafe fn pin(&self, release: jint) -> Result<Pin, jint> {
        let mut base = self.address;
        if !self.array.is_null() {
            // SAFETY: a live byte array.
            unsafe {
                let get = (**self.env).v1_4.GetPrimitiveArrayCritical;
                base = get(self.env, self.array, ptr::null_mut()).cast();
            }
            if base.is_null() {
                return Err(CODE_BACKEND);
            }
        }
        Ok(Pin {
            memory: *self,
            base,
            release,
        })
    }

    /// Lends `len` bytes at `offset` to be read.
    pub(super) fn lend<R>(
        &self,
        offset: usize,
        len: usize,
        body: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, jint> {
        self.check(offset, len)?;
        if len == 0 {
            return Ok(body(&[]));
        }
        // SAFETY: one pin, read alone; the slice is inside the memory (checked). `body` is a cipher's.
        unsafe {
            let pin = self.pin(JNI_ABORT)?;
            Ok(body(std::slice::from_raw_parts(pin.base.add(offset), len)))
        }
    }

    /// Lends `len` bytes at `offset` to be written, or turned in place.
    pub(super) fn lend_mut<R>(
        &self,
        offset: usize,
        len: usize,
        body: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, jint> {
        self.check(offset, len)?;
        if len == 0 {
            return Ok(body(&mut []));
        }
        // SAFETY: one pin and one slice, inside the memory (checked). `body` is a cipher's.
        unsafe {
            let pin = self.pin(0)?;
            Ok(body(std::slice::from_raw_parts_mut(pin.base.add(offset), len)))
        }
    }
}

struct Pin {
    memory: Memory,
    base: *mut u8,
    release: jint,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.memory.array.is_null() {
            // SAFETY: releases what `pin` got, once.
            unsafe {
                let release = (**self.memory.env).v1_4.ReleasePrimitiveArrayCritical;
                release(self.memory.env, self.memory.array, self.base.cast(), self.release);
            }
        }
    }
}

/// How an output lies to the input that it is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// They have no byte in common.
    Apart,
    /// The output begins where the input does, or before it: output that does not run ahead of the input overwrites
    /// nothing that is still to be read, if each piece is read before it is written.
    Behind,
    /// The output begins inside the input: it overwrites what is still to be read.
    Ahead,
}

/// How `out_len` bytes at `to` lie to `len` bytes at `from`, in one memory.
pub(super) fn overlap(from: usize, len: usize, to: usize, out_len: usize) -> Overlap {
    // Compared as distances, which cannot overflow.
    if to <= from {
        if out_len > from - to && len > 0 {
            Overlap::Behind
        } else {
            Overlap::Apart
        }
    } else if len > to - from && out_len > 0 {
        Overlap::Ahead
    } else {
        Overlap::Apart
    }
}

/// Input and output of a call.
#[derive(Clone, Copy)]
pub(crate) struct Sides {
    pub(super) from: Memory,
    pub(super) from_at: usize,
    pub(super) len: usize,
    pub(super) to: Memory,
    pub(super) to_at: usize,
    /// Whether both are the same array.
    one_array: bool,
}

impl Sides {
    /// The range `input` of a slice of this crate's own and, from `output` on, its output in the same slice.
    pub(crate) fn of_slice(slice: &mut [u8], input: Range<usize>, output: usize) -> Result<Self, jint> {
        let whole = Memory::of_slice(slice);
        Sides::new((whole, input.start, input.len()), (whole, output))
    }

    /// Fails if the input is not inside its memory.
    pub(super) fn new(
        (from, from_at, len): (Memory, usize, usize),
        (to, to_at): (Memory, usize),
    ) -> Result<Self, jint> {
        from.check(from_at, len)?;
        let arrays = !from.array.is_null() && !to.array.is_null();
        // SAFETY: compares two live references of this call.
        let one_array = arrays && unsafe { ((**from.env).v1_4.IsSameObject)(from.env, from.array, to.array) };
        Ok(Sides {
            from,
            from_at,
            len,
            to,
            to_at,
            one_array,
        })
    }

    /// Where `out_len` bytes of output lie.
    pub(super) fn overlap(&self, out_len: usize) -> Overlap {
        if self.one_array {
            overlap(self.from_at, self.len, self.to_at, out_len)
        } else if self.from.address.is_null() || self.to.address.is_null() {
            Overlap::Apart
        } else {
            let (from, to) = (self.from.address as usize, self.to.address as usize);
            overlap(from + self.from_at, self.len, to + self.to_at, out_len)
        }
    }

    /// Lends `len` bytes of input, `done` bytes after its beginning, and `size` bytes of output, `written` bytes after
    /// its beginning. Fails if they overlap.
    pub(super) fn lend<R>(
        &self,
        (done, len): (usize, usize),
        (written, size): (usize, usize),
        body: impl FnOnce(&[u8], &mut [u8]) -> R,
    ) -> Result<R, jint> {
        let (from_at, to_at) = (self.from_at + done, self.to_at + written);
        self.from.check(from_at, len)?;
        self.to.check(to_at, size)?;
        let piece = Sides {
            from_at,
            len,
            to_at,
            ..*self
        };
        if piece.overlap(size) != Overlap::Apart {
            return Err(CODE_RANGE);
        }
        if size == 0 {
            return self.from.lend(from_at, len, |input| body(input, &mut []));
        }
        // SAFETY: both ranges are inside their memory (checked) and have no byte in common (checked); one array is
        // pinned once. `body` is a cipher's.
        unsafe {
            let to = self.to.pin(0)?;
            let from = if self.one_array {
                None
            } else {
                Some(self.from.pin(JNI_ABORT)?)
            };
            let base = from.as_ref().map_or(to.base, |pin| pin.base);
            let input = if len == 0 {
                &[][..]
            } else {
                std::slice::from_raw_parts(base.add(from_at), len)
            };
            let output = std::slice::from_raw_parts_mut(to.base.add(to_at), size);
            Ok(body(input, output))
        }
    }
}
