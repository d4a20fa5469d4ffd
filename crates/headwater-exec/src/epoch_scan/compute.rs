//! From a batch of a source to the rows of a scan: computes columns, judges rows, notes event times.
//!
//! One bad row never costs a good one: an expression that fails over a batch is evaluated over
//! halves of it until the rows are found over which it fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::compute::{concat, filter};
use datafusion_common::{DataFusionError, Result, internal_datafusion_err};
use datafusion_physical_expr::PhysicalExpr;

use headwater_core::Error;
use headwater_core::excerpt::excerpt;
use headwater_core::format::{BadDataPolicy, BadRecord};
use headwater_core::records::{DeadLetter, record_of};
use headwater_core::source::{ReadCounters, SourceBatch};

use super::ScanSpec;
use crate::epoch_context::EpochContext;
use crate::metrics::DeadLetters;

const NO_EVENT_TIME: &str = "no event time";

/// The rows of a batch, without those that the policy for bad records leaves out.
pub(super) fn rows_of(
    spec: &ScanSpec,
    epoch: &EpochContext,
    counters: &ReadCounters,
    batch: &SourceBatch,
) -> Result<RecordBatch> {
    let mut judged = Judged::default();
    let times = match &spec.event_time {
        Some(time) => Some(judged.evaluate(&time.expr, &batch.rows, &time.name)?),
        None => None,
    };
    let mut columns = Vec::with_capacity(spec.columns.len());
    for (expr, field) in spec.columns.iter().zip(spec.schema.fields()) {
        let column = match (&spec.event_time, &times) {
            (Some(time), Some(times)) if &time.expr == expr => Arc::clone(times),
            _ => judged.evaluate(expr, &batch.rows, field.name())?,
        };
        columns.push(column);
    }
    if let Some(times) = &times {
        judged.miss_event_times(times);
    }
    let kept = kept_rows(spec, counters, batch, &judged, times.as_ref())?;
    if spec.bad_data == BadDataPolicy::DeadLetter {
        keep_letters(spec, epoch, batch, &judged)?;
    }
    let (times, columns, rows) = match kept {
        None => (times, columns, batch.rows.num_rows()),
        Some(kept) => {
            let keep = |array: &ArrayRef| filter(array, &kept);
            let times = times.as_ref().map(keep).transpose()?;
            let columns = columns.iter().map(keep).collect::<Result<_, _>>()?;
            (times, columns, kept.true_count())
        }
    };
    if let Some(times) = &times {
        epoch
            .watermarks
            .observe(spec.source, &batch.partition, times)?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(&spec.schema), columns, &options)
        .map_err(|e| internal_datafusion_err!("source {} gave other columns: {e}", spec.name))
}

/// Applies the policy: which rows stay; `None` if all do.
fn kept_rows(
    spec: &ScanSpec,
    counters: &ReadCounters,
    batch: &SourceBatch,
    judged: &Judged,
    times: Option<&ArrayRef>,
) -> Result<Option<BooleanArray>> {
    let rows = batch.rows.num_rows();
    if let Some((row, flaw)) = judged.flaws.first_key_value()
        && spec.bad_data == BadDataPolicy::Fail
    {
        return Err(flaw.error(spec, &batch.place_of(*row)).into());
    }
    // A row that stands for a bad record was counted with it.
    let is_new = |row: &usize| batch.bad_rows.binary_search(row).is_err();
    let new = judged.flaws.iter().filter(|(row, _)| is_new(row));
    let new: Vec<BadRecord> = new.map(|(row, flaw)| flaw.of(*row)).collect();
    counters.add_bad_records(&new, |row| batch.place_of(row));
    // With 'null' a row stays unless it has no event time; it may have been counted before.
    let has_time = |row: usize| times.is_none_or(|times| times.is_valid(row));
    let stays = |row: usize| match spec.bad_data {
        BadDataPolicy::Null => has_time(row),
        BadDataPolicy::Fail | BadDataPolicy::Drop | BadDataPolicy::DeadLetter => {
            !judged.flaws.contains_key(&row)
        }
    };
    let lacks_time = times.is_some_and(|times| times.null_count() > 0);
    if judged.flaws.is_empty() && !lacks_time {
        return Ok(None);
    }
    Ok(Some((0..rows).map(|row| Some(stays(row))).collect()))
}

/// Hands the records that gave no row to the sink of dead letters, if the query has one: those of
/// the source, and those of rows that are left out here.
fn keep_letters(
    spec: &ScanSpec,
    epoch: &EpochContext,
    batch: &SourceBatch,
    judged: &Judged,
) -> Result<()> {
    if !epoch.metrics.keeps_dead_letters() {
        return Ok(());
    }
    let record_of = |row: &usize| record_of(*row, &batch.left_out);
    let here = judged.flaws.iter();
    let here = here.map(|(row, flaw)| flaw.of(record_of(row)));
    let mut bad: Vec<BadRecord> = here.chain(batch.left_out.iter().cloned()).collect();
    bad.sort_by_key(|bad| bad.record);
    let letter = |bad: BadRecord| DeadLetter {
        place: batch.place_of_record(bad.record),
        record: batch.records.raw(bad.record),
        reason: bad.reason,
        detail: bad.detail,
    };
    epoch.metrics.keep_dead_letters(DeadLetters {
        source: spec.source,
        partition: batch.partition.clone(),
        letters: bad.into_iter().map(letter).collect(),
    })
}

