//! EXPLAIN: the plan after each step of planning.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::TryStreamExt;

use headwater_core::{Error, Result};
use headwater_plan::compile_batch;
use headwater_sql::ast::{ExplainStatement, SelectQuery, Statement};
use headwater_sql::binder::emit_of;

use crate::outcome::{Outcome, Rows};
use crate::session::Headwater;
use crate::start::compile;

impl Headwater {
    pub(crate) async fn explain(&self, explain: &ExplainStatement) -> Result<Outcome> {
        let steps = match explain.statement.as_ref() {
            Statement::Select(select) if explain.analyze => self.analyze(select).await?,
            _ if explain.analyze => {
                return Err(Error::unsupported(
                    "EXPLAIN ANALYZE of a streaming query is not there yet",
                )
                .with_hint("Start it and look at its progress: SHOW QUERIES."));
            }
            Statement::Select(select) if !select.stream => {
                let plan = self.binder.bind_query(&select.query).await?;
                compile_batch(&self.binder.state(), plan).await?.explain
            }
            Statement::Select(select) => {
                let plan = self.binder.bind_query(&select.query).await?;
                let (emit, sink) = (emit_of(select.emit.as_ref())?, self.console_sink()?);
                let state = self.binder.state();
                compile(
                    &state,
                    plan,
                    emit,
                    &self.settings(),
                    "console",
                    sink.capabilities(),
                )
                .await?
                .explain
            }
            Statement::Insert(insert) => {
                let bound = self.binder.bind_insert(insert).await?;
                let (sink, state) = (bound.sink.declared.capabilities()?, self.binder.state());
                let name = bound.sink.name;
                compile(
                    &state,
                    bound.plan,
                    bound.emit,
                    &self.settings(),
                    &name,
                    sink,
                )
                .await?
                .explain
            }
            _ => {
                return Err(Error::unsupported(
                    "EXPLAIN of this statement is not there yet",
                ));
            }
        };
        let last = steps.len().saturating_sub(1);
        let shown: Vec<_> = steps
            .into_iter()
            .enumerate()
            .filter(|(i, (step, _))| explain.verbose || *i == last || step == "incremental plan")
            .map(|(_, step)| step)
            .collect();
        let names: ArrayRef = Arc::new(shown.iter().map(|(n, _)| Some(n)).collect::<StringArray>());
        let plans: ArrayRef = Arc::new(shown.iter().map(|(_, p)| Some(p)).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("step", names), ("plan", plans)])?;
        Ok(Outcome::Rows(Rows::of(batch)))
    }

    /// Runs a bounded read and shows what its operators measured.
    async fn analyze(&self, select: &SelectQuery) -> Result<Vec<(String, String)>> {
        if select.stream {
            return Err(Error::unsupported(
                "EXPLAIN ANALYZE of a streaming query is not there yet",
            )
            .with_hint("Leave STREAM out: the same query as a bounded read."));
        }
        let plan = self.binder.bind_query(&select.query).await?;
        let plan = compile_batch(&self.binder.state(), plan).await?;
        let run = headwater_engine::run_batch(&plan, &self.environment_now()).await?;
        run.rows.try_for_each(|_| async { Ok(()) }).await?;
        let measured = DisplayableExecutionPlan::with_metrics(plan.physical.as_ref());
        Ok(vec![(
            "plan with metrics".to_string(),
            measured.indent(true).to_string(),
        )])
    }
}
