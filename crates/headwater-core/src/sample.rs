//! A few records of a source, read before its columns are known, so that they can be found.
//!
//! A sampler is declared as a source is ([`crate::connector::Connector::declare_sampler`]: options
//! are checked, nothing outside is touched) and asked once. What it gives is a look at what is there
//! now: two looks may differ.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::BinaryArray;
use async_trait::async_trait;

use crate::Result;
use crate::clock::Clock;

/// How much is looked at. Each limit ends the reading by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLimits {
    /// Records, at most.
    pub records: usize,
    /// Bytes of payloads; the record that passes them is the last one.
    pub bytes: usize,
    /// How long the reading may take.
    pub time: Duration,
}

impl SampleLimits {
    /// Records that one may ask for.
    pub const RECORDS_MAX: usize = 100_000;
}

impl Default for SampleLimits {
    fn default() -> Self {
        SampleLimits {
            records: 1_000,
            bytes: 16 << 20,
            time: Duration::from_secs(15),
        }
    }
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The payloads, in no order across partitions or files; NULL is a record without a payload.
    pub payloads: BinaryArray,
    /// The keys of the same records, of a source whose records have keys.
    pub keys: Option<BinaryArray>,
    /// The line of names at the start of a file, if the format has one.
    pub header: Option<Vec<u8>>,
}

/// Records to look at, ready to be read.
///
/// # Contract
/// 1. `sample` never waits for records that are not there yet: an empty place gives an empty sample.
/// 2. It keeps to the limits, and gives what it has got when the time is over.
/// 3. It leaves no trace outside.
#[async_trait]
pub trait Sampler: Debug + Send + Sync {
    /// Where the records are, for messages: `topic "orders"`.
    fn place(&self) -> String;

    /// Reads the records.
    ///
    /// # Errors
    /// If the place does not exist or cannot be read.
    async fn sample(&self, limits: SampleLimits, clock: Arc<dyn Clock>) -> Result<Sample>;
}
