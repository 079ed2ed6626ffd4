//! Bulk throughput of our API beside raw aws-lc (EVP, called as C calls it), the RustCrypto crates and memcpy.
//! Data arrives in updates of 64 KiB, as the S3 clients feed it. Run: `cargo bench -p emrkeys-crypto`.
#![allow(missing_docs, clippy::expect_used, clippy::undocumented_unsafe_blocks)]

use aws_lc_sys as c;
use criterion::{criterion_group, criterion_main, BenchmarkGroup, Criterion, Throughput};
use emrkeys_crypto::cbc::{Cbc, Padding};
use emrkeys_crypto::cipher::Direction;
use emrkeys_crypto::ctr::Ctr;
use emrkeys_crypto::gcm::{Gcm, GcmOpener};
use emrkeys_crypto::gcm_verified::GcmVerified;
use std::hint::black_box;
use std::ptr;
use std::time::Duration;

const SIZES: [usize; 4] = [256, 16 << 10, 1 << 20, 64 << 20];
const UPDATE: usize = 64 << 10;
/// Up to here a message is decrypted and verified in one pass.
const AT_ONCE: usize = 1024 + 64;
const KEY: [u8; 32] = [7; 32];

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    group
}

/// One EVP context, as thin as it gets.
struct Evp(*mut c::EVP_CIPHER_CTX);

impl Drop for Evp {
    fn drop(&mut self) {
        unsafe { c::EVP_CIPHER_CTX_free(self.0) }
    }
}

impl Evp {
    fn new(cipher: *const c::EVP_CIPHER, direction: Direction) -> Self {
        let encrypt = i32::from(direction == Direction::Encrypt);
        unsafe {
            let ctx = c::EVP_CIPHER_CTX_new();
            assert_eq!(
                1,
                c::EVP_CipherInit_ex(
                    ctx,
                    cipher,
                    ptr::null_mut(),
                    KEY.as_ptr(),
                    [0; 16].as_ptr(),
                    encrypt
                )
            );
            Evp(ctx)
        }
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) {
        let mut len = 0;
        unsafe {
            c::EVP_CipherInit_ex(
                self.0,
                ptr::null(),
                ptr::null_mut(),
                ptr::null(),
                [0; 16].as_ptr(),
                -1,
            );
            for (from, to) in input.chunks(UPDATE).zip(output.chunks_mut(UPDATE)) {
                c::EVP_CipherUpdate(
                    self.0,
                    to.as_mut_ptr(),
                    &mut len,
                    from.as_ptr(),
                    from.len() as i32,
                );
            }
        }
    }

    fn tag(&mut self) -> [u8; 16] {
        let (mut out, mut len) = ([0; 16], 0);
        unsafe {
            c::EVP_CipherFinal_ex(self.0, out.as_mut_ptr(), &mut len);
            c::EVP_CIPHER_CTX_ctrl(self.0, c::EVP_CTRL_AEAD_GET_TAG, 16, out.as_mut_ptr().cast());
        }
        out
    }
}

fn gcm(criterion: &mut Criterion) {
    for size in SIZES {
        gcm_encrypt(criterion, size);
        gcm_decrypt(criterion, size);
    }
}

fn gcm_encrypt(criterion: &mut Criterion, size: usize) {
    let plain = vec![1u8; size];
    let mut out = vec![0u8; size + 16];
    let mut group_ = group(criterion, &format!("aes-256-gcm-encrypt/{size}"));
    group_.throughput(Throughput::Bytes(size as u64));
    let mut evp = Evp::new(unsafe { c::EVP_aes_256_gcm() }, Direction::Encrypt);
    group_.bench_function("aws-lc", |b| {
        b.iter(|| {
            evp.run(&plain, &mut out[..size]);
            black_box(evp.tag())
        })
    });
    let mut ours = Gcm::new(&KEY).expect("key");
    group_.bench_function("emrkeys", |b| {
        b.iter(|| {
            ours.start(Direction::Encrypt, &[0; 12]).expect("iv");
            for (from, to) in plain.chunks(UPDATE).zip(out.chunks_mut(UPDATE)) {
                ours.update(from, to).expect("update");
            }
            ours.finish(&mut out[size..]).expect("finish");
        })
    });
    group_.bench_function("emrkeys-in-place", |b| {
        b.iter(|| {
            ours.start(Direction::Encrypt, &[0; 12]).expect("iv");
            for part in out[..size].chunks_mut(UPDATE) {
                ours.update_in_place(part).expect("update");
            }
            ours.finish(&mut out[size..]).expect("finish");
        })
    });
    {
        use aes_gcm::aead::{inout::InOutBuf, AeadInOut, KeyInit};
        let peer = aes_gcm::Aes256Gcm::new(&KEY.into());
        group_.bench_function("aes-gcm", |b| {
            b.iter(|| {
                let buffer = InOutBuf::new(&plain, &mut out[..size]).expect("sizes");
                black_box(
                    peer.encrypt_inout_detached(&[0; 12].into(), b"", buffer)
                        .expect("seal"),
                )
            })
        });
    }
    group_.bench_function("memcpy", |b| {
        b.iter(|| black_box(&mut out)[..size].copy_from_slice(black_box(&plain)))
    });
}

