//! Exports of `org.emrkeys.bridge.CipherNatives`: bulk ciphers for the JCE provider.
//!
//! These are called for every buffer, so they take what Java has as it is (arrays by critical sections, direct buffers
//! by address), allocate nothing on the way and answer with an `int`: a count, or a negative code below. No class is
//! looked up and nothing is thrown but by the JVM's own check of a range.
//!
//! A handle names a slot in a table and the slot's generation, so a stale one is refused. A slot that is in use by
//! another thread answers [`BUSY`] rather than waiting: `javax.crypto.Cipher` is thread-confined.

use emrkeys_crypto::cbc::{Cbc, Padding};
use emrkeys_crypto::cipher::{wipe, CipherError, Direction, BLOCK};
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::ecb::Ecb;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::gcm_verified::GcmVerified;
use emrkeys_crypto::key_wrap;
use emrkeys_crypto::rsa_cipher::{Oaep, OaepHash, RsaDecryptor, RsaEncryptor};
use jni::sys::{jbyteArray, jclass, jint, jlong, jobject, JNIEnv};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, TryLockError};
use zeroize::Zeroizing;

/// A handle that is not, or no longer, open.
const CLOSED: jint = -100;
/// The cipher is in use by another thread.
const BUSY: jint = -101;
/// Lengths or offsets outside the arrays; Java checks first, so this is a bug.
const RANGE: jint = -102;
/// A panic, caught.
const PANIC: jint = -127;

/// Longest stretch of a Java array that is pinned at a time: the collector waits no longer than this takes.
const CRITICAL: usize = 256 * 1024;
/// Up to here, copying a region costs less than pinning.
const REGION: usize = 1024 + 64;
/// A short message, its tag included where it is decrypted; `CipherNatives.SHORT` in Java.
const SHORT: usize = 256 + 64;

/// What a message is begun for; the same numbers in Java.
const MODE_ENCRYPT: jint = 0;
const MODE_DECRYPT_STREAMING: jint = 1;
const MODE_DECRYPT_VERIFIED: jint = 2;

fn code(error: CipherError) -> jint {
    match error {
        CipherError::KeySize => -1,
        CipherError::IvSize => -2,
        CipherError::TagSize => -3,
        CipherError::OutputTooShort => -4,
        CipherError::State => -5,
        CipherError::TooLong => -6,
        CipherError::HeldTooLong => -7,
        CipherError::TagMismatch => -8,
        CipherError::BlockSize => -9,
        CipherError::Padding => -10,
        CipherError::Unwrap => -11,
        CipherError::RsaLength => -12,
        CipherError::RsaKey => -13,
        CipherError::RsaDecrypt => -14,
        _ => -15,
    }
}

type Answer = Result<usize, jint>;

/// The wrapper around every export: `boundary::respond` without the response, which would be an array per call.
fn guard(body: impl FnOnce() -> Answer) -> jint {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(count)) => jint::try_from(count).unwrap_or(RANGE),
        Ok(Err(code)) => code,
        Err(_) => PANIC,
    }
}

// ---- handles ----

/// What a handle stands for.
enum Object {
    Gcm(Box<GcmState>),
    Ctr(Ctr),
    Cbc(Cbc),
    Ecb(Ecb),
    // Shared: RSA keys may be used by several threads at once.
    RsaPublic(Arc<RsaEncryptor>),
    RsaPrivate(Arc<RsaDecryptor>),
}

/// GCM under one key: contexts are made when first needed and kept for the next message.
struct GcmState {
    key: Zeroizing<Vec<u8>>,
    seal: Option<Gcm>,
    open: Option<GcmOpener>,
    verified: Option<GcmVerified>,
    mode: GcmMode,
    tag_len: usize,
    max_held: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum GcmMode {
    Idle,
    Seal,
    Stream,
    Verified,
}

struct Slot {
    generation: AtomicU32,
    object: Mutex<Option<Object>>,
}

const CHUNK: usize = 256;
const CHUNKS: usize = 4096;
static SLOTS: [OnceLock<Box<[Slot]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// Free slots, and how many were ever made.
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

fn chunk(index: u32) -> Option<&'static [Slot]> {
    let cell = SLOTS.get(index as usize / CHUNK)?;
    Some(cell.get_or_init(|| {
        (0..CHUNK)
            .map(|_| Slot {
                generation: AtomicU32::new(1),
                object: Mutex::new(None),
            })
            .collect()
    }))
}

fn insert(object: Object) -> Result<jlong, jint> {
    let index = {
        let mut free = FREE.lock().map_err(|_| PANIC)?;
        match free.0.pop() {
            Some(index) => index,
            None => {
                free.1 += 1;
                free.1 - 1
            }
        }
    };
    let slot = chunk(index)
        .and_then(|chunk| chunk.get(index as usize % CHUNK))
        .ok_or(RANGE)?;
    *slot.object.lock().map_err(|_| PANIC)? = Some(object);
    let generation = slot.generation.load(Ordering::Acquire);
    Ok((jlong::from(generation) << 32) | jlong::from(index))
}

fn slot(handle: jlong) -> Result<&'static Slot, jint> {
    let index = handle as u32;
    let cell = SLOTS
        .get(index as usize / CHUNK)
        .and_then(OnceLock::get)
        .ok_or(CLOSED)?;
    cell.get(index as usize % CHUNK).ok_or(CLOSED)
}

