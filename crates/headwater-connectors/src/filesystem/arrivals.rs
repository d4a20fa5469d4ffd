//! The order in which files came: every file has a number, given once and kept in the query's
//! checkpoint.
//!
//! ```text
//! folder ── list ──▶ pending (by time, name) ── journal ──▶ known: file 0, file 1, …
//! ```
//!
//! A number is durable before anyone hears of it, so an epoch that is run again reads the same
//! files, whatever has come since. A file that is written to after it has its number is not read
//! again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use headwater_core::clock::Clock;
use headwater_core::source::SourceJournal;
use headwater_core::{Error, Result};

use super::folder::{FileEntry, Input};
use super::reader::check_unread;

/// The files of an input in the order of their numbers. Its calls block.
#[derive(Debug)]
pub(super) struct Arrivals {
    input: Input,
    journal: Arc<dyn SourceJournal>,
    clock: Arc<dyn Clock>,
    poll_interval: Duration,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    known: Vec<FileEntry>,
    names: HashSet<String>,
    pending: VecDeque<FileEntry>,
    listed_at: Option<Duration>,
}

impl Arrivals {
    /// Arrivals that are kept in `journal`; nothing is read yet.
    pub(super) fn new(
        input: Input,
        journal: Arc<dyn SourceJournal>,
        clock: Arc<dyn Clock>,
        poll_interval: Duration,
    ) -> Self {
        Arrivals {
            input,
            journal,
            clock,
            poll_interval,
            state: Mutex::new(None),
        }
    }

    /// Where the files are.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    /// Gives numbers to new files until `most` have one, and says how many have.
    pub(super) fn number_up_to(&self, most: u64) -> Result<u64> {
        let mut state = self.state.lock();
        let state = self.loaded(&mut state)?;
        if (state.known.len() as u64) < most {
            self.refresh(state)?;
            let missing = most - state.known.len() as u64;
            self.number(state, missing)?;
        }
        Ok(state.known.len() as u64)
    }

    /// Whether there is a file that has the number `number` or could get it.
    pub(super) fn has(&self, number: u64) -> Result<bool> {
        let mut state = self.state.lock();
        let state = self.loaded(&mut state)?;
        if (state.known.len() + state.pending.len()) as u64 <= number {
            self.refresh(state)?;
        }
        Ok((state.known.len() + state.pending.len()) as u64 > number)
    }

    /// The files `[start, end)`.
    ///
    /// # Errors
    /// Data loss if the journal does not reach as far as the checkpoint counts on.
    pub(super) fn range(&self, start: usize, end: usize) -> Result<Vec<FileEntry>> {
        let mut state = self.state.lock();
        let state = self.loaded(&mut state)?;
        let files = state.known.get(start..end).map(<[FileEntry]>::to_vec);
        files.ok_or_else(|| {
            Error::data_loss(format!(
                "the checkpoint counts on files {start} to {end}, but knows of {} files only",
                state.known.len()
            ))
            .with_hint("Restore the checkpoint as a whole, or start with a new one.")
        })
    }

    /// Whether the files that have a number from `first` on are still what they were.
    ///
    /// # Errors
    /// Data loss, naming the first that is gone or was written to.
    pub(super) fn check_unread(&self, first: u64) -> Result<()> {
        let mut state = self.state.lock();
        let state = self.loaded(&mut state)?;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let unread = state.known.iter().skip(first);
        for entry in unread {
            check_unread(&self.input.path_of(entry), entry)?;
        }
        Ok(())
    }

    fn loaded<'a>(&self, state: &'a mut Option<State>) -> Result<&'a mut State> {
        let loaded = match state.take() {
            Some(loaded) => loaded,
            None => State::load(self.journal.as_ref())?,
        };
        Ok(state.insert(loaded))
    }

    /// Lists the input if nothing is pending or the listing has become old.
    fn refresh(&self, state: &mut State) -> Result<()> {
        let now = self.clock.elapsed();
        let is_fresh = state
            .listed_at
            .is_some_and(|at| now.saturating_sub(at) < self.poll_interval);
        if is_fresh && !state.pending.is_empty() {
            return Ok(());
        }
        let found = self.input.list()?;
        let is_new = |entry: &FileEntry| !state.names.contains(&entry.path);
        state.pending = found.into_iter().filter(is_new).collect();
        state.listed_at = Some(now);
        Ok(())
    }

    fn number(&self, state: &mut State, most: u64) -> Result<()> {
        let count = usize::try_from(most).unwrap_or(usize::MAX);
        let count = state.pending.len().min(count);
        if count == 0 {
            return Ok(());
        }
        let lines: Vec<String> = state
            .pending
            .iter()
            .take(count)
            .map(serde_json::to_string)
            .collect::<Result<_, _>>()
            .map_err(|e| Error::internal("could not write a journal entry").with_source(e))?;
        self.journal.append(&lines)?;
        for entry in state.pending.drain(..count) {
            state.names.insert(entry.path.clone());
            state.known.push(entry);
        }
        Ok(())
    }
}

impl State {
    fn load(journal: &dyn SourceJournal) -> Result<Self> {
        let known: Vec<FileEntry> = journal
            .entries()?
            .iter()
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_str(line).map_err(|error| {
                    let message = format!("entry {number} of the list of files is damaged");
                    Error::checkpoint(message).with_source(error)
                })
            })
            .collect::<Result<_>>()?;
        Ok(State {
            names: known.iter().map(|entry| entry.path.clone()).collect(),
            known,
            pending: VecDeque::new(),
            listed_at: None,
        })
    }
}
