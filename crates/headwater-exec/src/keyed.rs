//! `KeyedRunsExec`: an operator that keeps rows by key between epochs.
//!
//! - **Input**: rows; each key's rows come to one shard.
//! - **Output**: what its [`RunLogic`] emits: sessions, the first rows of a ranking, rows with
//!   values over the rows before them.
//! - **State**: a run of rows per key, see [`crate::keyed_runs`].
//! - **Time**: late rows are taken out by `W(n − 1)`, see [`Lateness`]; what is due by `W(n)`, known
//!   when the input of this very epoch is drained, is emitted and forgotten in it. Both are those
//!   of the sources, less what the operators below hold back.
//! - **Replay**: takes state `n − 1` to `n` and can undo that; the same slice gives the same rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
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
use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

use crate::aggregate::cut;
use crate::aggregate_spec::canonical_keys;
use crate::changelog::Stage;
use crate::epoch_context::EpochContext;
use crate::idle_keys::StateTtl;
use crate::keyed_runs::{EpochEnd, EpochStart, RunLogic, RunState, batch_of};
use crate::late_filter::LateFilter;
use crate::plan_properties::{exact_children, same_partitions};
use crate::state_registry::SharedState;
use crate::watermark::{InputTime, as_micros};

/// Which rows come after everything they could change was final.
#[derive(Debug, Clone)]
pub enum Lateness {
    /// None.
    Never,
    /// The logic says so.
    OfLogic,
    /// Rows of windows that end, at the time the expression gives, at or before `W(n − 1)`.
    WindowEnd(Arc<dyn PhysicalExpr>),
    /// Rows whose event time, which the expression gives, is before `W(n − 1)`.
    EventTime(Arc<dyn PhysicalExpr>),
}

/// What a `KeyedRunsExec` does.
#[derive(Debug, Clone)]
pub struct KeyedRuns {
    /// The operator's identity in the checkpoint.
    pub operator: OperatorId,
    /// Keys, over the input.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// What becomes of the rows of a key.
    pub logic: Arc<dyn RunLogic>,
    /// Which rows are late.
    pub lateness: Lateness,
    /// Schema of the output.
    pub schema: SchemaRef,
    /// The watermark that counts here.
    pub input_time: InputTime,
    /// Whether it holds results back until the watermark passes them, in append mode.
    pub holds_back: bool,
    /// Where it stands in its query.
    pub stage: Stage,
    /// How its state grows.
    pub growth: Growth,
    /// How long keys are kept that no row touches; `None` for ever.
    pub ttl: Option<StateTtl>,
}

/// How state grows while the watermark moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// It does not: what is behind the watermark is forgotten.
    None,
    /// With the number of windows ever seen in complete mode, which shows all of them; in the
    /// others the watermark ends them.
    ByWindows,
    /// With the number of keys ever seen.
    ByKeys,
    /// With the number of rows ever seen.
    ByRows,
}

/// Keeps rows by key. See the module's page.
#[derive(Debug)]
pub struct KeyedRunsExec {
    input: Arc<dyn ExecutionPlan>,
    runs: Arc<KeyedRuns>,
    properties: Arc<PlanProperties>,
}

impl KeyedRunsExec {
    /// An operator with one shard per input partition.
    pub fn new(input: Arc<dyn ExecutionPlan>, runs: KeyedRuns) -> Self {
        Self::shared(input, Arc::new(runs))
    }

    fn shared(input: Arc<dyn ExecutionPlan>, runs: Arc<KeyedRuns>) -> Self {
        let shards = input.output_partitioning().partition_count();
        let properties = same_partitions(Arc::clone(&runs.schema), shards);
        KeyedRunsExec {
            input,
            runs,
            properties,
        }
    }

    /// The same, which forgets keys that no row touches.
    #[must_use]
    pub fn with_ttl(&self, ttl: StateTtl) -> Self {
        let runs = KeyedRuns {
            ttl: Some(ttl),
            ..KeyedRuns::clone(&self.runs)
        };
        Self::shared(Arc::clone(&self.input), Arc::new(runs))
    }

    /// What it does.
    pub fn runs(&self) -> &KeyedRuns {
        &self.runs
    }
}

impl DisplayAs for KeyedRunsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.runs.keys.iter().map(ToString::to_string).collect();
        let (operator, keys) = (&self.runs.operator, keys.join(", "));
        write!(f, "KeyedRunsExec: operator={operator}, keys=[{keys}]")?;
        if self.runs.stage == Stage::Inner {
            write!(f, ", emits=final")?;
        }
        if let Some(ttl) = self.runs.ttl {
            write!(f, ", ttl={ttl}")?;
        }
        write!(f, ", {:?}", self.runs.logic)
    }
}

