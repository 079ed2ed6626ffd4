//! PKCS#12 key stores, RFC 7292.

use aws_lc_sys as c;
use std::ffi::CStr;
use std::os::raw::c_int;
use std::ptr::{self, NonNull};
use zeroize::Zeroizing;

/// The content of a PKCS#12 store.
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
        // SAFETY: with a null destination, i2d allocates as much as it returns and leaves the pointer in `der`. The
        // allocation is copied and freed, and the certificate is freed, once each.
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
    // SAFETY: `input` describes `store`, which outlives the call; the password is null or ends with a zero byte. A
    // stack of X509 is an OPENSSL_STACK under another name. On failure the stack is as it was and `key` is null.
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

/// The reason of this thread's error queue for a store that did not open; the queue is empty afterwards.
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
