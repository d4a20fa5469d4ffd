//! What the operators of an epoch count, and the late rows and dead letters that they keep if they
//! are asked to.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::Result;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use headwater_core::id::{OperatorId, SourceIndex};
use headwater_core::offset::Partition;
use headwater_core::records::DeadLetter;

use crate::late_filter::LateRows;

/// Counters of one epoch.
#[derive(Debug, Default)]
pub struct EpochMetrics {
    late: Mutex<BTreeMap<OperatorId, u64>>,
    expired: Mutex<BTreeMap<OperatorId, u64>>,
    late_rows: Option<Mutex<Kept<LateRows>>>,
    dead_letters: Option<Mutex<Kept<DeadLetters>>>,
}

/// Bad records of one batch of a source.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    /// The source.
    pub source: SourceIndex,
    /// The partition they are of.
    pub partition: Partition,
    /// The records, in the order of the partition.
    pub letters: Vec<DeadLetter>,
}

/// What goes to a sink beside that of the result, until the epoch's plan has run. It is part of the
/// input of one epoch; the memory pool is its bound.
#[derive(Debug)]
struct Kept<T> {
    parts: Vec<T>,
    reservation: MemoryReservation,
}

impl<T> Kept<T> {
    fn new(what: &str, pool: &Arc<dyn MemoryPool>) -> Mutex<Self> {
        Mutex::new(Kept {
            parts: vec![],
            reservation: MemoryConsumer::new(what).register(pool),
        })
    }

    fn add(&mut self, part: T, bytes: usize) -> Result<()> {
        self.reservation.try_grow(bytes)?;
        self.parts.push(part);
        Ok(())
    }
}

impl EpochMetrics {
    /// The same, keeping late rows.
    pub fn keeping_late_rows(self, pool: &Arc<dyn MemoryPool>) -> Self {
        EpochMetrics {
            late_rows: Some(Kept::new("late rows", pool)),
            ..self
        }
    }

    /// The same, keeping bad records.
    pub fn keeping_dead_letters(self, pool: &Arc<dyn MemoryPool>) -> Self {
        EpochMetrics {
            dead_letters: Some(Kept::new("dead letters", pool)),
            ..self
        }
    }

    /// Counts rows that came after everything they could change was final.
    pub fn add_late(&self, operator: &OperatorId, rows: u64) {
        *self.late.lock().entry(operator.clone()).or_default() += rows;
    }

    /// Late rows by operator.
    pub fn late(&self) -> BTreeMap<OperatorId, u64> {
        self.late.lock().clone()
    }

    /// Counts keys whose state was forgotten because no row had touched them.
    pub fn add_expired(&self, operator: &OperatorId, keys: u64) {
        if keys > 0 {
            *self.expired.lock().entry(operator.clone()).or_default() += keys;
        }
    }

    /// Keys whose state was forgotten, by operator.
    pub fn expired(&self) -> BTreeMap<OperatorId, u64> {
        self.expired.lock().clone()
    }

    /// Whether late rows are wanted.
    pub fn keeps_late_rows(&self) -> bool {
        self.late_rows.is_some()
    }

    /// Keeps late rows if they are wanted.
    ///
    /// # Errors
    /// If the memory pool has no room for them.
    pub fn keep_late_rows(&self, rows: LateRows) -> Result<()> {
        let Some(kept) = &self.late_rows else {
            return Ok(());
        };
        let bytes = rows.rows.get_array_memory_size();
        kept.lock().add(rows, bytes)
    }

    /// The late rows that were kept, by operator and partition. Their memory counts until these
    /// metrics are dropped.
    pub fn take_late_rows(&self) -> Vec<LateRows> {
        let Some(kept) = &self.late_rows else {
            return vec![];
        };
        let mut rows = std::mem::take(&mut kept.lock().parts);
        rows.sort_by(|a, b| (&a.operator, a.partition).cmp(&(&b.operator, b.partition)));
        rows
    }

    /// Whether bad records are wanted.
    pub fn keeps_dead_letters(&self) -> bool {
        self.dead_letters.is_some()
    }

    /// Keeps bad records if they are wanted.
    ///
    /// # Errors
    /// If the memory pool has no room for them.
    pub fn keep_dead_letters(&self, dead: DeadLetters) -> Result<()> {
        let Some(kept) = self
            .dead_letters
            .as_ref()
            .filter(|_| !dead.letters.is_empty())
        else {
            return Ok(());
        };
        let bytes = dead.letters.iter().map(DeadLetter::memory_bytes).sum();
        kept.lock().add(dead, bytes)
    }

    /// The bad records that were kept, by source and partition. Their memory counts until these
    /// metrics are dropped.
    pub fn take_dead_letters(&self) -> Vec<DeadLetters> {
        let Some(kept) = &self.dead_letters else {
            return vec![];
        };
        let mut dead = std::mem::take(&mut kept.lock().parts);
        // Stable: batches of a partition are kept in its order.
        dead.sort_by(|a, b| (a.source, &a.partition).cmp(&(b.source, &b.partition)));
        dead
    }
}
