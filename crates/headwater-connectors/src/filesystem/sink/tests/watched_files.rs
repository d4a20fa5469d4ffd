//! A store that notes who writes and how much is read, and whose files can be kept from being
//! finished.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::ThreadId;

use headwater_checkpoint::{FileStore, FileWriter, LockGuard, LockOwner, MemoryFiles};
use headwater_core::{Error, Result};
use parking_lot::Mutex;

/// Files in memory that are watched. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchedFiles {
    pub(super) files: MemoryFiles,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    bytes_read: AtomicU64,
    writers: Mutex<HashSet<ThreadId>>,
    finishing: AtomicU64,
    finished: AtomicU64,
    /// Every file waits here before it is finished, until the other end is gone.
    gate: Mutex<Option<Receiver<()>>>,
    /// So many reads of parts more work.
    reads_left: Mutex<Option<u64>>,
}

impl WatchedFiles {
    /// Lets so many reads of parts work, and then none, until the store is mended.
    pub(super) fn fail_after_reads(&self, reads: Option<u64>) {
        *self.seen.reads_left.lock() = reads;
    }

    /// How many bytes were read by parts.
    pub(super) fn bytes_read(&self) -> u64 {
        self.seen.bytes_read.load(Ordering::Acquire)
    }

    /// The threads that wrote to files or finished them.
    pub(super) fn writers(&self) -> HashSet<ThreadId> {
        self.seen.writers.lock().clone()
    }

    /// How many files somebody has begun to finish, and how many of these are finished.
    pub(super) fn finishes(&self) -> (u64, u64) {
        let finished = self.seen.finished.load(Ordering::Acquire);
        (self.seen.finishing.load(Ordering::Acquire), finished)
    }

    /// Keeps files from being finished until the other end of `gate` is gone.
    pub(super) fn hold_back(&self, gate: Receiver<()>) {
        *self.seen.gate.lock() = Some(gate);
    }
}

impl FileStore for WatchedFiles {
    fn describe(&self) -> String {
        self.files.describe()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.files.read(path)
    }

    fn read_part(&self, path: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        if let Some(left) = &mut *self.seen.reads_left.lock() {
            let Some(less) = left.checked_sub(1) else {
                return Err(Error::resource("the store does not answer").that_may_pass());
            };
            *left = less;
        }
        let part = self.files.read_part(path, offset, length)?;
        let bytes = part.as_ref().map_or(0, Vec::len) as u64;
        self.seen.bytes_read.fetch_add(bytes, Ordering::AcqRel);
        Ok(part)
    }

    fn write_atomic(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.files.write_atomic(path, bytes)
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.files.create_new(path, bytes)
    }

    fn create_file(&self, path: &str) -> Result<Box<dyn FileWriter>> {
        Ok(Box::new(WatchedWriter {
            inner: self.files.create_file(path)?,
            seen: Arc::clone(&self.seen),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.files.rename(from, to)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.files.list(folder)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.files.folders(folder)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.files.delete(path)
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        self.files.size(path)
    }

    fn lock(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.files.lock(owner)
    }

    fn take_over(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.files.take_over(owner)
    }

    fn holder(&self) -> Result<Option<LockOwner>> {
        self.files.holder()
    }
}

#[derive(Debug)]
struct WatchedWriter {
    inner: Box<dyn FileWriter>,
    seen: Arc<Seen>,
}

impl WatchedWriter {
    fn note(&self) {
        let writer = std::thread::current().id();
        self.seen.writers.lock().insert(writer);
    }
}

impl FileWriter for WatchedWriter {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.note();
        self.inner.write_all(bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.note();
        self.seen.finishing.fetch_add(1, Ordering::AcqRel);
        if let Some(gate) = &*self.seen.gate.lock() {
            // An error says that the other end is gone, which is what is waited for.
            let _ = gate.recv();
        }
        let WatchedWriter { inner, seen } = *self;
        let result = inner.finish();
        seen.finished.fetch_add(1, Ordering::AcqRel);
        result
    }
}
