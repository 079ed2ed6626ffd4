//! The only module that calls aws-lc. Everything above it is safe Rust.
//!
//! The functions used here were read in aws-lc-sys 0.47.0, the pinned version; where a safety
//! comment says how many bytes C writes, it says so from that source, and the tests of each
//! cipher put canaries behind the output.

use crate::cipher::{check_key, CipherError, Direction, BLOCK};
use aws_lc_sys as c;
use std::ffi::CStr;
use std::os::raw::c_int;
use std::ptr::{self, NonNull};
use zeroize::Zeroizing;

/// Longest slice handed to one C call, whose lengths are `int`. A multiple of the block.
const CALL_MAX: usize = 1 << 30;

/// A block cipher mode of the backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Ecb,
    Cbc,
    Ctr,
    Gcm,
}

fn evp_cipher(mode: Mode, key_len: usize) -> *const c::EVP_CIPHER {
    // SAFETY: these functions take nothing and return a pointer to a static.
    unsafe {
        match (mode, key_len) {
            (Mode::Ecb, 16) => c::EVP_aes_128_ecb(),
            (Mode::Ecb, 24) => c::EVP_aes_192_ecb(),
            (Mode::Ecb, _) => c::EVP_aes_256_ecb(),
            (Mode::Cbc, 16) => c::EVP_aes_128_cbc(),
            (Mode::Cbc, 24) => c::EVP_aes_192_cbc(),
            (Mode::Cbc, _) => c::EVP_aes_256_cbc(),
            (Mode::Ctr, 16) => c::EVP_aes_128_ctr(),
            (Mode::Ctr, 24) => c::EVP_aes_192_ctr(),
            (Mode::Ctr, _) => c::EVP_aes_256_ctr(),
            (Mode::Gcm, 16) => c::EVP_aes_128_gcm(),
            (Mode::Gcm, 24) => c::EVP_aes_192_gcm(),
            (Mode::Gcm, _) => c::EVP_aes_256_gcm(),
        }
    }
}

/// Turns a C status into a result and empties this thread's error queue after a failure, so that
/// it neither grows nor is read by somebody else's TLS stack in this process.
fn ok(status: c_int, error: CipherError) -> Result<(), CipherError> {
    if status == 1 {
        return Ok(());
    }
    // SAFETY: touches only thread-local state of the library.
    unsafe { c::ERR_clear_error() };
    Err(error)
}

/// See [`crate::forget_threads`]. The random generator of every thread is wiped when the library is unmapped, by an
/// `atexit` handler of aws-lc.
pub(crate) fn forget_threads() -> bool {
    // SAFETY: the first frees what the calling thread has, the second deletes the key by which the end of other threads
    // would be noticed. The caller promises that no thread is inside of aws-lc or will be.
    unsafe { c::AWSLC_thread_local_clear() == 1 && c::AWSLC_thread_local_shutdown() == 1 }
}

/// An `EVP_CIPHER_CTX`: one AES key in one mode. Freeing it wipes key schedule and state.
pub(crate) struct CipherContext {
    ctx: NonNull<c::EVP_CIPHER_CTX>,
    mode: Mode,
    key_len: usize,
    iv_len: usize,
}

// SAFETY: the context is a heap object without ties to the thread that made it, and it is only
// reached through `&mut self` or at drop.
unsafe impl Send for CipherContext {}

impl Drop for CipherContext {
    fn drop(&mut self) {
        // SAFETY: `ctx` came from EVP_CIPHER_CTX_new and is freed here alone. aws-lc wipes the
        // cipher data (OPENSSL_free cleanses what it frees).
        unsafe { c::EVP_CIPHER_CTX_free(self.ctx.as_ptr()) }
    }
}

impl CipherContext {
    /// A context with the key set for encryption and no initialisation vector.
    pub(crate) fn new(mode: Mode, key: &[u8]) -> Result<Self, CipherError> {
        check_key(key)?;
        // SAFETY: no arguments; null on failure.
        let ctx = NonNull::new(unsafe { c::EVP_CIPHER_CTX_new() }).ok_or(CipherError::Backend)?;
        let iv_len = if mode == Mode::Gcm { 12 } else { BLOCK };
        let this = CipherContext {
            ctx,
            mode,
            key_len: key.len(),
            iv_len,
        };
        // SAFETY: ctx is live, the cipher is a static whose key length is `key.len()`, the vector
        // may be null (set later, or zero and never used in ECB), and the engine is unused.
        let status = unsafe {
            c::EVP_CipherInit_ex(
                this.ctx.as_ptr(),
                evp_cipher(mode, key.len()),
                ptr::null_mut(),
                key.as_ptr(),
                ptr::null(),
                1,
            )
        };
        ok(status, CipherError::Backend)?;
        Ok(this)
    }

