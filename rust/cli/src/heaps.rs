//! The heaps of glibc's allocator.

/// Has all threads share two heaps. By default they get up to eight for each core, and each heap keeps the most that it
/// ever held: pieces of large objects would stay in all of them. Source: `M_ARENA_MAX` of mallopt(3).
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, and reads and writes no memory of ours.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
