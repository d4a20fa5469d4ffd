//! What the doctor finds out about folders: whether they can be written, how fast, how much, and who
//! writes them now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use headwater_checkpoint::{Holder, lock_holder, probe_folder};
use headwater_connectors::filesystem::CLAIM_FOLDER;
use headwater_sql::catalog::SinkEntry;

use super::{Doctor, Verdict, warn_if};

/// Less room than this is told.
const LITTLE_ROOM: u64 = 1 << 30;
/// A small file that takes longer than this to become durable slows every epoch.
const SLOW_SYNC: Duration = Duration::from_millis(100);

impl Doctor<'_> {
    /// Looks at the disk under a folder that something is kept in.
    pub(super) fn disk(&mut self, object: &str, folder: &Path) {
        let probe = match probe_folder(folder, &*self.clock()) {
            Ok(probe) => probe,
            Err(error) => {
                self.fail(object, "disk", &error);
                self.advise(
                    "Give this user the right to write there, make room, or choose another folder.",
                );
                return;
            }
        };
        let folder = folder.display();
        let place = match probe.exists {
            true => format!("\"{folder}\" can be written"),
            false => format!("\"{folder}\" is not there yet and can be made"),
        };
        self.tell(object, "disk", Verdict::Ok, place);
        let sync = format!("4 kB are durable after {:.1?}", probe.sync);
        let is_slow = probe.sync > SLOW_SYNC;
        self.tell(object, "fsync", warn_if(is_slow), sync);
        if is_slow {
            self.advise("Every epoch waits for several of these: use a faster disk, or `checkpoint.interval`.");
        }
        if let Some(free) = probe.free_bytes {
            let room = format!("{} MiB are free", free >> 20);
            self.tell(object, "room", warn_if(free < LITTLE_ROOM), room);
            if free < LITTLE_ROOM {
                self.advise("Make room: a full disk stops the query.");
            }
        }
    }

    /// Looks who holds the lock in a folder.
    pub(super) fn lock(&mut self, object: &str, folder: &Path, advice: &str) {
        let by = match lock_holder(folder) {
            Err(error) => return self.fail(object, "lock", &error),
            Ok(None) => return self.tell(object, "lock", Verdict::Ok, "free".to_string()),
            Ok(Some(Holder::Process(owner))) => format!(
                "held by process {} on host \"{}\" since {}",
                owner.pid, owner.host, owner.started_at
            ),
            Ok(Some(Holder::Unknown)) => "held by another process".to_string(),
        };
        if self.session.settings().takeover {
            self.tell(object, "lock", Verdict::Warn, by);
            self.advise("A start with --takeover takes it from that process.");
        } else {
            self.tell(object, "lock", Verdict::Fail, by);
            self.advise(advice);
        }
    }

    /// Looks whether another query writes the folder of a sink.
    pub(super) fn claim(&mut self, object: &str, sink: &SinkEntry) {
        if sink.connector != "filesystem" {
            return;
        }
        let identity = sink.declared.identity().unwrap_or_default();
        let path = identity.into_iter().find(|(part, _)| *part == "path");
        if let Some((_, path)) = path {
            let folder = PathBuf::from(path).join(CLAIM_FOLDER);
            self.lock(
                object,
                &folder,
                "Stop that process, or give every query a folder of its own.",
            );
        }
    }
}
