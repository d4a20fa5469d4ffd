//! The result of planning, and the two ways there: a bounded read and a streaming query.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, displayable};

use headwater_core::connector::SourceUse;
use headwater_core::mode::OutputMode;
use headwater_core::{Error, Result};
use headwater_exec::kept::Refresh;

use crate::check::chained_windows::windowed_bound;
use crate::check::depth::refuse_deep_plan;
use crate::check::expressions::check_expressions;
use crate::check::map_keys::refuse_map_keys;
use crate::check::refuse;
use crate::check::unsteady::{is_row_by_row, refuse_unsteady_keys};
use crate::event_time_field::{WindowRole, window_of};
use crate::fallible::Fallible;
use crate::large_stack::on_large_stack;
use crate::node::StreamAggregateNode;
use crate::plan_steps::{fingerprint, steps};
use crate::retention::Retention;
use crate::rule::distinct_counts::rewrite_distinct_counts;
use crate::rule::early_end::end_early;
use crate::rule::epoch_time::{EpochTime, rewrite_epoch_time};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::having::{takes_back, with_deletes};
use crate::rule::held_filters::hold_filters;
use crate::rule::incremental::{Change, Converter, keep_tables, windows_close};
use crate::rule::late_inputs::{LateInput, keep_whole_rows};
use crate::rule::lateral_unnest::rewrite_lateral_unnest;
use crate::rule::number_sources::{number_sources, reads_sources};
use crate::rule::provenance::is_plain;
use crate::rule::row_key::RowKey;
use crate::rule::session_rows::rewrite_session_rows;
use crate::rule::subqueries::{rewrite_subqueries, subqueries_out_of_on};
use crate::rule::time_buckets::rewrite_time_buckets;
use crate::rule::window_calls::{refuse_other_window_calls, rewrite_window_calls};
use crate::stream_table::StreamDefinition;

mod operators;
mod warnings;

pub use operators::OperatorInfo;
use operators::operators;
use warnings::{Facts, null_key, warnings};

/// What was asked about output, and what the sink can do.
#[derive(Debug, Clone)]
pub struct ModeRequest {
    /// What the statement asked for.
    pub emit: Emit,
    /// The user's name of the sink.
    pub sink: String,
    /// Modes the sink accepts.
    pub accepted: Vec<OutputMode>,
    /// Columns by which the sink knows a row again; empty if it does not.
    pub key: Vec<String>,
    /// Whether a row of which the key is NULL has none in the sink.
    pub loses_null_keys: bool,
    /// Whether the sink can take rows back.
    pub takes_deletes: bool,
    /// Whether late rows are to be handed on.
    pub late_rows: LateRowsRequest,
    /// When the tables that the query reads are read again.
    pub table_refresh: Refresh,
    /// How long state is kept that nothing ends.
    pub retention: Retention,
}

/// What happens to late rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateRowsRequest {
    /// They are counted.
    #[default]
    Count,
    /// They are counted and kept whole: `LATE ROWS INTO`.
    Keep,
}

/// The EMIT clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emit {
    /// None: headwater chooses.
    #[default]
    Default,
    /// A mode by name.
    Mode(OutputMode),
    /// Each epoch by itself: nothing is carried over.
    PerEpoch,
}

/// A bounded read, ready to run once.
#[derive(Debug, Clone)]
pub struct BatchPlan {
    /// The operators.
    pub physical: Arc<dyn ExecutionPlan>,
    /// The sources, in the order of their numbers.
    pub sources: Vec<Arc<StreamDefinition>>,
    /// Columns of the result.
    pub schema: SchemaRef,
    /// What can fail over a value.
    pub fallible: Fallible,
    /// The plans of each step, for EXPLAIN.
    pub explain: Vec<(String, String)>,
}

