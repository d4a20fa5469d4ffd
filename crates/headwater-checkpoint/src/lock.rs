//! Who runs a checkpoint: one process at a time.
//!
//! The file `lock` is never removed. On a local disk the process that runs the query holds the
//! operating system's advisory lock on it, which ends with the process however that ends:
//!
//! ```text
//! headwater lock v1 - <length> <crc32c>
//! {"pid":4711,"host":"db1","started_at":1767225600000000,"token":1767225600000000}
//! ```
//!
//! A process that hangs keeps its advisory lock. It can be fenced: another one puts a file of its
//! own, with a higher token, in the place of the lock file, and the first looks there for its token
//! before every change of a file and finds another.
//!
//! ```text
//! first    lock (token 7) ─ epoch 41 ─ … hangs … ─ epoch 42? the token is 8: Conflict
//! second                                  └ lock (token 8) ─ epoch 42 ─▶
//! ```
//!
//! Between the look and the change a process may hang too. Records of epochs and of commits are
//! created and never replaced, so of two that were decided one is refused; what is replaced, state
//! and hidden results, is written again as the record of its epoch says.

use std::fmt::Debug;

use headwater_core::clock::Clock;
use headwater_core::event_time::EventTime;
use headwater_core::id::QueryId;
use headwater_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::record::{RecordKind, decode_json, encode_json};

/// Name of the lock file.
pub(crate) const LOCK_FILE: &str = "lock";

/// A taken lock; dropping it gives it back.
pub trait LockGuard: Debug + Send + Sync {
    /// A number greater than that of every owner before.
    fn token(&self) -> u64;

    /// Looks whether this owner still has the lock.
    ///
    /// # Errors
    /// [`headwater_core::ErrorKind::Conflict`] naming who has taken it over.
    fn check(&self) -> Result<()>;
}

/// The owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    /// Number of the process.
    pub pid: u32,
    /// Name of the machine.
    pub host: String,
    /// When the lock was asked for.
    pub started_at: EventTime,
    /// Fencing token; the store sets it when it gives the lock.
    pub token: u64,
    /// The query for which the lock is held, if other queries may ask for it: that of a folder of
    /// results. Only the same query may take it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<QueryId>,
}

impl LockOwner {
    /// This process.
    pub fn this_process(clock: &dyn Clock) -> Self {
        // Linux only: elsewhere the message does without, as the environment is not read here.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        LockOwner {
            pid: std::process::id(),
            host: host.trim().to_string(),
            started_at: clock.now(),
            token: 0,
            query: None,
        }
    }

    /// This process, for a query.
    pub fn of_query(self, query: QueryId) -> Self {
        LockOwner {
            query: Some(query),
            ..self
        }
    }

    /// This owner with a token after that of `previous`. Taken from the clock, so that tokens
    /// keep growing even if the file was lost.
    pub(crate) fn after(&self, previous: Option<&LockOwner>) -> LockOwner {
        let from_clock = u64::try_from(self.started_at.0).unwrap_or(0);
        let from_previous = previous.map_or(1, |p| p.token.saturating_add(1));
        LockOwner {
            token: from_clock.max(from_previous),
            ..self.clone()
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        encode_json(RecordKind::Lock, None, self)
    }

    /// `None` if the file is new, or was cut short while its owner wrote it.
    pub(crate) fn decode(bytes: &[u8]) -> Option<LockOwner> {
        decode_json(RecordKind::Lock, None, LOCK_FILE, bytes).ok()
    }
}

/// The error of a lock that is held by someone else.
pub(crate) fn held_by(store: &str, owner: Option<&LockOwner>) -> Error {
    let by = by(owner);
    Error::conflict(format!("checkpoint \"{store}\" is in use by {by}"))
        .with_detail("If that process hangs, --takeover takes the checkpoint from it.")
        .with_hint("Stop that process, or give this query a checkpoint folder of its own.")
}

/// The error of a lock that someone else has taken over.
pub(crate) fn taken_over(store: &str, owner: Option<&LockOwner>) -> Error {
    let by = by(owner);
    Error::conflict(format!("folder \"{store}\" was taken over by {by}"))
        .with_detail("This process has written nothing since.")
        .with_hint("Nothing is left to do here: the query goes on there.")
}

/// Who an owner is, in words.
pub(crate) fn by(owner: Option<&LockOwner>) -> String {
    match owner {
        Some(owner) => format!(
            "process {} on host \"{}\" since {}",
            owner.pid, owner.host, owner.started_at
        ),
        None => "another process".to_string(),
    }
}
