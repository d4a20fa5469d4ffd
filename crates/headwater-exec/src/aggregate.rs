//! `StreamAggregateExec`: GROUP BY over an endless input, windowed or running.
//!
//! - **Input**: in phase [`Phase::Single`], rows; in phase [`Phase::Final`], the state rows of a
//!   DataFusion partial aggregation: `[pane start] ++ keys ++ states`, dealt to shards by key.
//! - **Output**: the columns of [`Output`]: window columns, keys, one column per aggregate.
//! - **State**: `(pane start, keys) → state of every aggregate`, an Arrow row per group. A pane is
//!   dropped once its last window is finished (append and update mode); a running aggregation keeps
//!   every group, or those that rows have touched within its time to live; complete mode keeps all
//!   windows.
//! - **Time**: emission and eviction use `W(n)`, known when the input of this very epoch is
//!   drained; late rows were taken out below by `W(n − 1)`. Output of a window is final in append
//!   mode: a window that ends at `e` is emitted by the epoch whose `W(n) ≥ e > W(n − 1)`, so its
//!   row, at `window_time = e − 1 ms`, is late for no window of whole milliseconds above it.
//! - **Replay**: takes state `n − 1` to `n` and can undo that; the same slice gives the same rows.
//! - **Source**: panes are those of Li et al., "No pane, no gain"; the modes are Spark's.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion_common::cast::{as_boolean_array, as_uint64_array};
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, internal_datafusion_err};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use headwater_core::id::{OperatorId, ShardId};

use crate::aggregate_spec::AggregateSpec;
use crate::aggregate_state::{AggregateState, WindowResult};
use crate::changelog::Stage;
use crate::epoch_context::EpochContext;
use crate::group_table::Rows;
use crate::having::Having;
use crate::idle_keys::StateTtl;
use crate::plan_properties::{exact_children, same_partitions};
use crate::state_registry::SharedState;
use crate::watermark::{InputTime, as_micros};
use crate::window::WindowSpec;
use crate::window_assign::columns_of_window;

mod evaluated;
mod panes;
#[cfg(test)]
mod tests;
mod totals;

use evaluated::Evaluated;
use panes::runs_by_pane;

/// What comes in.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Rows: keys and arguments are evaluated here.
    Single {
        /// FILTER of every aggregate.
        filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    },
    /// State rows of a partial aggregation.
    Final {
        /// The state columns of a total over no rows; empty if there is no total.
        nothing: Vec<ArrayRef>,
    },
}

/// One output column that is not an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Start of the window.
    WindowStart,
    /// End of the window.
    WindowEnd,
    /// The window's event time: one millisecond before its end.
    WindowTime,
    /// A key, by position.
    Key(usize),
    /// The number of a grouping set.
    GroupingId {
        /// The key that holds it.
        key: usize,
        /// What is shown for what is kept.
        shown: BTreeMap<u64, u64>,
    },
}

/// What a `StreamAggregateExec` does.
#[derive(Debug, Clone)]
pub struct StreamAggregate {
    /// The operator's identity in the checkpoint.
    pub operator: OperatorId,
    /// Windows, and the expression that gives a row's pane.
    pub window: Option<(WindowSpec, Arc<dyn PhysicalExpr>)>,
    /// Keys, over the input.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Keys and aggregates.
    pub spec: Arc<AggregateSpec>,
    /// What comes in.
    pub phase: Phase,
    /// Output columns before the aggregates.
    pub outputs: Vec<Output>,
    /// Columns of the results.
    pub schema: SchemaRef,
    /// Which results are in the output, in update mode; then it says what a row does to the whole.
    pub having: Option<Having>,
    /// The watermark that counts here.
    pub input_time: InputTime,
    /// Where it stands in its query.
    pub stage: Stage,
    /// How long groups of no window are kept that no row touches; `None` for ever.
    pub ttl: Option<StateTtl>,
}

/// Aggregates incrementally. See the module's page.
#[derive(Debug)]
pub struct StreamAggregateExec {
    input: Arc<dyn ExecutionPlan>,
    aggregate: Arc<StreamAggregate>,
    properties: Arc<PlanProperties>,
}

impl StreamAggregateExec {
    /// An aggregation with one shard per input partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, aggregate: StreamAggregate) -> Self {
        Self::shared(input, Arc::new(aggregate))
    }

    fn shared(input: Arc<dyn ExecutionPlan>, aggregate: Arc<StreamAggregate>) -> Self {
        let shards = input.output_partitioning().partition_count();
        let schema = match &aggregate.having {
            Some(having) => having.schema(),
            None => &aggregate.schema,
        };
        let properties = same_partitions(Arc::clone(schema), shards);
        StreamAggregateExec {
            input,
            aggregate,
            properties,
        }
    }

    /// The same, which forgets groups that no row touches.
    #[must_use]
    pub fn with_ttl(&self, ttl: StateTtl) -> Self {
        let aggregate = StreamAggregate {
            ttl: Some(ttl),
            ..StreamAggregate::clone(&self.aggregate)
        };
        Self::shared(Arc::clone(&self.input), Arc::new(aggregate))
    }

    /// What it does.
    pub fn aggregate(&self) -> &StreamAggregate {
        &self.aggregate
    }
}

