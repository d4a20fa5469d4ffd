//! Partitions that are hours apart in event time and very different in size, read from their
//! beginning in small epochs. In each of them time goes forward, so no row may be late: a partition
//! holds the watermark until it has been read, whatever the others bring and however long it takes.

use std::time::Duration;

use super::*;

const SKEWED: usize = 4;

const COUNTS: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM hop(t, ts, '10 minutes', '25 minutes') GROUP BY window_start, window_end, k";

/// Rows of one partition, in order of time but for less than the delay.
#[derive(Debug, Clone)]
struct Skew {
    starts_at_hour: i64,
    seconds_between: i64,
    /// How many seconds each row is behind its place.
    behind_s: Vec<i64>,
}

/// What happens before an epoch, and how long the one before it took.
#[derive(Debug, Clone, Copy)]
struct Turn {
    restart: bool,
    seconds: u64,
}

#[derive(Debug, Clone)]
struct Read {
    partitions: Vec<Skew>,
    turns: Vec<Turn>,
    most_records: usize,
    trigger: &'static str,
    combine: &'static str,
    shards: usize,
}

fn skew() -> impl Strategy<Value = Skew> {
    let rows = prop_oneof![0usize..3, 4usize..12, 30usize..50];
    let behind = rows.prop_flat_map(|rows| vec(0i64..=60, rows));
    (0i64..12, 1i64..300, behind).prop_map(|(starts_at_hour, seconds_between, behind_s)| Skew {
        starts_at_hour,
        seconds_between,
        behind_s,
    })
}

fn read() -> impl Strategy<Value = Read> {
    let seconds = prop_oneof![2 => Just(0u64), 1 => Just(10), 1 => Just(31)];
    let turn = (proptest::bool::weighted(0.2), seconds);
    let turn = turn.prop_map(|(restart, seconds)| Turn { restart, seconds });
    let trigger = prop_oneof![Just("asap"), Just("available-now")];
    let shards = prop_oneof![Just(1usize), Just(2), Just(7)];
    let partitions = vec(skew(), SKEWED);
    (partitions, vec(turn, 1..12), 2usize..30, trigger, shards).prop_map(
        |(partitions, turns, most_records, trigger, shards)| Read {
            partitions,
            turns,
            most_records,
            trigger,
            combine: "min",
            shards,
        },
    )
}

impl Skew {
    fn rows(&self) -> impl Iterator<Item = (String, i64, i64)> {
        let start_s = NOON_S - 20 * 3600 + self.starts_at_hour * 3600;
        let places = self.behind_s.iter().enumerate();
        places.map(move |(place, behind_s)| {
            let place = place as i64;
            let time_s = start_s + place * self.seconds_between - behind_s;
            (format!("key{}", place % 3), place, time_s)
        })
    }
}

impl Read {
    fn rows(&self) -> usize {
        self.partitions.iter().map(|p| p.behind_s.len()).sum()
    }

    async fn session(&self) -> headwater::Result<TestSession> {
        let mut session = TestSession::try_new(RunMode::Straight, self.shards)?;
        let (most, combine) = (self.most_records, self.combine);
        let source = format!(
            "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
               WATERMARK FOR ts AS ts - INTERVAL '1 minute')
             WITH (connector = 'memory', partitions = {SKEWED}, 'max.records.per.epoch' = {most},
                   'watermark.combine' = '{combine}')"
        );
        session.run(&source).await?;
        for sink in ["out", "late"] {
            let sink = format!("CREATE SINK {sink} WITH (connector = 'memory')");
            session.run(&sink).await?;
        }
        let stream = session.headwater().memory_stream("t").unwrap();
        for (number, partition) in self.partitions.iter().enumerate() {
            let rows: Vec<_> = partition.rows().collect();
            let keys: StringViewArray = rows.iter().map(|r| Some(r.0.as_str())).collect();
            let values: Int64Array = rows.iter().map(|r| Some(r.1)).collect();
            let times = rows.iter().map(|r| Some(r.2 * SECOND));
            let times: TimestampMicrosecondArray = times.collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values), Arc::new(times)];
            stream.push(number, RecordBatch::try_new(stream.schema(), columns)?)?;
        }
        let query = format!(
            "CREATE STREAMING QUERY q WITH (trigger = '{}') AS INSERT INTO out {COUNTS}
             EMIT {FINAL_AND_LATE}",
            self.trigger
        );
        session.run(&query).await?;
        Ok(session)
    }

    async fn run(&self) -> headwater::Result<TestSession> {
        let mut session = self.session().await?;
        // A turn more than there can be epochs with rows.
        for turn in self.turns.iter().cycle().take(self.rows() + 1) {
            if turn.restart {
                session.restart("q").await?;
            }
            session.run("EPOCH q").await?;
            session.advance_clock(Duration::from_secs(turn.seconds));
        }
        Ok(session)
    }
}

/// How many rows were late.
fn late(session: &mut TestSession) -> headwater::Result<usize> {
    let late = session.query("q")?.late().epochs();
    let batches = late.iter().flat_map(|(_, batches)| batches);
    Ok(batches.map(RecordBatch::num_rows).sum())
}

async fn loses_nothing(read: Read) -> Result<(), String> {
    let mut session = read.run().await.map_err(|e| report(&e))?;
    let late = late(&mut session).map_err(|e| report(&e))?;
    if late > 0 {
        return Err(format!("{late} of {} rows were late", read.rows()));
    }
    if read.rows() == 0 {
        return Ok(());
    }
    check_oracle(&mut session).await.map_err(|e| report(&e))
}

#[test]
fn skewed_partitions_lose_no_row() {
    check_cases(8, &read(), loses_nothing);
}

/// The case in plain numbers: a small partition far ahead and a large one far behind. One maximum
/// over all partitions loses what is behind.
#[tokio::test]
async fn a_partition_that_is_hours_behind_is_read_in_time() {
    let partition = |starts_at_hour, rows| Skew {
        starts_at_hour,
        seconds_between: 60,
        behind_s: vec![0; rows],
    };
    let read = Read {
        partitions: vec![
            partition(11, 5),
            partition(0, 200),
            partition(5, 40),
            partition(2, 0),
        ],
        turns: vec![Turn {
            restart: false,
            seconds: 31,
        }],
        most_records: 10,
        trigger: "asap",
        combine: "min",
        shards: 2,
    };
    loses_nothing(read.clone()).await.unwrap();
    let by_maximum = Read {
        combine: "max",
        ..read
    };
    let mut session = by_maximum.run().await.unwrap();
    assert!(late(&mut session).unwrap() > 200);
}