/// A streaming query, ready to run epoch by epoch.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The operators, made once and executed in every epoch.
    pub physical: Arc<dyn ExecutionPlan>,
    /// The sources, in the order of their numbers.
    pub sources: Vec<Arc<StreamDefinition>>,
    /// Columns of the result; if it has operations, theirs is the last.
    pub schema: SchemaRef,
    /// Whether rows say what they do to the result: see [`headwater_core::changes`].
    pub has_ops: bool,
    /// Which rows an epoch emits.
    pub mode: OutputMode,
    /// Columns that identify a row of an updating result; empty if there are none.
    pub key: Vec<String>,
    /// Operators that keep state.
    pub operators: Vec<OperatorInfo>,
    /// Whether every row of the result is a function of one record, so that it is the same in
    /// whichever epoch that is read.
    pub is_row_by_row: bool,
    /// Operators whose late rows are kept; empty if that was not asked for.
    pub late_inputs: Vec<LateInput>,
    /// The time that `now()` gives; set before every epoch.
    pub epoch_time: EpochTime,
    /// Identity of the incremental logical plan, for resuming.
    pub fingerprint: String,
    /// The steps of that plan, for saying what has changed in it.
    pub steps: Vec<String>,
    /// What can fail over a value.
    pub fallible: Fallible,
    /// What the user should know, in sentences.
    pub warnings: Vec<String>,
    /// The plans of each step, for EXPLAIN.
    pub explain: Vec<(String, String)>,
}

/// Plans a bounded read: DataFusion's own operators over this moment's slice.
///
/// # Errors
/// What DataFusion says about the query.
pub async fn compile_batch(session: &SessionState, plan: LogicalPlan) -> Result<BatchPlan> {
    on_large_stack(batch(session, plan)).await
}

async fn batch(session: &SessionState, plan: LogicalPlan) -> Result<BatchPlan> {
    refuse_deep_plan(&plan)?;
    refuse_map_keys(&plan)?;
    let bound = plan.display_indent().to_string();
    let plan = rewrite_window_calls(plan)?;
    refuse_other_window_calls(&plan)?;
    let plan = rewrite_distinct_counts(plan)?;
    let plan = rewrite_session_rows(plan)?;
    let plan = rewrite_lateral_unnest(subqueries_out_of_on(plan)?)?;
    let (plan, sources) = number_sources(plan, SourceUse::BoundedRead)?;
    let fallible = Fallible::of(&plan);
    let lowered = lower(session, &plan).await;
    let (optimized, physical) = lowered.map_err(|e| fallible.name(e))?;
    let physical = end_early(&physical)?;
    let explain = vec![
        ("bound plan".to_string(), bound),
        (
            "optimized plan".to_string(),
            optimized.display_indent().to_string(),
        ),
        ("physical plan".to_string(), show(&physical)),
    ];
    Ok(BatchPlan {
        schema: physical.schema(),
        physical,
        sources,
        fallible,
        explain,
    })
}

/// Plans a streaming query.
///
/// # Errors
/// Everything that semantics refuses, with the place in the SQL and the way out.
pub async fn compile_stream(
    session: &SessionState,
    plan: LogicalPlan,
    request: &ModeRequest,
) -> Result<StreamPlan> {
    on_large_stack(stream(session, plan, request)).await
}

