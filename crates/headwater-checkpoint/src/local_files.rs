//! Files in a folder of a local disk.
//!
//! A file is written under a temporary name, synced, renamed, and then its folder is synced:
//!
//! ```text
//! .00000042.json.tmp  write ─ fsync ─ rename ─▶ 00000042.json ─ fsync of the folder
//! ```
//!
//! A crash leaves at most a temporary file. It is never opened again: the next writer removes it
//! first, because after a crash it may be a second name of the finished file.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_core::{Error, Result};
use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Found, MachineDisk};
use crate::file_store::{
    FileStore, FileWriter, check_folder, check_path, exists_already, is_temp_name,
    nothing_to_rename, temp_name,
};
use crate::lock::{LockGuard, LockOwner};

mod lock;
mod owner;
mod step;

use lock::{IfHeld, TakenLock};
use step::{Step, reach};

/// A [`FileStore`] in a folder.
#[derive(Debug, Clone)]
pub struct LocalFiles {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    readers: Readers,
    /// Folders that are known to be durable in their parents.
    durable: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// The folder of the lock.
    lock_folder: PathBuf,
    /// The lock that was taken through this store: every change looks whether it still holds.
    lock: TakenLock,
}

/// Who may read what a [`LocalFiles`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The user who made it: folders have the mode 0700 and files 0600. For checkpoints.
    Owner,
    /// Whom the process's umask lets. For results.
    ByUmask,
}

impl Readers {
    fn folder_mode(self) -> u32 {
        match self {
            Readers::Owner => 0o700,
            Readers::ByUmask => 0o777,
        }
    }

    fn file_mode(self) -> u32 {
        match self {
            Readers::Owner => 0o600,
            Readers::ByUmask => 0o666,
        }
    }
}

impl LocalFiles {
    /// Opens a folder for its owner alone, making it if need be.
    ///
    /// # Errors
    /// Checkpoint or Resource, with the operating system's reason.
    pub fn try_new(root: &Path) -> Result<Self> {
        Self::readable_by(Readers::Owner, root)
    }

    /// Opens a folder, making it if need be.
    ///
    /// # Errors
    /// Checkpoint or Resource, with the operating system's reason.
    pub fn readable_by(readers: Readers, root: &Path) -> Result<Self> {
        let files = Self::on_disk(Arc::new(MachineDisk), readers, root)?;
        if readers == Readers::Owner {
            owner::check(&files.root)?;
        }
        Ok(files)
    }