impl DisplayAs for StreamAggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let a = &self.aggregate;
        let keys: Vec<_> = a
            .spec
            .key_schema()
            .fields()
            .iter()
            .map(|k| k.name().as_str())
            .collect();
        let values: Vec<_> = a.spec.aggregates().iter().map(|x| x.name()).collect();
        let phase = match a.phase {
            Phase::Single { .. } => "single",
            Phase::Final { .. } => "final",
        };
        write!(
            f,
            "StreamAggregateExec: operator={}, phase={phase}",
            a.operator
        )?;
        if let Some((window, _)) = &a.window {
            write!(f, ", window={window}")?;
        }
        if a.stage == Stage::Inner {
            write!(f, ", emits=final")?;
        }
        if let Some(ttl) = a.ttl {
            write!(f, ", ttl={ttl}")?;
        }
        write!(
            f,
            ", keys=[{}], aggregates=[{}]",
            keys.join(", "),
            values.join(", ")
        )?;
        match &a.having {
            Some(having) => write!(f, ", having={having}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for StreamAggregateExec {
    fn name(&self) -> &'static str {
        "StreamAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        if self.aggregate.keys.is_empty() {
            return vec![Distribution::SinglePartition];
        }
        vec![Distribution::KeyPartitioned(self.aggregate.keys.clone())]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = exact_children(self.name(), children)?;
        Ok(Arc::new(StreamAggregateExec::shared(
            input,
            Arc::clone(&self.aggregate),
        )))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in &self.aggregate.keys {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let epoch = EpochContext::of(&context)?;
        let batch_rows = context.session_config().batch_size();
        let input = self.input.execute(partition, context)?;
        let aggregate = Arc::clone(&self.aggregate);
        let shard = ShardId(partition as u32);
        let state = epoch.state.shard(&aggregate.operator, shard, || {
            let window = aggregate.window.as_ref().map(|(window, _)| *window);
            let state = AggregateState::new(Arc::clone(&aggregate.spec), window);
            let state = state.with_results_before(aggregate.having.is_some());
            state.with_ttl(aggregate.ttl)
        })?;
        let stream = futures::stream::once(run(aggregate, epoch, state, input, partition))
            .map_ok(move |batches| cut(batches, batch_rows))
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}

/// Drains the input into the state, then ends the epoch.
async fn run(
    aggregate: Arc<StreamAggregate>,
    epoch: Arc<EpochContext>,
    state: SharedState<AggregateState>,
    mut input: SendableRecordBatchStream,
    partition: usize,
) -> Result<Vec<RecordBatch>> {
    state.lock().begin(epoch.epoch)?;
    let expired = state.lock().expire(epoch.processing_time)?;
    epoch.metrics.add_expired(&aggregate.operator, expired);
    while let Some(batch) = input.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 {
            aggregate.add(&mut state.lock(), &batch)?;
        }
    }
    let nothing = RecordBatch::new_empty(input.schema());
    drop(input);
    let step = epoch.watermarks.step(&aggregate.input_time);
    let mut state = state.lock();
    if aggregate.is_global() && partition == 0 {
        state.ensure_global_group(&aggregate.null_arguments(&nothing)?)?;
    }
    let results = state.finish(epoch.epoch, aggregate.stage.mode(epoch.mode), step)?;
    drop(state);
    let mut batches = Vec::with_capacity(results.len());
    for result in results {
        aggregate.emit(result, &mut batches)?;
    }
    Ok(batches)
}

/// Batches of at most `batch_rows` rows.
pub(crate) fn cut(
    batches: Vec<RecordBatch>,
    batch_rows: usize,
) -> impl futures::Stream<Item = Result<RecordBatch>> {
    let step = batch_rows.max(1);
    futures::stream::iter(batches.into_iter().flat_map(move |batch| {
        let rows = batch.num_rows();
        (0..rows)
            .step_by(step)
            .map(move |at| Ok(batch.slice(at, step.min(rows - at))))
    }))
}

