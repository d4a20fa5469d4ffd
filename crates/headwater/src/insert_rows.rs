//! `INSERT INTO sink` of rows that are all there: `VALUES`, and SELECT over tables.
//!
//! Nothing comes later, so the statement ends when the rows are written, as it does in a database:
//! what follows in a script can read them. A query over a stream that ends writes them, so that
//! sinks see what they always see. It keeps no checkpoint: there is nothing to go on with.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use headwater_connectors::memory::{MemoryStream, Retention};
use headwater_core::format::BadDataPolicy;
use headwater_core::trigger::Trigger;
use headwater_core::{Error, Result};
use headwater_engine::{QueryManager, StreamingQuery};
use headwater_plan::{StreamDefinition, TableColumn};
use headwater_sql::ast::InsertQuery;
use headwater_sql::binder::BoundInsert;

use crate::outcome::Outcome;
use crate::reader::scan;
use crate::session::Headwater;
use crate::start::Asked;

/// How much is read before it is waited for what writes it.
const AHEAD_BYTES: usize = 16 << 20;

impl Headwater {
    /// Writes the rows of an `INSERT INTO` that reads no source.
    pub(crate) async fn insert_rows(
        &self,
        insert: &InsertQuery,
        mut bound: BoundInsert,
    ) -> Result<Outcome> {
        refuse_clauses(insert)?;
        let mut rows = self.read_plan(bound.plan).await?;
        let stream = MemoryStream::named("values", rows.schema(), 1)
            .with_retention(Retention::UntilCommitted);
        bound.plan = scan_of(&stream, rows.schema())?;
        let mut settings = self.settings().unkept();
        (settings.trigger, settings.output_mode) = (Trigger::Asap, None);
        let sink = bound.sink.name.clone();
        let asked = Asked {
            name: self.fresh_name(&format!("insert-into-{sink}")),
            settings,
            checkpoint: None,
        };
        let query = self
            .start_query(Self::request_of(insert, bound, asked))
            .await?;
        let query = Ending {
            query,
            queries: self.queries.clone(),
        };
        let mut ahead_bytes = 0;
        while let Some(batch) = rows.next().await? {
            ahead_bytes += batch.get_array_memory_size();
            stream.push(0, batch)?;
            if ahead_bytes > AHEAD_BYTES {
                query.query.process_all_available().await?;
                ahead_bytes = 0;
            }
        }
        stream.end();
        query.query.await_termination().await?;
        let written = query.query.status().totals.rows_out;
        let rows = if written == 1 { "row" } else { "rows" };
        Ok(Outcome::Done(format!(
            "{written} {rows} written to \"{sink}\""
        )))
    }
}

/// A query that is stopped and forgotten when its statement ends, or is given up.
struct Ending {
    query: StreamingQuery,
    queries: QueryManager,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.query.request_stop();
        self.queries.leave_out(&self.query);
    }
}

/// Clauses that say something about a query that goes on.
pub(crate) fn refuse_clauses(insert: &InsertQuery) -> Result<()> {
    let emit = insert.emit.as_ref().map(|emit| ("EMIT", emit.span));
    let late = insert.late_rows_into.as_ref();
    let late = late.map(|late| ("LATE ROWS INTO", late.span));
    match emit.or(late) {
        None => Ok(()),
        Some((clause, span)) => Err(Error::plan(format!(
            "{clause} belongs to a query that reads a source"
        ))
        .with_detail("These rows are all there, and are written once.")
        .with_hint(format!("Leave {clause} out."))
        .with_span(Some(span))),
    }
}

/// A plan that reads a stream.
fn scan_of(stream: &MemoryStream, schema: SchemaRef) -> Result<LogicalPlan> {
    let columns = 0..schema.fields().len();
    scan(&Arc::new(StreamDefinition {
        name: "values".to_string(),
        connector: "memory".to_string(),
        declared: stream.declared(),
        columns: columns.map(TableColumn::Source).collect(),
        schema,
        watermark: None,
        bad_data: BadDataPolicy::default(),
        dead_letter_sink: None,
    }))
}
