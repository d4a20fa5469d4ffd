//! Columns of state rows, put together from the chunks and pieces that hold them.

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use datafusion_common::Result;

use crate::aggregate_spec::AggregateSpec;
use crate::chunks::Chunks;

/// Columns `from..` of the rows at (chunk, row).
pub(super) fn gather(
    chunks: &Chunks,
    from: usize,
    spec: &AggregateSpec,
    rows: &[(usize, usize)],
) -> Result<Vec<ArrayRef>> {
    chunks.gather(from..spec.state_schema().fields().len(), rows)
}

/// Key columns that come in pieces, each of that many columns.
pub(super) fn concat_pieces(pieces: &[Vec<ArrayRef>], columns: usize) -> Result<Vec<ArrayRef>> {
    if let [only] = pieces {
        return Ok(only.clone());
    }
    (0..columns)
        .map(|column| {
            let column: Vec<&dyn Array> = pieces.iter().map(|p| p[column].as_ref()).collect();
            Ok(concat(&column)?)
        })
        .collect()
}
