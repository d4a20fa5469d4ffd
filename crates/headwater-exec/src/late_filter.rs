//! `LateFilter`: what every operator does with rows that came too late.
//!
//! Which rows are late is the operator's own rule, because it knows what it has finished: a row of
//! a window that has ended, or a row older than the watermark. What happens to them is the same
//! everywhere: they are counted under the operator's name, left out of what goes on, and kept for
//! `LATE ROWS INTO` if the query has that clause.
//!
//! ```text
//! operator  ── batch, which rows are late ──▶  LateFilter  ──▶  the other rows
//!                                                 │
//!                                    EpochMetrics: count, LateRows
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{filter, filter_record_batch, not, prep_null_mask_filter};
use datafusion_common::Result;

use headwater_core::id::OperatorId;
use headwater_core::watermark::Watermark;

use crate::epoch_context::EpochContext;
use crate::keyed_runs::LateCount;

/// Late rows of one operator in one epoch, as they reached it.
#[derive(Debug, Clone)]
pub struct LateRows {
    /// The operator.
    pub operator: OperatorId,
    /// The operator's partition that met them.
    pub partition: usize,
    /// `W(n − 1)`, which they are behind.
    pub watermark: Watermark,
    /// Their event times, if the operator can see them: a timestamp column as long as `rows`.
    pub event_times: Option<ArrayRef>,
    /// Columns of the operator's input.
    pub rows: RecordBatch,
}

/// Takes late rows out of the input of one partition of an operator. See the module's page.
#[derive(Debug)]
pub struct LateFilter {
    epoch: Arc<EpochContext>,
    operator: OperatorId,
    partition: usize,
    watermark: Watermark,
    columns: Option<Vec<usize>>,
}

impl LateFilter {
    /// For a partition of `operator`, in whose input rows behind `watermark`, its `W(n − 1)`, are
    /// late.
    pub fn new(
        epoch: Arc<EpochContext>,
        operator: OperatorId,
        partition: usize,
        watermark: Watermark,
    ) -> Self {
        LateFilter {
            epoch,
            operator,
            partition,
            watermark,
            columns: None,
        }
    }

    /// Keeps some columns of late rows only: those that came into the query, without helpers of
    /// the operator.
    pub fn with_columns(mut self, columns: Vec<usize>) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Counts rows that an operator itself has found to be late, and keeps them if they are wanted.
    ///
    /// # Errors
    /// If they do not fit into the memory pool.
    pub(crate) fn add(&self, late: LateCount) -> Result<()> {
        let metrics = &self.epoch.metrics;
        if late.count > 0 {
            metrics.add_late(&self.operator, late.count);
        }
        for (rows, event_times) in late.rows {
            metrics.keep_late_rows(LateRows {
                operator: self.operator.clone(),
                partition: self.partition,
                watermark: self.watermark,
                event_times: Some(event_times),
                rows,
            })?;
        }
        Ok(())
    }

    /// The rows of a batch that are not late. `late` says which ones are (NULL is not late), and
    /// `event_times` is their event time, if it is at hand.
    ///
    /// # Errors
    /// If the columns differ in length, or the late rows do not fit into the memory pool.
    pub fn on_time(
        &self,
        batch: &RecordBatch,
        late: &BooleanArray,
        event_times: Option<&ArrayRef>,
    ) -> Result<RecordBatch> {
        let found = late.true_count();
        if found == 0 {
            return Ok(batch.clone());
        }
        let late = match late.null_count() {
            0 => late.clone(),
            _ => prep_null_mask_filter(late),
        };
        let metrics = &self.epoch.metrics;
        metrics.add_late(&self.operator, found as u64);
        if metrics.keeps_late_rows() {
            let event_times = event_times.map(|times| filter(times, &late)).transpose()?;
            let rows = match &self.columns {
                Some(columns) => batch.project(columns)?,
                None => batch.clone(),
            };
            metrics.keep_late_rows(LateRows {
                operator: self.operator.clone(),
                partition: self.partition,
                watermark: self.watermark,
                event_times,
                rows: filter_record_batch(&rows, &late)?,
            })?;
        }
        Ok(filter_record_batch(batch, &not(&late)?)?)
    }
}