    /// Begins a message. ECB and CBC have a key schedule per direction and need the key again;
    /// CTR and GCM do not. `iv` is empty for ECB.
    pub(crate) fn start(
        &mut self,
        direction: Direction,
        key: Option<&[u8]>,
        iv: &[u8],
    ) -> Result<(), CipherError> {
        if key.is_some_and(|key| key.len() != self.key_len) {
            return Err(CipherError::KeySize);
        }
        match self.mode {
            Mode::Ecb if iv.is_empty() => {}
            Mode::Cbc | Mode::Ctr if iv.len() == BLOCK => {}
            Mode::Gcm if !iv.is_empty() && iv.len() <= CALL_MAX => {
                if iv.len() != self.iv_len {
                    // SAFETY: ctx is live and a GCM context; the control takes no pointer.
                    let status = unsafe {
                        c::EVP_CIPHER_CTX_ctrl(
                            self.ctx.as_ptr(),
                            c::EVP_CTRL_AEAD_SET_IVLEN as c_int,
                            iv.len() as c_int,
                            ptr::null_mut(),
                        )
                    };
                    ok(status, CipherError::Backend)?;
                    self.iv_len = iv.len();
                }
            }
            _ => return Err(CipherError::IvSize),
        }
        // SAFETY: ctx is live and has its cipher; key is null or as long as that cipher's key
        // (checked above); iv is as long as the context expects (checked above) or unread (ECB).
        let status = unsafe {
            c::EVP_CipherInit_ex(
                self.ctx.as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                key.map_or(ptr::null(), <[u8]>::as_ptr),
                if iv.is_empty() { ptr::null() } else { iv.as_ptr() },
                c_int::from(direction == Direction::Encrypt),
            )
        };
        ok(status, CipherError::Backend)
    }

    /// Switches PKCS#7 padding of ECB and CBC on or off.
    pub(crate) fn set_padding(&mut self, padding: bool) {
        // SAFETY: ctx is live; the call sets a flag and cannot fail.
        unsafe { c::EVP_CIPHER_CTX_set_padding(self.ctx.as_ptr(), c_int::from(padding)) };
    }

