//! What an epoch costs beside few and many live groups: the same number of JSON lines through a
//! running aggregation in update mode, read, decoded, aggregated and emitted.
//!
//! Two queries take turns: one with ten thousand groups, one with five million. Every epoch is one
//! file of 10,000 lines, each of a group that was chosen at random among those that are there.
//!
//! ```sh
//! cargo bench --package headwater --bench growth
//! cargo bench --package headwater --bench growth -- quick    # small sizes: does it run?
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of the machine, and its files may be lost"
)]

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use headwater::{Error, Headwater, Result};
use headwater_engine::EpochLoop;
use tempfile::TempDir;

mod report;

use report::{epoch, failed, line, milliseconds, quantile, say, temporary};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lines of a file that makes groups.
const LOAD_ROWS: u64 = 250_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    groups: [u64; 3],
    /// Lines of an epoch that is measured.
    changed: [u64; 2],
    /// Epochs of each, after a third as many to begin with.
    epochs: usize,
}

const FULL: Sizes = Sizes {
    groups: [10_000, 1_000_000, 5_000_000],
    changed: [1_000, 10_000],
    epochs: 60,
};

const QUICK: Sizes = Sizes {
    groups: [1_000, 5_000, 20_000],
    changed: [100, 1_000],
    epochs: 6,
};

fn main() -> Result<()> {
    let sizes = match std::env::args().any(|word| word == "quick") {
        true => QUICK,
        false => FULL,
    };
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    runtime.block_on(growth(sizes))
}

/// A query with so many groups, and how many files it has.
struct Loaded {
    folder: TempDir,
    groups: u64,
    files: u64,
    random: u64,
    query: EpochLoop,
}

impl Loaded {
    async fn try_new(groups: u64) -> Result<Self> {
        let folder = temporary()?;
        let query = EpochLoop::open(spec(folder.path()).await?).await?;
        let mut loaded = Loaded {
            folder,
            groups,
            files: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            query,
        };
        let mut from = 0;
        while from < groups {
            let until = (from + LOAD_ROWS).min(groups);
            loaded.add_file(from..until)?;
            epoch(&mut loaded.query).await?;
            from = until;
        }
        Ok(loaded)
    }

    /// An epoch of so many lines; milliseconds.
    async fn changed(&mut self, lines: u64) -> Result<f64> {
        let clients: Vec<u64> = (0..lines).map(|_| self.client()).collect();
        self.add_file(clients)?;
        let (time, progress) = epoch(&mut self.query).await?;
        let rows: usize = progress.state.values().map(|size| size.rows).sum();
        if rows as u64 != self.groups {
            return Err(Error::internal(format!("there are {rows} groups")));
        }
        Ok(milliseconds(time))
    }

    /// One of the groups, by a xorshift.
    fn client(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % self.groups
    }

    /// Another file, with a line for each of some clients.
    fn add_file(&mut self, clients: impl IntoIterator<Item = u64>) -> Result<()> {
        self.files += 1;
        let hidden = self.folder.path().join(".next");
        let mut file = BufWriter::new(std::fs::File::create(&hidden).map_err(failed)?);
        for client in clients {
            let (cents, amount) = (client % 10_007, client % 13 + 1);
            writeln!(
                file,
                r#"{{"client":{client},"symbol":"S{amount}","price":{}.{:02},"quantity":{amount}}}"#,
                cents / 100,
                cents % 100
            )
            .map_err(failed)?;
        }
        file.into_inner().map_err(|e| failed(e.into_error()))?;
        let name = format!("{:08}.json", self.files);
        std::fs::rename(&hidden, self.folder.path().join(name)).map_err(failed)
    }
}

async fn spec(folder: &Path) -> Result<headwater::QuerySpec> {
    let session = Headwater::builder().build()?;
    session
        .sql(&format!(
            "CREATE SOURCE orders (client BIGINT, symbol VARCHAR, price DOUBLE, quantity BIGINT)
             WITH (connector = 'filesystem', path = '{}', format = 'json',
                   'max.files.per.epoch' = 1)",
            folder.display()
        ))
        .await?;
    session
        .sql(
            "CREATE SINK out (client BIGINT, n BIGINT, quantity BIGINT, price DOUBLE, symbol VARCHAR,
               PRIMARY KEY (client)) WITH (connector = 'blackhole')",
        )
        .await?;
    let query = "CREATE STREAMING QUERY q WITH ('output-mode' = 'update') AS INSERT INTO out
         SELECT client, count(*) AS n, sum(quantity) AS quantity, max(price) AS price,
                max(symbol) AS symbol
         FROM orders GROUP BY client";
    session.prepare(query, None).await
}

async fn growth(sizes: Sizes) -> Result<()> {
    let mut queries = vec![];
    for groups in sizes.groups {
        queries.push(Loaded::try_new(groups).await?);
    }
    let mut table = format!(
        "an epoch beside so many groups: median of {} epochs in ms, by turns\n{:>8}",
        sizes.epochs, "changed"
    );
    for groups in sizes.groups {
        line(&mut table, format_args!("  {groups:>12}"));
    }
    let _ = table.write_str("  last to first");
    for changed in sizes.changed {
        let mut times = vec![vec![]; queries.len()];
        for number in 0..sizes.epochs + sizes.epochs / 3 {
            for (query, times) in queries.iter_mut().zip(&mut times) {
                let time = query.changed(changed).await?;
                if number >= sizes.epochs / 3 {
                    times.push(time);
                }
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|t| quantile(t, 0.5)).collect();
        line(&mut table, format_args!("\n{changed:>8}"));
        for median in &medians {
            line(&mut table, format_args!("  {median:>12.2}"));
        }
        if let (Some(first), Some(last)) = (medians.first(), medians.last()) {
            line(&mut table, format_args!("  {:>13.2}", last / first));
        }
    }
    say(&table)
}
