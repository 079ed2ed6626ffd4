//! aws-lc as a C program calls it, and memcpy: what our ciphers are compared with.
//!
//! One request per line of standard input, `CASE SIZE THREADS MILLISECONDS`; one line with bytes (or, for
//! RSA, operations) per second answers it. Java asks for these between its own measurements, so that all are taken in
//! turns.

use aws_lc_sys as c;
use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::ptr::{self, NonNull};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Data arrives in pieces of this size, as the S3 clients feed it.
const UPDATE: usize = 64 << 10;
const KEY: [u8; 32] = [7; 32];
const IV: [u8; 16] = [3; 16];
const TAG: usize = 16;

/// Answers until the end of standard input.
pub(crate) fn answer() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split(' ').collect();
        let &[case, size, threads, millis] = fields.as_slice() else {
            return Err(io::Error::other("CASE SIZE THREADS MILLISECONDS"));
        };
        let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        let duration = Duration::from_millis(number(millis)? as u64);
        let rate = rate(case, number(size)?, number(threads)?, duration)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{rate:.1}")?;
        out.flush()?;
    }
    Ok(())
}

/// The sum of what each thread does per second, all of them at once.
fn rate(case: &str, size: usize, threads: usize, duration: Duration) -> io::Result<f64> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| one_thread(case, size, duration, &barrier)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            })
            .sum()
    })
}

fn one_thread(case: &str, size: usize, duration: Duration, barrier: &Barrier) -> io::Result<f64> {
    // A case that cannot be prepared must still meet the others at the barrier.
    let work = prepare(case, size);
    barrier.wait();
    let mut work = work?;
    work()?;
    let batch = (UPDATE / size.max(1)).clamp(1, 256);
    let mut done = 0;
    let start = Instant::now();
    loop {
        for _ in 0..batch {
            work()?;
        }
        done += batch;
        let elapsed = start.elapsed();
        if elapsed >= duration {
            let amount = if case == "rsa-oaep-unwrap" { 1 } else { size };
            return Ok((done * amount) as f64 / elapsed.as_secs_f64());
        }
    }
}

type Work = Box<dyn FnMut() -> io::Result<()>>;

fn prepare(case: &str, size: usize) -> io::Result<Work> {
    let plain = vec![1u8; size];
    let mut out = vec![0u8; size + TAG];
    // SAFETY: these take nothing and return a pointer to a static.
    let (gcm, ctr, cbc) = unsafe { (c::EVP_aes_256_gcm(), c::EVP_aes_256_ctr(), c::EVP_aes_256_cbc()) };
    Ok(match case {
        "memcpy" => Box::new(move || {
            black_box(&mut out)[..size].copy_from_slice(black_box(&plain));
            Ok(())
        }),
        "aes-gcm-encrypt" => {
            let mut evp = Evp::new(gcm, true)?;
            Box::new(move || {
                evp.run(&plain, &mut out)?;
                evp.finish(&mut out[size..])?;
                evp.tag().map(|tag| out[size..].copy_from_slice(&tag))
            })
        }
        "aes-gcm-decrypt" => {
            let mut sealed = vec![0u8; size];
            let mut evp = Evp::new(gcm, true)?;
            evp.run(&plain, &mut sealed)?;
            evp.finish(&mut out)?;
            let tag = evp.tag()?;
            let mut evp = Evp::new(gcm, false)?;
            Box::new(move || {
                evp.run(&sealed, &mut out)?;
                evp.expect(tag)?;
                evp.finish(&mut out[size..])
            })
        }
        "aes-ctr" => {
            let mut evp = Evp::new(ctr, true)?;
            Box::new(move || evp.run(&plain, &mut out))
        }
        "aes-cbc-encrypt" | "aes-cbc-decrypt" => {
            let mut evp = Evp::new(cbc, case == "aes-cbc-encrypt")?;
            // SAFETY: the context is live.
            unsafe { c::EVP_CIPHER_CTX_set_padding(evp.0.as_ptr(), 0) };
            Box::new(move || evp.run(&plain, &mut out))
        }
        "rsa-oaep-unwrap" => rsa()?,
        _ => return Err(io::Error::other("unknown case")),
    })
}

fn check(status: i32) -> io::Result<()> {
    if status == 1 {
        Ok(())
    } else {
        Err(io::Error::other("aws-lc failed"))
    }
}

/// One EVP context, as thin as it gets.
struct Evp(NonNull<c::EVP_CIPHER_CTX>);

impl Drop for Evp {
    fn drop(&mut self) {
        // SAFETY: made by EVP_CIPHER_CTX_new, freed here alone.
        unsafe { c::EVP_CIPHER_CTX_free(self.0.as_ptr()) }
    }
}

