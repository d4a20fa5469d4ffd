//! Files in memory: for queries without a checkpoint, and for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::Result;
use parking_lot::Mutex;

use crate::file_store::{
    FileStore, FileWriter, check_folder, check_path, exists_already, nothing_to_rename,
};
use crate::lock::{LockGuard, LockOwner, held_by};

/// A [`FileStore`] in memory. Clones share their files, so that a test can open the store again
/// as a new process would.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    owner: Option<LockOwner>,
    last_owner: Option<LockOwner>,
}

impl MemoryFiles {
    /// A store without files.
    pub fn new() -> Self {
        Self::default()
    }
}

impl FileStore for MemoryFiles {
    fn describe(&self) -> String {
        "memory".to_string()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        check_path(path)?;
        Ok(self.shared.lock().files.get(path).cloned())
    }

    fn write_atomic(&self, path: &str, bytes: &[u8]) -> Result<()> {
        check_path(path)?;
        let mut shared = self.shared.lock();
        shared.files.insert(path.to_string(), bytes.to_vec());
        Ok(())
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<()> {
        check_path(path)?;
        let mut shared = self.shared.lock();
        if shared.files.contains_key(path) {
            return Err(exists_already(self, path));
        }
        shared.files.insert(path.to_string(), bytes.to_vec());
        Ok(())
    }

    fn create_file(&self, path: &str) -> Result<Box<dyn FileWriter>> {
        check_path(path)?;
        Ok(Box::new(MemoryWriter {
            files: self.clone(),
            path: path.to_string(),
            bytes: Vec::new(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_path(from)?;
        check_path(to)?;
        let mut shared = self.shared.lock();
        match shared.files.remove(from) {
            Some(bytes) => {
                shared.files.insert(to.to_string(), bytes);
                Ok(())
            }
            None if shared.files.contains_key(to) => Ok(()),
            None => Err(nothing_to_rename(self, from, to)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        check_folder(folder)?;
        let shared = self.shared.lock();
        let names = shared.files.keys().filter_map(|path| {
            let rest = below(folder, path)?;
            (!rest.contains('/')).then(|| rest.to_string())
        });
        Ok(names.collect())
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        check_folder(folder)?;
        let shared = self.shared.lock();
        let names = shared.files.keys().filter_map(|path| {
            let (name, _) = below(folder, path)?.split_once('/')?;
            Some(name.to_string())
        });
        let names: BTreeSet<String> = names.collect();
        Ok(names.into_iter().collect())
    }

    fn delete(&self, path: &str) -> Result<()> {
        check_path(path)?;
        self.shared.lock().files.remove(path);
        Ok(())
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        check_path(path)?;
        let shared = self.shared.lock();
        Ok(shared.files.get(path).map(|bytes| bytes.len() as u64))
    }

    // Only this process can reach the files, so there is nobody to fence.
    fn take_over(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.lock(owner)
    }

    fn holder(&self) -> Result<Option<LockOwner>> {
        Ok(self.shared.lock().owner.clone())
    }

    fn lock(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        let mut shared = self.shared.lock();
        if let Some(holder) = &shared.owner {
            return Err(held_by(&self.describe(), Some(holder)));
        }
        let owner = owner.after(shared.last_owner.as_ref());
        let guard = MemoryLock {
            files: self.clone(),
            token: owner.token,
        };
        shared.owner = Some(owner.clone());
        shared.last_owner = Some(owner);
        Ok(Box::new(guard))
    }
}

/// A path as it is below a folder; `None` if it is not.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    match folder {
        "" => Some(path),
        folder => path.strip_prefix(folder)?.strip_prefix('/'),
    }
}

#[derive(Debug)]
struct MemoryLock {
    files: MemoryFiles,
    token: u64,
}

impl LockGuard for MemoryLock {
    fn token(&self) -> u64 {
        self.token
    }

    /// Nobody takes it over: no other process can reach it.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.files.shared.lock().owner = None;
    }
}

#[derive(Debug)]
struct MemoryWriter {
    files: MemoryFiles,
    path: String,
    bytes: Vec<u8>,
}

impl FileWriter for MemoryWriter {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let MemoryWriter { files, path, bytes } = *self;
        files.shared.lock().files.insert(path, bytes);
        Ok(())
    }
}