    /// Opens a folder of a disk, making it if need be.
    ///
    /// # Errors
    /// Checkpoint or Resource, with the disk's reason.
    pub fn on_disk(disk: Arc<dyn Disk>, readers: Readers, root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|e| io_error("use", "folder", root, &e))?;
        let files = LocalFiles {
            disk,
            lock_folder: root.clone(),
            root,
            readers,
            durable: Arc::default(),
            lock: TakenLock::default(),
        };
        files.create_folder(&files.root)?;
        Ok(files)
    }

    /// Keeps the lock in a folder below the root, where it is not among the files.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn with_lock_in(self, folder: &str) -> Result<Self> {
        check_path(folder)?;
        let lock_folder = self.root.join(folder);
        self.create_folder(&lock_folder)?;
        Ok(LocalFiles {
            lock_folder,
            ..self
        })
    }

    fn at(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }

    fn writer(&self, path: &str) -> Result<LocalWriter> {
        let target = self.at(path)?;
        self.lock.check()?;
        let folder = target.parent().unwrap_or(&self.root).to_path_buf();
        self.ensure_folder(&folder)?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let temp = folder.join(temp_name(name));
        self.remove(&temp)?;
        let mode = self.readers.file_mode();
        let file =
            (self.disk.create_new(&temp, mode)).map_err(|e| write_error("create", &temp, 0, &e))?;
        Ok(LocalWriter {
            bytes: 0,
            disk: Arc::clone(&self.disk),
            file: BufWriter::with_capacity(64 * 1024, file),
            temp,
            target,
            folder,
            lock: self.lock.clone(),
            is_named: false,
        })
    }

    /// Makes folders below the root, and not the root: if that has been taken away, whatever it
    /// held is gone and a fresh one would hide the loss.
    fn ensure_folder(&self, folder: &Path) -> Result<()> {
        if !is_folder(&*self.disk, &self.root) {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            return Err(io_error("find", "folder", &self.root, &gone));
        }
        self.create_folder(folder)
    }

    /// Makes a folder and those above it, each durable in its parent.
    fn create_folder(&self, path: &Path) -> Result<()> {
        if is_folder(&*self.disk, path) {
            return self.settle_folder(path);
        }
        let parent = path.parent();
        if let Some(parent) = parent {
            self.create_folder(parent)?;
        }
        match self.disk.create_folder(path, self.readers.folder_mode()) {
            Ok(()) => parent.map_or(Ok(()), |parent| sync_folder(&*self.disk, parent)),
            // Another thread was faster.
            Err(_) if is_folder(&*self.disk, path) => Ok(()),
            Err(e) if is_full(&e) => Err(write_error("create", path, 0, &e)),
            Err(e) => Err(io_error("create", "folder", path, &e)),
        }
    }

    /// Makes a folder durable that is there: who made it may have died before that.
    fn settle_folder(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        if self.durable.lock().contains(path) {
            return Ok(());
        }
        match sync_folder(&*self.disk, parent) {
            // Above the root is what others have made, and may be closed to this user.
            Err(_) if !parent.starts_with(&self.root) => {}
            synced => synced?,
        }
        self.durable.lock().insert(path.to_path_buf());
        Ok(())
    }

    /// Makes every name in a folder durable, and in those below it.
    fn sync_names(&self, folder: &Path) -> Result<()> {
        sync_folder(&*self.disk, folder)?;
        let listed = self.disk.list(folder);
        let listed = listed.map_err(|e| io_error("list", "folder", folder, &e))?;
        for below in listed.iter().filter(|listed| listed.is_folder) {
            self.sync_names(&folder.join(&below.name))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(io_error("delete", "file", path, &e))
            }
            _ => Ok(()),
        }
    }
}

impl FileStore for LocalFiles {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.at(path)?;
        match self.disk.read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", "file", &path, &e)),
        }
    }

    fn read_part(&self, path: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        let path = self.at(path)?;
        match self.disk.read_part(&path, offset, length) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", "file", &path, &e)),
        }
    }

    fn write_atomic(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut writer = Box::new(self.writer(path)?);
        writer.write_all(bytes)?;
        writer.finish()
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut writer = self.writer(path)?;
        writer.write_all(bytes)?;
        if writer.finish_new()? {
            Ok(())
        } else {
            Err(exists_already(self, path))
        }
    }

    fn create_file(&self, path: &str) -> Result<Box<dyn FileWriter>> {
        Ok(Box::new(self.writer(path)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, target) = (self.at(from)?, self.at(to)?);
        let source_folder = source.parent().unwrap_or(&self.root);
        let target_folder = target.parent().unwrap_or(&self.root);
        self.lock.check()?;
        self.ensure_folder(target_folder)?;
        match self.disk.rename(&source, &target) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !is_file(&*self.disk, &target) {
                    return Err(nothing_to_rename(self, from, to));
                }
            }
            Err(e) => return Err(write_error("rename", &source, 0, &e)),
        }
        reach(Step::Named, &target);
        // Synced also when the move was made before: that process may have died before syncing.
        sync_folder(&*self.disk, target_folder)?;
        if source_folder != target_folder && is_folder(&*self.disk, source_folder) {
            sync_folder(&*self.disk, source_folder)?;
        }
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        check_folder(folder)?;
        let path = self.root.join(folder);
        let listed = match self.disk.list(&path) {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", "folder", &path, &e)),
        };
        let files = listed.into_iter().filter(|listed| !listed.is_folder);
        // A name that is not UTF-8 is not one of ours.
        let names = files.filter_map(|file| file.name.into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !is_temp_name(name)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&self, path: &str) -> Result<()> {
        let path = self.at(path)?;
        self.lock.check()?;
        self.remove(&path)
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        let path = self.at(path)?;
        match self.disk.look_up(&path) {
            Ok(Found::File(bytes)) => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", "file", &path, &e)),
        }
    }

    fn lock(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.take_lock(owner, IfHeld::Refuse)
    }

    fn holder(&self) -> Result<Option<LockOwner>> {
        self.lock_holder()
    }

    fn take_over(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.take_lock(owner, IfHeld::Fence)
    }
}

