//! What a checkpoint on a local disk costs: queries as users start them, from the generator
//! through a running aggregation into nothing, with and without a checkpoint.
//!
//! - `commit`: an epoch of 10,000 rows every 100 ms, by itself and with its commit, in turns over
//!   the same rows. What the commit adds is the difference of the two.
//! - `interval`: as fast as it goes, without a checkpoint, with `checkpoint.interval` of a second,
//!   and with a commit for every epoch.
//! - `recovery`: how long a query that goes on takes until its first epoch has run, for a state of
//!   so many groups.
//!
//! ```sh
//! cargo bench --package headwater --bench checkpoint                  # everything
//! cargo bench --package headwater --bench checkpoint -- recovery      # a part
//! cargo bench --package headwater --bench checkpoint -- quick         # small sizes: does it run?
//! ```
//!
//! The checkpoints are in the folder for temporary files, which `TMPDIR` names: it has to be on the
//! disk that is measured, and not in memory.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of the machine, and its files may be lost"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headwater::{Error, Headwater, Result, StreamingQuery};
use headwater_engine::EpochLoop;

mod report;

use report::{epoch, failed, line, milliseconds, quantile, say, temporary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of `commit`.
const EPOCH_ROWS: u64 = 10_000;
const BETWEEN_EPOCHS: Duration = Duration::from_millis(100);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Epochs of `commit`, after a third as many to begin with.
    epochs: usize,
    /// Rows of a run of `interval`.
    rows: u64,
    /// Groups of `recovery`.
    groups: [u64; 2],
    /// Runs of `interval` and `recovery`; medians are reported.
    runs: usize,
}

const FULL: Sizes = Sizes {
    epochs: 300,
    rows: 20_000_000,
    groups: [1_000_000, 3_000_000],
    runs: 3,
};

const QUICK: Sizes = Sizes {
    epochs: 30,
    rows: 300_000,
    groups: [20_000, 60_000],
    runs: 1,
};

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sizes = match words.contains(&"quick") {
        true => QUICK,
        false => FULL,
    };
    let parts = ["commit", "interval", "recovery"];
    let is_asked = |part| words.contains(&part) || !parts.iter().any(|p| words.contains(p));
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    if is_asked("commit") {
        runtime.block_on(commit(sizes))?;
    }
    if is_asked("interval") {
        runtime.block_on(interval(sizes))?;
    }
    if is_asked("recovery") {
        runtime.block_on(recovery(sizes))?;
    }
    Ok(())
}

/// A running aggregation over generated rows.
#[derive(Debug, Clone)]
struct Job {
    /// The type of the key and how it is generated.
    key: String,
    /// Options of the source.
    source: String,
    /// Options of the query.
    query: String,
}

impl Job {
    /// Its query, ready to start.
    async fn spec(&self) -> Result<headwater::QuerySpec> {
        let session = Headwater::builder().build()?;
        let Job { key, source, query } = self;
        let (key_type, key_options) = key.split_once(' ').unwrap_or((key, ""));
        session
            .sql(&format!(
                "CREATE SOURCE s (k {key_type}, v BIGINT)
                 WITH (connector = 'datagen' {key_options} {source})"
            ))
            .await?;
        session
            .sql(&format!(
                "CREATE SINK out (k {key_type}, n BIGINT, total BIGINT, greatest BIGINT,
                   PRIMARY KEY (k)) WITH (connector = 'blackhole')"
            ))
            .await?;
        let query = format!(
            "CREATE STREAMING QUERY q WITH ('output-mode' = 'update' {query})
             AS INSERT INTO out
             SELECT k, count(*) AS n, sum(v) AS total, max(v) AS greatest FROM s GROUP BY k"
        );
        session.prepare(&query, None).await
    }

    async fn open(&self) -> Result<EpochLoop> {
        EpochLoop::open(self.spec().await?).await
    }
}

/// The key is one of so many numbers.
fn one_of(keys: u64) -> String {
    format!("BIGINT , 'fields.k.min' = 0, 'fields.k.max' = {}", keys - 1)
}

fn checkpoint_in(folder: &Path) -> String {
    format!(", checkpoint = '{}'", folder.display())
}

/// The time that a commit adds to an epoch, at 100,000 rows a second.
async fn commit(sizes: Sizes) -> Result<()> {
    let mut table = format!(
        "commit: {EPOCH_ROWS} rows an epoch, an epoch every {BETWEEN_EPOCHS:?}, {} epochs; ms\n\
         {:>9}  {:>15}  {:>15}  {:>15}\n{:>9}",
        sizes.epochs, "keys", "no checkpoint", "checkpoint", "added", ""
    );
    for _ in 0..3 {
        line(&mut table, format_args!("  {:>7} {:>7}", "p50", "p95"));
    }
    for keys in [1_000, 100_000] {
        let folder = temporary()?;
        let job = Job {
            key: one_of(keys),
            source: format!(", 'max.records.per.epoch' = {EPOCH_ROWS}"),
            query: String::new(),
        };
        let with = Job {
            query: checkpoint_in(folder.path()),
            ..job.clone()
        };
        let (mut without, mut with) = (job.open().await?, with.open().await?);
        let mut times = [vec![], vec![], vec![]];
        for number in 0..sizes.epochs + sizes.epochs / 3 {
            let started = Instant::now();
            let (a, b) = if number % 2 == 0 {
                let a = epoch(&mut without).await?.0;
                (a, epoch(&mut with).await?.0)
            } else {
                let b = epoch(&mut with).await?.0;
                (epoch(&mut without).await?.0, b)
            };
            if number >= sizes.epochs / 3 {
                let (a, b) = (milliseconds(a), milliseconds(b));
                for (times, time) in times.iter_mut().zip([a, b, b - a]) {
                    times.push(time);
                }
            }
            tokio::time::sleep(BETWEEN_EPOCHS.saturating_sub(started.elapsed())).await;
        }
        line(&mut table, format_args!("\n{keys:>9}"));
        for times in &mut times {
            let (p50, p95) = (quantile(times, 0.5), quantile(times, 0.95));
            line(&mut table, format_args!("  {p50:>7.2} {p95:>7.2}"));
        }
    }
    say(&table)
}

