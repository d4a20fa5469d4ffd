//! Messages of some partitions, in the order in which they come: for looking at a topic.

use std::ops::ControlFlow;
use std::sync::Arc;

use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::offset::{Offsets, Partition};

use crate::buffer::{ReadClaim, Taken};
use crate::chunk::{CHUNK_RECORDS_MAX, Kept, RecordChunk};
use crate::client::KafkaConnection;
use crate::options::OnDataLoss;
use crate::reader::{Reader, ReaderSpec};
use crate::share::ReadLimits;
use crate::topics::TopicChoice;

const PREFETCH_BYTES: usize = 16 << 20;

/// What is walked through.
#[derive(Debug)]
pub(crate) struct WalkSpec<'a> {
    /// Who walks, for the name of its consumer group.
    pub(crate) owner: &'a str,
    pub(crate) connection: &'a KafkaConnection,
    pub(crate) topics: &'a TopicChoice,
    pub(crate) has_key: bool,
    /// Where every partition begins.
    pub(crate) from: Offsets,
    /// About how many messages are wanted of a partition, if that is known.
    pub(crate) wanted: Option<usize>,
}

/// How far a partition is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// The offset before which it ends.
    pub(crate) end: i64,
    /// Messages, at most.
    pub(crate) messages: usize,
}

struct Part {
    claim: ReadClaim,
    left: Stretch,
}

/// Hands the messages to `each`, a chunk of one partition after the other, until it breaks or every
/// partition is at the end of its stretch. Dropping the future ends the walk.
pub(crate) async fn walk(
    spec: WalkSpec<'_>,
    stretch: impl Fn(&Partition) -> Stretch,
    clock: Arc<dyn Clock>,
    mut each: impl FnMut(&Partition, &RecordChunk) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let reader = Reader::start(
        &ReaderSpec {
            source: spec.owner,
            connection: spec.connection,
            topics: spec.topics,
            partitions: spec.from.len(),
            kept: Kept {
                key: spec.has_key,
                timestamp: true,
                headers: false,
                leaves_values: false,
            },
            prefetch_bytes: PREFETCH_BYTES,
            limits: ReadLimits::default(),
            on_data_loss: OnDataLoss::Stop,
            // Nobody reads along.
            taps: &Arc::default(),
            wanted: spec.wanted,
            fetched: Arc::default(),
        },
        clock,
    )?;
    let mut parts = Vec::new();
    for (partition, offset) in spec.from.iter() {
        parts.push(Part {
            claim: reader.claim(partition, offset)?,
            left: stretch(partition),
        });
    }
    loop {
        let changed = reader.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        reader.check_usable()?;
        let mut has_waiting = false;
        for part in &mut parts {
            match part.take_all(&reader, &mut each)? {
                Step::AtEnd => {}
                Step::Waits => has_waiting = true,
                Step::Broken => return Ok(()),
            }
        }
        if !has_waiting {
            return Ok(());
        }
        changed.await;
    }
}

enum Step {
    AtEnd,
    Waits,
    Broken,
}

impl Part {
    /// Takes what is there.
    fn take_all(
        &mut self,
        reader: &Reader,
        each: &mut impl FnMut(&Partition, &RecordChunk) -> Result<ControlFlow<()>>,
    ) -> Result<Step> {
        while self.left.messages > 0 {
            let most = self.left.messages.min(CHUNK_RECORDS_MAX);
            match self.claim.buffer().take(self.left.end, most)? {
                Taken::Records(chunk) => {
                    reader.gave_back();
                    self.left.messages = self.left.messages.saturating_sub(chunk.rows());
                    if each(self.claim.buffer().partition(), &chunk)?.is_break() {
                        return Ok(Step::Broken);
                    }
                }
                Taken::NotYet => return Ok(Step::Waits),
                Taken::End => return Ok(Step::AtEnd),
            }
        }
        Ok(Step::AtEnd)
    }
}
