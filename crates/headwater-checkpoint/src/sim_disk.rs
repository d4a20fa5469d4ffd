//! A disk in memory that dies and loses power.
//!
//! Of every file and every folder it keeps what a program sees and what would survive:
//!
//! ```text
//!              what a program sees       what survives                   how the one becomes the other
//! file         bytes                     bytes, in pages of 4 KiB        sync of the file
//! folder       names                     names, and changes since        sync of the folder
//! ```
//!
//! [`SimDisk::power_loss`] keeps, drops or tears each page that differs, and keeps or loses each
//! change of a name, in any combination that POSIX allows: a rename happens or does not, and a
//! file that moves to another folder is in one of them at least.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

mod handles;
mod loss;

const PAGE: usize = 4096;
/// What a disk writes whole.
const SECTOR: usize = 512;

/// A number of a file or folder; 0 is the root.
type Inode = usize;
/// What changes together or not at all.
type Group = u64;

/// What the disk promises and does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lies {
    /// The sync of a file does nothing.
    pub about_files: bool,
    /// The sync of a folder does nothing.
    pub about_folders: bool,
}

/// A [`Disk`] in memory, as one process sees it. [`SimDisk::kill`] ends that process: its handles
/// fail from then on, and [`SimDisk::next_process`] gives the next one a handle.
#[derive(Debug, Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    process: u64,
}

#[derive(Debug)]
struct World {
    nodes: Vec<Node>,
    process: u64,
    operations: u64,
    /// The operation at which the process dies, and whether that has its effect.
    death: Option<(u64, bool)>,
    is_full: bool,
    lies: Lies,
    groups: Group,
    locks: BTreeSet<Inode>,
    trace: Option<Vec<String>>,
}

#[derive(Debug)]
enum Node {
    File(Bytes),
    Folder(Names),
}

#[derive(Debug, Default)]
struct Bytes {
    seen: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct Names {
    seen: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
    changes: Vec<Change>,
}

/// A name that is to stand for something else, or for nothing.
#[derive(Debug, Clone)]
struct Change {
    group: Group,
    name: OsString,
    inode: Option<Inode>,
    /// Where a file went that left this folder: its name there cannot be lost alone.
    moved_to: Option<Inode>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(lies: Lies) -> Self {
        let world = World {
            nodes: vec![Node::Folder(Names::default())],
            process: 0,
            operations: 0,
            death: None,
            is_full: false,
            lies,
            groups: 0,
            locks: BTreeSet::new(),
            trace: None,
        };
        SimDisk {
            world: Arc::new(Mutex::new(world)),
            process: 0,
        }
    }

    /// Ends the process. What it wrote is seen by the next one, synced or not.
    pub fn kill(&self) {
        self.world.lock().kill();
    }

    /// Ends the process and takes everything that is not durable, or some of it: `dice(n)` gives
    /// a number below `n`.
    pub fn power_loss(&self, dice: &mut dyn FnMut(u64) -> u64) {
        let mut world = self.world.lock();
        world.kill();
        world.note("power is lost");
        world.lose(dice);
    }

    /// The disk for the next process.
    pub fn next_process(&self) -> SimDisk {
        SimDisk {
            world: Arc::clone(&self.world),
            process: self.world.lock().process,
        }
    }

    /// Lets the process die at the `nth` change from now, counted from 1, before it has its effect
    /// or after.
    pub fn die_at(&self, nth: u64, has_effect: bool) {
        let mut world = self.world.lock();
        world.death = Some((world.operations + nth, has_effect));
    }

    /// Whether the process of this handle has ended.
    pub fn is_dead(&self) -> bool {
        self.world.lock().process != self.process
    }

    /// Whether there is no room for another byte.
    pub fn set_full(&self, is_full: bool) {
        self.world.lock().is_full = is_full;
    }

    /// How many changes were begun.
    pub fn operations(&self) -> u64 {
        self.world.lock().operations
    }

    /// Lets every change be noted from now on.
    pub fn start_trace(&self) {
        self.world.lock().trace = Some(vec![]);
    }

    /// The changes since this was asked last.
    pub fn take_trace(&self) -> Vec<String> {
        let mut world = self.world.lock();
        world.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world.lock();
        match world.process == self.process {
            true => Ok(world),
            false => Err(dead()),
        }
    }

