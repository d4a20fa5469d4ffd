//! Rows as text, the way `.slt` files and failure messages show them.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use headwater_core::Result;

/// One row, a text per column.
pub type TextRow = Vec<String>;

/// All rows in order: NULL is `NULL`, a text without characters `(empty)`.
///
/// # Errors
/// If Arrow cannot show a type.
pub fn text_rows(batches: &[RecordBatch]) -> Result<Vec<TextRow>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let mut texts = Vec::with_capacity(columns.len());
            for column in &columns {
                let text = column.value(row).try_to_string()?;
                texts.push(if text.is_empty() {
                    "(empty)".to_string()
                } else {
                    text
                });
            }
            rows.push(texts);
        }
    }
    Ok(rows)
}

/// The same rows in the order of their texts, to compare results that have no order.
pub fn sorted(mut rows: Vec<TextRow>) -> Vec<TextRow> {
    rows.sort();
    rows
}