impl ExecutionPlan for KeyedRunsExec {
    fn name(&self) -> &'static str {
        "KeyedRunsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        if self.runs.keys.is_empty() {
            return vec![Distribution::SinglePartition];
        }
        vec![Distribution::KeyPartitioned(self.runs.keys.clone())]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = exact_children(self.name(), children)?;
        let runs = Arc::clone(&self.runs);
        Ok(Arc::new(KeyedRunsExec::shared(input, runs)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in &self.runs.keys {
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
        let runs = Arc::clone(&self.runs);
        let key_schema = runs.key_schema(&input.schema())?;
        let empty = RunState::try_new(Arc::clone(&runs.logic), key_schema, runs.ttl)?;
        let shard = ShardId(partition as u32);
        let state = epoch.state.shard(&runs.operator, shard, || empty)?;
        let stream = futures::stream::once(run(runs, epoch, state, input, partition))
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
    runs: Arc<KeyedRuns>,
    epoch: Arc<EpochContext>,
    state: SharedState<RunState>,
    mut input: SendableRecordBatchStream,
    partition: usize,
) -> Result<Vec<RecordBatch>> {
    let mode = runs.stage.mode(epoch.mode);
    let before = epoch.watermarks.step(&runs.input_time).before;
    let operator = runs.operator.clone();
    let late_rows = LateFilter::new(Arc::clone(&epoch), operator, partition, before);
    let start = EpochStart {
        before,
        keeps_late_rows: epoch.metrics.keeps_late_rows(),
    };
    state.lock().begin(epoch.epoch, start)?;
    // In append mode rows wait in their runs until the watermark has passed them.
    let held_until = (runs.holds_back && mode == OutputMode::Append).then_some(before);
    let expired = state.lock().expire(epoch.processing_time, held_until)?;
    epoch.metrics.add_expired(&runs.operator, expired);
    while let Some(batch) = input.next().await {
        let batch = match mode {
            OutputMode::Complete => batch?,
            OutputMode::Append | OutputMode::Update => runs.in_time(batch?, before, &late_rows)?,
        };
        if batch.num_rows() > 0 {
            let (keys, batch) = runs.keyed(&batch)?;
            state.lock().add(&keys, &batch)?;
        }
    }
    drop(input);
    let step = epoch.watermarks.step(&runs.input_time);
    let (output, late) = state.lock().finish(epoch.epoch, &EpochEnd { mode, step })?;
    late_rows.add(late)?;
    Ok(output)
}

impl KeyedRuns {
    /// Names and types of the keys.
    ///
    /// # Errors
    /// If a key is not of the input.
    fn key_schema(&self, input: &Schema) -> Result<SchemaRef> {
        let keys = self.keys.iter().enumerate();
        let fields = keys.map(|(i, key)| {
            let data_type = key.data_type(input)?;
            Ok(Field::new(format!("key_{i}"), data_type, true))
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }

    /// The keys of rows, and the rows with their keys as they are kept: what is emitted by key must
    /// not have two for one.
    fn keyed(&self, batch: &RecordBatch) -> Result<(Vec<ArrayRef>, RecordBatch)> {
        let keys = self.keys.iter();
        let keys = keys.map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        let keys = canonical_keys(&keys.collect::<Result<Vec<_>>>()?);
        let mut columns = batch.columns().to_vec();
        for (expr, key) in self.keys.iter().zip(&keys) {
            if let Some(column) = expr.downcast_ref::<Column>() {
                columns[column.index()] = Arc::clone(key);
            }
        }
        let batch = batch_of(&batch.schema(), columns, batch.num_rows())?;
        Ok((keys, batch))
    }

    /// The rows that are not late, by the watermark before the epoch.
    fn in_time(
        &self,
        batch: RecordBatch,
        before: Watermark,
        late_rows: &LateFilter,
    ) -> Result<RecordBatch> {
        let (time, closes) = match &self.lateness {
            Lateness::OfLogic | Lateness::Never => return Ok(batch),
            Lateness::WindowEnd(end) => (end, true),
            Lateness::EventTime(time) => (time, false),
        };
        let before = before.micros();
        let is_late = |time: i64| time < before || (closes && time == before);
        let times = time.evaluate(&batch)?.into_array(batch.num_rows())?;
        let micros = as_micros(&times)?;
        let late = micros.iter();
        let late: BooleanArray = late.map(|time| Some(time.is_some_and(is_late))).collect();
        // The end of a window is no event time.
        late_rows.on_time(&batch, &late, (!closes).then_some(&times))
    }
}
