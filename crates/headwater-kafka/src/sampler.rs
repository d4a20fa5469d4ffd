//! A few messages of the topics of a source, to find its columns in.
//!
//! They are taken from where the source would begin, shared out among the partitions by what each
//! holds; from a source that begins at the end, the last ones there are.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::BinaryBuilder;
use async_trait::async_trait;
use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::sample::{Sample, SampleLimits, Sampler};
use parking_lot::Mutex;

use crate::cluster::{Cluster, ask};
use crate::message_key::bytes_at;
use crate::options::SourceOptions;
use crate::share::share_records;
use crate::start::{Position, resolve_end, resolve_start};
use crate::walk::{Stretch, WalkSpec, walk};

/// The topics of a source that has no columns yet.
#[derive(Debug)]
pub(crate) struct KafkaSampler {
    pub(crate) name: String,
    pub(crate) options: SourceOptions,
}

/// What is read of the partitions: where each begins, and how far it goes.
#[derive(Debug)]
struct Shares {
    from: Offsets,
    ends: Offsets,
    messages: Vec<(Partition, u64)>,
}

/// What was taken of the messages.
#[derive(Default)]
struct Taken {
    payloads: BinaryBuilder,
    keys: BinaryBuilder,
    bytes: usize,
}

#[async_trait]
impl Sampler for KafkaSampler {
    fn place(&self) -> String {
        let (kind, name) = self.options.topics.identity();
        format!("{kind} \"{name}\"")
    }

    async fn sample(&self, limits: SampleLimits, clock: Arc<dyn Clock>) -> Result<Sample> {
        let owner = format!("source \"{}\"", self.name);
        let cluster = Cluster::connect(&owner, &self.options.connection)?;
        let options = self.options.clone();
        let records = limits.records as u64;
        let shares = ask(&cluster, move |c| shares(c, &options, records)).await?;
        if shares.from.is_empty() {
            return Ok(Sample {
                payloads: BinaryBuilder::new().finish(),
                keys: None,
                header: None,
            });
        }
        let taken = Mutex::new(Taken::default());
        let spec = WalkSpec {
            owner: &self.name,
            connection: &self.options.connection,
            topics: &self.options.topics,
            has_key: true,
            from: shares.from.clone(),
            wanted: None,
        };
        let stretch = |partition: &Partition| {
            let share = shares.messages.iter().find(|(p, _)| p == partition);
            let messages = share.map_or(0, |(_, messages)| *messages);
            Stretch {
                end: shares.ends.get(partition).unwrap_or(0),
                messages: usize::try_from(messages).unwrap_or(usize::MAX),
            }
        };
        let walked = walk(spec, stretch, Arc::clone(&clock), |_, chunk| {
            let taken = &mut *taken.lock();
            for row in 0..chunk.rows() {
                let payload = bytes_at(&chunk.values, row);
                let key = chunk.keys.as_ref().and_then(|keys| bytes_at(keys, row));
                taken.bytes += payload.map_or(0, <[u8]>::len) + key.map_or(0, <[u8]>::len);
                taken.payloads.append_option(payload);
                taken.keys.append_option(key);
                if taken.bytes >= limits.bytes {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        tokio::select! {
            walked = walked => walked?,
            // What has come until now is a sample too.
            () = clock.sleep(limits.time) => tracing::warn!(source = %self.name, "a sample was cut off by its time"),
        }
        let taken = &mut *taken.lock();
        Ok(Sample {
            payloads: taken.payloads.finish(),
            keys: Some(taken.keys.finish()),
            header: None,
        })
    }
}

fn shares(cluster: &Cluster, options: &SourceOptions, records: u64) -> Result<Shares> {
    let partitions = cluster.partitions(&options.topics)?;
    let ends = resolve_end(options.end.as_ref(), &partitions, cluster)?;
    let is_last = options.start == Position::Latest;
    let start = if is_last {
        &Position::Earliest
    } else {
        &options.start
    };
    let starts = resolve_start(start, &partitions, cluster)?;
    let start_of = |p: &Partition| starts.get(p).unwrap_or(0);
    let held = |p: &Partition| {
        let end = ends.get(p).unwrap_or(0);
        end.saturating_sub(start_of(p)).max(0).unsigned_abs()
    };
    let shared = share_records(&partitions.iter().map(held).collect::<Vec<_>>(), records);
    let messages: Vec<(Partition, u64)> = partitions.into_iter().zip(shared).collect();
    // Those of which nothing is read are not asked for.
    let read = messages.iter().filter(|(_, share)| *share > 0);
    let from = read.map(|(p, share)| {
        let last = ends.get(p).unwrap_or(0).saturating_sub_unsigned(*share);
        let from = if is_last { last } else { start_of(p) };
        (p.clone(), from)
    });
    let from = from.collect();
    Ok(Shares {
        from,
        ends,
        messages,
    })
}