async fn stream(
    session: &SessionState,
    plan: LogicalPlan,
    request: &ModeRequest,
) -> Result<StreamPlan> {
    refuse_deep_plan(&plan)?;
    refuse_map_keys(&plan)?;
    let bound = plan.display_indent().to_string();
    let plan = rewrite_window_calls(plan)?;
    refuse_other_window_calls(&plan)?;
    let plan = rewrite_distinct_counts(plan)?;
    let plan = rewrite_time_buckets(plan)?;
    let plan = rewrite_lateral_unnest(plan)?;
    let (plan, sources) = number_sources(plan, SourceUse::Stream)?;
    let fallible = Fallible::of(&plan);
    if sources.is_empty() {
        return Err(refuse::no_source());
    }
    let epoch_time = EpochTime::default();
    let plan = rewrite_epoch_time(plan, &epoch_time)?;
    refuse_unsteady_keys(&plan)?;
    check_expressions(&plan)?;
    let options = session.config_options();
    let plan = session
        .analyzer()
        .execute_and_check(plan, options, |_, _| {})?;
    let plan = rewrite_subqueries(plan, options, request.table_refresh)?;

    let mode = default_mode(&plan, request).unwrap_or_else(|| choose_mode(&plan, request));
    if !request.accepted.contains(&mode) {
        return Err(refuse::sink_mode(&request.sink, mode, &request.accepted));
    }
    let (incremental, change) = incremental_plan(plan, mode, request)?;
    request.retention.check_dedup(&incremental)?;
    let (incremental, has_ops) = with_deletes(incremental, &change, request)?;
    let (incremental_text, steps) = (text(&incremental), steps(&incremental));
    let (whole, late_inputs) = match request.late_rows {
        LateRowsRequest::Count => (incremental, vec![]),
        LateRowsRequest::Keep => keep_late_rows(incremental, mode, &sources)?,
    };
    let lowered = lower(session, &hold_filters(whole.clone())?).await;
    let (optimized, physical) = lowered.map_err(|e| fallible.name(e))?;
    let physical = request.retention.with_ttl(physical, &sources)?;
    let key = key_names(change, mode, request, &whole)?;
    let operators = operators(&physical, mode)?;
    let warnings = warnings(&Facts {
        operators: &operators,
        sources: &sources,
        bound: windowed_bound(&whole),
        null_key: null_key(mode, request, &physical.schema()),
    });
    let explain = vec![
        ("bound plan".to_string(), bound),
        ("incremental plan".to_string(), text(&whole)),
        ("optimized plan".to_string(), text(&optimized)),
        ("physical plan".to_string(), show(&physical)),
    ];
    Ok(StreamPlan {
        schema: physical.schema(),
        physical,
        has_ops,
        mode,
        key,
        // What happens to late rows changes neither state nor result.
        fingerprint: fingerprint(&format!("{mode}\n{incremental_text}")),
        steps,
        fallible,
        warnings,
        sources,
        is_row_by_row: is_row_by_row(&whole),
        operators,
        late_inputs,
        epoch_time,
        explain,
    })
}

/// The plan with state, and how its result changes.
fn incremental_plan(
    plan: LogicalPlan,
    mode: OutputMode,
    request: &ModeRequest,
) -> Result<(LogicalPlan, Change)> {
    if request.emit == Emit::PerEpoch {
        let plan = rewrite_session_rows(keep_tables(plan, request.table_refresh)?)?;
        return Ok((plan, Change::AppendOnly));
    }
    let converter = Converter::new(mode, request.table_refresh);
    let mut converter = converter.remembering(request.retention.dedup.map(|d| d.time));
    let converted = converter.convert(&plan)?;
    if mode == OutputMode::Complete && !converted.has_state {
        return Err(nothing_to_complete());
    }
    Ok((converted.plan, converted.change.with_key(RowKey::shown)))
}

/// The optimized plan, and the operators.
async fn lower(
    session: &SessionState,
    plan: &LogicalPlan,
) -> Result<(LogicalPlan, Arc<dyn ExecutionPlan>)> {
    let optimized = session.optimize(plan)?;
    let planner = session.query_planner();
    let physical = planner.create_physical_plan(&optimized, session).await?;
    Ok((optimized, physical))
}

fn keep_late_rows(
    incremental: LogicalPlan,
    mode: OutputMode,
    sources: &[Arc<StreamDefinition>],
) -> Result<(LogicalPlan, Vec<LateInput>)> {
    let (plan, inputs) = keep_whole_rows(incremental, mode)?;
    if inputs.is_empty() {
        return Err(refuse::no_late_rows(mode, sources));
    }
    Ok((plan, inputs))
}

/// The key of an updating result; empty if there is none.
fn key_names(
    change: Change,
    mode: OutputMode,
    request: &ModeRequest,
    plan: &LogicalPlan,
) -> Result<Vec<String>> {
    match change {
        Change::AppendOnly => Ok(vec![]),
        Change::Updating { key } => {
            if mode == OutputMode::Update && !request.key.is_empty() {
                check_sink_key(key.as_ref(), request, plan)?;
            }
            Ok(key.map(|key| key.names()).unwrap_or_default())
        }
    }
}

