//! The native methods. In every one `env` and the references come from the JVM and are live for the call.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::{Arc, LazyLock};

use emrkeys_crypto::cipher::BLOCK;
use emrkeys_crypto::rsa_cipher::{Oaep, OaepHash};
use emrkeys_crypto::wipe;
use jni::sys::{jbyteArray, jclass, jint, jlong, jobject, JNIEnv};
use zeroize::Zeroizing;

use super::memory::{read_region, write_region, Memory, Sides};
use super::object::Object;
use super::pieces::{self, SHORT};
use super::*;
use crate::slots::{Refusal, Table};

static TABLE: LazyLock<Table<Object>> = LazyLock::new(Table::starting_anywhere);

/// Frees every cipher and key, when no handle is in use any more.
pub(crate) fn clear() {
    TABLE.clear();
    emrkeys_crypto::gcm_verified::free_segments();
}

/// The wrapper around every export: `boundary::respond` without the response, which would be an array per call.
fn guard(body: impl FnOnce() -> Answer) -> jint {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(count)) => jint::try_from(count).unwrap_or(CODE_RANGE),
        Ok(Err(code)) => code,
        Err(_) => CODE_PANIC,
    }
}

fn refused(refusal: Refusal) -> jint {
    match refusal {
        Refusal::Closed => CODE_CLOSED,
        Refusal::Busy => CODE_BUSY,
    }
}

/// Runs `body` on a cipher; one that another thread uses is refused, because `javax.crypto.Cipher` is for one thread.
fn with(handle: jlong, body: impl FnOnce(&mut Object) -> Answer) -> Answer {
    TABLE.with(handle, body).map_err(refused)?
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
        let Some(bytes) = short.get_mut(..memory.len()) else {
            return Ok(Vector::Long(memory.to_vec()?));
        };
        memory.read(0, bytes)?;
        Ok(Vector::Short(short, memory.len()))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Vector::Short(bytes, len) => &bytes[..*len],
            Vector::Long(bytes) => bytes,
        }
    }
}

/// Makes a cipher or an RSA key of a `kind`. Returns a handle, or a negative code.
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
        let object = Object::new(kind, &key, u64::try_from(max_held).unwrap_or(0))?;
        TABLE.insert(object).ok_or(CODE_TOO_MANY)
    }));
    match made {
        Ok(Ok(handle)) => handle,
        Ok(Err(code)) => jlong::from(code),
        Err(_) => jlong::from(CODE_PANIC),
    }
}

/// Frees a handle. 1, or a negative code if it was not open.
#[no_mangle]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_destroy(
    _env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
) -> jint {
    guard(|| TABLE.remove(handle).map(|()| 1).map_err(refused))
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
            object
                .start(mode, iv.bytes(), index(tag_len)?)
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
        with(handle, |object| object.aad(&aad).map(|()| 0).map_err(code))
    })
}

/// Turns data. Each side is an array or, if that is null, a direct buffer. `last` ends the message; `mode` begins it
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
        let sides = Sides::new((from, index(in_offset)?, index(len)?), (to, index(out_offset)?))?;
        let vector = if mode < 0 {
            None
        } else {
            Some(Vector::read(env, iv)?)
        };
        with(handle, |object| {
            if let Some(vector) = &vector {
                object
                    .start(mode, vector.bytes(), index(tag_len)?)
                    .map_err(code)?;
            }
            pieces::run(object, &sides, last != 0)
        })
    })
}

/// A whole short message of GCM between arrays, without additional data: as `run`, with fewer calls of the JVM, which
/// cost as much as the cipher does. No length is asked for (the JVM checks the ranges of the copies and throws), no
/// vector is copied (its 12 bytes are three big-endian numbers), and decryption is one pass that is verified before
/// anything is written, whatever the mode.
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
            return Err(CODE_RANGE);
        }
        let mut iv = [0u8; 12];
        for (bytes, word) in iv.chunks_exact_mut(4).zip([iv_first, iv_second, iv_third]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        let mut buffer = [0u8; SHORT + BLOCK];
        with(handle, |object| {
            let Object::Gcm(gcm) = object else {
                return Err(CODE_STATE);
            };
            // SAFETY: references of this call, not null.
            let outside = unsafe {
                read_region(env, input, in_offset, &mut buffer[..len]);
                ((**env).v1_4.ExceptionCheck)(env)
            };
            if outside {
                return Err(CODE_RANGE);
            }
            let seals = mode == ENCRYPT;
            let mode = if seals { mode } else { DECRYPT_VERIFIED };
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

fn oaep_hash(number: jint) -> Result<OaepHash, jint> {
    Ok(match number {
        SHA_1 => OaepHash::Sha1,
        SHA_224 => OaepHash::Sha224,
        SHA_256 => OaepHash::Sha256,
        SHA_384 => OaepHash::Sha384,
        SHA_512 => OaepHash::Sha512,
        SHA_512_224 => OaepHash::Sha512_224,
        SHA_512_256 => OaepHash::Sha512_256,
        _ => return Err(CODE_RANGE),
    })
}

/// RSA with OAEP, by the kind of the key. `mask` is a hash or, to decrypt with SHA-256, `EITHER`. `out` has at least
/// the bytes of the modulus. Returns the length of the result.
#[no_mangle]
#[allow(clippy::too_many_arguments)]
pub extern "system" fn Java_org_emrkeys_bridge_CipherNatives_oaep(
    env: *mut JNIEnv,
    _class: jclass,
    handle: jlong,
    hash: jint,
    mask: jint,
    label: jbyteArray,
    data: jbyteArray,
    out: jbyteArray,
) -> jint {
    enum Key {
        Public(Arc<emrkeys_crypto::rsa_cipher::RsaEncryptor>),
        Private(Arc<emrkeys_crypto::rsa_cipher::RsaDecryptor>),
    }
    guard(|| {
        // SAFETY: references of this call.
        let (label, data, out) = unsafe {
            (
                Memory::new(env, label, ptr::null_mut())?.to_vec()?,
                Memory::new(env, data, ptr::null_mut())?.to_vec()?,
                Memory::new(env, out, ptr::null_mut())?,
            )
        };
        // Used outside the slot's lock, by several threads at once.
        let key = TABLE
            .read(handle, |object| match object {
                Object::RsaPublic(key) => Some(Key::Public(Arc::clone(key))),
                Object::RsaPrivate(key) => Some(Key::Private(Arc::clone(key))),
                _ => None,
            })
            .map_err(refused)?
            .ok_or(CODE_STATE)?;
        let hash = oaep_hash(hash)?;
        let result = match key {
            Key::Private(key) if mask == EITHER && hash == OaepHash::Sha256 => {
                key.oaep_either_mgf1(&label, &data)
            }
            key => {
                let mgf1 = oaep_hash(mask)?;
                let oaep = Oaep { hash, mgf1 };
                match key {
                    Key::Public(key) => key.oaep(oaep, &label, &data).map(Zeroizing::new),
                    Key::Private(key) => key.oaep(oaep, &label, &data),
                }
            }
        }
        .map_err(code)?;
        out.write(0, &result)?;
        Ok(result.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_cipher_is_a_code() {
        crate::boundary::hide_panic_messages();
        assert_eq!(guard(|| panic!("on purpose")), CODE_PANIC);
        assert_eq!(guard(|| Ok(7)), 7);
        assert_eq!(guard(|| Err(CODE_RANGE)), CODE_RANGE);
    }
}
