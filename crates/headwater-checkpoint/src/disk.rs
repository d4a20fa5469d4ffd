//! The few things that [`LocalFiles`](crate::LocalFiles) asks of a disk.
//!
//! Its protocol is right or wrong by the order of these calls. They stand behind a trait so that
//! the same protocol runs on the disk of this machine, and on one that loses power
//! ([`SimDisk`](crate::SimDisk)).

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A disk with POSIX's promises: what was written survives a loss of power once its file is
/// synced, and a name once its folder is.
pub trait Disk: Debug + Send + Sync {
    /// Makes a file that must not be there. The mode counts on unix only, here and below.
    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>>;
    /// All bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// A part of a file, shorter if the file ends before.
    fn read_part(&self, path: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.read(path)?;
        Ok(bytes.into_iter().skip(from).take(length).collect())
    }
    /// Moves a file over the one that may be at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must not be there.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes the name of a file away.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder in one that is there.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>>;
    /// What is at a path.
    fn look_up(&self, path: &Path) -> io::Result<Found>;
    /// Opens a file, making it if need be, and tries to take its advisory lock.
    fn lock(&self, path: &Path, mode: u32) -> io::Result<Box<dyn LockFile>>;
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: OsString,
    /// Whether it is that of a folder.
    pub is_folder: bool,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file of so many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// Something else.
    Other,
}

/// A file being written.
pub trait DiskFile: Write + Debug + Send {
    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file whose lock is held while this lives, if it was free.
pub trait LockFile: Debug + Send + Sync {
    /// Whether this process holds the lock.
    fn is_ours(&self) -> bool;
    /// What the file says.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Makes the file say something else, durably.
    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineDisk;

impl Disk for MachineDisk {
    fn create_new(&self, path: &Path, mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let file = new_file(mode).write(true).create_new(true).open(path)?;
        Ok(Box::new(file))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_part(&self, path: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place the lint sends others to"
    )]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    #[cfg_attr(
        not(unix),
        expect(unused_variables, reason = "modes are set on unix only")
    )]
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut, reason = "modes are set on unix only"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
        builder.create(path)
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match File::open(path).and_then(|f| f.sync_all()) {
            // Some file systems make names durable at once and refuse to be asked.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        }
    }

    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let entries = std::fs::read_dir(folder)?.map(|entry| {
            let entry = entry?;
            Ok(Listed {
                is_folder: entry.file_type()?.is_dir(),
                name: entry.file_name(),
            })
        });
        entries.collect()
    }

    fn look_up(&self, path: &Path) -> io::Result<Found> {
        let metadata = std::fs::metadata(path)?;
        Ok(match metadata.is_dir() {
            true => Found::Folder,
            false if metadata.is_file() => Found::File(metadata.len()),
            false => Found::Other,
        })
    }

    fn lock(&self, path: &Path, mode: u32) -> io::Result<Box<dyn LockFile>> {
        let file = new_file(mode)
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let is_ours = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(e)) => return Err(e),
        };
        Ok(Box::new(MachineLock { file, is_ours }))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Holds the operating system's lock, which ends with the file handle and so with the process.
#[derive(Debug)]
struct MachineLock {
    file: File,
    is_ours: bool,
}

impl LockFile for MachineLock {
    fn is_ours(&self) -> bool {
        self.is_ours
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(bytes)?;
        self.file.sync_all()
    }
}

#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "modes are set on unix only")
)]
fn new_file(mode: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options
}
