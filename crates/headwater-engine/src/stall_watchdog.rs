//! Notices that a query makes no progress, and says what waits for what.
//!
//! It runs in a task of its own: an epoch that hangs cannot say so. Progress is a batch further
//! than any try of the epoch has come, a further step of the epoch, or an epoch. A query that has
//! nothing to do does not stall; one whose source holds records and does not hand them out does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use headwater_core::Error;
use headwater_core::event_time::EventTime;

use crate::activity::{Activity, Look};

/// What a query that makes no progress waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StallReason {
    /// A source: to say how far it can be read, or to hand out rows.
    Source,
    /// A sink: to take rows, to make them durable, or to commit them.
    Sink,
    /// The epoch itself: its operators, or the checkpoint.
    Epoch,
}

impl fmt::Display for StallReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StallReason::Source => "source",
            StallReason::Sink => "sink",
            StallReason::Epoch => "epoch",
        })
    }
}

/// A query makes no progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// What it waits for.
    pub reason: StallReason,
    /// What waits for what, for a person: `epoch 7 waits for rows of source "orders"`.
    pub waiting: String,
    /// When it last made progress.
    pub since: EventTime,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no progress since {}: {}", self.since, self.waiting)
    }
}

impl Stall {
    /// The failure of a query whose policy is to fail. It may pass when it is opened again.
    pub(crate) fn into_error(self) -> Error {
        let message = self.waiting.clone();
        let error = match self.reason {
            StallReason::Source => Error::source_failed(message),
            StallReason::Sink => Error::sink_failed(message),
            StallReason::Epoch => Error::resource(message).that_may_pass(),
        };
        error
            .with_detail(format!("There was no progress since {}.", self.since))
            .with_hint(
                "`stall-timeout` says how long that may be, and `stall-action` = 'warn' lets the \
                 query wait.",
            )
    }
}

/// What is done about a query that makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StallAction {
    /// It is warned of, and goes on waiting.
    #[default]
    Warn,
    /// It fails, for a reason that may pass.
    Fail,
}

/// How long a query may be without progress, and what is done then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StallPolicy {
    /// How long; `None` for ever.
    pub timeout: Option<Duration>,
    /// What is done.
    pub action: StallAction,
}

impl Default for StallPolicy {
    /// A minute; a warning.
    fn default() -> Self {
        StallPolicy {
            timeout: Some(Duration::from_secs(60)),
            action: StallAction::Warn,
        }
    }
}

/// Watches a query until it is dropped.
pub(crate) async fn watch(activity: Arc<Activity>, policy: StallPolicy) {
    let Some(timeout) = policy.timeout else {
        return;
    };
    let mut changes = activity.changes();
    loop {
        match activity.look(timeout) {
            Look::Again(after) => activity.clock().sleep(after).await,
            Look::NothingToDo | Look::Stalled => {
                // The sender is in `activity`.
                let _ = changes.changed().await;
            }
        }
    }
}