    /// Makes one change, in which the process may die.
    fn change<T>(
        &self,
        what: impl FnOnce() -> String,
        make: impl FnOnce(&mut World) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.alive()?;
        world.operations += 1;
        let number = world.operations;
        let death = world.death.filter(|(at, _)| *at == number);
        if world.trace.is_some() {
            let end = match death {
                None => "",
                Some((_, true)) => ", and the process dies",
                Some((_, false)) => ": the process dies before it",
            };
            let line = format!("disk {number}: {}{end}", what());
            world.note(&line);
        }
        let Some((_, has_effect)) = death else {
            return make(&mut world);
        };
        if has_effect {
            drop(make(&mut world));
        }
        world.kill();
        Err(dead())
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead (simulated)")
}

fn not_found() -> io::Error {
    ErrorKind::NotFound.into()
}

impl World {
    fn kill(&mut self) {
        self.process += 1;
        self.death = None;
        self.locks.clear();
    }

    fn note(&mut self, line: &str) {
        if let Some(trace) = &mut self.trace {
            trace.push(line.to_string());
        }
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = 0;
        for part in path.components() {
            if let Component::Normal(name) = part {
                inode = *(self.names(inode)?.seen.get(name)).ok_or_else(not_found)?;
            }
        }
        Ok(inode)
    }

    fn folder_of(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
        let folder = self.find(path.parent().unwrap_or_else(|| Path::new("/")))?;
        self.names(folder)?;
        Ok((folder, name.to_os_string()))
    }

    fn names(&self, inode: Inode) -> io::Result<&Names> {
        match self.nodes.get(inode) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn names_mut(&mut self, inode: Inode) -> io::Result<&mut Names> {
        match self.nodes.get_mut(inode) {
            Some(Node::Folder(names)) => Ok(names),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn bytes_mut(&mut self, inode: Inode) -> io::Result<&mut Bytes> {
        match self.nodes.get_mut(inode) {
            Some(Node::File(bytes)) => Ok(bytes),
            _ => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn check_room(&self) -> io::Result<()> {
        match self.is_full {
            true => Err(ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn next_group(&mut self) -> Group {
        self.groups += 1;
        self.groups
    }

    /// Makes a node under a name that must not be there.
    fn add(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        self.check_room()?;
        let (folder, name) = self.folder_of(path)?;
        if self.names(folder)?.seen.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        let inode = self.nodes.len() - 1;
        let group = self.next_group();
        self.names_mut(folder)?.set(group, name, Some(inode), None);
        Ok(inode)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, old) = self.folder_of(from)?;
        let (target, new) = self.folder_of(to)?;
        let inode = *(self.names(source)?.seen.get(&old)).ok_or_else(not_found)?;
        if self.names(target)?.seen.get(&new) == Some(&inode) {
            // Two names of one file: POSIX does nothing.
            return Ok(());
        }
        let group = self.next_group();
        let moved_to = (source != target).then_some(target);
        self.names_mut(target)?.set(group, new, Some(inode), None);
        self.names_mut(source)?.set(group, old, None, moved_to);
        Ok(())
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_room()?;
        let inode = self.find(from)?;
        let (folder, name) = self.folder_of(to)?;
        if self.names(folder)?.seen.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let group = self.next_group();
        self.names_mut(folder)?.set(group, name, Some(inode), None);
        Ok(())
    }

    fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.folder_of(path)?;
        if !self.names(folder)?.seen.contains_key(&name) {
            return Err(not_found());
        }
        let group = self.next_group();
        self.names_mut(folder)?.set(group, name, None, None);
        Ok(())
    }

    fn sync_folder(&mut self, folder: Inode) -> io::Result<()> {
        if self.lies.about_folders {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.names_mut(folder)?.changes);
        for change in changes {
            if let Some(target) = change.moved_to {
                self.names_mut(target)?.keep_up_to(change.group);
            }
            self.names_mut(folder)?.keep(&change);
        }
        Ok(())
    }

    fn sync_file(&mut self, inode: Inode) -> io::Result<()> {
        if !self.lies.about_files {
            let bytes = self.bytes_mut(inode)?;
            bytes.durable.clone_from(&bytes.seen);
        }
        Ok(())
    }
}

impl Names {
    fn set(&mut self, group: Group, name: OsString, inode: Option<Inode>, moved: Option<Inode>) {
        match inode {
            Some(inode) => self.seen.insert(name.clone(), inode),
            None => self.seen.remove(&name),
        };
        self.changes.push(Change {
            group,
            name,
            inode,
            moved_to: moved,
        });
    }

    fn keep(&mut self, change: &Change) {
        match change.inode {
            Some(inode) => self.durable.insert(change.name.clone(), inode),
            None => self.durable.remove(&change.name),
        };
    }

    /// Makes the changes up to a group durable.
    fn keep_up_to(&mut self, group: Group) {
        let (kept, left) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.group <= group);
        self.changes = left;
        let kept: Vec<Change> = kept;
        kept.iter().for_each(|change| self.keep(change));
    }
}

#[cfg(test)]
mod tests;
