//! Kernels of our own, where they were measured to beat the backend.

#[cfg(target_arch = "x86_64")]
pub(crate) mod vaes;
