//! How far a file of a checkpoint has come, for tests that kill the process there.

use std::path::Path;

use headwater_core::crash_point::CrashPoint;

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Its bytes are on the disk, under a temporary name.
    Written,
    /// It has its name.
    Named,
}

/// Says which crash point of an epoch a step is, if it is one.
pub(super) fn reach(step: Step, target: &Path) {
    if !cfg!(debug_assertions) {
        return;
    }
    let names = |path: &Path| {
        path.file_name()
            .and_then(|n| n.to_str())
            .map(str::to_string)
    };
    let (Some(folder), Some(name)) = (target.parent().and_then(names), names(target)) else {
        return;
    };
    let (written, named) = match folder.as_str() {
        "epochs" => (CrashPoint::PlanTmpWritten, CrashPoint::PlanRenamed),
        "commits" => (CrashPoint::CommitRecordTmp, CrashPoint::CommitRecordRenamed),
        "state" if name.ends_with(".snapshot") => {
            (CrashPoint::MidSnapshot, CrashPoint::SnapshotRenamed)
        }
        "state" => (CrashPoint::StateTmpWritten, CrashPoint::StateRenamed),
        _ => return,
    };
    match step {
        Step::Written => written.reach(),
        Step::Named => named.reach(),
    }
}
