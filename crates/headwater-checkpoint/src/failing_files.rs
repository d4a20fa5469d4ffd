//! A test double that fails, or dies, at a chosen step of a run.
//!
//! Every durable step of headwater is one *mutating operation* of a [`FileStore`]: `write_atomic`,
//! `create_new`, `create_file`, its `finish`, `rename`, `delete`. Counted from 1, they are the
//! places at which a run can be cut, before the operation takes effect or after it.

use std::sync::Arc;

use headwater_core::{Error, Result};
use parking_lot::Mutex;

use crate::file_store::{FileStore, FileWriter};
use crate::lock::{LockGuard, LockOwner};

/// Where and how a run is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number of the mutating operation, from 1.
    pub at: u64,
    /// Before or after its effect.
    pub moment: CutMoment,
    /// What happens to later operations.
    pub kind: CutKind,
}

/// On which side of an operation's effect a run is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutMoment {
    /// The operation has no effect.
    BeforeEffect,
    /// The operation has its effect, but its caller does not learn of it.
    AfterEffect,
}

/// What a cut does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutKind {
    /// Every later operation fails too, reads included: the process is dead.
    Crash,
    /// The operation fails once; later ones succeed.
    Error,
}

/// A [`FileStore`] that passes everything on to another one until it is cut.
#[derive(Debug)]
pub struct FailingFiles<F> {
    inner: F,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    operations: u64,
    cut: Option<Cut>,
    /// The process dies before a file under this folder comes into being.
    fatal_folder: Option<String>,
    is_crashed: bool,
}

impl<F: FileStore> FailingFiles<F> {
    /// A store that does not fail, only counts.
    pub fn new(inner: F) -> Self {
        FailingFiles {
            inner,
            state: Arc::default(),
        }
    }

    /// A store that will be cut.
    pub fn cut_at(inner: F, cut: Cut) -> Self {
        let files = Self::new(inner);
        files.set_cut(Some(cut));
        files
    }

    /// Changes where the store will be cut. The count goes on.
    pub fn set_cut(&self, cut: Option<Cut>) {
        self.state.lock().cut = cut;
    }

    /// Lets the process die before the next file is created in `folder`, wherever in the run that
    /// is: `commits` is the moment at which an epoch has run and has not happened.
    pub fn crash_before(&self, folder: &str) {
        self.state.lock().fatal_folder = Some(folder.to_string());
    }

    /// How many mutating operations were begun.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Whether the store has crashed.
    pub fn is_crashed(&self) -> bool {
        self.state.lock().is_crashed
    }

    fn alive(&self) -> Result<&F> {
        check_alive(&self.state)?;
        Ok(&self.inner)
    }
}

fn check_alive(state: &Mutex<State>) -> Result<()> {
    if state.lock().is_crashed {
        Err(Error::checkpoint("the file store has crashed (injected)"))
    } else {
        Ok(())
    }
}

/// A mutating operation, for messages and to know it again.
struct Operation<'a> {
    name: &'static str,
    path: &'a str,
}

impl Operation<'_> {
    fn creates_in(&self, folder: &str) -> bool {
        let rest = self.path.strip_prefix(folder);
        self.name == "create_new" && rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Runs one mutating operation, cutting it if its turn has come.
fn mutate<T>(
    state: &Mutex<State>,
    operation: &Operation<'_>,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    check_alive(state)?;
    let (number, cut) = {
        let mut state = state.lock();
        state.operations += 1;
        let number = state.operations;
        let fatal = state.fatal_folder.as_deref();
        let death = fatal.filter(|f| operation.creates_in(f)).map(|_| Cut {
            at: number,
            moment: CutMoment::BeforeEffect,
            kind: CutKind::Crash,
        });
        let cut = death.or_else(|| state.cut.filter(|cut| cut.at == number));
        state.is_crashed |= cut.is_some_and(|cut| cut.kind == CutKind::Crash);
        (number, cut)
    };
    match cut {
        None => return run(),
        Some(cut) if cut.moment == CutMoment::AfterEffect => drop(run()?),
        Some(_) => {}
    }
    let Operation { name, path } = operation;
    Err(Error::checkpoint(format!(
        "operation {number} failed (injected): {name} \"{path}\""
    )))
}

impl<F: FileStore> FileStore for FailingFiles<F> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.alive()?.read(path)
    }

    fn read_part(&self, path: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        self.alive()?.read_part(path, offset, length)
    }

    fn write_atomic(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let operation = Operation {
            name: "write_atomic",
            path,
        };
        mutate(&self.state, &operation, || {
            self.inner.write_atomic(path, bytes)
        })
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let operation = Operation {
            name: "create_new",
            path,
        };
        mutate(&self.state, &operation, || {
            self.inner.create_new(path, bytes)
        })
    }

    fn create_file(&self, path: &str) -> Result<Box<dyn FileWriter>> {
        let operation = Operation {
            name: "create_file",
            path,
        };
        let inner = mutate(&self.state, &operation, || self.inner.create_file(path))?;
        Ok(Box::new(FailingWriter {
            inner,
            state: Arc::clone(&self.state),
            path: path.to_string(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let operation = Operation {
            name: "rename",
            path: from,
        };
        mutate(&self.state, &operation, || self.inner.rename(from, to))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.alive()?.list(folder)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.alive()?.folders(folder)
    }

    fn delete(&self, path: &str) -> Result<()> {
        let operation = Operation {
            name: "delete",
            path,
        };
        mutate(&self.state, &operation, || self.inner.delete(path))
    }

    fn remove_unfinished(&self, folder: &str, is_ours: &dyn Fn(&str) -> bool) -> Result<()> {
        self.alive()?.remove_unfinished(folder, is_ours)
    }

    fn size(&self, path: &str) -> Result<Option<u64>> {
        self.alive()?.size(path)
    }

    fn lock(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.alive()?.lock(owner)
    }

    fn take_over(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>> {
        self.alive()?.take_over(owner)
    }

    fn holder(&self) -> Result<Option<LockOwner>> {
        self.alive()?.holder()
    }
}

#[derive(Debug)]
struct FailingWriter {
    inner: Box<dyn FileWriter>,
    state: Arc<Mutex<State>>,
    path: String,
}

impl FileWriter for FailingWriter {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        check_alive(&self.state)?;
        self.inner.write_all(bytes)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let FailingWriter { inner, state, path } = *self;
        let operation = Operation {
            name: "finish",
            path: &path,
        };
        mutate(&state, &operation, || inner.finish())
    }
}