/// A file under its temporary name.
#[derive(Debug)]
struct LocalWriter {
    /// How many bytes it was given.
    bytes: u64,
    disk: Arc<dyn Disk>,
    file: BufWriter<Box<dyn DiskFile>>,
    temp: PathBuf,
    target: PathBuf,
    folder: PathBuf,
    lock: TakenLock,
    is_named: bool,
}

impl LocalWriter {
    /// What is written after a takeover gets no name: a process may have hung while it wrote.
    fn sync(&mut self) -> Result<()> {
        self.file
            .flush()
            .and_then(|()| self.file.get_mut().sync())
            .map_err(|e| write_error("write", &self.target, self.bytes, &e))?;
        reach(Step::Written, &self.target);
        self.lock.check()
    }

    /// Lets the file appear unless there is one already; says whether it did. A link fails if its
    /// target exists, which a rename does not, so that of two processes only one can win.
    fn finish_new(mut self) -> Result<bool> {
        self.sync()?;
        let linked = match self.disk.hard_link(&self.temp, &self.target) {
            // Not every file system has links. The lock keeps other processes away there.
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists && !self.is_there() => {
                self.disk.rename(&self.temp, &self.target)
            }
            linked => linked,
        };
        match linked {
            Ok(()) => {
                reach(Step::Named, &self.target);
                sync_folder(&*self.disk, &self.folder).map(|()| true)
            }
            Err(e) => {
                // Who has taken over may have removed the file before it had its name.
                self.lock.check()?;
                match self.is_there() {
                    true => Ok(false),
                    false => Err(write_error("create", &self.target, self.bytes, &e)),
                }
            }
        }
    }

    fn is_there(&self) -> bool {
        self.disk.look_up(&self.target).is_ok()
    }
}

impl FileWriter for LocalWriter {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(|e| write_error("write", &self.target, self.bytes, &e))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.sync()?;
        if let Err(e) = self.disk.rename(&self.temp, &self.target) {
            self.lock.check()?;
            return Err(write_error("create", &self.target, self.bytes, &e));
        }
        self.is_named = true;
        reach(Step::Named, &self.target);
        sync_folder(&*self.disk, &self.folder)
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        // The next writer would remove it. After a takeover, that one has the name already.
        if !self.is_named && self.lock.check().is_ok() {
            let _ = self.disk.remove_file(&self.temp);
        }
    }
}

fn is_folder(disk: &dyn Disk, path: &Path) -> bool {
    matches!(disk.look_up(path), Ok(Found::Folder))
}

fn is_file(disk: &dyn Disk, path: &Path) -> bool {
    matches!(disk.look_up(path), Ok(Found::File(_)))
}

fn sync_folder(disk: &dyn Disk, folder: &Path) -> Result<()> {
    disk.sync_folder(folder)
        .map_err(|e| write_error("sync", folder, 0, &e))
}

/// What to do about a full disk.
const ROOM: &str = "Free some disk space, then start the query again: it goes on where it was. With \
                    `restart.attempts` it tries by itself.";
/// The disk could not do it (EIO).
const IO: i32 = 5;

