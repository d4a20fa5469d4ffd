//! A query in a world of one seed: its disk loses power, its source and its sink fail, its clock
//! jumps, its process dies at any step; in the end the output is that of a plain computation.
//!
//! ```text
//! Simulator    plans the queries once                                   simulation.rs
//!   Life       one process after the other, until the last lives on      simulation/life.rs
//!     SimDisk    what is not synced may be lost or torn                    headwater-checkpoint
//!     Troubles   what goes wrong, and when                               simulation/troubles.rs
//!     Outside    files on that disk, or a broker with transactions       simulation/outside.rs
//!     SimClock   jumps                                                   simulation/troubles.rs
//!   Rows       what is read, and what is to come out                     simulation/rows.rs
//! ```
//!
//! Everything is decided by the seed and by how often a place was passed, so that a seed that
//! failed fails again, with a trace.

use std::sync::Arc;

use headwater::Headwater;
use headwater_checkpoint::{Lies, MemoryFiles};
use headwater_core::{Error, Result};
use headwater_engine::QuerySpec;
use parking_lot::Mutex;

use crate::session::CLOCK_START;

mod life;
mod outside;
mod rows;
mod troubles;

use life::World;
use rows::Kind;

/// Shards of the queries.
const SHARDS: [usize; 2] = [1, 2];

/// The queries that are simulated, planned.
#[derive(Debug)]
pub struct Simulator {
    specs: Vec<(Kind, QuerySpec)>,
}

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Anything may happen.
    Anything,
    /// The same, and commits are made while later epochs run. Threads race then, so that a seed
    /// may end differently when it is run again.
    Overlapping,
    /// A hundred processes die one after the other, each soon after it has done something.
    HundredDeaths,
}

/// How a simulation went that found nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Processes that were started.
    pub lives: u64,
    /// Those of them that died or were ended by a failure.
    pub deaths: u64,
    /// Epochs that ran to their end.
    pub epochs: u64,
    /// Losses of power.
    pub losses: u64,
    /// Those of them after which a commit was still being made.
    pub overlaps: u64,
    /// Failures of source, sink and disk.
    pub failures: u64,
}

/// A simulation that found something wrong.
#[derive(Debug, Clone)]
pub struct Broken {
    /// What is wrong.
    pub what: String,
    /// What happened until then, if that was asked for.
    pub trace: Vec<String>,
}

impl Simulator {
    /// Plans the queries.
    ///
    /// # Errors
    /// If one cannot be planned.
    pub async fn try_new() -> Result<Self> {
        let mut specs = Vec::new();
        for shards in SHARDS {
            let session = Headwater::builder()
                .clock(Arc::new(headwater::ManualClock::new(CLOCK_START)))
                .console(Arc::new(Mutex::new(std::io::sink())))
                .target_partitions(shards)
                .build()?;
            for statement in [
                "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
                   WATERMARK FOR ts AS ts - INTERVAL '10 seconds')
                 WITH (connector = 'memory', partitions = 3)",
                "CREATE SINK out WITH (connector = 'memory')",
            ] {
                Box::pin(session.sql(statement)).await?;
            }
            for kind in Kind::ALL {
                let query = format!(
                    "CREATE STREAMING QUERY q AS INSERT INTO out {}",
                    kind.select()
                );
                let store = Arc::new(MemoryFiles::new());
                let spec = Box::pin(session.prepare(&query, Some(store))).await?;
                specs.push((kind, spec));
            }
        }
        Ok(Simulator { specs })
    }

    /// Simulates what a seed says. With `lies` the disk does not keep what it promises, which
    /// must be found out.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn run(
        &self,
        scenario: Scenario,
        seed: u64,
        lies: Lies,
        traced: bool,
    ) -> Result<Summary, Box<Broken>> {
        let mut random = fastrand::Rng::with_seed(seed);
        let (kind, spec) = random
            .choice(&self.specs)
            .ok_or_else(|| broken(&Error::internal("no query was planned")))?;
        let mut world = World::new(scenario, *kind, spec, random, lies, traced);
        let ended = Box::pin(world.run()).await;
        match ended {
            Ok(()) => Ok(world.summary()),
            Err(what) => Err(Box::new(Broken {
                what,
                trace: world.trace(),
            })),
        }
    }
}

fn broken(error: &Error) -> Box<Broken> {
    Box::new(Broken {
        what: error.to_string(),
        trace: vec![],
    })
}