fn gcm_decrypt(criterion: &mut Criterion, size: usize) {
    let plain = vec![1u8; size];
    let mut out = vec![0u8; size + 16];
    let mut gcm = Gcm::new(&KEY).expect("key");
    let mut sealed = vec![0u8; size + 16];
    gcm.start(Direction::Encrypt, &[0; 12]).expect("iv");
    gcm.update(&plain, &mut sealed).expect("update");
    gcm.finish(&mut sealed[size..]).expect("finish");
    let mut group_ = group(criterion, &format!("aes-256-gcm-decrypt/{size}"));
    group_.throughput(Throughput::Bytes(size as u64));
    let mut evp = Evp::new(unsafe { c::EVP_aes_256_gcm() }, Direction::Decrypt);
    group_.bench_function("aws-lc", |b| {
        b.iter(|| evp.run(&sealed[..size], &mut out[..size]))
    });
    let mut opener = GcmOpener::new(&KEY).expect("key");
    group_.bench_function("emrkeys-streaming", |b| {
        b.iter(|| {
            opener.start(&[0; 12], 16).expect("iv");
            let mut at = 0;
            for part in sealed.chunks(UPDATE) {
                at += opener.update(part, &mut out[at..]).expect("update");
            }
            opener.finish().expect("tag");
        })
    });
    let mut verified = GcmVerified::new(&KEY, u64::MAX).expect("key");
    group_.bench_function("emrkeys-verified", |b| {
        b.iter(|| {
            verified.start(&[0; 12], 16).expect("iv");
            for part in sealed.chunks(UPDATE) {
                verified.hold(part).expect("hold");
            }
            verified.verify().expect("tag");
            verified.release(&mut out).expect("release")
        })
    });
    group_.bench_function("emrkeys-verified-at-once", |b| {
        b.iter(|| {
            verified.start(&[0; 12], 16).expect("iv");
            if sealed.len() <= AT_ONCE {
                out[..sealed.len()].copy_from_slice(&sealed);
                return verified
                    .open_whole(&mut out[..sealed.len()])
                    .expect("tag")
                    .expect("whole");
            }
            verified.hold(&sealed).expect("hold");
            verified.verify().expect("tag");
            verified.release(&mut out).expect("release")
        })
    });
}

fn ctr_(criterion: &mut Criterion) {
    for size in SIZES {
        let plain = vec![1u8; size];
        let mut out = vec![0u8; size];
        let mut group_ = group(criterion, &format!("aes-256-ctr/{size}"));
        group_.throughput(Throughput::Bytes(size as u64));
        let mut evp = Evp::new(unsafe { c::EVP_aes_256_ctr() }, Direction::Encrypt);
        group_.bench_function("aws-lc", |b| b.iter(|| evp.run(&plain, &mut out)));
        let mut ours = Ctr::new(&KEY).expect("key");
        group_.bench_function("emrkeys", |b| {
            b.iter(|| {
                ours.start(&[0; 16]).expect("iv");
                for (from, to) in plain.chunks(UPDATE).zip(out.chunks_mut(UPDATE)) {
                    ours.update(from, to).expect("update");
                }
            })
        });
        use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
        let mut peer = ctr::Ctr128BE::<aes::Aes256>::new(&KEY.into(), &[0; 16].into());
        group_.bench_function("ctr", |b| {
            b.iter(|| {
                peer.seek(0u64);
                peer.apply_keystream_b2b(&plain, &mut out)
            })
        });
    }
}

fn cbc_(criterion: &mut Criterion) {
    for size in SIZES {
        let plain = vec![1u8; size];
        let mut out = vec![0u8; size + 16];
        for (name, direction) in [("encrypt", Direction::Encrypt), ("decrypt", Direction::Decrypt)] {
            let mut group_ = group(criterion, &format!("aes-256-cbc-{name}/{size}"));
            group_.throughput(Throughput::Bytes(size as u64));
            let mut evp = Evp::new(unsafe { c::EVP_aes_256_cbc() }, direction);
            unsafe { c::EVP_CIPHER_CTX_set_padding(evp.0, 0) };
            group_.bench_function("aws-lc", |b| b.iter(|| evp.run(&plain, &mut out[..size])));
            let mut ours = Cbc::new(&KEY, Padding::None).expect("key");
            group_.bench_function("emrkeys", |b| {
                b.iter(|| {
                    ours.start(direction, &[0; 16]).expect("iv");
                    for (from, to) in plain.chunks(UPDATE).zip(out.chunks_mut(UPDATE)) {
                        ours.update(from, to).expect("update");
                    }
                })
            });
        }
    }
}

criterion_group!(benches, gcm, ctr_, cbc_);
criterion_main!(benches);
