//! Looks at a folder before something is kept in it, and leaves it as it was.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use headwater_core::clock::Clock;
use headwater_core::{Error, Result};

use crate::lock::{LOCK_FILE, LockOwner};

/// What the probe writes: as much as the commit of a small epoch.
const PROBE: [u8; 4096] = [0; 4096];

/// What was found about a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderProbe {
    /// Whether it is there; if not, the rest is about the folder above it that is.
    pub exists: bool,
    /// How long a small file took to become durable.
    pub sync: Duration,
    /// Bytes that are left on its disk, if the system says.
    pub free_bytes: Option<u64>,
}

/// Who holds the lock of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process that has said who it is.
    Process(LockOwner),
    /// Nobody knows who.
    Unknown,
}

/// Looks at a folder.
///
/// # Errors
/// Resource if nothing can be written there, with the operating system's reason.
pub fn probe_folder(folder: &Path, clock: &dyn Clock) -> Result<FolderProbe> {
    let failed = |path: &Path, error: io::Error| {
        Error::resource(format!("cannot write into \"{}\": {error}", path.display()))
            .with_source(error)
    };
    let folder = std::path::absolute(folder).map_err(|e| failed(folder, e))?;
    let there = folder.ancestors().find(|path| path.exists());
    let there = there.map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    let sync = timed_write(&there, clock).map_err(|e| failed(&there, e))?;
    Ok(FolderProbe {
        exists: there == folder,
        sync,
        free_bytes: free_bytes(&there),
    })
}

/// Who holds the lock in a folder, without taking it; `None` if it is free or not there.
///
/// # Errors
/// Resource if that cannot be found out.
pub fn lock_holder(folder: &Path) -> Result<Option<Holder>> {
    let lock = folder.join(LOCK_FILE);
    holder_of(&lock).map_err(|error| {
        Error::resource(format!("cannot look at \"{}\": {error}", lock.display()))
            .with_source(error)
    })
}

fn timed_write(folder: &Path, clock: &dyn Clock) -> io::Result<Duration> {
    let path = folder.join(format!(".headwater-probe-{}", std::process::id()));
    let started = clock.elapsed();
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(&PROBE)?;
            file.sync_all()
        });
    let took = clock.elapsed().saturating_sub(started);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }?;
    Ok(took)
}

/// Who holds a lock, without taking it: it is shared for a moment with whoever else looks.
fn holder_of(lock: &Path) -> io::Result<Option<Holder>> {
    let mut file = match File::open(lock) {
        Ok(file) => file,
        // Below a file there is no lock either.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut written = Vec::new();
            file.read_to_end(&mut written)?;
            let owner = LockOwner::decode(&written);
            Ok(Some(owner.map_or(Holder::Unknown, Holder::Process)))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// What `df` says, which every Unix has.
fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().nth(1)?;
    // File system, blocks, used, available, capacity, mounted on; the first may hold spaces.
    let numbers: Vec<u64> = line
        .split_whitespace()
        .filter_map(|w| w.parse().ok())
        .collect();
    numbers.get(2).map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use headwater_core::clock::SystemClock;

    use super::*;
    use crate::file_store::FileStore;
    use crate::local_files::LocalFiles;

    #[test]
    fn a_folder_is_left_as_it_was() {
        let clock = SystemClock::new();
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a/b");
        let found = probe_folder(&missing, &clock).unwrap();
        assert!(!found.exists);
        assert_eq!(lock_holder(&missing).unwrap(), None);
        let found = probe_folder(folder.path(), &clock).unwrap();
        assert!(found.exists);
        assert!(found.free_bytes.is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_holder_of_a_lock_is_named_and_not_disturbed() {
        let clock = SystemClock::new();
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::try_new(folder.path()).unwrap();
        let guard = files.lock(&LockOwner::this_process(&clock)).unwrap();
        let found = lock_holder(folder.path()).unwrap();
        let Some(Holder::Process(owner)) = found else {
            panic!("{found:?}");
        };
        assert_eq!(owner.pid, std::process::id());
        drop(guard);
        assert_eq!(lock_holder(folder.path()).unwrap(), None);
    }

    #[test]
    fn a_place_that_takes_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        assert!(probe_folder(&file.join("below"), &SystemClock::new()).is_err());
    }
}