    /// CTR and GCM: turns `input` into as many bytes of `output`.
    pub(crate) fn stream(&mut self, input: &[u8], output: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ctr | Mode::Gcm));
        let output = output.get_mut(..input.len()).ok_or(CipherError::OutputTooShort)?;
        for (from, to) in input.chunks(CALL_MAX).zip(output.chunks_mut(CALL_MAX)) {
            // SAFETY: both slices are live, do not overlap, and have `from.len()` bytes.
            unsafe { self.stream_raw(from.as_ptr(), to.as_mut_ptr(), from.len())? };
        }
        Ok(())
    }

    /// CTR and GCM: turns `buffer` in place.
    pub(crate) fn stream_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ctr | Mode::Gcm));
        for part in buffer.chunks_mut(CALL_MAX) {
            let at = part.as_mut_ptr();
            // SAFETY: the same live slice as input and output, which these modes allow.
            unsafe { self.stream_raw(at, at, part.len())? };
        }
        Ok(())
    }

    /// # Safety
    /// `from` is readable and `to` writable for `len` ≤ `CALL_MAX` bytes; they are equal or do
    /// not overlap.
    unsafe fn stream_raw(&mut self, from: *const u8, to: *mut u8, len: usize) -> Result<(), CipherError> {
        let mut written: c_int = 0;
        // SAFETY: by this function's contract; a stream mode writes exactly `len` bytes.
        let status = unsafe { c::EVP_CipherUpdate(self.ctx.as_ptr(), to, &mut written, from, len as c_int) };
        ok(status, CipherError::Backend)
    }

    /// ECB and CBC: turns `input` and what earlier calls left over into whole blocks of `output`,
    /// whose length must be exactly what this call produces.
    pub(crate) fn blocks(&mut self, mut input: &[u8], mut output: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ecb | Mode::Cbc));
        // With a buffered block besides, one call writes at most `len + 2 * BLOCK` ≤ c_int::MAX.
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(CALL_MAX));
            let mut written: c_int = 0;
            // SAFETY: `now` is live; `output` has room for all that this and later calls write
            // (the caller computed it from the number of buffered bytes, as EVP does, and EVP
            // writes the bytes that it reports and no others); the slices do not overlap.
            let status = unsafe {
                c::EVP_CipherUpdate(
                    self.ctx.as_ptr(),
                    output.as_mut_ptr(),
                    &mut written,
                    now.as_ptr(),
                    now.len() as c_int,
                )
            };
            ok(status, CipherError::Backend)?;
            output = std::mem::take(&mut output)
                .get_mut(written as usize..)
                .ok_or(CipherError::Backend)?;
            input = later;
        }
        if output.is_empty() {
            Ok(())
        } else {
            Err(CipherError::Backend)
        }
    }

    /// ECB and CBC without padding or anything buffered: turns whole blocks in place.
    pub(crate) fn blocks_in_place(&mut self, buffer: &mut [u8]) -> Result<(), CipherError> {
        debug_assert!(matches!(self.mode, Mode::Ecb | Mode::Cbc) && buffer.len().is_multiple_of(BLOCK));
        for part in buffer.chunks_mut(CALL_MAX) {
            let mut written: c_int = 0;
            let at = part.as_mut_ptr();
            // SAFETY: the same live slice as input and output; nothing is buffered in the
            // context, so blocks are read and written at the same places, which EVP allows.
            let status =
                unsafe { c::EVP_CipherUpdate(self.ctx.as_ptr(), at, &mut written, at, part.len() as c_int) };
            ok(status, CipherError::Backend)?;
        }
        Ok(())
    }

    /// ECB and CBC: the end of a message. Returns how many bytes of `last` count.
    pub(crate) fn finish_blocks(
        &mut self,
        last: &mut [u8; BLOCK],
        error: CipherError,
    ) -> Result<usize, CipherError> {
        let mut written: c_int = 0;
        // SAFETY: ctx is live; EVP writes at most one block at the end.
        let status = unsafe { c::EVP_CipherFinal_ex(self.ctx.as_ptr(), last.as_mut_ptr(), &mut written) };
        ok(status, error)?;
        Ok(written as usize)
    }

    /// GCM: additional authenticated data, before any message data.
    pub(crate) fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        debug_assert!(self.mode == Mode::Gcm);
        for part in aad.chunks(CALL_MAX) {
            let mut written: c_int = 0;
            // SAFETY: a null output marks additional data; nothing is written.
            let status = unsafe {
                c::EVP_CipherUpdate(
                    self.ctx.as_ptr(),
                    ptr::null_mut(),
                    &mut written,
                    part.as_ptr(),
                    part.len() as c_int,
                )
            };
            ok(status, CipherError::Backend)?;
        }
        Ok(())
    }

    /// GCM encryption: the end of the message and its whole tag.
    pub(crate) fn tag(&mut self) -> Result<[u8; BLOCK], CipherError> {
        let mut nothing = [0u8; BLOCK];
        let mut tag = [0u8; BLOCK];
        self.finish_blocks(&mut nothing, CipherError::Backend)?;
        // SAFETY: ctx is live and finished; the control writes BLOCK bytes to `tag`.
        let status = unsafe {
            c::EVP_CIPHER_CTX_ctrl(
                self.ctx.as_ptr(),
                c::EVP_CTRL_AEAD_GET_TAG as c_int,
                BLOCK as c_int,
                tag.as_mut_ptr().cast(),
            )
        };
        ok(status, CipherError::Backend)?;
        Ok(tag)
    }

    /// GCM decryption: the end of the message; fails unless `tag` (4 to 16 bytes) matches.
    /// aws-lc compares in constant time.
    pub(crate) fn verify(&mut self, tag: &[u8]) -> Result<(), CipherError> {
        if tag.is_empty() || tag.len() > BLOCK {
            return Err(CipherError::TagSize);
        }
        // SAFETY: ctx is live; the control reads `tag.len()` bytes (at most 16) and stores a copy.
        let status = unsafe {
            c::EVP_CIPHER_CTX_ctrl(
                self.ctx.as_ptr(),
                c::EVP_CTRL_AEAD_SET_TAG as c_int,
                tag.len() as c_int,
                tag.as_ptr().cast_mut().cast(),
            )
        };
        ok(status, CipherError::Backend)?;
        let mut nothing = [0u8; BLOCK];
        self.finish_blocks(&mut nothing, CipherError::TagMismatch)?;
        Ok(())
    }
}

