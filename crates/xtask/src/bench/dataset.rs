//! Orders as files of JSON lines in the cache, and from there into a topic.
//!
//! ```text
//! orders-v1-5000000/p0.jsonl … p3.jsonl     the orders of each partition
//!                   s0.jsonl … s3.jsonl     its sentinel
//! orders-ms-v1-5000000/                     the same with times as milliseconds
//! ```
//!
//! The sentinels are sent by themselves: the broker for load reports a latest offset that is exact
//! only when the last batch holds one record.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::headwater::{CreateTopic, Headwater, Produce};
use super::orders::{GENERATOR_VERSION, Order, Orders, PARTITIONS, TimeFormat, sentinels};
use crate::environment;
use crate::failure::{Context as _, Result};
use crate::files;

/// The two kinds of files.
const FILE_PREFIXES: [&str; 2] = ["p", "s"];

/// Orders, in files.
#[derive(Debug)]
pub(super) struct Dataset {
    orders: u64,
    folder: PathBuf,
    topic: &'static str,
}

/// What is wanted of orders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Without sentinels.
    pub(super) orders: u64,
    pub(super) times: TimeFormat,
    /// The topic that they will be in.
    pub(super) topic: &'static str,
}

impl Dataset {
    /// Writes the files, unless the cache has them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn prepare(wanted: Wanted) -> Result<Self> {
        let Wanted {
            orders,
            times,
            topic,
        } = wanted;
        let bench_dir = environment::cache_dir("bench")?;
        files::create_dir(&bench_dir)?;
        let kind = match times {
            TimeFormat::Text => "orders",
            TimeFormat::Milliseconds => "orders-ms",
        };
        let folder = bench_dir.join(format!("{kind}-v{GENERATOR_VERSION}-{orders}"));
        files::create_whole(&folder, |partial| {
            for (prefix, orders) in [
                (
                    FILE_PREFIXES[0],
                    &mut Orders::new(orders) as &mut dyn Iterator<Item = Order>,
                ),
                (FILE_PREFIXES[1], &mut sentinels(orders)),
            ] {
                let mut writers = create_partitions(partial, prefix)?;
                write_lines(&mut writers, orders, times)
                    .context(|| "could not write orders".to_string())?;
            }
            Ok(())
        })?;
        Ok(Dataset {
            orders,
            folder,
            topic,
        })
    }

    /// The orders without sentinels.
    pub(super) fn orders(&self) -> Orders {
        Orders::new(self.orders)
    }

    /// Rows of the topic, sentinels included.
    pub(super) fn rows(&self) -> u64 {
        self.orders + PARTITIONS
    }

    /// The topic that they are in once they are loaded.
    pub(super) fn topic(&self) -> &'static str {
        self.topic
    }

    /// Makes a topic of them.
    ///
    /// # Errors
    /// If a file cannot be sent.
    pub(super) fn load(&self, headwater: &Headwater, bootstrap: &str) -> Result<()> {
        let mut create = CreateTopic::Yes;
        for prefix in FILE_PREFIXES {
            for partition in 0..PARTITIONS {
                headwater.produce(&Produce {
                    bootstrap,
                    topic: self.topic,
                    partition,
                    file: &self.folder.join(file_name(prefix, partition)),
                    create,
                })?;
                create = CreateTopic::No;
            }
        }
        Ok(())
    }
}

fn file_name(prefix: &str, partition: u64) -> String {
    format!("{prefix}{partition}.jsonl")
}

fn create_partitions(folder: &Path, prefix: &str) -> Result<Vec<BufWriter<File>>> {
    let create = |partition| File::create(folder.join(file_name(prefix, partition)));
    let created: std::io::Result<Vec<File>> = (0..PARTITIONS).map(create).collect();
    let created = created.context(|| "could not create the files of orders".to_string())?;
    Ok(created.into_iter().map(BufWriter::new).collect())
}

fn write_lines(
    writers: &mut [BufWriter<File>],
    orders: impl Iterator<Item = Order>,
    times: TimeFormat,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    for order in orders {
        line.clear();
        order.append_line(times, &mut line);
        writers[order.partition()].write_all(&line)?;
    }
    writers.iter_mut().try_for_each(BufWriter::flush)
}
