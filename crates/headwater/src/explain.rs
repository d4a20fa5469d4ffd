//! EXPLAIN: the plan after each step of planning.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::TryStreamExt;

use headwater_core::{Error, Result};
use headwater_plan::{ModeRequest, compile_batch, reads_sources};
use headwater_sql::ast::{ExplainStatement, InsertQuery, Name, SelectQuery, Statement};
use headwater_sql::binder::{BoundInsert, emit_of};

use crate::outcome::{Outcome, Rows};
use crate::session::Headwater;
use crate::settings::Settings;
use crate::start::{LateRowsInto, mode_request};
use crate::statements::refuse_streaming_clauses;

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
                refuse_streaming_clauses(select)?;
                let plan = self.binder.bind_query(&select.query).await?;
                compile_batch(&self.binder.state(), plan).await?.explain
            }
            Statement::Select(select) => {
                let plan = self.binder.bind_query(&select.query).await?;
                let (emit, sink) = (emit_of(select.emit.as_ref())?, self.console_sink()?);
                let settings = self.settings();
                let modes = mode_request(emit, &settings, "console", sink.capabilities());
                let into = select.late_rows_into.as_ref();
                self.explain_stream(plan, modes, into).await?
            }
            Statement::Insert(insert) => self.explain_insert(insert).await?,
            Statement::CreateStreamingQuery(create) => {
                let asked = self.asked(create)?;
                let bound = self.binder.bind_insert(&create.query).await?;
                self.explain_bound(&create.query, bound, &asked.settings)
                    .await?
            }
            _ => {
                return Err(
                    Error::unsupported("EXPLAIN of this statement is not there yet")
                        .with_hint("EXPLAIN takes SELECT, INSERT INTO and CREATE STREAMING QUERY."),
                );
            }
        };
        let last = steps.len().saturating_sub(1);
        let shown: Vec<_> = steps
            .into_iter()
            .enumerate()
            .filter(|(i, (step, _))| {
                let is_shown = step == "incremental plan" || step == "warnings";
                explain.verbose || *i == last || is_shown
            })
            .map(|(_, step)| step)
            .collect();
        let names: ArrayRef = Arc::new(shown.iter().map(|(n, _)| Some(n)).collect::<StringArray>());
        let plans: ArrayRef = Arc::new(shown.iter().map(|(_, p)| Some(p)).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("step", names), ("plan", plans)])?;
        Ok(Outcome::Rows(Rows::of(batch)))
    }

    async fn explain_insert(&self, insert: &InsertQuery) -> Result<Vec<(String, String)>> {
        let bound = self.binder.bind_insert(insert).await?;
        if !reads_sources(&bound.plan) {
            let plan = compile_batch(&self.binder.state(), bound.plan).await?;
            return Ok(plan.explain);
        }
        self.explain_bound(insert, bound, &self.settings()).await
    }

    /// A streaming query with the settings that it would run with.
    async fn explain_bound(
        &self,
        insert: &InsertQuery,
        bound: BoundInsert,
        settings: &Settings,
    ) -> Result<Vec<(String, String)>> {
        let sink = bound.sink.declared.capabilities()?;
        let modes = mode_request(bound.emit, settings, &bound.sink.name, sink);
        let into = insert.late_rows_into.as_ref();
        self.explain_stream(bound.plan, modes, into).await
    }

    async fn explain_stream(
        &self,
        plan: LogicalPlan,
        modes: ModeRequest,
        late_rows_into: Option<&Name>,
    ) -> Result<Vec<(String, String)>> {
        let into = late_rows_into.map(LateRowsInto::from);
        let state = self.binder.state();
        let planned = self.compile(&state, plan, modes, into.as_ref()).await?;
        let (mut steps, warnings) = (planned.plan.explain, planned.plan.warnings);
        if !warnings.is_empty() {
            steps.insert(0, ("warnings".to_string(), warnings.join("\n")));
        }
        Ok(steps)
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
