//! Sources of one session that read the same: they fetch it once, and whatever one of them does, the
//! rows of the others stay theirs.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::source::Source;

use super::fixture::*;
use crate::DevBroker;
use crate::source::KafkaSource;
use crate::tap::Taps;

const PARTITIONS: i32 = 2;
/// Rounds until somebody must have met somebody.
const ROUNDS_MAX: usize = 200;

/// A topic, and the sources of a session over it. Values are `<number>` and some padding.
struct Readers {
    broker: DevBroker,
    taps: Arc<Taps>,
    clock: ManualClock,
    /// Records written to every partition.
    written: i64,
    padding: usize,
}

/// A source, and how far it has been read.
struct OneReader {
    source: KafkaSource,
    position: Offsets,
}

impl Readers {
    fn new(padding: usize) -> Self {
        Readers {
            broker: broker(&[("t", PARTITIONS)]),
            taps: Arc::default(),
            clock: ManualClock::new(EventTime(0)),
            written: 0,
            padding,
        }
    }

    async fn open(&self) -> OneReader {
        let declared = raw(&self.broker.bootstrap_servers(), "t")
            .option("prefetch.bytes", "1048576")
            .of_session(&self.taps);
        let source = open_own_at(declared, self.clock.clone()).await;
        OneReader {
            position: source.initial().await.unwrap(),
            source,
        }
    }

    fn write(&mut self, records: i64) {
        let padding = " ".repeat(self.padding);
        let messages: Vec<Put> = (0..PARTITIONS)
            .flat_map(|partition| {
                let numbers = self.written..self.written + records;
                let padding = &padding;
                numbers.map(move |number| text(partition, format!("{number}{padding}")))
            })
            .collect();
        put(&self.broker.bootstrap_servers(), "t", &messages);
        self.written += records;
    }

    fn end(&self) -> Offsets {
        at(self.written)
    }

    /// Reads what is left, as much at a time as there is, and looks at every row of it.
    async fn read_on(&self, reader: &mut OneReader) {
        let end = self.end();
        while reader.position != end {
            let OneReader { source, position } = &*reader;
            within(20, source.wait_ready(position)).await.unwrap();
            let available = source.available(position, &NO_LIMITS).await.unwrap();
            let available = available.clipped_to(&end);
            reader.look(position, &available).await;
            source.committed(&available).await.unwrap();
            reader.position = available;
        }
    }

    /// Lets all read on, until the last of them has not fetched what it got.
    async fn until_the_last_listens(&mut self, readers: &mut [&mut OneReader]) {
        for _ in 0..ROUNDS_MAX {
            let (fetched, heard) = readers.last().unwrap().source.fetched_and_heard();
            self.clock.advance(Duration::from_secs(20));
            self.write(1);
            for reader in readers.iter_mut() {
                self.read_on(reader).await;
            }
            let now = readers.last().unwrap().source.fetched_and_heard();
            if now == (fetched, heard + PARTITIONS as u64) {
                return;
            }
        }
        panic!("nobody listens to anybody");
    }
}

impl OneReader {
    /// Looks at every row of a slice.
    async fn look(&self, start: &Offsets, end: &Offsets) {
        let all: Vec<usize> = (0..7).collect();
        let rows = try_read(&self.source, start, end, &all).await.unwrap();
        let mut found = Vec::new();
        for line in rows.lines() {
            let cells: Vec<&str> = line.split('|').collect();
            let value = String::from_utf8(hex(cells[1])).unwrap();
            assert_eq!(
                value.trim_end(),
                cells[4],
                "an offset is the number of its record"
            );
            found.push((
                cells[3].parse::<i32>().unwrap(),
                cells[4].parse::<i64>().unwrap(),
            ));
        }
        let expected: Vec<(i32, i64)> = (0..PARTITIONS)
            .flat_map(|p| (offset(start, p)..offset(end, p)).map(move |o| (p, o)))
            .collect();
        assert_eq!(found, expected);
    }
}