fn current(slot: &Slot, handle: jlong) -> bool {
    jlong::from(slot.generation.load(Ordering::Acquire)) == handle >> 32
}

fn with(handle: jlong, body: impl FnOnce(&mut Object) -> Answer) -> Answer {
    let slot = slot(handle)?;
    let mut object = match slot.object.try_lock() {
        Ok(object) => object,
        Err(TryLockError::WouldBlock) => return Err(BUSY),
        Err(TryLockError::Poisoned(_)) => return Err(PANIC),
    };
    if !current(slot, handle) {
        return Err(CLOSED);
    }
    body(object.as_mut().ok_or(CLOSED)?)
}

/// The RSA key of a handle, to be used outside the slot's lock.
fn rsa_key(handle: jlong) -> Result<Object, jint> {
    let slot = slot(handle)?;
    let object = slot.object.lock().map_err(|_| PANIC)?;
    if !current(slot, handle) {
        return Err(CLOSED);
    }
    match &*object {
        Some(Object::RsaPublic(key)) => Ok(Object::RsaPublic(Arc::clone(key))),
        Some(Object::RsaPrivate(key)) => Ok(Object::RsaPrivate(Arc::clone(key))),
        _ => Err(code(CipherError::State)),
    }
}

fn remove(handle: jlong) -> Answer {
    let slot = slot(handle)?;
    let object = {
        let mut object = slot
            .object
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !current(slot, handle) {
            return Err(CLOSED);
        }
        let next = slot.generation.load(Ordering::Acquire).wrapping_add(1) & 0x7fff_ffff;
        slot.generation.store(next.max(1), Ordering::Release);
        slot.object.clear_poison();
        object.take()
    };
    FREE.lock().map_err(|_| PANIC)?.0.push(handle as u32);
    drop(object);
    Ok(1)
}

/// Frees every cipher and key, when no handle is in use any more.
pub(crate) fn clear() {
    for slot in SLOTS
        .iter()
        .filter_map(OnceLock::get)
        .flat_map(|chunk| chunk.iter())
    {
        *slot
            .object
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

// ---- Java memory ----

/// One side of a call: a byte array, or the address of a direct buffer.
#[derive(Clone, Copy)]
struct Memory {
    env: *mut JNIEnv,
    array: jbyteArray,
    address: *mut u8,
    len: usize,
}

/// Copies from an array. The JVM checks the range: where it is not inside, nothing is copied and an exception is pending.
///
/// # Safety
/// `env` is this thread's environment and `array` a live reference of a byte array.
unsafe fn read_region(env: *mut JNIEnv, array: jbyteArray, offset: jint, out: &mut [u8]) {
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
unsafe fn write_region(env: *mut JNIEnv, array: jbyteArray, offset: jint, data: &[u8]) {
    // SAFETY: as in `read_region`.
    unsafe {
        let set = (**env).v1_4.SetByteArrayRegion;
        set(env, array, offset, data.len() as jint, data.as_ptr().cast());
    }
}

fn index(value: jint) -> Result<usize, jint> {
    usize::try_from(value).map_err(|_| RANGE)
}

impl Memory {
    /// # Safety
    /// `env` is this thread's environment; `array` and `buffer` are null or live references of a byte array and a
    /// direct buffer.
    unsafe fn new(env: *mut JNIEnv, array: jbyteArray, buffer: jobject) -> Result<Self, jint> {
        let mut memory = Memory {
            env,
            array,
            address: ptr::null_mut(),
            len: 0,
        };
        // SAFETY: by this function's contract; the functions exist since JNI 1.4.
        unsafe {
            let functions = &(**env).v1_4;
            if !array.is_null() {
                memory.len = index((functions.GetArrayLength)(env, array))?;
            } else if !buffer.is_null() {
                memory.address = (functions.GetDirectBufferAddress)(env, buffer).cast();
                let capacity = (functions.GetDirectBufferCapacity)(env, buffer);
                if memory.address.is_null() {
                    return Err(RANGE);
                }
                memory.len = usize::try_from(capacity).map_err(|_| RANGE)?;
            }
        }
        Ok(memory)
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), jint> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(RANGE),
        }
    }

    /// Copies `out.len()` bytes at `offset`, which [`Memory::check`] admitted.
    fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), jint> {
        self.check(offset, out.len())?;
        // SAFETY: the range is inside the array or buffer (checked), `out` is as long as said, and both stay alive for
        // the call because Java holds references in the frame of the native method.
        unsafe {
            if self.array.is_null() {
                if !out.is_empty() {
                    ptr::copy_nonoverlapping(self.address.add(offset), out.as_mut_ptr(), out.len());
                }
            } else {
                read_region(self.env, self.array, offset as jint, out);
            }
        }
        Ok(())
    }

    fn write(&self, offset: usize, data: &[u8]) -> Result<(), jint> {
        self.check(offset, data.len())?;
        // SAFETY: as in `read`.
        unsafe {
            if self.array.is_null() {
                if !data.is_empty() {
                    ptr::copy_nonoverlapping(data.as_ptr(), self.address.add(offset), data.len());
                }
            } else {
                write_region(self.env, self.array, offset as jint, data);
            }
        }
        Ok(())
    }

    fn to_vec(self) -> Result<Zeroizing<Vec<u8>>, jint> {
        let mut out = Zeroizing::new(vec![0; self.len]);
        self.read(0, &mut out)?;
        Ok(out)
    }

    /// Pins the memory. Until the pin drops: no JNI call, no allocation, nothing that waits.
    ///
    /// # Safety
    /// As stated; and at most one of several live pins of one object may be written through.
    unsafe fn pin(&self) -> Result<Pin, jint> {
        if self.array.is_null() {
            return Ok(Pin {
                memory: *self,
                base: self.address,
            });
        }
        // SAFETY: a live byte array.
        let base =
            unsafe { ((**self.env).v1_4.GetPrimitiveArrayCritical)(self.env, self.array, ptr::null_mut()) };
        if base.is_null() {
            return Err(code(CipherError::Backend));
        }
        Ok(Pin {
            memory: *self,
            base: base.cast(),
        })
    }
}

