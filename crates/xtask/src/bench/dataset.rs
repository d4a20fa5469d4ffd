//! What queries read, as files of JSON lines in the cache, and from there into topics.
//!
//! ```text
//! orders-v1-5000000/p0.jsonl … p3.jsonl     the orders of each partition
//!                   s0.jsonl … s3.jsonl     its sentinel
//! orders-ms-v1-5000000/                     the same with times as milliseconds
//! nexmark-v1-5000000/bids-p0.jsonl …        the same of bids, of auctions and of persons
//! ```
//!
//! The sentinels are sent by themselves: the broker for load reports a latest offset that is exact
//! only when the last batch holds one record.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::headwater::{CreateTopic, Headwater, Produce};
use super::nexmark::{self, Event, Events, Kind};
use super::orders::{self, Order, Orders, PARTITIONS, TimeFormat};
use crate::environment;
use crate::failure::{Context as _, Result};
use crate::files;

/// Events, and the sentinels after them.
const PARTS: [char; 2] = ['p', 's'];

/// Rows in files, which become topics.
#[derive(Debug)]
pub(super) struct Dataset {
    rows: u64,
    folder: PathBuf,
    topics: Vec<Topic>,
}

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generator {
    Orders(TimeFormat),
    Nexmark,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that is measured.
    Whole,
    /// A few rows, to measure what starting costs.
    StartUp,
}

/// A topic, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// The place in scripts that its name is filled in at.
    pub(super) place: &'static str,
    pub(super) name: String,
    /// Sentinels included.
    pub(super) rows: u64,
    /// What the names of its files begin with.
    prefix: &'static str,
}