/// The bytes of a binary column, which is shown in hexadecimal.
fn hex(text: &str) -> Vec<u8> {
    let digits = (0..text.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn at(offset: i64) -> Offsets {
    let each = (0..PARTITIONS).map(|index| (Partition::new("t", index), offset));
    each.collect()
}

fn offset(offsets: &Offsets, partition: i32) -> i64 {
    offsets.get(&Partition::new("t", partition)).unwrap()
}

fn fetched(reader: &OneReader) -> u64 {
    reader.source.fetched_and_heard().0
}

#[tokio::test]
async fn two_that_read_the_same_fetch_it_once() {
    let mut topic = Readers::new(0);
    topic.write(100);
    let (mut first, mut second) = (topic.open().await, topic.open().await);
    topic.read_on(&mut first).await;
    topic
        .until_the_last_listens(&mut [&mut first, &mut second])
        .await;
    let (before, (own, heard)) = (fetched(&first), second.source.fetched_and_heard());
    topic.write(500);
    topic.read_on(&mut second).await;
    topic.read_on(&mut first).await;
    let records = 500 * PARTITIONS as u64;
    assert_eq!(fetched(&first), before + records);
    assert_eq!(second.source.fetched_and_heard(), (own, heard + records));
}

#[tokio::test]
async fn sources_of_two_sessions_know_nothing_of_each_other() {
    let mut topic = Readers::new(0);
    let mut first = topic.open().await;
    topic.taps = Arc::default();
    let mut second = topic.open().await;
    for _ in 0..20 {
        topic.clock.advance(Duration::from_secs(20));
        topic.write(1);
        topic.read_on(&mut first).await;
        topic.read_on(&mut second).await;
    }
    assert_eq!(second.source.fetched_and_heard().1, 0);
}

/// 8 MB, where either may hold about one.
#[tokio::test]
async fn a_slow_one_holds_nobody_up_and_loses_nothing() {
    let mut topic = Readers::new(1_000);
    for is_older_slow in [false, true] {
        let (mut first, mut second) = (topic.open().await, topic.open().await);
        topic
            .until_the_last_listens(&mut [&mut first, &mut second])
            .await;
        let (fast, slow) = match is_older_slow {
            true => (&mut second, &mut first),
            false => (&mut first, &mut second),
        };
        for _ in 0..20 {
            topic.write(200);
            topic.read_on(fast).await;
            assert!(slow.source.held_bytes() < 2 << 20);
        }
        let before = fetched(slow);
        topic.read_on(slow).await;
        assert!(fetched(slow) > before, "it reads by itself");
        topic
            .until_the_last_listens(&mut [&mut first, &mut second])
            .await;
    }
}

#[tokio::test]
async fn going_back_is_nobody_elses_business() {
    let mut topic = Readers::new(0);
    topic.write(50);
    let (mut first, mut second) = (topic.open().await, topic.open().await);
    topic
        .until_the_last_listens(&mut [&mut first, &mut second])
        .await;
    for goes_back in [0, 1] {
        topic.write(20);
        let reader = [&first, &second][goes_back];
        reader.look(&at(10), &at(topic.written)).await;
        topic.write(20);
        let other = [&mut second, &mut first]
            .into_iter()
            .nth(goes_back)
            .unwrap();
        topic.read_on(other).await;
        let reader = [&first, &second][goes_back];
        reader.look(&at(30), &at(40)).await;
        topic.read_on(&mut first).await;
        topic.read_on(&mut second).await;
        topic
            .until_the_last_listens(&mut [&mut first, &mut second])
            .await;
    }
}

#[tokio::test]
async fn one_that_ends_leaves_the_others_where_they_are_and_a_later_one_joins() {
    let mut topic = Readers::new(0);
    topic.write(50);
    let (mut first, mut second) = (topic.open().await, topic.open().await);
    topic
        .until_the_last_listens(&mut [&mut first, &mut second])
        .await;
    drop(first);
    topic.write(30);
    topic.read_on(&mut second).await;
    // From the beginning of the topic, where nobody is any more.
    let mut third = topic.open().await;
    topic.read_on(&mut third).await;
    topic
        .until_the_last_listens(&mut [&mut second, &mut third])
        .await;
    drop(third);
    topic.write(30);
    topic.read_on(&mut second).await;
}

/// Three that read, go back, stand still, end and begin anew as a number decides.
#[tokio::test]
async fn whatever_they_do_every_one_gets_every_record_once() {
    let mut topic = Readers::new(100);
    topic.write(10);
    let mut readers = vec![topic.open().await, topic.open().await, topic.open().await];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) % below
    };
    for _ in 0..60 {
        topic.clock.advance(Duration::from_secs(draw(15)));
        topic.write(draw(400) as i64);
        for reader in &mut readers {
            match draw(10) {
                0 => *reader = topic.open().await,
                1 => {
                    let start = draw(topic.written as u64) as i64;
                    let end = topic.written.min(start + 50);
                    reader.look(&at(start), &at(end)).await;
                }
                2 | 3 => {}
                _ => topic.read_on(reader).await,
            }
        }
    }
    for reader in &mut readers {
        topic.read_on(reader).await;
    }
}