struct Pin {
    memory: Memory,
    base: *mut u8,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.memory.array.is_null() {
            // SAFETY: releases what `pin` got, once. Mode 0 copies back where the JVM had made a copy.
            unsafe {
                let release = (**self.memory.env).v1_4.ReleasePrimitiveArrayCritical;
                release(self.memory.env, self.memory.array, self.base.cast(), 0);
            }
        }
    }
}

/// Runs `turn` over `input` in pieces. Each piece sees its input and all the output room that is left; it returns how
/// much it wrote. Java has made sure that input and output overlap only where they are the same bytes (`same`), and
/// that the output has room for what will come.
fn pieces(
    input: (Memory, usize, usize),
    output: (Memory, usize),
    same: bool,
    size_of: impl Fn(&Object, usize) -> usize,
    object: &mut Object,
    mut turn: impl FnMut(&mut Object, Buffers<'_>) -> Result<usize, CipherError>,
) -> Answer {
    let ((from, from_at, len), (to, to_at)) = (input, output);
    from.check(from_at, len)?;
    let mut done = 0;
    let mut written = 0;
    while done < len {
        let now = (len - done).min(CRITICAL);
        let size = size_of(object, now);
        to.check(to_at + written, size)?;
        let from_now = (from, from_at + done, now);
        let count = if now.max(size) <= SHORT {
            by_region::<SHORT>(object, from_now, (to, to_at + written, size), &mut turn)?
        } else if now.max(size) <= REGION {
            by_region::<REGION>(object, from_now, (to, to_at + written, size), &mut turn)?
        } else if same && from_at + done == to_at + written {
            // SAFETY: one pin, one slice, inside the memory (checked above); nothing in `turn` calls Java.
            let pin = unsafe { to.pin()? };
            let room = now.max(size);
            to.check(to_at + written, room)?;
            // SAFETY: as above.
            let buffer = unsafe { std::slice::from_raw_parts_mut(pin.base.add(to_at + written), room) };
            turn(object, Buffers::Same(buffer, now)).map_err(code)?
        } else if same {
            // GCM decryption lags by the tag: this piece's output ends before its input does, and begins before it.
            let mut copy = Zeroizing::new(vec![0u8; now]);
            from.read(from_at + done, &mut copy)?;
            // SAFETY: one pin, written through one slice inside the memory.
            let pin = unsafe { to.pin()? };
            // SAFETY: as above; `copy` is apart.
            let target = unsafe { std::slice::from_raw_parts_mut(pin.base.add(to_at + written), size) };
            turn(object, Buffers::Apart(&copy, target)).map_err(code)?
        } else {
            // SAFETY: two pins; the slices are inside their memory (checked) and do not overlap (`same` is false);
            // nothing in `turn` calls Java, allocates or waits.
            unsafe {
                let source_pin = from.pin()?;
                let target_pin = if size > 0 { Some(to.pin()?) } else { None };
                let source = std::slice::from_raw_parts(source_pin.base.add(from_at + done), now);
                let target: &mut [u8] = match &target_pin {
                    Some(pin) => std::slice::from_raw_parts_mut(pin.base.add(to_at + written), size),
                    None => &mut [],
                };
                turn(object, Buffers::Apart(source, target)).map_err(code)?
            }
        };
        done += now;
        written += count;
    }
    Ok(written)
}

/// One piece by way of the stack. Two sizes, because clearing the larger costs as much as a short message.
fn by_region<const SIZE: usize>(
    object: &mut Object,
    (from, from_at, len): (Memory, usize, usize),
    (to, to_at, size): (Memory, usize, usize),
    turn: &mut impl FnMut(&mut Object, Buffers<'_>) -> Result<usize, CipherError>,
) -> Answer {
    let mut source = [0u8; SIZE];
    let mut target = [0u8; SIZE];
    from.read(from_at, &mut source[..len])?;
    let count = turn(object, Buffers::Apart(&source[..len], &mut target[..size])).map_err(code)?;
    to.write(to_at, &target[..count])?;
    Ok(count)
}

/// The end of an encryption by way of the stack: a short last piece and the tag in one write, because each call of the JVM
/// costs a tenth of what the message does.
fn seal_by_region(
    gcm: &mut GcmState,
    (from, from_at, len): (Memory, usize, usize),
    (to, to_at): (Memory, usize),
) -> Answer {
    let mut buffer = [0u8; SHORT + BLOCK];
    from.read(from_at, &mut buffer[..len])?;
    to.check(to_at, len + gcm.tag_len)?;
    let end = gcm.seal_last(&mut buffer, len).map_err(code)?;
    to.write(to_at, &buffer[..end])?;
    Ok(end)
}

/// A verified decryption of a whole message by way of the stack; `None` where the message is not whole.
fn open_by_region<const SIZE: usize>(
    gcm: &mut GcmVerified,
    (from, from_at, len): (Memory, usize, usize),
    (to, to_at): (Memory, usize),
) -> Result<Option<usize>, jint> {
    let mut buffer = [0u8; SIZE];
    from.read(from_at, &mut buffer[..len])?;
    let Some(count) = gcm.open_whole(&mut buffer[..len]).map_err(code)? else {
        return Ok(None);
    };
    let written = to.write(to_at, &buffer[..count]);
    wipe(&mut buffer[..count]);
    written.map(|()| Some(count))
}

enum Buffers<'a> {
    Apart(&'a [u8], &'a mut [u8]),
    /// The input is the first so many bytes, and the output goes over it.
    Same(&'a mut [u8], usize),
}

/// An initialisation vector: nearly always short.
enum Vector {
    Short([u8; 16], usize),
    Long(Zeroizing<Vec<u8>>),
}

impl Vector {
    fn read(env: *mut JNIEnv, array: jbyteArray) -> Result<Self, jint> {
        // SAFETY: references of the call that this is part of.
        let memory = unsafe { Memory::new(env, array, ptr::null_mut())? };
        let mut short = [0u8; 16];
        if memory.len > short.len() {
            return Ok(Vector::Long(memory.to_vec()?));
        }
        memory.read(0, &mut short[..memory.len])?;
        Ok(Vector::Short(short, memory.len))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Vector::Short(bytes, len) => &bytes[..*len],
            Vector::Long(bytes) => bytes,
        }
    }
}

// ---- operations ----

fn make(kind: jint, key: &[u8], max_held: u64) -> Result<Object, jint> {
    let made = match kind {
        0 => {
            if !matches!(key.len(), 16 | 24 | 32) {
                return Err(code(CipherError::KeySize));
            }
            Ok(Object::Gcm(Box::new(GcmState {
                key: Zeroizing::new(key.to_vec()),
                seal: None,
                open: None,
                verified: None,
                mode: GcmMode::Idle,
                tag_len: 16,
                max_held,
            })))
        }
        1 => Ctr::new(key).map(Object::Ctr),
        2 => Cbc::new(key, Padding::Pkcs7).map(Object::Cbc),
        3 => Cbc::new(key, Padding::None).map(Object::Cbc),
        4 => Ecb::new(key, Padding::Pkcs7).map(Object::Ecb),
        5 => RsaEncryptor::from_spki(key).map(|key| Object::RsaPublic(Arc::new(key))),
        6 => RsaDecryptor::from_pkcs8(key).map(|key| Object::RsaPrivate(Arc::new(key))),
        _ => return Err(RANGE),
    };
    made.map_err(code)
}

fn start(object: &mut Object, mode: jint, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
    let direction = if mode == MODE_ENCRYPT {
        Direction::Encrypt
    } else {
        Direction::Decrypt
    };
    match object {
        Object::Gcm(gcm) => gcm.start(mode, iv, tag_len),
        Object::Ctr(ctr) => ctr.start(iv),
        Object::Cbc(cbc) => cbc.start(direction, iv),
        Object::Ecb(ecb) => ecb.start(direction),
        _ => Err(CipherError::State),
    }
}

impl GcmState {
    fn start(&mut self, mode: jint, iv: &[u8], tag_len: usize) -> Result<(), CipherError> {
        self.mode = GcmMode::Idle;
        if !(12..=16).contains(&tag_len) {
            return Err(CipherError::TagSize);
        }
        self.tag_len = tag_len;
        self.mode = match mode {
            MODE_ENCRYPT => {
                slot_of(&mut self.seal, || Gcm::new(&self.key))?.start(Direction::Encrypt, iv)?;
                GcmMode::Seal
            }
            MODE_DECRYPT_STREAMING => {
                slot_of(&mut self.open, || GcmOpener::new(&self.key))?.start(iv, tag_len)?;
                GcmMode::Stream
            }
            _ => {
                slot_of(&mut self.verified, || GcmVerified::new(&self.key, self.max_held))?
                    .start(iv, tag_len)?;
                GcmMode::Verified
            }
        };
        Ok(())
    }

    /// Encrypts the last `len` bytes of a message in place and puts the tag behind them. Returns where that ends.
    fn seal_last(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, CipherError> {
        self.mode = GcmMode::Idle;
        let seal = self.seal.as_mut().ok_or(CipherError::State)?;
        let end = len + self.tag_len;
        let last = buffer.get_mut(..end).ok_or(CipherError::OutputTooShort)?;
        let (message, tag) = last.split_at_mut(len);
        seal.update_in_place(message)?;
        seal.finish(tag)?;
        Ok(end)
    }

    /// Decrypts a whole message, with its tag, in place. Returns the length of the plaintext.
    fn open_whole(&mut self, buffer: &mut [u8]) -> Result<usize, CipherError> {
        self.mode = GcmMode::Idle;
        let opened = self
            .verified
            .as_mut()
            .ok_or(CipherError::State)?
            .open_whole(buffer)?;
        opened.ok_or(CipherError::State)
    }

    fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        match (self.mode, &mut self.seal, &mut self.open, &mut self.verified) {
            (GcmMode::Seal, Some(gcm), ..) => gcm.aad(aad),
            (GcmMode::Stream, _, Some(gcm), _) => gcm.aad(aad),
            (GcmMode::Verified, .., Some(gcm)) => gcm.aad(aad),
            _ => Err(CipherError::State),
        }
    }
}

fn slot_of<T>(
    slot: &mut Option<T>,
    make: impl FnOnce() -> Result<T, CipherError>,
) -> Result<&mut T, CipherError> {
    match slot {
        Some(value) => Ok(value),
        none => Ok(none.insert(make()?)),
    }
}

fn update_size(object: &Object, len: usize) -> usize {
    match object {
        Object::Gcm(gcm) => match (gcm.mode, &gcm.open) {
            (GcmMode::Verified, _) => 0,
            (GcmMode::Stream, Some(open)) => open.update_size(len),
            _ => len,
        },
        Object::Ctr(_) => len,
        Object::Cbc(cbc) => cbc.update_size(len),
        Object::Ecb(ecb) => ecb.update_size(len),
        _ => 0,
    }
}

fn turn(object: &mut Object, buffers: Buffers<'_>) -> Result<usize, CipherError> {
    match (object, buffers) {
        (Object::Gcm(gcm), buffers) => match (gcm.mode, buffers) {
            (GcmMode::Seal, Buffers::Apart(from, to)) => {
                gcm.seal.as_mut().ok_or(CipherError::State)?.update(from, to)
            }
            (GcmMode::Seal, Buffers::Same(buffer, len)) => {
                let gcm = gcm.seal.as_mut().ok_or(CipherError::State)?;
                gcm.update_in_place(&mut buffer[..len]).map(|()| len)
            }
            (GcmMode::Stream, Buffers::Apart(from, to)) => {
                gcm.open.as_mut().ok_or(CipherError::State)?.update(from, to)
            }
            (GcmMode::Stream, Buffers::Same(buffer, len)) => gcm
                .open
                .as_mut()
                .ok_or(CipherError::State)?
                .update_in_place(buffer, len),
            (GcmMode::Verified, Buffers::Apart(from, _)) => gcm
                .verified
                .as_mut()
                .ok_or(CipherError::State)?
                .hold(from)
                .map(|()| 0),
            (GcmMode::Verified, Buffers::Same(buffer, len)) => gcm
                .verified
                .as_mut()
                .ok_or(CipherError::State)?
                .hold(&buffer[..len])
                .map(|()| 0),
            (GcmMode::Idle, _) => Err(CipherError::State),
        },
        (Object::Ctr(ctr), Buffers::Apart(from, to)) => ctr.update(from, to),
        (Object::Ctr(ctr), Buffers::Same(buffer, len)) => {
            ctr.update_in_place(&mut buffer[..len]).map(|()| len)
        }
        (Object::Cbc(cbc), Buffers::Apart(from, to)) => cbc.update(from, to),
        (Object::Cbc(cbc), Buffers::Same(buffer, len)) => cbc.update_in_place(buffer, len),
        (Object::Ecb(ecb), Buffers::Apart(from, to)) => ecb.update(from, to),
        (Object::Ecb(ecb), Buffers::Same(buffer, len)) => ecb.update_in_place(buffer, len),
        _ => Err(CipherError::State),
    }
}

fn update(object: &mut Object, input: (Memory, usize, usize), output: (Memory, usize), same: bool) -> Answer {
    if let Object::Gcm(gcm) = object {
        if gcm.mode == GcmMode::Verified {
            // Before any pin, so that holding allocates nothing.
            gcm.verified
                .as_mut()
                .ok_or(code(CipherError::State))?
                .reserve(input.2)
                .map_err(code)?;
        }
    }
    pieces(input, output, same, update_size, object, turn)
}

fn finish(object: &mut Object, input: (Memory, usize, usize), output: (Memory, usize), same: bool) -> Answer {
    if let Object::Gcm(gcm) = object {
        if gcm.mode == GcmMode::Verified {
            let result = finish_verified(gcm, input, output, same);
            gcm.mode = GcmMode::Idle;
            return result;
        }
        if gcm.mode == GcmMode::Seal && input.2 <= SHORT {
            return seal_by_region(gcm, input, output);
        }
    }
    let written = update(object, input, output, same)?;
    let (to, to_at) = output;
    let mut last = Zeroizing::new([0u8; 16]);
    let count = match object {
        Object::Gcm(gcm) => match (
            std::mem::replace(&mut gcm.mode, GcmMode::Idle),
            &mut gcm.seal,
            &mut gcm.open,
        ) {
            (GcmMode::Seal, Some(seal), _) => seal.finish(&mut last[..gcm.tag_len]).map(|()| gcm.tag_len),
            (GcmMode::Stream, _, Some(open)) => open.finish().map(|()| 0),
            _ => Err(CipherError::State),
        },
        Object::Ctr(_) => Ok(0),
        Object::Cbc(cbc) => cbc.finish(&mut *last),
        Object::Ecb(ecb) => ecb.finish(&mut *last),
        _ => Err(CipherError::State),
    }
    .map_err(code)?;
    if count > 0 {
        to.write(to_at + written, &last[..count])?;
    }
    Ok(written + count)
}

fn finish_verified(
    gcm: &mut GcmState,
    input: (Memory, usize, usize),
    output: (Memory, usize),
    same: bool,
) -> Answer {
    let state = code(CipherError::State);
    let gcm = gcm.verified.as_mut().ok_or(state)?;
    let ((from, from_at, len), (to, to_at)) = (input, output);
    from.check(from_at, len)?;
    let size = usize::try_from(gcm.final_size(len)).map_err(|_| RANGE)?;
    to.check(to_at, size)?;
    if !gcm.holds() && len <= REGION {
        let opened = if len <= SHORT {
            open_by_region::<SHORT>(gcm, input, output)?
        } else {
            open_by_region::<REGION>(gcm, input, output)?
        };
        if let Some(count) = opened {
            return Ok(count);
        }
    }
    // Where held plaintext would overwrite input that is still to be shown again, hold that too.
    let hold_all = same && gcm.holds();
    if hold_all {
        gcm.reserve(len).map_err(code)?;
    }
    let mut done = 0;
    while done < len {
        let now = (len - done).min(CRITICAL);
        // SAFETY: one pin, read only, inside the memory (checked). `show` allocates at most once, a segment's
        // pointer, when it is first called; that call is made with nothing pinned.
        if done == 0 && !hold_all {
            gcm.show(&[]).map_err(code)?;
        }
        // SAFETY: as above.
        let pin = unsafe { from.pin()? };
        // SAFETY: as above.
        let part = unsafe { std::slice::from_raw_parts(pin.base.add(from_at + done), now) };
        let result = if hold_all { gcm.hold(part) } else { gcm.show(part) };
        result.map_err(code)?;
        done += now;
    }
    gcm.verify().map_err(code)?;
    let mut written = 0;
    loop {
        let now = (size - written).min(CRITICAL);
        if now == 0 {
            return Ok(written);
        }
        // SAFETY: one pin, one slice inside the memory (checked).
        let pin = unsafe { to.pin()? };
        // SAFETY: as above.
        let part = unsafe { std::slice::from_raw_parts_mut(pin.base.add(to_at + written), now) };
        let count = gcm.release(part).map_err(code)?;
        drop(pin);
        if count == 0 {
            break;
        }
        written += count;
    }
    let mut done = 0;
    while written < size {
        let now = (size - written).min(CRITICAL);
        let count = if same && from_at + done == to_at + written {
            // SAFETY: one pin, one slice inside the memory.
            let pin = unsafe { to.pin()? };
            // SAFETY: as above.
            let part = unsafe { std::slice::from_raw_parts_mut(pin.base.add(to_at + written), now) };
            gcm.release_shown_in_place(part).map_err(code)?
        } else {
            // SAFETY: two pins, slices inside their memory that do not overlap.
            unsafe {
                let source_pin = from.pin()?;
                let target_pin = to.pin()?;
                let source = std::slice::from_raw_parts(source_pin.base.add(from_at + done), now);
                let target = std::slice::from_raw_parts_mut(target_pin.base.add(to_at + written), now);
                gcm.release_shown(source, target).map_err(code)?
            }
        };
        if count == 0 {
            return Err(PANIC);
        }
        done += count;
        written += count;
    }
    Ok(written)
}

// ---- exports ----
// Every one: `env` and the references come from the JVM and are live for the call.

/// Makes a cipher or an RSA key. `kind`: 0 GCM, 1 CTR, 2 CBC padded, 3 CBC, 4 ECB padded, 5 RSA public (SPKI), 6 RSA
/// private (PKCS#8). Returns a handle, or a negative code.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_create(
    env: *mut JNIEnv,
    _class: jclass,
    kind: jint,
    key: jbyteArray,
    max_held: jlong,
) -> jlong {
    crate::boundary::hide_panic_messages();
    let made = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: references of this call.
        let key = unsafe { Memory::new(env, key, ptr::null_mut())? }.to_vec()?;
        insert(make(kind, &key, max_held.max(0) as u64)?)
    }));
    match made {
        Ok(Ok(handle)) => handle,
        Ok(Err(code)) => jlong::from(code),
        Err(_) => jlong::from(PANIC),
    }
}

