//! What is said of a recovery: how far it is once it takes a while, and how long it took.

use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::{Checkpoint, CommitRecord, LoadProgress, LoadedState};
use headwater_core::Result;
use headwater_core::clock::Clock;

/// A recovery that takes longer is told of as it goes on, as often as this.
const SLOW: Duration = Duration::from_secs(1);

/// The lines about one recovery.
#[derive(Debug)]
pub(crate) struct RecoveryLog {
    query: String,
    clock: Arc<dyn Clock>,
    started: Duration,
}

impl RecoveryLog {
    pub(crate) fn start(query: &str, clock: Arc<dyn Clock>) -> Self {
        RecoveryLog {
            query: query.to_string(),
            started: clock.elapsed(),
            clock,
        }
    }

    /// Reads the state of a commit and tells of it.
    pub(crate) fn load_state(
        &self,
        checkpoint: &Checkpoint,
        commit: &CommitRecord,
    ) -> Result<LoadedState> {
        let (mut newest, mut told) = (LoadProgress::default(), Duration::ZERO);
        let state = checkpoint.load_state_watched(commit, &mut |progress| {
            newest = *progress;
            let taken = self.taken();
            if taken.saturating_sub(told) >= SLOW && progress.files < progress.all_files {
                told = taken;
                self.tell_slow(&read_so_far(progress));
            }
        })?;
        let taken = self.taken();
        let summary = read_at_last(&newest, taken);
        if taken >= SLOW {
            self.tell_slow(&summary);
        } else {
            tracing::info!(query = %self.query, "{summary}");
        }
        Ok(state)
    }

    /// The command shows these lines unless told otherwise.
    fn tell_slow(&self, text: &str) {
        tracing::info!(target: "headwater_engine::slow_recovery", query = %self.query, "{text}");
    }

    fn taken(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.started)
    }
}

fn read_so_far(progress: &LoadProgress) -> String {
    let LoadProgress {
        files,
        all_files,
        bytes,
        all_bytes,
        ..
    } = progress;
    format!("reading state: {files} of {all_files} files, {bytes} of {all_bytes} bytes")
}

fn read_at_last(progress: &LoadProgress, taken: Duration) -> String {
    let LoadProgress {
        files, bytes, rows, ..
    } = progress;
    let seconds = taken.as_secs_f64();
    let rate = match *rows as f64 / seconds {
        rate if rate.is_finite() => format!(", {rate:.0} rows/s"),
        _ => String::new(),
    };
    format!("read state: {files} files, {bytes} bytes, {rows} rows in {seconds:.3} s{rate}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_is_told_in_files_bytes_and_rows() {
        let half = LoadProgress {
            files: 1,
            all_files: 2,
            bytes: 500,
            all_bytes: 900,
            rows: 40,
        };
        assert_eq!(
            read_so_far(&half),
            "reading state: 1 of 2 files, 500 of 900 bytes"
        );
        assert_eq!(
            read_at_last(&half, Duration::from_millis(250)),
            "read state: 1 files, 500 bytes, 40 rows in 0.250 s, 160 rows/s"
        );
        assert_eq!(
            read_at_last(&half, Duration::ZERO),
            "read state: 1 files, 500 bytes, 40 rows in 0.000 s"
        );
    }
}
