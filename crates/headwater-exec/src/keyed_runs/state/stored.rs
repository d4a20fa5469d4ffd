//! Runs as they are written to a checkpoint, and read from it.
//!
//! ```text
//! __present  keys  values  [__touched]
//! true       k     …        …            a row of a run
//! false      k     NULL     NULL         the key's run is gone
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch, not};
use arrow::datatypes::{Int64Type, Schema};
use datafusion_common::Result;

use headwater_core::state::StateChunk;

use super::RunState;
use crate::aggregate_state::misfit;
use crate::keyed_runs::table::batch;
use crate::view_buffers::owning_rows;

impl RunState {
    /// Rows as they are written: present ones whole, of removed ones the keys.
    pub(super) fn stored(
        &self,
        rows: &RecordBatch,
        touched: &[i64],
        removed: &[ArrayRef],
        count: usize,
    ) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(BooleanArray::from(vec![true; rows.num_rows()]))];
        columns.extend(rows.columns().iter().cloned());
        if self.ttl.is_some() {
            columns.push(Arc::new(Int64Array::from(touched.to_vec())));
        }
        let present = batch(&self.stored_schema, columns, rows.num_rows())?;
        if count == 0 {
            return Ok(present);
        }
        let mut columns: Vec<ArrayRef> = vec![Arc::new(BooleanArray::from(vec![false; count]))];
        columns.extend(removed.iter().cloned());
        let values = &self.stored_schema.fields()[columns.len()..];
        columns.extend(values.iter().map(|f| new_null_array(f.data_type(), count)));
        let gone = batch(&self.stored_schema, columns, count)?;
        Ok(concat_batches(&self.stored_schema, &[present, gone])?)
    }

    /// Adds what a chunk says.
    pub(super) fn restore_chunk(&mut self, chunk: &StateChunk) -> Result<()> {
        let fits = |rows: &RecordBatch| {
            let (found, wanted) = (rows.schema(), &self.stored_schema);
            let types = |s: &Schema| s.fields().iter().map(|f| f.data_type().clone()).collect();
            let (found, wanted): (Vec<_>, Vec<_>) = (types(&found), types(wanted));
            found == wanted
        };
        if !fits(&chunk.rows) {
            return Err(misfit(&chunk.rows.schema(), &self.stored_schema));
        }
        let present = chunk.rows.column(0).as_boolean().clone();
        let gone = filter_record_batch(&chunk.rows, &not(&present)?)?;
        let keys = 1..=self.key_schema.fields().len();
        self.table.remove(&gone.columns()[keys], gone.num_rows())?;
        let rows = filter_record_batch(&chunk.rows, &present)?;
        // The rows would hold the keys of those that are gone.
        let rows = match gone.num_rows() {
            0 => rows,
            _ => owning_rows(&rows)?,
        };
        let schema = self.logic.schema();
        let (state, touched) = rows.columns()[1..].split_at(schema.fields().len());
        let touched = match touched {
            [touched] => touched.as_primitive::<Int64Type>().values().to_vec(),
            _ => vec![],
        };
        let rows = batch(schema, state.to_vec(), rows.num_rows())?;
        let due = self.logic.due(&rows, i64::MIN)?;
        self.table.load(rows, &due, &touched)
    }
}