/// Frees a handle. 1, or a negative code where it was not open.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_destroy(
    _env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
) -> jint {
    guard(|| remove(handle))
}

/// Begins a message.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_start(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    mode: jint,
    iv: jbyteArray,
    tag_len: jint,
) -> jint {
    guard(|| {
        let iv = Vector::read(env, iv)?;
        with(handle, |object| {
            start(object, mode, iv.bytes(), index(tag_len)?)
                .map(|()| 0)
                .map_err(code)
        })
    })
}

/// GCM: additional data, the whole array.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_aad(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    aad: jbyteArray,
) -> jint {
    guard(|| {
        // SAFETY: references of this call.
        let aad = unsafe { Memory::new(env, aad, ptr::null_mut())? }.to_vec()?;
        with(handle, |object| match object {
            Object::Gcm(gcm) => gcm.aad(&aad).map(|()| 0).map_err(code),
            _ => Err(code(CipherError::State)),
        })
    })
}

/// Turns data. Each side is an array or, where that is null, a direct buffer. `last` ends the message; `mode` begins it
/// first, as `start` does, unless it is -1.
#[no_mangle]
#[allow(clippy::too_many_arguments)]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_run(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    last: jint,
    mode: jint,
    iv: jbyteArray,
    tag_len: jint,
    in_array: jbyteArray,
    in_buffer: jobject,
    in_offset: jint,
    len: jint,
    out_array: jbyteArray,
    out_buffer: jobject,
    out_offset: jint,
) -> jint {
    guard(|| {
        // SAFETY: references of this call.
        let from = unsafe { Memory::new(env, in_array, in_buffer)? };
        // SAFETY: as above.
        let to = unsafe { Memory::new(env, out_array, out_buffer)? };
        let (mut from_at, len, to_at) = (index(in_offset)?, index(len)?, index(out_offset)?);
        from.check(from_at, len)?;
        // SAFETY: compares two live references.
        let one_array = !in_array.is_null()
            && !out_array.is_null()
            && unsafe { ((**env).v1_4.IsSameObject)(env, in_array, out_array) };
        let room = to.len.saturating_sub(to_at);
        let overlap = if one_array {
            from_at < to_at + room.min(len + 32) && to_at < from_at + len
        } else if in_array.is_null() && out_array.is_null() && !to.address.is_null() {
            let (a, b) = (from.address as usize + from_at, to.address as usize + to_at);
            a < b + room.min(len + 32) && b < a + len
        } else {
            false
        };
        let same = overlap
            && if one_array {
                from_at == to_at
            } else {
                from.address as usize + from_at == to.address as usize + to_at
            };
        let vector = if mode < 0 {
            None
        } else {
            Some(Vector::read(env, iv)?)
        };
        with(handle, |object| {
            if let Some(vector) = &vector {
                start(object, mode, vector.bytes(), index(tag_len)?).map_err(code)?;
            }
            let run = if last == 0 { update } else { finish };
            if overlap && !same {
                // Partly overlapping: work from a copy of the input.
                let mut copy = Zeroizing::new(vec![0u8; len]);
                from.read(from_at, &mut copy)?;
                from_at = 0;
                let copy = Memory {
                    env,
                    array: ptr::null_mut(),
                    address: copy.as_mut_ptr(),
                    len,
                };
                return run(object, (copy, from_at, len), (to, to_at), false);
            }
            run(object, (from, from_at, len), (to, to_at), same)
        })
    })
}

