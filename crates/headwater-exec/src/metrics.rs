//! What the operators of an epoch count.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use headwater_core::id::OperatorId;

/// Counters of one epoch.
#[derive(Debug, Default)]
pub struct EpochMetrics {
    late: Mutex<BTreeMap<OperatorId, u64>>,
}

impl EpochMetrics {
    /// Counts rows that came after everything they could change was final.
    pub fn add_late(&self, operator: &OperatorId, rows: u64) {
        *self.late.lock().entry(operator.clone()).or_default() += rows;
    }

    /// Late rows by operator.
    pub fn late(&self) -> BTreeMap<OperatorId, u64> {
        self.late.lock().clone()
    }
}