/// Overwrites `data` with zeros in a way that is not optimised away, at the speed of memset.
pub(crate) fn wipe(data: &mut [u8]) {
    // SAFETY: a live slice of as many bytes.
    unsafe { c::OPENSSL_cleanse(data.as_mut_ptr().cast(), data.len()) }
}

/// An expanded AES key for [`aes_wrap`] and [`aes_unwrap`].
struct KeySchedule(c::AES_KEY);

impl Drop for KeySchedule {
    fn drop(&mut self) {
        // SAFETY: wipes a plain C struct that is owned here.
        unsafe { c::OPENSSL_cleanse((&raw mut self.0).cast(), std::mem::size_of::<c::AES_KEY>()) }
    }
}

impl KeySchedule {
    fn new(kek: &[u8], direction: Direction) -> Result<Self, CipherError> {
        check_key(kek)?;
        let mut schedule = KeySchedule(c::AES_KEY::default());
        let bits = kek.len() as u32 * 8;
        // SAFETY: `kek` has `bits` bits and the schedule is a live AES_KEY. Returns 0 for success.
        let status = unsafe {
            match direction {
                Direction::Encrypt => c::AES_set_encrypt_key(kek.as_ptr(), bits, &mut schedule.0),
                Direction::Decrypt => c::AES_set_decrypt_key(kek.as_ptr(), bits, &mut schedule.0),
            }
        };
        if status == 0 {
            Ok(schedule)
        } else {
            Err(CipherError::Backend)
        }
    }
}

/// RFC 3394 wrap with the default initial value. `out` is 8 bytes longer than `key`.
pub(crate) fn aes_wrap(kek: &[u8], key: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
    if key.len() < 16 || !key.len().is_multiple_of(8) || out.len() != key.len() + 8 {
        return Err(CipherError::BlockSize);
    }
    let schedule = KeySchedule::new(kek, Direction::Encrypt)?;
    // SAFETY: writes `key.len() + 8` bytes to `out`, which has them; a null initial value means
    // the RFC's.
    let written = unsafe {
        c::AES_wrap_key(
            &schedule.0,
            ptr::null(),
            out.as_mut_ptr(),
            key.as_ptr(),
            key.len(),
        )
    };
    if usize::try_from(written) == Ok(out.len()) {
        Ok(())
    } else {
        Err(CipherError::Backend)
    }
}

/// RFC 3394 unwrap. `out` is 8 bytes shorter than `wrapped`.
pub(crate) fn aes_unwrap(kek: &[u8], wrapped: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
    if wrapped.len() < 24 || !wrapped.len().is_multiple_of(8) || out.len() + 8 != wrapped.len() {
        return Err(CipherError::Unwrap);
    }
    let schedule = KeySchedule::new(kek, Direction::Decrypt)?;
    // SAFETY: writes `wrapped.len() - 8` bytes to `out`, which has them. The check of the initial
    // value is constant-time in aws-lc.
    let written = unsafe {
        c::AES_unwrap_key(
            &schedule.0,
            ptr::null(),
            out.as_mut_ptr(),
            wrapped.as_ptr(),
            wrapped.len(),
        )
    };
    if usize::try_from(written) == Ok(out.len()) {
        return Ok(());
    }
    zeroize::Zeroize::zeroize(out);
    Err(CipherError::Unwrap)
}

/// A hash of RSA-OAEP and of its mask generation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-512/224.
    Sha512_224,
    /// SHA-512/256.
    Sha512_256,
}