/// Rows a second, and what is left of them with a checkpoint.
async fn interval(sizes: Sizes) -> Result<()> {
    let mut table = format!(
        "\ninterval: {} rows as fast as it goes; thousands of rows a second, of {} runs\n\
         {:>9}  {:>10}  {:>13}  {:>18}  {:>18}",
        sizes.rows, sizes.runs, "keys", "epoch rows", "no checkpoint", "1 second", "every epoch"
    );
    for keys in [1_000, 100_000] {
        for epoch_rows in [10_000, 100_000] {
            let rates = interval_of(sizes, keys, epoch_rows).await?;
            let [none, second, every] = rates.map(|mut rates| quantile(&mut rates, 0.5));
            line(
                &mut table,
                format_args!(
                    "\n{keys:>9}  {epoch_rows:>10}  {none:>13.0}  {second:>9.0} ({:>4.1} %)  \
                     {every:>9.0} ({:>4.1} %)",
                    100.0 * second / none,
                    100.0 * every / none
                ),
            );
        }
    }
    say(&table)
}

/// The rates of a job without a checkpoint, with one a second, and with one an epoch, in turns.
async fn interval_of(sizes: Sizes, keys: u64, epoch_rows: u64) -> Result<[Vec<f64>; 3]> {
    let mut rates = [vec![], vec![], vec![]];
    for _ in 0..sizes.runs {
        for (kind, rates) in rates.iter_mut().enumerate() {
            let folder = temporary()?;
            let checkpoint = match kind {
                0 => String::new(),
                1 => checkpoint_in(folder.path()) + ", 'checkpoint.interval' = '1 second'",
                _ => checkpoint_in(folder.path()),
            };
            let job = Job {
                key: one_of(keys),
                source: format!(
                    ", 'max.records.per.epoch' = {epoch_rows}, rows = {}",
                    sizes.rows
                ),
                query: format!(", trigger = 'available-now' {checkpoint}"),
            };
            let spec = job.spec().await?;
            let started = Instant::now();
            let query = StreamingQuery::start(spec).await?;
            query.await_termination().await?;
            let taken = started.elapsed();
            let rows = query.status().totals.rows_in;
            if rows != sizes.rows {
                return Err(Error::internal(format!("{rows} rows were read")));
            }
            rates.push(rows as f64 / taken.as_secs_f64() / 1e3);
        }
    }
    Ok(rates)
}

/// From the start of a query that goes on until its first epoch, of one row, has run.
async fn recovery(sizes: Sizes) -> Result<()> {
    let mut table = format!(
        "\nrecovery: of {} runs\n{:>9}  {:>5}  {:>8}  {:>8}  {:>8}  {:>12}",
        sizes.runs, "groups", "files", "MB", "open ms", "epoch ms", "k groups/s"
    );
    for groups in sizes.groups {
        let folder = temporary()?;
        let job = |rows: u64| Job {
            key: "VARCHAR , 'fields.k.kind' = 'sequence'".to_string(),
            source: format!(", rows = {rows}"),
            query: ", trigger = 'available-now'".to_string() + &checkpoint_in(folder.path()),
        };
        let query = StreamingQuery::start(job(groups).spec().await?).await?;
        query.await_termination().await?;
        drop(query);
        let mut times = [vec![], vec![], vec![]];
        let (mut files, mut bytes) = (0, 0);
        for run in 1..=sizes.runs as u64 {
            (files, bytes) = files_below(&folder.path().join("state"))?;
            let spec = job(groups + run).spec().await?;
            let started = Instant::now();
            let mut query = EpochLoop::open(spec).await?;
            let opened = started.elapsed();
            let (ran, progress) = epoch(&mut query).await?;
            let rows: usize = progress.state.values().map(|size| size.rows).sum();
            if rows as u64 != groups + run {
                return Err(Error::internal(format!("{rows} groups were restored")));
            }
            let rate = groups as f64 / (opened + ran).as_secs_f64() / 1e3;
            let found = [milliseconds(opened), milliseconds(ran), rate];
            for (times, time) in times.iter_mut().zip(found) {
                times.push(time);
            }
        }
        let [open, epoch, rate] = times.map(|mut times| quantile(&mut times, 0.5));
        let megabytes = bytes as f64 / 1e6;
        line(
            &mut table,
            format_args!(
                "\n{groups:>9}  {files:>5}  {megabytes:>8.1}  {open:>8.0}  {epoch:>8.0}  {rate:>12.0}"
            ),
        );
    }
    say(&table)
}

/// How many files a folder has, and their bytes.
fn files_below(folder: &Path) -> Result<(usize, u64)> {
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|e| e.map(|e| e.path())).collect();
    let sizes = paths.map_err(failed)?.into_iter().map(|p| p.metadata());
    let sizes: std::io::Result<Vec<u64>> = sizes.map(|m| m.map(|m| m.len())).collect();
    let sizes = sizes.map_err(failed)?;
    Ok((sizes.len(), sizes.iter().sum()))
}
