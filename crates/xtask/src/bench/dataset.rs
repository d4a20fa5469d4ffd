//! Orders as files of JSON lines in the cache, and from there into a topic.
//!
//! ```text
//! orders-v1-5000000/p0.jsonl … p3.jsonl     the orders of each partition
//!                   s0.jsonl … s3.jsonl     its sentinel
//! ```
//!
//! The sentinels are sent by themselves: the broker for load reports a latest offset that is exact
//! only when the last batch holds one record.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::headwater::{CreateTopic, Headwater, Produce};
use super::orders::{GENERATOR_VERSION, Order, Orders, PARTITIONS, sentinels};
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
}

impl Dataset {
    /// Writes the files, unless the cache has them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn prepare(orders: u64) -> Result<Self> {
        let bench_dir = environment::cache_dir("bench")?;
        files::create_dir(&bench_dir)?;
        let folder = bench_dir.join(format!("orders-v{GENERATOR_VERSION}-{orders}"));
        files::create_whole(&folder, |partial| {
            write_partitions(partial, FILE_PREFIXES[0], Orders::new(orders))?;
            write_partitions(partial, FILE_PREFIXES[1], sentinels(orders))
        })?;
        Ok(Dataset { orders, folder })
    }

    /// The orders without sentinels.
    pub(super) fn orders(&self) -> Orders {
        Orders::new(self.orders)
    }

    /// Rows of the topic, sentinels included.
    pub(super) fn rows(&self) -> u64 {
        self.orders + PARTITIONS
    }

    /// Makes a topic of them.
    ///
    /// # Errors
    /// If a file cannot be sent.
    pub(super) fn load(&self, headwater: &Headwater, bootstrap: &str, topic: &str) -> Result<()> {
        let mut create = CreateTopic::Yes;
        for prefix in FILE_PREFIXES {
            for partition in 0..PARTITIONS {
                headwater.produce(&Produce {
                    bootstrap,
                    topic,
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

fn write_partitions(
    folder: &Path,
    prefix: &str,
    orders: impl Iterator<Item = Order>,
) -> Result<()> {
    let create = |partition| File::create(folder.join(file_name(prefix, partition)));
    let created: std::io::Result<Vec<File>> = (0..PARTITIONS).map(create).collect();
    let created = created.context(|| "could not create the files of orders".to_string())?;
    let mut writers: Vec<_> = created.into_iter().map(BufWriter::new).collect();
    write_lines(&mut writers, orders).context(|| "could not write orders".to_string())
}

fn write_lines(
    writers: &mut [BufWriter<File>],
    orders: impl Iterator<Item = Order>,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    for order in orders {
        line.clear();
        order.append_line(&mut line);
        writers[order.partition()].write_all(&line)?;
    }
    writers.iter_mut().try_for_each(BufWriter::flush)
}
