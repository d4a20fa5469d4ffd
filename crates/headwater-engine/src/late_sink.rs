//! Where late rows go: the sink of `LATE ROWS INTO`, and the form in which it gets them.
//!
//! The operators of a query have different inputs, and one sink takes the late rows of all. It has
//! four columns that every late row fills, and those of its other columns that a row has:
//!
//! | column | what |
//! | --- | --- |
//! | `operator` | the operator that met the row |
//! | `watermark` | `W(n − 1)`, which it is behind; NULL if the input had been declared ended |
//! | `event_time` | its event time; NULL if the query does not hand it on |
//! | `row` | all columns of the row, a JSON object |
//!
//! Output: late rows are part of their epoch. They are written after the plan has run, and staged,
//! committed and published with the result.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use futures::{StreamExt, stream};

use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::id::EpochId;
use headwater_core::sink::{Sink, Staged};
use headwater_core::{Error, Result};
use headwater_exec::late_filter::LateRows;
use headwater_exec::metrics::EpochMetrics;
use headwater_formats::new_encoder;
use headwater_plan::LateInput;

/// Columns that every late row fills.
const OPERATOR: &str = "operator";
const WATERMARK: &str = "watermark";
const EVENT_TIME: &str = "event_time";
const ROW: &str = "row";

/// Where the late rows of a query go.
#[derive(Debug, Clone)]
pub struct LateSink {
    sink: Arc<dyn Sink>,
    schema: SchemaRef,
}

impl LateSink {
    /// The columns of late rows in a sink that declares none: the four that every row fills.
    pub fn default_schema() -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        Arc::new(Schema::new(vec![
            Field::new(OPERATOR, DataType::Utf8, false),
            Field::new(WATERMARK, time.clone(), true),
            Field::new(EVENT_TIME, time, true),
            Field::new(ROW, DataType::Utf8, false),
        ]))
    }

    /// A sink whose columns are filled by their names.
    ///
    /// # Errors
    /// If a type of an operator's input has no form in JSON.
    pub fn try_new(sink: Arc<dyn Sink>, schema: SchemaRef, inputs: &[LateInput]) -> Result<Self> {
        if schema.column_with_name(ROW).is_some() {
            for input in inputs {
                let columns = input.columns.iter().map(|c| c.as_ref().clone());
                json_encoder(&Arc::new(Schema::new(columns.collect::<Vec<_>>())))?;
            }
        }
        Ok(LateSink { sink, schema })
    }

    /// The sink.
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// The same late rows in another sink, which takes what this one takes.
    pub fn with_sink(self, sink: Arc<dyn Sink>) -> Self {
        LateSink { sink, ..self }
    }

    /// Columns of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Hands the late rows of an epoch to the sink.
    pub(crate) async fn write(&self, epoch: EpochId, metrics: &EpochMetrics) -> Result<Staged> {
        let late = metrics.take_late_rows();
        let batches: Result<Vec<_>> = late.iter().map(|late| self.batch(late)).collect();
        let rows = stream::iter(batches?.into_iter().map(Ok)).boxed();
        self.sink.write(epoch, 0, rows).await
    }

    fn batch(&self, late: &LateRows) -> Result<RecordBatch> {
        let fields = self.schema.fields().iter();
        let columns: Result<Vec<_>> = fields.map(|field| column(field, late)).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns?)?)
    }
}

fn column(field: &Field, late: &LateRows) -> Result<ArrayRef> {
    let rows = late.rows.num_rows();
    let found = match field.name().as_str() {
        OPERATOR => {
            let names = std::iter::repeat_n(late.operator.as_str(), rows);
            Some(Arc::new(StringArray::from_iter_values(names)) as ArrayRef)
        }
        WATERMARK => {
            let time = late.watermark.time().map(|time| time.0);
            let times = std::iter::repeat_n(time, rows);
            Some(Arc::new(times.collect::<TimestampMicrosecondArray>()) as ArrayRef)
        }
        EVENT_TIME => late.event_times.clone(),
        ROW => Some(as_json(&late.rows)?),
        name => late.rows.column_by_name(name).cloned(),
    };
    let Some(found) = found else {
        return Ok(new_null_array(field.data_type(), rows));
    };
    // As CAST does: what does not fit is an error, not a NULL.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(&found, field.data_type(), &options).map_err(|e| {
        Error::plan(format!(
            "column \"{}\" of a late row does not fit into its sink",
            field.name()
        ))
        .with_hint("Declare it wider, or leave it out: column \"row\" has it too.")
        .with_source(e)
    })
}

fn as_json(rows: &RecordBatch) -> Result<ArrayRef> {
    let named = with_unique_names(rows.schema_ref());
    let rows = RecordBatch::try_new(Arc::clone(&named), rows.columns().to_vec())?;
    let texts = json_encoder(&named)?.encode(&rows)?;
    let texts = texts.iter().map(|text| match text {
        Some(text) => String::from_utf8(text.to_vec()).map(Some),
        None => Ok(None),
    });
    let texts: Result<StringArray, _> = texts.collect();
    let texts = texts.map_err(|e| Error::internal("JSON is not UTF-8").with_source(e))?;
    Ok(Arc::new(texts))
}

fn json_encoder(schema: &SchemaRef) -> Result<Box<dyn Encoder>> {
    new_encoder(&FormatSpec::named("json"), "LATE ROWS INTO", schema)
}

/// The columns of a join may share a name; the keys of an object must not.
fn with_unique_names(schema: &SchemaRef) -> SchemaRef {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let fields = schema.fields().iter().map(|field| {
        let times = seen.entry(field.name()).or_default();
        *times += 1;
        match *times {
            1 => Arc::clone(field),
            n => Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_name(format!("{}_{n}", field.name())),
            ),
        }
    });
    Arc::new(Schema::new(fields.collect::<Fields>()))
}