impl Evp {
    fn new(cipher: *const c::EVP_CIPHER, encrypt: bool) -> io::Result<Self> {
        // SAFETY: no arguments; null on failure.
        let ctx = NonNull::new(unsafe { c::EVP_CIPHER_CTX_new() });
        let evp = Evp(ctx.ok_or_else(|| io::Error::other("out of memory"))?);
        // SAFETY: all ciphers here have keys of 32 bytes and vectors of at most 16.
        check(unsafe {
            c::EVP_CipherInit_ex(
                evp.0.as_ptr(),
                cipher,
                ptr::null_mut(),
                KEY.as_ptr(),
                IV.as_ptr(),
                i32::from(encrypt),
            )
        })?;
        Ok(evp)
    }

    /// A message, without its end. `output` is at least as long as `input`.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<()> {
        let mut len = 0;
        // SAFETY: the context is live and keeps cipher, key and direction; the vector has 16 bytes.
        check(unsafe {
            c::EVP_CipherInit_ex(
                self.0.as_ptr(),
                ptr::null(),
                ptr::null_mut(),
                ptr::null(),
                IV.as_ptr(),
                -1,
            )
        })?;
        for (from, to) in input.chunks(UPDATE).zip(output.chunks_mut(UPDATE)) {
            // SAFETY: stream modes and, without padding, whole blocks: exactly `from.len()` bytes are written, and
            // `to` has as many.
            check(unsafe {
                c::EVP_CipherUpdate(
                    self.0.as_ptr(),
                    to.as_mut_ptr(),
                    &mut len,
                    from.as_ptr(),
                    from.len() as i32,
                )
            })?;
        }
        Ok(())
    }

    fn finish(&mut self, rest: &mut [u8]) -> io::Result<()> {
        let mut len = 0;
        // SAFETY: GCM writes nothing here.
        check(unsafe { c::EVP_CipherFinal_ex(self.0.as_ptr(), rest.as_mut_ptr(), &mut len) })
    }

    fn tag(&mut self) -> io::Result<[u8; TAG]> {
        let mut tag = [0; TAG];
        self.control(c::EVP_CTRL_AEAD_GET_TAG, &mut tag)?;
        Ok(tag)
    }

    fn expect(&mut self, mut tag: [u8; TAG]) -> io::Result<()> {
        self.control(c::EVP_CTRL_AEAD_SET_TAG, &mut tag)
    }

    fn control(&mut self, command: i32, tag: &mut [u8; TAG]) -> io::Result<()> {
        // SAFETY: a live GCM context; reads or writes 16 bytes.
        check(unsafe {
            c::EVP_CIPHER_CTX_ctrl(self.0.as_ptr(), command, TAG as i32, tag.as_mut_ptr().cast())
        })
    }
}

/// RSA-2048, OAEP with SHA-1: what the V2 client unwraps data keys by.
fn rsa() -> io::Result<Work> {
    const DER: &[u8] = include_bytes!("../../crypto/tests/data/pkcs8.der");
    // SAFETY: `cbs` is initialised over a static; the parser returns an owned key or null, which lives as long as
    // the process.
    let key = unsafe {
        let mut cbs = c::CBS::default();
        c::CBS_init(&mut cbs, DER.as_ptr(), DER.len());
        c::EVP_parse_private_key(&mut cbs)
    };
    let wrapped = oaep(key, &[5; 32], true)?;
    Ok(Box::new(move || oaep(key, &wrapped, false).map(drop)))
}

fn oaep(key: *mut c::EVP_PKEY, input: &[u8], encrypt: bool) -> io::Result<Vec<u8>> {
    let mut out = vec![0u8; 1024];
    let mut len = out.len();
    // SAFETY: aws-lc answers a null key with a null context and that with status 0; keys here have at most 8192 bits,
    // so that `out` holds any result.
    let status = unsafe {
        let ctx = c::EVP_PKEY_CTX_new(key, ptr::null_mut());
        let status = if encrypt {
            c::EVP_PKEY_encrypt_init(ctx) == 1
                && c::EVP_PKEY_CTX_set_rsa_padding(ctx, c::RSA_PKCS1_OAEP_PADDING) == 1
                && c::EVP_PKEY_encrypt(ctx, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len()) == 1
        } else {
            c::EVP_PKEY_decrypt_init(ctx) == 1
                && c::EVP_PKEY_CTX_set_rsa_padding(ctx, c::RSA_PKCS1_OAEP_PADDING) == 1
                && c::EVP_PKEY_decrypt(ctx, out.as_mut_ptr(), &mut len, input.as_ptr(), input.len()) == 1
        };
        c::EVP_PKEY_CTX_free(ctx);
        i32::from(status)
    };
    check(status)?;
    out.truncate(len);
    Ok(out)
}
