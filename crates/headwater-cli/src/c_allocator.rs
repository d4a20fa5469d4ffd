//! How the allocator of the C library treats what librdkafka frees.
//!
//! librdkafka allocates every message and every answer of a broker with `malloc`, and frees them a
//! fraction of a second later. glibc gives what is free at the end of a heap back to the system
//! from 128 KiB on: the system cleared the same pages again and again, a sixth to a quarter of the
//! processor time of a simple query (`docs/decisions/0029-what-c-frees-is-kept.md`).
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the allocator of C is told by a call of C")
)]

/// What may stay free at the end of a heap: several times what librdkafka may fetch ahead by default,
/// because it takes several times the bytes of small messages.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: i32 = 64 << 20;
/// The largest block that comes from a heap; glibc takes no more than this.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAP_BLOCK_BYTES_MAX: i32 = 32 << 20;
/// With this variable a user tells glibc what it should do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Lets it keep memory between the messages of a moment and those of the next. To be called before
/// another thread is there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {
    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    // SAFETY: `mallopt` may be called at any time and takes two numbers; one that it does not like it
    // leaves out.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX);
    }
}

/// Other C libraries have no such bound.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Blocks that glibc has mapped one by one.
    fn mapped_blocks() -> usize {
        // SAFETY: it takes nothing and gives numbers.
        unsafe { libc::mallinfo2() }.hblks
    }

    #[test]
    fn an_answer_of_a_broker_comes_from_a_heap() {
        keep_freed_memory();
        let before = mapped_blocks();
        // SAFETY: the block is not used, and given back below.
        let block = unsafe { libc::malloc(8 << 20) };
        assert!(!block.is_null());
        assert_eq!(mapped_blocks(), before);
        // SAFETY: the block came from `malloc` and is given back once.
        unsafe { libc::free(block) };
    }
}
