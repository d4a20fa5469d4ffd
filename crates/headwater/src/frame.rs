//! A query that has not run yet.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;

use headwater_core::Result;
use headwater_plan::stream_plan::Emit;

use crate::outcome::Rows;
use crate::quote::identifier;
use crate::session::Headwater;
use crate::start::LateRowsInto;
use crate::writer::StreamWriter;

/// A bounded query.
#[derive(Debug, Clone)]
pub struct Frame {
    session: Headwater,
    plan: LogicalPlan,
}

impl Frame {
    pub(crate) fn new(session: Headwater, plan: LogicalPlan) -> Self {
        Frame { session, plan }
    }

    /// Columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// Goes on with DataFusion's `DataFrame` methods.
    ///
    /// # Errors
    /// What `change` says.
    pub fn map<F>(self, change: F) -> Result<Frame>
    where
        F: FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>,
    {
        let frame = change(DataFrame::new(self.session.binder.state(), self.plan))?;
        let plan = frame.into_unoptimized_plan();
        Ok(Frame {
            session: self.session,
            plan,
        })
    }

    /// Starts to read.
    ///
    /// # Errors
    /// If the query cannot be planned or a source cannot be opened.
    pub async fn rows(self) -> Result<Rows> {
        self.session.read_plan(self.plan).await
    }

    /// All rows.
    ///
    /// # Errors
    /// As [`Frame::rows`], or if reading fails.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.rows().await?.collect().await
    }

    /// Number of rows.
    ///
    /// # Errors
    /// As [`Frame::collect`].
    pub async fn count(self) -> Result<usize> {
        let mut rows = self.rows().await?;
        let mut count = 0;
        while let Some(batch) = rows.next().await? {
            count += batch.num_rows();
        }
        Ok(count)
    }
}

/// A streaming query.
#[derive(Debug, Clone)]
pub struct StreamFrame {
    pub(crate) session: Headwater,
    pub(crate) plan: LogicalPlan,
    pub(crate) emit: Emit,
    pub(crate) text: String,
    /// The sink of `LATE ROWS INTO`.
    pub(crate) late_rows_into: Option<LateRowsInto>,
}

impl StreamFrame {
    pub(crate) fn new(session: Headwater, plan: LogicalPlan, emit: Emit, text: String) -> Self {
        StreamFrame {
            session,
            plan,
            emit,
            text,
            late_rows_into: None,
        }
    }

    /// The rows of a source as they come.
    pub(crate) fn of_source(session: Headwater, plan: LogicalPlan, source: &str) -> Self {
        let text = format!("SELECT * FROM {}", identifier(source));
        StreamFrame::new(session, plan, Emit::Default, text)
    }

    /// Columns.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// Goes on with DataFusion's `DataFrame` methods.
    ///
    /// # Errors
    /// What `change` says.
    pub fn map<F>(self, change: F) -> Result<StreamFrame>
    where
        F: FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>,
    {
        let frame = change(DataFrame::new(self.session.binder.state(), self.plan))?;
        let plan = frame.into_unoptimized_plan();
        Ok(StreamFrame { plan, ..self })
    }

    /// Starts to say where the rows go.
    pub fn write_stream(self) -> StreamWriter {
        StreamWriter::new(self)
    }
}
