//! Where a stream of a topic ends, if it was told: the offsets are looked up once, when the query
//! starts for the first time, and are kept in its checkpoint, so that a restart stops at the same
//! place.

use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::offset::{Offsets, Partition};
use headwater_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::cluster::{Cluster, ask};
use crate::start::{Position, resolve_end};

/// The offset of every partition at which nothing more is read. Partitions that come later are not
/// read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop(Offsets);

/// What the journal of the source holds.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// What the option said: it must say the same for as long as there is the checkpoint.
    told: String,
    end: Offsets,
}

impl Stop {
    /// The stop of a stream; nothing for one that never ends, and for a bounded read, which has an
    /// end of its own.
    ///
    /// # Errors
    /// If the journal or the cluster cannot be read, or the query was started with another end.
    pub(crate) async fn of(
        position: Option<&Position>,
        context: &SourceContext,
        cluster: &Arc<Cluster>,
        partitions: &[Partition],
    ) -> Result<Option<Self>> {
        let (SourceUse::Stream, Some(position)) = (context.use_of, position) else {
            return Ok(None);
        };
        let told = format!("{position:?}");
        if let Some(text) = context.journal.entries()?.pop() {
            let entry: Entry = serde_json::from_str(&text).map_err(|error| {
                Error::checkpoint("the end of a topic in the checkpoint cannot be read")
                    .with_source(error)
            })?;
            if entry.told == told {
                return Ok(Some(Stop(entry.end)));
            }
            // The windows of the first end have been finished: what follows would be late.
            return Err(Error::configuration(
                "the option \"end\" is another one than when the query was started",
            )
            .with_detail("A query that has ended has nothing open that could go on.")
            .with_hint("Leave it as it was, or start with a new checkpoint folder."));
        }
        let (position, partitions) = (position.clone(), partitions.to_vec());
        let end = ask(cluster, move |cluster| {
            resolve_end(Some(&position), &partitions, cluster)
        })
        .await?;
        let entry = Entry { told, end };
        let text = serde_json::to_string(&entry)
            .map_err(|error| Error::internal("offsets have a text").with_source(error))?;
        context.journal.append(&[text])?;
        Ok(Some(Stop(entry.end)))
    }

    /// Of what can be read from a position, what lies before the stop.
    pub(crate) fn before(&self, from: &Offsets, available: &Offsets) -> Offsets {
        let mut before = from.clone();
        for (partition, end) in self.0.iter() {
            let Some(reach) = available.get(partition) else {
                continue;
            };
            let start = from.get(partition).unwrap_or(0);
            before.set(partition.clone(), reach.min(end).max(start));
        }
        before
    }

    /// Whether a position has reached it.
    pub(crate) fn is_reached(&self, from: &Offsets) -> bool {
        let mut ends = self.0.iter();
        ends.all(|(partition, end)| from.get(partition).unwrap_or(0) >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(pairs: &[(i32, i64)]) -> Offsets {
        let mut offsets = Offsets::default();
        for (index, offset) in pairs {
            offsets.set(Partition::new("t", *index), *offset);
        }
        offsets
    }

    #[test]
    fn nothing_is_read_behind_it() {
        let stop = Stop(offsets(&[(0, 10), (1, 5), (2, 0)]));
        let from = offsets(&[(0, 3), (1, 7), (2, 0)]);
        // A partition that came later, and one that begins behind its end.
        let available = offsets(&[(0, 30), (1, 9), (2, 4), (3, 8)]);
        let before = stop.before(&from, &available);
        assert_eq!(before, offsets(&[(0, 10), (1, 7), (2, 0)]));
        assert!(stop.is_reached(&before));
        assert!(!stop.is_reached(&from));
        assert_eq!(
            stop.before(&from, &offsets(&[(0, 4)])),
            offsets(&[(0, 4), (1, 7), (2, 0)])
        );
    }
}