/// A sink that replaces rows by a key must use the key of the rows.
fn check_sink_key(key: Option<&RowKey>, request: &ModeRequest, plan: &LogicalPlan) -> Result<()> {
    match key {
        Some(key) if key.is_told_by(&request.key) => Ok(()),
        None if has_grouping_sets(plan) => {
            Err(refuse::sink_key_of_sets(&request.sink, &request.key))
        }
        key => Err(refuse::sink_key(
            &request.sink,
            &request.key,
            key.map(RowKey::names),
        )),
    }
}

fn has_grouping_sets(plan: &LogicalPlan) -> bool {
    let has_sets = |node: &LogicalPlan| match node {
        LogicalPlan::Extension(extension) => {
            let node = extension
                .node
                .as_any()
                .downcast_ref::<StreamAggregateNode>();
            Ok(node.is_some_and(|node| node.sets.is_some()))
        }
        _ => Ok(false),
    };
    // The closure never fails, so neither does the walk.
    plan.exists(has_sets).unwrap_or(false)
}

fn nothing_to_complete() -> Error {
    Error::plan("complete mode has nothing to complete")
        .with_detail("The query keeps no result: it only hands rows on.")
        .with_hint("Leave EMIT COMPLETE out, or aggregate.")
}

/// The first mode that the sink takes and the query has a result in, if none was asked for: append,
/// then update if the sink knows its rows again, then complete.
fn default_mode(plan: &LogicalPlan, request: &ModeRequest) -> Option<OutputMode> {
    if request.emit != Emit::Default {
        return None;
    }
    let accepts = |mode: &OutputMode| request.accepted.contains(mode);
    let has_result = |mode: &OutputMode| {
        let converted = Converter::new(*mode, Refresh::Never).convert(plan);
        converted.is_ok_and(|c| match mode {
            OutputMode::Append => true,
            OutputMode::Update => request.takes_deletes || !takes_back(&c.plan),
            OutputMode::Complete => c.has_state,
        })
    };
    let prefers_update = !request.key.is_empty() || !accepts(&OutputMode::Complete);
    let modes = match prefers_update {
        true => [OutputMode::Append, OutputMode::Update, OutputMode::Complete],
        false => [OutputMode::Append, OutputMode::Complete, OutputMode::Update],
    };
    modes.into_iter().filter(accepts).find(has_result)
}

/// The mode asked for, or, for a query that has a result in none that the sink takes, the one to
/// speak of: append if every result becomes final, else what the sink can take.
fn choose_mode(plan: &LogicalPlan, request: &ModeRequest) -> OutputMode {
    match request.emit {
        Emit::Mode(mode) => return mode,
        Emit::PerEpoch => return OutputMode::Append,
        Emit::Default => {}
    }
    let (mut needs_whole, mut never_final) = (false, false);
    // The closure never fails, so neither does the walk.
    let _ = plan.apply(|node| {
        if !reads_sources(node) {
            // A table's part has its whole result at once.
            return Ok(TreeNodeRecursion::Jump);
        }
        match node {
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => needs_whole = true,
            LogicalPlan::Aggregate(aggregate) => {
                never_final |= !aggregate.aggr_expr.is_empty() && !has_final_window(aggregate);
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let accepts = |mode| request.accepted.contains(&mode);
    if needs_whole && (never_final || has_aggregate(plan)) {
        return OutputMode::Complete;
    }
    if !never_final {
        return OutputMode::Append;
    }
    if accepts(OutputMode::Update) && (!request.key.is_empty() || !accepts(OutputMode::Complete)) {
        return OutputMode::Update;
    }
    OutputMode::Complete
}

/// Whether every group is of a window that is finished some day.
fn has_final_window(aggregate: &Aggregate) -> bool {
    let Ok(grouped) = GroupedBy::of(aggregate) else {
        return false;
    };
    let is_final = |position: usize| {
        let field = aggregate.schema.field(position);
        let shown = grouped.shown(position);
        window_of(field).is_some_and(|window| {
            window.role != WindowRole::Time && windows_close(&window, &aggregate.input)
        }) && shown.is_some_and(|group| is_plain(group, &aggregate.input))
    };
    (0..grouped.columns.len()).any(is_final)
}

fn has_aggregate(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_)) && reads_sources(node)))
        .unwrap_or(false)
}

fn text(plan: &LogicalPlan) -> String {
    plan.display_indent().to_string()
}

fn show(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}
