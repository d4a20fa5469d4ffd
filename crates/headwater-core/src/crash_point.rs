//! Places at which a test may kill the process: every gap between two durable steps.
//!
//! In builds with debug assertions, `HEADWATER_CRASH_AT=sink_prepared:3` stops the thread that
//! reaches a point for the third time, for good, after a line on stderr:
//!
//! ```text
//! crash point sink_prepared reached
//! ```
//!
//! The test kills the process then, from outside and with a signal that it cannot catch. With
//! `HEADWATER_CRASH_WHEN=FILE` it stops nowhere, and says `passed` of every point, until there is such
//! a file: so a test can wait for something else first. `HEADWATER_CRASH_AT=every` does so for good.
//! Release builds have none of this. (The crate `fail` was not taken: its points are switched on by a
//! feature, and the workspace is built with one set of features.)

use std::fmt;

macro_rules! crash_points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A gap between two durable steps, in the order in which an epoch comes by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum CrashPoint {
            $($(#[$doc])* $variant),+
        }

        impl CrashPoint {
            /// All of them.
            pub const ALL: &'static [CrashPoint] = &[$(CrashPoint::$variant),+];

            /// The name by which a test asks for it.
            pub fn name(self) -> &'static str {
                match self {
                    $(CrashPoint::$variant => $name),+
                }
            }
        }
    };
}

crash_points! {
    /// An epoch is decided in memory.
    BeforePlanWrite = "before_plan_write",
    /// Its record is on the disk under a temporary name.
    PlanTmpWritten = "plan_tmp_written",
    /// Its record has its name.
    PlanRenamed = "plan_renamed",
    /// A source has handed over a batch.
    MidRead = "mid_read",
    /// A sink has taken a batch.
    MidSinkWrite = "mid_sink_write",
    /// The sinks have made their rows durable.
    SinkPrepared = "sink_prepared",
    /// A file of what several epochs have staged is on the disk under a temporary name.
    MidGather = "mid_gather",
    /// A file of what several epochs have staged is whole, and others may follow.
    FileGathered = "file_gathered",
    /// The sinks have put together what the epochs of a commit have staged.
    SinkGathered = "sink_gathered",
    /// Changed state is on the disk under a temporary name.
    StateTmpWritten = "state_tmp_written",
    /// Changed state has its name.
    StateRenamed = "state_renamed",
    /// Everything is durable but the commit.
    BeforeCommitRecord = "before_commit_record",
    /// The commit that waits for the sink is on the disk.
    CommitPrepared = "commit_prepared",
    /// The sink's transaction is complete and not committed.
    BeforeTransactionCommit = "before_txn_commit",
    /// The sink's transaction is committed and nobody has written that down.
    TransactionCommittedNotRecorded = "txn_committed_not_recorded",
    /// The commit record is on the disk under a temporary name.
    CommitRecordTmp = "commit_record_tmp",
    /// The commit record has its name.
    CommitRecordRenamed = "commit_record_renamed",
    /// The epoch has happened and nobody sees it.
    BeforeFinish = "before_finish",
    /// A part of what the epoch wrote is visible.
    MidFinish = "mid_finish",
    /// All files of an epoch are visible and its manifest is not.
    BeforeManifest = "before_manifest",
    /// Old files are about to be deleted.
    BeforeCleanup = "before_cleanup",
    /// Some old files are deleted.
    MidCleanup = "mid_cleanup",
    /// A snapshot is on the disk under a temporary name.
    MidSnapshot = "mid_snapshot",
    /// A snapshot has its name and no commit refers to it.
    SnapshotRenamed = "snapshot_renamed",
    /// A new process has taken the checkpoint and published nothing yet.
    MidRecovery = "mid_recovery",
    /// A new process has published the last commit and not read its state.
    RecoveryPublished = "recovery_published",
    /// A query that was told to stop has run its last epoch.
    ShutdownDrain = "shutdown_drain",
    /// A query has read everything and committed it, and has not said so to its sinks.
    BeforeEnded = "before_ended",
}

impl CrashPoint {
    /// Says that the program is here. Does nothing, unless a test asked for this point.
    #[inline]
    pub fn reach(self) {
        #[cfg(debug_assertions)]
        armed::reach(self);
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::CrashPoint;

    const AT: &str = "HEADWATER_CRASH_AT";
    const WHEN: &str = "HEADWATER_CRASH_WHEN";
    const EVERY: &str = "every";

    enum Asked {
        /// To say all points.
        Every,
        /// To stop at one.
        Stop {
            name: String,
            left: AtomicU64,
            when: Option<PathBuf>,
        },
    }

    pub(super) fn reach(point: CrashPoint) {
        static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
        match ASKED.get_or_init(asked_for) {
            None => {}
            Some(Asked::Every) => say(point, "passed"),
            Some(Asked::Stop { name, left, when }) => {
                if when.as_ref().is_some_and(|file| !file.exists()) {
                    return say(point, "passed");
                }
                if name != point.name() || left.fetch_sub(1, Ordering::AcqRel) != 1 {
                    return;
                }
                say(point, "reached");
                loop {
                    std::thread::park();
                }
            }
        }
    }

    fn say(point: CrashPoint, what: &str) {
        // A test that cannot hear it fails by its time-out.
        let _ = writeln!(std::io::stderr(), "crash point {point} {what}");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "only a test's child process looks at these variables"
    )]
    fn asked_for() -> Option<Asked> {
        let text = std::env::var(AT).ok()?;
        if text == EVERY {
            return Some(Asked::Every);
        }
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Asked::Stop {
            name: name.to_string(),
            left: AtomicU64::new(times.parse().ok()?),
            when: std::env::var_os(WHEN).map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ() {
        let names: BTreeSet<&str> = CrashPoint::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), CrashPoint::ALL.len());
    }
}
