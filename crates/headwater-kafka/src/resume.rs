//! What is compared with the broker before a query goes on from its checkpoint.
//!
//! ```text
//!          last record read
//!                │  committed          decided
//!   start ───────●──│───────────────────│─────── end      offsets of a partition
//!                └ read again: is it the same record?
//! ```
//!
//! Gaps are never loss. A record that was read may be gone by now, by compaction or because the
//! retention has just passed it: then nothing can be said, and the query goes on.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::Clock;
use headwater_core::fingerprint::{Fingerprint, Fingerprints};
use headwater_core::offset::{Offsets, Partition};
use headwater_core::{Error, Result};

use crate::buffer::Taken;
use crate::cluster::{Held, named};
use crate::failure::Failure;
use crate::reader::Reader;

/// How long the last record of a partition is waited for.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether the log still goes as far as epochs that were decided need.
pub(crate) fn check_decided(decided: &Offsets, held: &Held) -> Result<()> {
    for (partition, wanted) in decided.iter() {
        let start = held.start.get(partition).unwrap_or(0);
        if held.end.get(partition).is_some_and(|end| end < wanted) {
            let end = held.end.get(partition).unwrap_or(wanted);
            return Err(Failure::out_of_range(partition, wanted, start, end).to_error());
        }
    }
    Ok(())
}

/// Of the records that were read last, those that the retention has left.
pub(crate) fn still_there(seen: &Fingerprints, held: &Held) -> Vec<(Partition, Fingerprint)> {
    let is_left = |partition: &Partition, last: Fingerprint| {
        let start = held.start.get(partition);
        start.is_some_and(|start| start <= last.offset)
    };
    let left = seen.iter().filter(|(p, last)| is_left(p, *last));
    left.map(|(p, last)| (p.clone(), last)).collect()
}

/// The first of these records that is not what it was, as a loss.
///
/// # Errors
/// Source if the brokers do not give one in time.
pub(crate) async fn other_record(
    reader: &Arc<Reader>,
    last_records: &[(Partition, Fingerprint)],
    clock: &dyn Clock,
) -> Result<Option<Failure>> {
    let places = last_records
        .iter()
        .map(|(p, last)| (p.clone(), last.offset));
    reader.fetch(&places.collect());
    for (partition, was) in last_records {
        tokio::select! {
            biased;
            found = record_at(reader, partition, was.offset) => match found? {
                Some(is) if is != *was => {
                    return Ok(Some(Failure::other_record(partition, *was, is)));
                }
                Some(_) => {}
                None => tracing::debug!(%partition, offset = was.offset, "the last record read is gone"),
            },
            () = clock.sleep(RECORD_TIMEOUT) => return Err(Error::source_failed(format!(
                "could not read the record at offset {} of {} again",
                was.offset,
                named(partition)
            ))
            .with_detail("It tells whether the topic is still the one that was read.")),
        }
    }
    Ok(None)
}

/// The record at an offset; `None` if there is none.
async fn record_at(
    reader: &Arc<Reader>,
    partition: &Partition,
    offset: i64,
) -> Result<Option<Fingerprint>> {
    let claim = reader.claim(partition, offset)?;
    loop {
        let changed = reader.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        match claim.buffer().take(offset.saturating_add(1), 1)? {
            Taken::Records(record) => {
                reader.gave_back();
                return Ok(record.last_fingerprint());
            }
            Taken::End => return Ok(None),
            Taken::NotYet => {
                reader.check_usable()?;
                changed.await;
            }
        }
    }
}