impl StreamAggregate {
    fn add(&self, state: &mut AggregateState, batch: &RecordBatch) -> Result<()> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef> {
            expr.evaluate(batch)?.into_array(batch.num_rows())
        };
        let keys: Vec<ArrayRef> = self.keys.iter().map(evaluate).collect::<Result<_>>()?;
        let values = match &self.phase {
            Phase::Final { nothing } => {
                let first = keys.len() + usize::from(self.window.is_some());
                let states = &batch.columns()[first..];
                if let Some(rows) = totals::over_rows(self, nothing, state, &keys, states)? {
                    let (keys, states) = (
                        take_arrays(&keys, &rows, None)?,
                        take_arrays(states, &rows, None)?,
                    );
                    return match rows.len() {
                        0 => Ok(()),
                        count => state.add(None, &keys, count, &Rows::States(&states)),
                    };
                }
                Evaluated::States(states.to_vec())
            }
            Phase::Single { filters } => Evaluated::Raw {
                arguments: self.arguments(batch)?,
                filters: filters
                    .iter()
                    .map(|f| match f {
                        Some(f) => Ok(Some(as_boolean_array(&evaluate(f)?)?.clone())),
                        None => Ok(None),
                    })
                    .collect::<Result<_>>()?,
            },
        };
        let Some((_, pane)) = &self.window else {
            return state.add(None, &keys, batch.num_rows(), &values.rows());
        };
        let panes = as_micros(&evaluate(pane)?)?;
        for (pane, rows) in runs_by_pane(panes.values()) {
            match rows {
                None => state.add(Some(pane), &keys, batch.num_rows(), &values.rows())?,
                Some(rows) => {
                    let keys = take_arrays(&keys, &rows, None)?;
                    let values = values.take(&rows)?;
                    state.add(Some(pane), &keys, rows.len(), &values.rows())?;
                }
            }
        }
        Ok(())
    }

    /// Argument columns of every aggregate, those of its ORDER BY behind them.
    fn arguments(&self, batch: &RecordBatch) -> Result<Vec<Vec<ArrayRef>>> {
        let aggregates = self.spec.aggregates().iter();
        aggregates
            .map(|a| {
                let all = a.all_expressions();
                let all = all.args.iter().chain(&all.order_by_exprs);
                all.map(|e| e.evaluate(batch)?.into_array(batch.num_rows()))
                    .collect()
            })
            .collect()
    }

    /// One row of NULL arguments, over the empty batch of the input.
    fn null_arguments(&self, nothing: &RecordBatch) -> Result<Vec<Vec<ArrayRef>>> {
        let mut arguments = self.arguments(nothing)?;
        for column in arguments.iter_mut().flatten() {
            *column = new_null_array(column.data_type(), 1);
        }
        Ok(arguments)
    }

    /// Whether there is one group, made of rows, with a result even over none. (A partial
    /// aggregation sends a state row over no rows, too.)
    fn is_global(&self) -> bool {
        let from_rows = matches!(self.phase, Phase::Single { .. });
        from_rows && self.window.is_none() && self.keys.is_empty()
    }

    /// Adds what is emitted of a result: the result, or what it does to what passes a predicate.
    fn emit(&self, mut result: WindowResult, batches: &mut Vec<RecordBatch>) -> Result<()> {
        let before = result.before.take();
        let rows = self.output(result)?;
        match (&self.having, before) {
            (None, _) => batches.push(rows),
            (Some(having), None) => batches.extend(having.changes(&rows, None)?),
            (Some(having), Some(before)) => {
                let old = self.output(before.rows)?;
                batches.extend(having.changes(&rows, Some((&old, &before.became)))?);
            }
        }
        Ok(())
    }

    fn output(&self, result: WindowResult) -> Result<RecordBatch> {
        let windows = result
            .window
            .map(|window| columns_of_window(window, result.rows));
        let missing = |output: &Output| internal_datafusion_err!("no output {output:?}");
        let key = |index: &usize| {
            let key = result.keys.get(*index);
            key.ok_or_else(|| internal_datafusion_err!("no key {index}"))
        };
        let part = |(output, field): (&Output, &FieldRef)| -> Result<ArrayRef> {
            Ok(match (output, &windows) {
                (Output::Key(index), _) => Arc::clone(key(index)?),
                (Output::GroupingId { key: index, shown }, _) => {
                    grouping_ids(key(index)?, shown, field.data_type())?
                }
                (Output::WindowStart, Some([start, _, _])) => Arc::clone(start),
                (Output::WindowEnd, Some([_, end, _])) => Arc::clone(end),
                (Output::WindowTime, Some([_, _, time])) => Arc::clone(time),
                (output, None) => return Err(missing(output)),
            })
        };
        let outputs = self.outputs.iter().zip(self.schema.fields());
        let mut columns = outputs.map(part).collect::<Result<Vec<_>>>()?;
        columns.extend(result.values);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(result.rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

/// The grouping ids that are shown for those that are kept.
fn grouping_ids(
    kept: &ArrayRef,
    shown: &BTreeMap<u64, u64>,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let kept = cast(kept, &DataType::UInt64)?;
    let ids = as_uint64_array(&kept)?.iter();
    let ids: UInt64Array = ids.map(|id| shown.get(&id?).copied()).collect();
    Ok(cast(&ids, data_type)?)
}

/// The column of a partial aggregation's output that holds the pane, as an expression.
pub fn pane_column(name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(name, 0))
}