/// A whole short message of GCM between arrays, without additional data: what `run` does, with fewer calls of the JVM, which
/// cost as much as the cipher does. No length is asked for (the JVM checks the ranges of the copies and throws), no vector is
/// copied (its 12 bytes are three big-endian numbers), and decryption is one pass that is verified before anything is written,
/// whatever the mode.
#[no_mangle]
#[allow(clippy::too_many_arguments)]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_runShort(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    mode: jint,
    iv_first: jint,
    iv_second: jint,
    iv_third: jint,
    tag_len: jint,
    input: jbyteArray,
    in_offset: jint,
    len: jint,
    output: jbyteArray,
    out_offset: jint,
) -> jint {
    guard(|| {
        let (len, tag_len) = (index(len)?, index(tag_len)?);
        if len > SHORT || input.is_null() || output.is_null() {
            return Err(RANGE);
        }
        let mut iv = [0u8; 12];
        for (bytes, word) in iv.chunks_exact_mut(4).zip([iv_first, iv_second, iv_third]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut buffer = [0u8; SHORT + BLOCK];
        with(handle, |object| {
            let Object::Gcm(gcm) = object else {
                return Err(code(CipherError::State));
            };
            // SAFETY: references of this call, not null.
            let outside = unsafe {
                read_region(env, input, in_offset, &mut buffer[..len]);
                ((**env).v1_4.ExceptionCheck)(env)
            };
            if outside {
                return Err(RANGE);
            }
            let seals = mode == MODE_ENCRYPT;
            let mode = if seals { mode } else { MODE_DECRYPT_VERIFIED };
            gcm.start(mode, &iv, tag_len).map_err(code)?;
            let count = if seals {
                gcm.seal_last(&mut buffer, len)
            } else {
                gcm.open_whole(&mut buffer[..len])
            }
            .map_err(code)?;
            // SAFETY: as above.
            unsafe { write_region(env, output, out_offset, &buffer[..count]) };
            if !seals {
                wipe(&mut buffer[..count]);
            }
            Ok(count)
        })
    })
}

/// RSA. `padding`: 0 PKCS#1 v1.5, 1 OAEP SHA-1, 2 OAEP SHA-256 with MGF1-SHA1, 3 OAEP SHA-256, 4 OAEP SHA-256 with
/// either mask (decryption only). `out` has at least the bytes of the modulus. Returns the length.
#[no_mangle]
#[allow(clippy::too_many_arguments)]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_rsa(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    padding: jint,
    label: jbyteArray,
    data: jbyteArray,
    out: jbyteArray,
) -> jint {
    guard(|| {
        // SAFETY: references of this call.
        let (label, data, out) = unsafe {
            (
                Memory::new(env, label, ptr::null_mut())?.to_vec()?,
                Memory::new(env, data, ptr::null_mut())?.to_vec()?,
                Memory::new(env, out, ptr::null_mut())?,
            )
        };
        let oaep = match padding {
            1 => Oaep::SHA1,
            2 => Oaep::SHA256_MGF1_SHA1,
            _ => Oaep {
                hash: OaepHash::Sha256,
                mgf1: OaepHash::Sha256,
            },
        };
        let result = match rsa_key(handle)? {
            Object::RsaPublic(key) if padding == 0 => key.pkcs1(&data).map(Zeroizing::new),
            Object::RsaPublic(key) => key.oaep(oaep, &label, &data).map(Zeroizing::new),
            Object::RsaPrivate(key) if padding == 0 => key.pkcs1(&data),
            Object::RsaPrivate(key) if padding == 4 => key.oaep_either_mgf1(&label, &data),
            Object::RsaPrivate(key) => key.oaep(oaep, &label, &data),
            _ => Err(CipherError::State),
        }
        .map_err(code)?;
        out.write(0, &result)?;
        Ok(result.len())
    })
}

/// AES key wrap. `wrap` 1 wraps, 0 unwraps. `out` has room for the result, whose length is returned.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_keyWrap(
    env: *mut JNIEnv,
    _class: jclass,
    wrap: jint,
    kek: jbyteArray,
    data: jbyteArray,
    out: jbyteArray,
) -> jint {
    guard(|| {
        // SAFETY: references of this call.
        let (kek, data, out) = unsafe {
            (
                Memory::new(env, kek, ptr::null_mut())?.to_vec()?,
                Memory::new(env, data, ptr::null_mut())?.to_vec()?,
                Memory::new(env, out, ptr::null_mut())?,
            )
        };
        let result = if wrap == 1 {
            key_wrap::wrap(&kek, &data).map(Zeroizing::new)
        } else {
            key_wrap::unwrap(&kek, &data)
        }
        .map_err(code)?;
        out.write(0, &result)?;
        Ok(result.len())
    })
}