impl Dataset {
    /// Writes the files, unless the cache has them; `rows` is the number without sentinels.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn prepare(generator: Generator, extent: Extent, rows: u64) -> Result<Self> {
        let bench_dir = environment::cache_dir("bench")?;
        files::create_dir(&bench_dir)?;
        let folder = bench_dir.join(format!("{}-{rows}", generator.name_and_version()));
        files::create_whole(&folder, |partial| {
            let written = match generator {
                Generator::Orders(times) => write_orders(partial, rows, times),
                Generator::Nexmark => write_events(partial, rows),
            };
            written.context(|| format!("could not write files into \"{}\"", partial.display()))
        })?;
        Ok(Dataset {
            rows,
            folder,
            topics: generator.topics(extent, rows),
        })
    }

    /// The orders without sentinels, if it is made of orders.
    pub(super) fn orders(&self) -> Orders {
        Orders::new(self.rows)
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The topics that it is in once they are loaded.
    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The topic with most rows, which the floor reads.
    pub(super) fn largest(&self) -> Option<&Topic> {
        self.topics.iter().max_by_key(|topic| topic.rows)
    }

    /// Makes those topics that `is_read` wants.
    ///
    /// # Errors
    /// If a file cannot be sent.
    pub(super) fn load(
        &self,
        headwater: &Headwater,
        bootstrap: &str,
        is_read: impl Fn(&Topic) -> bool,
    ) -> Result<()> {
        for topic in self.topics.iter().filter(|topic| is_read(topic)) {
            let mut create = CreateTopic::Yes;
            for part in PARTS {
                for partition in 0..PARTITIONS {
                    let file = file_name(topic.prefix, part, partition);
                    headwater.produce(&Produce {
                        bootstrap,
                        topic: &topic.name,
                        partition,
                        file: &self.folder.join(file),
                        create,
                    })?;
                    create = CreateTopic::No;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Generator::Orders(TimeFormat::Text) => "orders",
            Generator::Orders(TimeFormat::Milliseconds) => "orders with times as numbers",
            Generator::Nexmark => "events of Nexmark",
        })
    }
}

impl Generator {
    fn name_and_version(self) -> String {
        let (name, version) = match self {
            Generator::Orders(TimeFormat::Text) => ("orders", orders::GENERATOR_VERSION),
            Generator::Orders(TimeFormat::Milliseconds) => ("orders-ms", orders::GENERATOR_VERSION),
            Generator::Nexmark => ("nexmark", nexmark::GENERATOR_VERSION),
        };
        format!("{name}-v{version}")
    }

    /// The topics of so many rows.
    pub(super) fn topics(self, extent: Extent, rows: u64) -> Vec<Topic> {
        let topic = |place, name: &str, rows, prefix| {
            let suffix = match extent {
                Extent::Whole => "",
                Extent::StartUp => "_start_up",
            };
            Topic {
                place,
                name: format!("{name}{suffix}"),
                rows: rows + PARTITIONS,
                prefix,
            }
        };
        match self {
            Generator::Orders(TimeFormat::Text) => vec![topic("TOPIC", "orders", rows, "")],
            Generator::Orders(TimeFormat::Milliseconds) => {
                vec![topic("TOPIC", "orders_ms", rows, "")]
            }
            Generator::Nexmark => {
                let of_kind = |kind: Kind| {
                    let (place, name) = (kind.place(), format!("nexmark_{}", kind.plural()));
                    topic(place, &name, kind.count_of(rows), kind.prefix())
                };
                Kind::ALL.into_iter().map(of_kind).collect()
            }
        }
    }
}

fn write_orders(folder: &Path, rows: u64, times: TimeFormat) -> std::io::Result<()> {
    let write = |part, orders: &mut dyn Iterator<Item = Order>| {
        let mut files = Files::create(folder, "", part)?;
        for order in orders {
            files.write(order.partition(), |line| order.append_line(times, line))?;
        }
        files.finish()
    };
    write(PARTS[0], &mut Orders::new(rows))?;
    write(PARTS[1], &mut orders::sentinels(rows))
}

fn write_events(folder: &Path, rows: u64) -> std::io::Result<()> {
    let create = |part| {
        let files = Kind::ALL.map(|kind| Files::create(folder, kind.prefix(), part));
        files.into_iter().collect::<std::io::Result<Vec<_>>>()
    };
    let write = |part, events: &mut dyn Iterator<Item = Event>| {
        let mut files = create(part)?;
        for event in events {
            let files = &mut files[event.kind() as usize];
            files.write(event.partition(), |line| event.append_line(line))?;
        }
        files.into_iter().try_for_each(Files::finish)
    };
    write(PARTS[0], &mut Events::new(rows))?;
    let sentinels = |kind| nexmark::sentinels(kind, rows);
    write(PARTS[1], &mut Kind::ALL.into_iter().flat_map(sentinels))
}

fn file_name(prefix: &str, part: char, partition: u64) -> String {
    format!("{prefix}{part}{partition}.jsonl")
}

/// A file for each partition.
struct Files {
    writers: Vec<BufWriter<File>>,
    line: Vec<u8>,
}

impl Files {
    fn create(folder: &Path, prefix: &str, part: char) -> std::io::Result<Self> {
        let create = |partition| File::create(folder.join(file_name(prefix, part, partition)));
        let files: std::io::Result<Vec<File>> = (0..PARTITIONS).map(create).collect();
        Ok(Files {
            writers: files?.into_iter().map(BufWriter::new).collect(),
            line: Vec::new(),
        })
    }

    fn write(
        &mut self,
        partition: usize,
        append: impl FnOnce(&mut Vec<u8>),
    ) -> std::io::Result<()> {
        self.line.clear();
        append(&mut self.line);
        self.writers[partition].write_all(&self.line)
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.writers.iter_mut().try_for_each(BufWriter::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_by_what_is_in_them_and_how_much() {
        let topics = |generator: Generator, extent| {
            let topics = generator.topics(extent, 100).into_iter();
            let topics = topics.map(|t| format!("{}: {}, {}", t.place, t.name, t.rows));
            topics.collect::<Vec<_>>()
        };
        assert_eq!(
            topics(Generator::Orders(TimeFormat::Milliseconds), Extent::Whole),
            ["TOPIC: orders_ms, 104"]
        );
        assert_eq!(
            topics(Generator::Nexmark, Extent::StartUp),
            [
                "PERSONS: nexmark_persons_start_up, 6",
                "AUCTIONS: nexmark_auctions_start_up, 10",
                "BIDS: nexmark_bids_start_up, 96"
            ]
        );
    }
}
