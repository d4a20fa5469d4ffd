//! The lock of a folder: taking it, taking it over, and looking whether it is still there.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use headwater_core::Result;

use super::{LocalFiles, io_error, is_file, sync_folder};
use crate::disk::{Disk, LockFile};
use crate::file_store::{FileStore, temp_name};
use crate::lock::{LOCK_FILE, LockGuard, LockOwner, by, held_by, taken_over};

/// What becomes of an owner that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfHeld {
    /// It keeps the lock.
    Refuse,
    /// It is fenced.
    Fence,
}

/// The lock that was taken through a store and its clones, while it is held.
#[derive(Debug, Clone, Default)]
pub(super) struct TakenLock(Arc<Mutex<Weak<LocalLock>>>);

impl TakenLock {
    /// Whether the store may change files.
    ///
    /// # Errors
    /// Conflict if another process has taken over the lock.
    pub(super) fn check(&self) -> Result<()> {
        let lock = self.0.lock().upgrade();
        lock.map_or(Ok(()), |lock| lock.check())
    }
}

/// Holds the lock of the file.
#[derive(Debug)]
struct LocalLock {
    _file: Box<dyn LockFile>,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    folder: String,
    token: u64,
}

impl LocalLock {
    fn check(&self) -> Result<()> {
        let bytes = self.disk.read(&self.path);
        let bytes = bytes.map_err(|e| io_error("read", "file", &self.path, &e))?;
        match LockOwner::decode(&bytes) {
            Some(owner) if owner.token == self.token => Ok(()),
            other => Err(taken_over(&self.folder, other.as_ref())),
        }
    }
}

/// What an owner holds; the store itself only looks.
#[derive(Debug)]
struct LocalGuard(Arc<LocalLock>);