impl OaepHash {
    fn md(self) -> *const c::EVP_MD {
        // SAFETY: returns a pointer to a static.
        unsafe {
            match self {
                OaepHash::Sha1 => c::EVP_sha1(),
                OaepHash::Sha224 => c::EVP_sha224(),
                OaepHash::Sha256 => c::EVP_sha256(),
                OaepHash::Sha384 => c::EVP_sha384(),
                OaepHash::Sha512 => c::EVP_sha512(),
                OaepHash::Sha512_224 => c::EVP_sha512_224(),
                OaepHash::Sha512_256 => c::EVP_sha512_256(),
            }
        }
    }
}

/// How the backend pads an RSA message.
#[derive(Clone, Copy)]
pub(crate) enum RsaPadding<'a> {
    /// RSAES-PKCS1-v1_5. For encryption; decryption goes through `Raw`.
    Pkcs1,
    /// RSAES-OAEP.
    Oaep {
        hash: OaepHash,
        mgf1: OaepHash,
        label: &'a [u8],
    },
    /// The bare permutation. For decryption, with the padding removed above this module.
    Raw,
}

/// An RSA key of the backend.
pub(crate) struct RsaKey(NonNull<c::EVP_PKEY>);

// SAFETY: an EVP_PKEY is reference counted with atomics and its RSA operations lock what they
// change (the blinding cache), so it may move between threads and be used by several at once.
unsafe impl Send for RsaKey {}
// SAFETY: as above.
unsafe impl Sync for RsaKey {}

