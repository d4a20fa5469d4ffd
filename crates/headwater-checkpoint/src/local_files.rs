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

use headwater_core::Result;
use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Found, Listed, MachineDisk};
use crate::file_store::{
    FileStore, FileWriter, check_folder, check_path, exists_already, finished_name, is_temp_name,
    nothing_to_rename, temp_name,
};
use crate::lock::{LockGuard, LockOwner};

mod failure;
mod lock;
mod owner;
mod step;

use failure::{io_error, is_full, write_error};
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

    /// Names of what is directly in a folder, sorted. A folder that does not exist is empty.
    fn names_in(&self, folder: &str, is_wanted: fn(&Listed) -> bool) -> Result<Vec<String>> {
        check_folder(folder)?;
        let path = self.root.join(folder);
        let listed = match self.disk.list(&path) {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", "folder", &path, &e)),
        };
        let wanted = listed.into_iter().filter(is_wanted);
        // A name that is not UTF-8 is not one of ours.
        let names = wanted.filter_map(|listed| listed.name.into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
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
        let mut names = self.names_in(folder, |listed| !listed.is_folder)?;
        names.retain(|name| !is_temp_name(name));
        Ok(names)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.names_in(folder, |listed| listed.is_folder)
    }

    fn delete(&self, path: &str) -> Result<()> {
        let path = self.at(path)?;
        self.lock.check()?;
        self.remove(&path)
    }

    fn remove_unfinished(&self, folder: &str, is_ours: &dyn Fn(&str) -> bool) -> Result<()> {
        self.lock.check()?;
        let mut unfinished = self.names_in(folder, |listed| !listed.is_folder)?;
        unfinished.retain(|name| finished_name(name).is_some_and(is_ours));
        let path = self.root.join(folder);
        let mut unfinished = unfinished.iter();
        unfinished.try_for_each(|name| self.remove(&path.join(name)))
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
    fn unfinished_files_are_removed_by_the_name_they_were_to_have() {
        let folder = tempfile::tempdir().unwrap();
        let files = LocalFiles::try_new(folder.path()).unwrap();
        files.write_atomic("a/ours-1", b"whole").unwrap();
        for name in [".ours-2.tmp", ".other.tmp", "ours-3.tmp"] {
            let mut torn = std::fs::File::create(folder.path().join("a").join(name)).unwrap();
            torn.write_all(b"torn").unwrap();
        }
        let is_ours = |name: &str| name.starts_with("ours-");
        files.remove_unfinished("a", &is_ours).unwrap();
        files.remove_unfinished("missing", &is_ours).unwrap();
        let listed = std::fs::read_dir(folder.path().join("a")).unwrap();
        let mut names: Vec<_> = listed.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".other.tmp", "ours-1", "ours-3.tmp"]);
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
}
