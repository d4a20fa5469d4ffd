//! `FEED`: SQL literals to a record batch of a source's columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};

use headwater::Headwater;
use headwater_core::{Error, Result};

/// The day that a time without a date is on.
pub const DAY: &str = "2026-01-01";

/// Evaluates `VALUES (…), (…)` and casts it to the columns of a source. For a TIMESTAMP column
/// `'12:00:05'` is that time on [`DAY`].
///
/// # Errors
/// If the text is no list of values, or they are not of the source's types.
pub async fn rows_of(session: &Headwater, values: &str, schema: &SchemaRef) -> Result<RecordBatch> {
    let frame = session.query(values).await?;
    let values = concat_batches(&frame.schema(), &frame.clone().collect().await?)?;
    if values.num_columns() != schema.fields().len() {
        return Err(Error::plan(format!(
            "FEED gives {} values a row, and the source has {} columns",
            values.num_columns(),
            schema.fields().len()
        )));
    }
    let columns = values.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast_literals(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn cast_literals(column: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let is_text = matches!(
        column.data_type(),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    );
    if !is_text || !matches!(target, DataType::Timestamp(..)) {
        return Ok(cast_with_options(column, target, &strict)?);
    }
    let texts = cast(column, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let dated: StringArray = texts.iter().map(|text| text.map(with_date)).collect();
    let dated: ArrayRef = Arc::new(dated);
    Ok(cast_with_options(&dated, target, &strict)?)
}

fn with_date(text: &str) -> String {
    if text.contains('-') {
        text.to_string()
    } else {
        format!("{DAY}T{text}")
    }
}
