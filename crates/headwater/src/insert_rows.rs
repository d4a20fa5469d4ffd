//! `INSERT INTO sink` of rows that are all there: `VALUES`, and SELECT over tables.
//!
//! Nothing comes later, so the statement ends when the rows are written, as it does in a database:
//! what follows in a script can read them. A query over a stream that has ended writes them, so
//! that sinks see what they always see. It keeps no checkpoint: there is nothing to go on with.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use headwater_connectors::memory::MemoryStream;
use headwater_core::Result;
use headwater_core::format::BadDataPolicy;
use headwater_core::trigger::Trigger;
use headwater_plan::{StreamDefinition, TableColumn, reads_sources};
use headwater_sql::ast::InsertQuery;

use crate::outcome::Outcome;
use crate::reader::scan;
use crate::session::Headwater;
use crate::start::StartRequest;

impl Headwater {
    /// Whether an `INSERT INTO` reads no source.
    pub(crate) async fn inserts_rows(&self, insert: &InsertQuery) -> Result<bool> {
        let bound = self.binder.bind_insert(insert).await?;
        Ok(!reads_sources(&bound.plan))
    }

    /// Writes the rows of a request without a source.
    pub(crate) async fn write_rows(&self, mut request: StartRequest) -> Result<Outcome> {
        let rows = self.read_plan(request.plan).await?;
        let (schema, batches) = (rows.schema(), rows.collect().await?);
        request.plan = ended_stream(schema, batches)?;
        request.settings = request.settings.unkept();
        request.settings.trigger = Trigger::AvailableNow;
        request.checkpoint = None;
        let (name, sink) = (request.name.clone(), request.sink_name.clone());
        let query = self.start_query(request).await?;
        let ended = query.await_termination().await;
        let written = query.status().totals.rows_out;
        self.queries.forget(&name);
        ended?;
        let rows = if written == 1 { "row" } else { "rows" };
        Ok(Outcome::Done(format!(
            "{written} {rows} written to \"{sink}\""
        )))
    }
}

/// A plan over a stream of these rows, which has ended.
fn ended_stream(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<LogicalPlan> {
    const NAME: &str = "values";
    let stream = MemoryStream::named(NAME, Arc::clone(&schema), 1);
    for batch in batches {
        stream.push(0, batch)?;
    }
    stream.end();
    scan(&Arc::new(StreamDefinition {
        name: NAME.to_string(),
        connector: "memory".to_string(),
        declared: stream.declared(),
        columns: (0..schema.fields().len())
            .map(TableColumn::Source)
            .collect(),
        schema,
        watermark: None,
        bad_data: BadDataPolicy::default(),
        dead_letter_sink: None,
    }))
}