/// Whether there is no room, which there may be later.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A failure to write something; `bytes` is what it was to hold, if it is a file with a content.
fn write_error(action: &str, path: &Path, bytes: u64, error: &io::Error) -> Error {
    let size = match bytes {
        0 => String::new(),
        bytes => format!(" of {bytes} bytes"),
    };
    let message = format!("cannot {action} \"{}\"{size}: {error}", path.display());
    match error.kind() {
        _ if is_full(error) => Error::resource(message).that_may_pass().with_hint(ROOM),
        io::ErrorKind::PermissionDenied => Error::resource(message).with_hint(
            "Give this user the right to write there, then start the query again: it goes on \
             where it was.",
        ),
        io::ErrorKind::ReadOnlyFilesystem => Error::resource(message).with_hint(
            "The file system takes no writes, as it does after an error of its disk. Look at the \
             system log; when it can be written again, the query goes on where it was.",
        ),
        _ if cfg!(unix) && error.raw_os_error() == Some(IO) => Error::resource(message).with_hint(
            "The disk failed. Look at the system log; copy the folder to another disk if need be: \
             the query goes on after the last epoch that is whole.",
        ),
        _ => io_error(action, "file", path, error),
    }
}

/// Too many open files, in this process or on this machine.
const OUT_OF_HANDLES: [i32; 2] = [24, 23];

fn io_error(action: &str, kind: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {action} {kind} \"{}\": {error}", path.display());
    let is_out_of_handles = error
        .raw_os_error()
        .is_some_and(|code| OUT_OF_HANDLES.contains(&code));
    if cfg!(unix) && is_out_of_handles {
        return Error::resource(message).with_hint("Raise the limit of open files (ulimit -n).");
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::resource(message).that_may_pass().with_hint(ROOM)
        }
        io::ErrorKind::FileTooLarge | io::ErrorKind::OutOfMemory => Error::resource(message)
            .with_hint("Raise the limit, then start the query again: it goes on where it was."),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::checkpoint(message).with_hint(
                "Give this user the right to read and write the folder, or choose another folder.",
            )
        }
        io::ErrorKind::NotFound => Error::checkpoint(message)
            .with_hint("Was the folder moved or deleted while the query ran? Put it back."),
        _ => Error::checkpoint(message).with_hint("Check the disk and the folder."),
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;

    #[test]
    fn left_over_temporary_files_are_neither_seen_nor_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::try_new(folder.path()).unwrap();
        files.create_new("a/x", b"one").unwrap();
        // A crash between the link and the removal of the temporary name leaves both.
        let temp = folder.path().join("a/.x.tmp");
        std::fs::hard_link(folder.path().join("a/x"), &temp).unwrap();
        assert_eq!(files.list("a").unwrap(), ["x"]);
        assert_eq!(
            files.create_new("a/x", b"two").unwrap_err().kind(),
            ErrorKind::Conflict
        );
        assert_eq!(files.read("a/x").unwrap().unwrap(), b"one");
        files.write_atomic("a/x", b"three").unwrap();
        assert_eq!(files.read("a/x").unwrap().unwrap(), b"three");
        assert!(!temp.exists());
    }

    #[test]
    fn a_vanished_root_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::try_new(&folder.path().join("root")).unwrap();
        std::fs::remove_dir(folder.path().join("root")).unwrap();
        let error = files.create_new("a/x", b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(error.message().contains("root"), "{error}");
        assert!(!folder.path().join("root").exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::try_new(&folder.path().join("root")).unwrap();
        files.write_atomic("a/x", b"secret").unwrap();
        for (path, mode) in [("root", 0o700), ("root/a", 0o700), ("root/a/x", 0o600)] {
            let metadata = std::fs::metadata(folder.path().join(path)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
        }
    }

    #[test]
    fn what_keeps_a_file_from_being_written_is_told_with_its_size() {
        for (code, may_pass) in [
            (28, true),
            (122, true),
            (30, false),
            (5, false),
            (13, false),
        ] {
            let failed = io::Error::from_raw_os_error(code);
            let error = write_error("write", Path::new("/x/y"), 4096, &failed);
            assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
            let begins = "cannot write \"/x/y\" of 4096 bytes: ";
            assert!(error.message().starts_with(begins), "{error}");
            assert_eq!(error.may_pass(), may_pass, "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_full_disk_is_a_matter_of_resources() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = io_error("write", "file", Path::new("/x/y"), &full);
        assert_eq!(error.kind(), ErrorKind::Resource);
        assert!(error.message().starts_with("cannot write file \"/x/y\": "));
        assert!(error.hint().is_some());
    }
}
