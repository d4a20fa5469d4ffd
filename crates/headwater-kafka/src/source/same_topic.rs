//! Whether a topic that a stream reads is still the one that it has read.
//!
//! A topic that is deleted and made again has the same name and the same offsets. A broker says so
//! for a moment, or to nobody: when the new one is longer than what was read, fetching goes on in the
//! middle of it. So now and then a record that was read is read again.
//!
//! ```text
//!   seen ●──────────────● read last       since the last look
//!        └ read again: is it the same record?      then the last one takes its place
//! ```
//! It is a record from before the last look, as the last one may be of the new topic already. A
//! partition of which nothing was read since then is not looked at.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::fingerprint::{Fingerprint, Fingerprints};
use headwater_core::offset::{Offsets, Partition};
use headwater_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use super::Inner;
use crate::chunk::Kept;
use crate::cluster::ask;
use crate::failure::Failure;
use crate::options::OnDataLoss;
use crate::reader::{Reader, ReaderSpec};
use crate::resume::{other_record, still_there};
use crate::share::ReadLimits;
use crate::topics::TopicChoice;

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// How many looks in a row must find that something is gone.
const TIMES: u32 = 2;

/// The records that a stream has read last.
#[derive(Debug, Default)]
pub(super) struct SeenRecords(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Fingerprints,
    /// Those of the last look; of a partition that is new since then, the first.
    compared: Fingerprints,
}

impl SeenRecords {
    /// The last record of a slice of a partition was read.
    pub(super) fn has_read(&self, partition: &Partition, last: Fingerprint) {
        let mut seen = self.0.lock();
        if seen.compared.get(partition).is_none() {
            seen.compared.set(partition.clone(), last);
        }
        seen.last.set(partition.clone(), last);
    }

    /// What a stream that goes on has read.
    pub(super) fn resume(&self, last: &Fingerprints) {
        let (last, compared) = (last.clone(), last.clone());
        *self.0.lock() = Seen { last, compared };
    }

    /// The last records before a position.
    pub(super) fn before(&self, up_to: &Offsets) -> Fingerprints {
        self.0.lock().last.before(up_to)
    }

    /// Records to compare, of partitions that have been read on; and what was read last.
    fn to_compare(&self) -> (Fingerprints, Fingerprints) {
        let seen = self.0.lock();
        let mut changed = Fingerprints::default();
        for (partition, was) in seen.compared.iter() {
            if seen.last.get(partition) != Some(was) {
                changed.set(partition.clone(), was);
            }
        }
        (changed, seen.last.clone())
    }

    fn has_compared(&self, newest: Fingerprints) {
        self.0.lock().compared = newest;
    }
}

/// What a look has found.
enum Found {
    /// Another record: nothing else does that.
    Certainly(Failure),
    /// A cluster that is moving may say so once.
    Perhaps(Failure),
}

/// Looks at the topics of a source until something is lost.
pub(super) async fn watch(source: Arc<Inner>) {
    let mut in_a_row = 0;
    let mut reader = None;
    loop {
        source.clock.sleep(LOOK_EVERY).await;
        let found = tokio::select! {
            biased;
            found = look(&source, &mut reader) => found,
            () = source.clock.sleep(LOOK_TIMEOUT) => Err(Error::source_failed("no answer in time")),
        };
        let lost = match found {
            Ok(None) => {
                in_a_row = 0;
                continue;
            }
            Ok(Some(Found::Certainly(lost))) => lost,
            Ok(Some(Found::Perhaps(lost))) => {
                in_a_row += 1;
                if in_a_row < TIMES {
                    continue;
                }
                lost
            }
            Err(error) => {
                tracing::debug!(%error, "could not see whether topics are still the same");
                in_a_row = 0;
                continue;
            }
        };
        if let Some(reader) = source.reader.get() {
            reader.lose(lost);
        }
        return;
    }
}

async fn look(source: &Inner, reader: &mut Option<Arc<Reader>>) -> Result<Option<Found>> {
    if let Some(missing) = missing(source).await? {
        return Ok(Some(Found::Perhaps(missing)));
    }
    let (seen, newest) = source.seen.to_compare();
    let found = differing(source, reader, &seen).await?;
    if found.is_none() {
        source.seen.has_compared(newest);
    }
    Ok(found)
}

/// A topic or a partition that the cluster does not have.
async fn missing(source: &Inner) -> Result<Option<Failure>> {
    let topics = source.spec.options.topics.clone();
    match ask(&source.cluster, move |cluster| cluster.partitions(&topics)).await {
        Ok(there) => {
            let (_, read) = source.seen.to_compare();
            let mut read = read.iter().map(|(partition, _)| partition);
            let gone = read.find(|partition| !there.contains(partition));
            Ok(gone.map(|partition| Failure::gone(partition, "there is no such partition")))
        }
        Err(error) if error.kind() == ErrorKind::Configuration => {
            Ok(Some(Failure::lost(error.message())))
        }
        Err(error) => Err(error),
    }
}

/// Whether one of these records is another one by now, or its partition ends before it. Nothing can
/// be said of one that compaction or retention have taken.
async fn differing(
    source: &Inner,
    reader: &mut Option<Arc<Reader>>,
    seen: &Fingerprints,
) -> Result<Option<Found>> {
    if seen.is_empty() {
        return Ok(None);
    }
    let partitions: Vec<Partition> = seen
        .iter()
        .map(|(partition, _)| partition.clone())
        .collect();
    let held = ask(&source.cluster, move |cluster| cluster.held(&partitions)).await?;
    for (partition, was) in seen.iter() {
        let start = held.start.get(partition).unwrap_or(0);
        if let Some(end) = held.end.get(partition).filter(|end| *end <= was.offset) {
            let wanted = was.offset.saturating_add(1);
            let lost = Failure::out_of_range(partition, wanted, start, end);
            return Ok(Some(Found::Perhaps(lost)));
        }
    }
    let left = still_there(seen, &held);
    let reader = match reader {
        Some(reader) => reader,
        None => reader.insert(reader_of_records(source)?),
    };
    let lost = other_record(reader, &left, &*source.clock).await?;
    Ok(lost.map(Found::Certainly))
}

/// A reader that fetches a record of a partition, and hardly more. It stays for as long as there are
/// looks: another client for each would cost its memory and its connections again and again.
fn reader_of_records(source: &Inner) -> Result<Arc<Reader>> {
    let options = &source.spec.options;
    let spec = ReaderSpec {
        source: &source.spec.name,
        connection: &options.connection,
        topics: &TopicChoice::Assigned(vec![]),
        partitions: source.partitions.len(),
        kept: Kept::default(),
        prefetch_bytes: options.prefetch_bytes,
        limits: ReadLimits::default(),
        on_data_loss: OnDataLoss::Stop,
        taps: &Arc::default(),
        wanted: Some(1),
        fetched: Arc::default(),
    };
    Reader::start(&spec, Arc::clone(&source.clock)).map(Arc::new)
}