impl LockGuard for LocalGuard {
    fn token(&self) -> u64 {
        self.0.token
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl LocalFiles {
    /// Who has the lock; it is taken to see whether it is free, and given back at once.
    pub(super) fn lock_holder(&self) -> Result<Option<LockOwner>> {
        let path = self.lock_folder.join(LOCK_FILE);
        let failed = |e: &io::Error| io_error("lock", "file", &path, e);
        if !is_file(&*self.disk, &path) {
            return Ok(None);
        }
        let mode = self.readers.file_mode();
        let mut file = self.disk.lock(&path, mode).map_err(|e| failed(&e))?;
        if file.is_ours() {
            return Ok(None);
        }
        Ok(LockOwner::decode(&file.read().map_err(|e| failed(&e))?))
    }

    pub(super) fn take_lock(
        &self,
        owner: &LockOwner,
        if_held: IfHeld,
    ) -> Result<Box<dyn LockGuard>> {
        let path = self.lock_folder.join(LOCK_FILE);
        let failed = |e: &io::Error| io_error("lock", "file", &path, e);
        let mode = self.readers.file_mode();
        let mut file = self.disk.lock(&path, mode).map_err(|e| failed(&e))?;
        let written = file.read().map_err(|e| failed(&e))?;
        let previous = LockOwner::decode(&written);
        let next = owner.after(previous.as_ref());
        if file.is_ours() {
            file.rewrite(&next.encode()?).map_err(|e| failed(&e))?;
        } else {
            let is_the_same_query = previous.as_ref().is_none_or(|p| p.query == owner.query);
            if if_held == IfHeld::Refuse || !is_the_same_query {
                return Err(held_by(&self.describe(), previous.as_ref()));
            }
            // Written and locked before it takes its place: nobody finds it free. Of two that take
            // over at a time, each has a file of its own.
            let temp = temp_name(&format!("{LOCK_FILE}.{}", next.pid));
            let temp = self.lock_folder.join(temp);
            self.remove(&temp)?;
            file = self.disk.lock(&temp, mode).map_err(|e| failed(&e))?;
            file.rewrite(&next.encode()?).map_err(|e| failed(&e))?;
            let named = self.disk.rename(&temp, &path);
            named.map_err(|e| failed(&e))?;
            sync_folder(&*self.disk, &self.lock_folder)?;
            let (folder, from) = (self.describe(), by(previous.as_ref()));
            tracing::warn!("folder \"{folder}\" was taken from {from}");
        }
        let lock = Arc::new(LocalLock {
            _file: file,
            disk: Arc::clone(&self.disk),
            path,
            folder: self.describe(),
            token: next.token,
        });
        // A third process may have been faster; its file has the name then.
        lock.check()?;
        *self.lock.0.lock() = Arc::downgrade(&lock);
        // The owner before may have died between naming a file and syncing its folder. What is
        // decided by that name from here on must not outlive it.
        self.sync_names(&self.lock_folder)?;
        Ok(Box::new(LocalGuard(lock)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;

    use headwater_core::ErrorKind;
    use headwater_core::clock::ManualClock;
    use headwater_core::event_time::EventTime;
    use headwater_core::id::QueryId;

    use super::*;

    fn owner() -> LockOwner {
        LockOwner::this_process(&ManualClock::new(EventTime(5)))
    }

    fn files(folder: &Path) -> LocalFiles {
        LocalFiles::try_new(folder).unwrap()
    }

    #[test]
    fn who_was_taken_over_changes_nothing_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (files(folder.path()), files(folder.path()));
        let fenced = first.lock(&owner()).unwrap();
        first.write_atomic("a/x", b"one").unwrap();
        // It hangs while it writes: the bytes are there, the name is not.
        let mut hanging = first.clone().create_file("a/y").unwrap();
        hanging.write_all(b"one").unwrap();
        assert!(second.lock(&owner()).is_err());
        let guard = second.take_over(&owner()).unwrap();
        assert!(guard.token() > fenced.token());
        guard.check().unwrap();
        let mut written = second.create_file("a/y").unwrap();
        written.write_all(b"two").unwrap();

        let errors = [
            fenced.check(),
            hanging.finish(),
            first.write_atomic("a/x", b"three"),
            first.create_new("a/z", b"three"),
            first.create_file("a/x").map(drop),
            first.rename("a/x", "a/z"),
            first.delete("a/x"),
        ];
        for (n, done) in errors.into_iter().enumerate() {
            let error = done.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{n}");
            let by = format!("was taken over by process {} on host", std::process::id());
            assert!(error.message().contains(&by), "{n}: {error}");
        }
        // What the second is writing has not been taken for the first's, or removed with it.
        written.finish().unwrap();
        assert_eq!(second.read("a/y").unwrap().unwrap(), b"two");
        assert_eq!(second.read("a/x").unwrap().unwrap(), b"one");
        assert_eq!(second.list("a").unwrap(), ["x", "y"]);
        assert_eq!(second.list("").unwrap(), [LOCK_FILE]);

        // The new lock is one as any other.
        assert!(first.lock(&owner()).is_err());
        drop(fenced);
        assert!(files(folder.path()).lock(&owner()).is_err());
        drop(guard);
        first.lock(&owner()).unwrap();
    }

    #[test]
    fn a_folder_is_taken_over_by_the_query_that_has_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let claim = |query: &str| {
            let files = files(folder.path()).with_lock_in("own").unwrap();
            files.take_over(&owner().of_query(QueryId::new(query)))
        };
        let first = claim("a").unwrap();
        let error = claim("b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        first.check().unwrap();
        let second = claim("a").unwrap();
        assert!(first.check().is_err());
        second.check().unwrap();
        drop(second);
        claim("b").unwrap();
    }

    #[test]
    fn a_lock_file_that_is_gone_or_not_ones_own_stops_the_owner() {
        let folder = tempfile::tempdir().unwrap();
        let store = files(folder.path());
        let _guard = store.lock(&owner()).unwrap();
        let lock = folder.path().join(LOCK_FILE);
        for text in ["", "someone was here"] {
            let mut file = File::create(&lock).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let error = store.write_atomic("x", b"").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{text}");
        }
        std::fs::remove_file(&lock).unwrap();
        let error = store.write_atomic("x", b"").unwrap_err();
        assert!(error.message().contains("cannot read file"), "{error}");
        assert_eq!(store.read("x").unwrap(), None);
    }
}
