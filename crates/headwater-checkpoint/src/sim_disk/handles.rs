//! The disk as a process uses it.

use std::io::{self, Write};
use std::path::Path;

use super::{Bytes, Inode, Names, Node, SimDisk};
use crate::disk::{Disk, DiskFile, Found, Listed, LockFile};

impl Disk for SimDisk {
    fn create_new(&self, path: &Path, _mode: u32) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.change(
            || format!("create {}", path.display()),
            |world| world.add(path, Node::File(Bytes::default())),
        )?;
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut world = self.alive()?;
        let inode = world.find(path)?;
        Ok(world.bytes_mut(inode)?.seen.clone())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(
            || format!("rename {} to {}", from.display(), to.display()),
            |world| world.rename(from, to),
        )
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(
            || format!("link {} as {}", from.display(), to.display()),
            |world| world.link(from, to),
        )
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        // Most temporary files are not there.
        self.alive()?.find(path)?;
        self.change(
            || format!("remove {}", path.display()),
            |world| world.unlink(path),
        )
    }

    fn create_folder(&self, path: &Path, _mode: u32) -> io::Result<()> {
        self.change(
            || format!("make folder {}", path.display()),
            |world| world.add(path, Node::Folder(Names::default())).map(drop),
        )
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change(
            || format!("sync folder {}", path.display()),
            |world| world.sync_folder(world.find(path)?),
        )
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let world = self.alive()?;
        let names = world.names(world.find(folder)?)?;
        let listed = names.seen.iter().map(|(name, inode)| Listed {
            name: name.clone(),
            is_folder: world.names(*inode).is_ok(),
        });
        Ok(listed.collect())
    }

    fn look_up(&self, path: &Path) -> io::Result<Found> {
        let world = self.alive()?;
        Ok(match world.nodes.get(world.find(path)?) {
            Some(Node::File(bytes)) => Found::File(bytes.seen.len() as u64),
            Some(Node::Folder(_)) => Found::Folder,
            None => Found::Other,
        })
    }

    fn lock(&self, path: &Path, _mode: u32) -> io::Result<Box<dyn LockFile>> {
        let found = self.alive()?.find(path);
        let inode = match found {
            Ok(inode) => inode,
            Err(_) => self.change(
                || format!("create {}", path.display()),
                |world| world.add(path, Node::File(Bytes::default())),
            )?,
        };
        let is_ours = self.alive()?.locks.insert(inode);
        let file = SimFile {
            disk: self.clone(),
            inode,
        };
        Ok(Box::new(SimLock { file, is_ours }))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl Write for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let inode = self.inode;
        self.disk.change(
            || format!("write {} bytes to file {inode}", bytes.len()),
            |world| {
                world.check_room()?;
                world.bytes_mut(inode)?.seen.extend_from_slice(bytes);
                Ok(bytes.len())
            },
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        let inode = self.inode;
        self.disk.change(
            || format!("sync file {inode}"),
            |world| world.sync_file(inode),
        )
    }
}

#[derive(Debug)]
struct SimLock {
    file: SimFile,
    is_ours: bool,
}

impl LockFile for SimLock {
    fn is_ours(&self) -> bool {
        self.is_ours
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut world = self.file.disk.alive()?;
        Ok(world.bytes_mut(self.file.inode)?.seen.clone())
    }

    fn rewrite(&mut self, bytes: &[u8]) -> io::Result<()> {
        let inode = self.file.inode;
        self.file.disk.change(
            || format!("cut file {inode}"),
            |world| {
                world.bytes_mut(inode)?.seen.clear();
                Ok(())
            },
        )?;
        self.file.write_all(bytes)?;
        self.file.sync()
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        if let Ok(mut world) = self.file.disk.alive()
            && self.is_ours
        {
            world.locks.remove(&self.file.inode);
        }
    }
}