impl Drop for RsaKey {
    fn drop(&mut self) {
        // SAFETY: owned here; aws-lc wipes the numbers of a private key when it frees them.
        unsafe { c::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

struct PkeyContext(NonNull<c::EVP_PKEY_CTX>);

impl Drop for PkeyContext {
    fn drop(&mut self) {
        // SAFETY: owned here.
        unsafe { c::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

impl RsaKey {
    /// Parses PKCS#8 (`Direction::Decrypt`) or SubjectPublicKeyInfo (`Direction::Encrypt`) DER.
    /// aws-lc checks the consistency of a private key.
    pub(crate) fn from_der(direction: Direction, der: &[u8]) -> Result<Self, CipherError> {
        // SAFETY: `cbs` is initialised over the live slice `der`, which outlives both calls; the
        // parsers return an owned key or null.
        let key = unsafe {
            let mut cbs = c::CBS::default();
            c::CBS_init(&mut cbs, der.as_ptr(), der.len());
            let key = match direction {
                Direction::Encrypt => c::EVP_parse_public_key(&mut cbs),
                Direction::Decrypt => c::EVP_parse_private_key(&mut cbs),
            };
            let key = NonNull::new(key).map(RsaKey);
            if cbs.len == 0 {
                key
            } else {
                None
            }
        };
        let Some(key) = key else {
            ok(0, CipherError::RsaKey)?;
            return Err(CipherError::RsaKey);
        };
        // SAFETY: the key is live.
        let (id, bits) = unsafe { (c::EVP_PKEY_id(key.0.as_ptr()), c::EVP_PKEY_bits(key.0.as_ptr())) };
        if id == c::EVP_PKEY_RSA && (1024..=16384).contains(&bits) {
            Ok(key)
        } else {
            Err(CipherError::RsaKey)
        }
    }

    /// Bytes of the modulus, which are those of every ciphertext.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: the key is live.
        usize::try_from(unsafe { c::EVP_PKEY_size(self.0.as_ptr()) }).unwrap_or(0)
    }

    /// The private exponent, big-endian, as long as the modulus; none for a public key.
    pub(crate) fn private_exponent(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = Zeroizing::new(vec![0u8; self.size()]);
        // SAFETY: get0 functions borrow from the live key; BN_bn2bin_padded writes `out.len()`
        // bytes or fails.
        let status = unsafe {
            let rsa = c::EVP_PKEY_get0_RSA(self.0.as_ptr());
            if rsa.is_null() {
                return None;
            }
            let d = c::RSA_get0_d(rsa);
            if d.is_null() {
                return None;
            }
            c::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), d)
        };
        (status == 1).then_some(out)
    }

    /// Encrypts or decrypts `input` into `out`, which has [`RsaKey::size`] bytes. Returns how many
    /// count.
    pub(crate) fn run(
        &self,
        direction: Direction,
        padding: RsaPadding<'_>,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError> {
        let error = match direction {
            Direction::Encrypt => CipherError::RsaLength,
            Direction::Decrypt => CipherError::RsaDecrypt,
        };
        // SAFETY: the key is live; null on failure.
        let ctx = unsafe { c::EVP_PKEY_CTX_new(self.0.as_ptr(), ptr::null_mut()) };
        let ctx = PkeyContext(NonNull::new(ctx).ok_or(CipherError::Backend)?);
        let raw = ctx.0.as_ptr();
        // SAFETY: the context is live and owns a reference to the key.
        let status = unsafe {
            match direction {
                Direction::Encrypt => c::EVP_PKEY_encrypt_init(raw),
                Direction::Decrypt => c::EVP_PKEY_decrypt_init(raw),
            }
        };
        ok(status, CipherError::Backend)?;
        let number = match padding {
            RsaPadding::Pkcs1 => c::RSA_PKCS1_PADDING,
            RsaPadding::Oaep { .. } => c::RSA_PKCS1_OAEP_PADDING,
            RsaPadding::Raw => c::RSA_NO_PADDING,
        };
        // SAFETY: the context is initialised.
        let status = unsafe { c::EVP_PKEY_CTX_set_rsa_padding(raw, number) };
        ok(status, CipherError::Backend)?;
        if let RsaPadding::Oaep { hash, mgf1, label } = padding {
            // SAFETY: the context is initialised and its padding is OAEP; the digests are statics.
            unsafe {
                ok(
                    c::EVP_PKEY_CTX_set_rsa_oaep_md(raw, hash.md()),
                    CipherError::Backend,
                )?;
                ok(
                    c::EVP_PKEY_CTX_set_rsa_mgf1_md(raw, mgf1.md()),
                    CipherError::Backend,
                )?;
            }
            if !label.is_empty() {
                // SAFETY: the copy is made by aws-lc's allocator because the context takes
                // ownership of it; on failure it is freed here.
                unsafe {
                    let copy = c::OPENSSL_memdup(label.as_ptr().cast(), label.len());
                    if copy.is_null() {
                        return Err(CipherError::Backend);
                    }
                    let status = c::EVP_PKEY_CTX_set0_rsa_oaep_label(raw, copy.cast(), label.len());
                    if status != 1 {
                        c::OPENSSL_free(copy);
                    }
                    ok(status, CipherError::Backend)?;
                }
            }
        }
        if out.len() < self.size() {
            return Err(CipherError::OutputTooShort);
        }
        let mut len = out.len();
        // SAFETY: `out` has `len` bytes, at least the size of the key, which is the most that is
        // written; `input` is live.
        let status = unsafe {
            match direction {
                Direction::Encrypt => {
                    c::EVP_PKEY_encrypt(raw, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len())
                }
                Direction::Decrypt => {
                    c::EVP_PKEY_decrypt(raw, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len())
                }
            }
        };
        ok(status, error)?;
        Ok(len)
    }
}

/// What a PKCS#12 store holds.
pub(crate) struct Pkcs12 {
    /// PKCS#8 DER.
    pub(crate) key: Option<Zeroizing<Vec<u8>>>,
    /// DER, in the order of the store.
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// Why a PKCS#12 store does not open.
pub(crate) enum Pkcs12Error {
    /// The password is missing or wrong; damage looks alike.
    Password,
    Malformed(&'static str),
}

/// A stack of certificates, freed with what is left in it.
struct Certificates(NonNull<c::OPENSSL_STACK>);

impl Certificates {
    /// Takes the first certificate off and gives its DER; `None` once the stack is empty, or for want of memory.
    fn next_der(&mut self) -> Option<Vec<u8>> {
        // SAFETY: the stack holds nothing but X509 objects, of each of which it gives up ownership here.
        let certificate = NonNull::new(unsafe { c::OPENSSL_sk_shift(self.0.as_ptr()) })?.cast::<c::X509>();
        let mut der = ptr::null_mut();
        // SAFETY: with a null destination, i2d allocates as much as it returns and leaves the pointer in `der`. What it
        // allocated is copied and freed, and so is the certificate, once each.
        unsafe {
            let length = c::i2d_X509(certificate.as_ptr(), &mut der);
            c::X509_free(certificate.as_ptr());
            let length = usize::try_from(length).ok().filter(|_| !der.is_null())?;
            let copy = std::slice::from_raw_parts(der, length).to_vec();
            c::OPENSSL_free(der.cast());
            Some(copy)
        }
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        while self.next_der().is_some() {}
        // SAFETY: the stack came from OPENSSL_sk_new_null and is freed here alone.
        unsafe { c::OPENSSL_sk_free(self.0.as_ptr()) }
    }
}

/// Opens a PKCS#12 store, BER or DER.
pub(crate) fn pkcs12(store: &[u8], password: Option<&CStr>) -> Result<Pkcs12, Pkcs12Error> {
    const NO_MEMORY: Pkcs12Error = Pkcs12Error::Malformed("there is no memory left to open the key store");
    // SAFETY: no arguments; null on failure.
    let stack = NonNull::new(unsafe { c::OPENSSL_sk_new_null() }).ok_or(NO_MEMORY)?;
    let mut certificates = Certificates(stack);
    let mut key = ptr::null_mut();
    let mut input = c::CBS {
        data: store.as_ptr(),
        len: store.len(),
    };
    // SAFETY: `input` describes `store`, which outlives the call; the password is null or ends with a zero byte. A stack of
    // X509 is an OPENSSL_STACK under another name. On failure the stack is as it was and `key` is null.
    let opened = unsafe {
        c::PKCS12_get_key_and_certs(
            &mut key,
            stack.as_ptr().cast(),
            &mut input,
            password.map_or(ptr::null(), CStr::as_ptr),
        )
    };
    if opened != 1 {
        return Err(pkcs12_error());
    }
    let key = match NonNull::new(key) {
        None => None,
        Some(key) => Some(marshal(key).ok_or(NO_MEMORY)?),
    };
    Ok(Pkcs12 {
        key,
        certificates: std::iter::from_fn(|| certificates.next_der()).collect(),
    })
}

/// Frees `key` and gives its PKCS#8 form.
fn marshal(key: NonNull<c::EVP_PKEY>) -> Option<Zeroizing<Vec<u8>>> {
    let mut builder = std::mem::MaybeUninit::<c::CBB>::uninit();
    let (mut der, mut length) = (ptr::null_mut(), 0);
    // SAFETY: CBB_zero initialises the builder, and cleaning it up is allowed after that whatever happened in between.
    // After CBB_finish the caller owns `length` bytes at `der`; OPENSSL_free wipes what it frees.
    unsafe {
        c::CBB_zero(builder.as_mut_ptr());
        let mut builder = builder.assume_init();
        let written = c::CBB_init(&mut builder, 256) == 1
            && c::EVP_marshal_private_key(&mut builder, key.as_ptr()) == 1
            && c::CBB_finish(&mut builder, &mut der, &mut length) == 1;
        c::CBB_cleanup(&mut builder);
        c::EVP_PKEY_free(key.as_ptr());
        if !written || der.is_null() {
            c::ERR_clear_error();
            return None;
        }
        let copy = Zeroizing::new(std::slice::from_raw_parts(der, length).to_vec());
        c::OPENSSL_free(der.cast());
        Some(copy)
    }
}

/// What this thread's error queue says of a store that did not open; the queue is empty afterwards.
fn pkcs12_error() -> Pkcs12Error {
    // SAFETY: touches only thread-local state of the library.
    let last = unsafe {
        let last = c::ERR_peek_last_error();
        c::ERR_clear_error();
        last
    };
    // Source: ERR_GET_LIB and ERR_GET_REASON in aws-lc's err.h.
    let (library, reason) = ((last >> 24) as c_int & 0xff, last as c_int & 0xfff);
    match (library, reason) {
        (c::ERR_LIB_PKCS12, c::PKCS12_R_MAC_VERIFY_FAILURE)
        | (c::ERR_LIB_PKCS8, c::PKCS8_R_INCORRECT_PASSWORD) => Pkcs12Error::Password,
        (c::ERR_LIB_PKCS8, c::PKCS8_R_MISSING_MAC) => {
            Pkcs12Error::Malformed("the key store has no checksum that its password could be checked by")
        }
        (c::ERR_LIB_PKCS8, c::PKCS8_R_MULTIPLE_PRIVATE_KEYS_IN_PKCS12) => {
            Pkcs12Error::Malformed("the key store has more than one private key")
        }
        _ => Pkcs12Error::Malformed("the key store is damaged, or protected in a way that is not supported"),
    }
}
