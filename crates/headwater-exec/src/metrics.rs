//! What the operators of an epoch count, and the late rows that they keep if they are asked to.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::Result;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

use headwater_core::id::OperatorId;

use crate::late_filter::LateRows;

/// Counters of one epoch.
#[derive(Debug, Default)]
pub struct EpochMetrics {
    late: Mutex<BTreeMap<OperatorId, u64>>,
    expired: Mutex<BTreeMap<OperatorId, u64>>,
    kept: Option<Mutex<KeptRows>>,
}

/// Late rows until the epoch's plan has run. They are part of the input of one epoch; the memory
/// pool is their bound.
#[derive(Debug)]
struct KeptRows {
    rows: Vec<LateRows>,
    reservation: MemoryReservation,
}

impl EpochMetrics {
    /// Counters of an epoch whose late rows are wanted.
    pub fn keeping_late_rows(pool: &Arc<dyn MemoryPool>) -> Self {
        EpochMetrics {
            late: Mutex::default(),
            expired: Mutex::default(),
            kept: Some(Mutex::new(KeptRows {
                rows: vec![],
                reservation: MemoryConsumer::new("late rows").register(pool),
            })),
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
        self.kept.is_some()
    }

    /// Keeps late rows if they are wanted.
    ///
    /// # Errors
    /// If the memory pool has no room for them.
    pub fn keep_late_rows(&self, rows: LateRows) -> Result<()> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        let mut kept = kept.lock();
        kept.reservation
            .try_grow(rows.rows.get_array_memory_size())?;
        kept.rows.push(rows);
        Ok(())
    }

    /// The late rows that were kept, by operator and partition. Their memory counts until these
    /// metrics are dropped.
    pub fn take_late_rows(&self) -> Vec<LateRows> {
        let Some(kept) = &self.kept else {
            return vec![];
        };
        let mut rows = std::mem::take(&mut kept.lock().rows);
        rows.sort_by(|a, b| (&a.operator, a.partition).cmp(&(&b.operator, b.partition)));
        rows
    }
}