/// What is wrong with the rows of a batch; the first flaw of a row counts.
#[derive(Default)]
struct Judged {
    flaws: BTreeMap<usize, Flaw>,
}

/// Rows over which an expression failed.
struct Failed {
    rows: RecordBatch,
    /// Position of the first of them in the batch.
    first: usize,
    error: DataFusionError,
}

struct Flaw {
    reason: String,
    /// What the expression said; nothing for an event time that is not there.
    source: Option<DataFusionError>,
}

impl Judged {
    /// The values of an expression, NULL where it fails.
    fn evaluate(
        &mut self,
        expr: &Arc<dyn PhysicalExpr>,
        rows: &RecordBatch,
        name: &str,
    ) -> Result<ArrayRef> {
        let error = match values(expr, rows) {
            Ok(array) => return Ok(array),
            Err(error) if is_about_rows(&error) => error,
            Err(error) => return Err(error),
        };
        let mut parts = Vec::new();
        let failed = Failed {
            rows: rows.clone(),
            first: 0,
            error,
        };
        self.halve(expr, name, failed, &mut parts)?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }

    /// Evaluates the halves of rows over which the expression fails as a whole.
    fn halve(
        &mut self,
        expr: &Arc<dyn PhysicalExpr>,
        name: &str,
        failed: Failed,
        parts: &mut Vec<ArrayRef>,
    ) -> Result<()> {
        let Failed { rows, first, error } = failed;
        if rows.num_rows() == 0 {
            // Nothing came, and nothing of it can be wrong.
            return Err(error);
        }
        if rows.num_rows() == 1 {
            let data_type = expr.data_type(rows.schema_ref())?;
            parts.push(new_null_array(&data_type, 1));
            self.flaws.entry(first).or_insert_with(|| Flaw {
                reason: format!("column \"{name}\" cannot be computed"),
                source: Some(error),
            });
            return Ok(());
        }
        let middle = rows.num_rows() / 2;
        for (offset, length) in [(0, middle), (middle, rows.num_rows() - middle)] {
            let half = rows.slice(offset, length);
            match values(expr, &half) {
                Ok(array) => parts.push(array),
                Err(error) if !is_about_rows(&error) => return Err(error),
                Err(error) => {
                    let failed = Failed {
                        rows: half,
                        first: first + offset,
                        error,
                    };
                    self.halve(expr, name, failed, parts)?;
                }
            }
        }
        Ok(())
    }

    /// Rows without an event time.
    fn miss_event_times(&mut self, times: &ArrayRef) {
        if times.null_count() == 0 {
            return;
        }
        for row in (0..times.len()).filter(|row| times.is_null(*row)) {
            self.flaws.entry(row).or_insert_with(|| Flaw {
                reason: NO_EVENT_TIME.to_string(),
                source: None,
            });
        }
    }
}

impl Flaw {
    /// The flaw as that of a record.
    fn of(&self, record: usize) -> BadRecord {
        // What an expression says may quote the value, however long that is.
        let said = self.source.as_ref().map(|e| e.find_root().message());
        let detail = said.map(|said| excerpt(said.as_bytes()));
        BadRecord {
            record,
            reason: self.reason.clone(),
            detail: detail.unwrap_or_default(),
        }
    }

    fn error(&self, spec: &ScanSpec, place: &str) -> Error {
        let name = &spec.name;
        let hint = |more: &str| {
            format!(
                "Set bad_data = 'drop' on source \"{name}\" to leave such records out and count \
                 them{more}."
            )
        };
        match &self.source {
            Some(source) => {
                Error::bad_data(format!("{}: {place} of source \"{name}\"", self.reason))
                    .with_detail(source.find_root().message().into_owned())
                    .with_hint(hint(", or 'null' to keep them with NULL in that column"))
            }
            None => {
                let column = spec.event_time.as_ref().map_or("", |time| &time.name);
                Error::bad_data(format!(
                    "{place} of source \"{name}\" has no event time in column \"{column}\""
                ))
                .with_hint(hint(""))
            }
        }
    }
}

/// Whether an error can be the fault of a value. Every other one would come with every row, and the
/// policy for bad records would leave all of them out.
fn is_about_rows(error: &DataFusionError) -> bool {
    matches!(
        error.find_root(),
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_)
    )
}

fn values(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    expr.evaluate(rows)?.into_array(rows.num_rows())
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn what_comes_with_every_row_is_not_the_fault_of_one() {
        let divided = DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
        assert!(is_about_rows(&divided.context("in a CASE")));
        assert!(is_about_rows(&DataFusionError::Execution("no date".into())));
        let lasting = [
            DataFusionError::Internal("not simplified".into()),
            DataFusionError::NotImplemented("a type".into()),
            DataFusionError::ResourcesExhausted("memory".into()),
            Error::internal("a bug").into(),
        ];
        for error in lasting {
            assert!(!is_about_rows(&error), "{error}");
        }
    }
}
