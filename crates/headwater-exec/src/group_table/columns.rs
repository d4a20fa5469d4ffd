//! Columns of state rows, put together from the chunks and pieces that hold them.

use arrow::array::{Array, ArrayRef};
use arrow::compute::{concat, interleave};
use datafusion_common::Result;

use super::Chunk;

/// Columns `from..` of the rows at (chunk, row).
pub(super) fn gather(
    chunks: &[Chunk],
    from: usize,
    rows: &[(usize, usize)],
) -> Result<Vec<ArrayRef>> {
    let Some(first) = chunks.first() else {
        return Ok(vec![]);
    };
    let columns = from..first.rows.num_columns();
    columns
        .map(|column| {
            let pieces: Vec<&dyn Array> = chunks
                .iter()
                .map(|c| c.rows.column(column).as_ref())
                .collect();
            Ok(interleave(&pieces, rows)?)
        })
        .collect()
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
