//! The operators of a plan that keep state, as a checkpoint and a user know them.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use headwater_core::Result;
use headwater_core::id::OperatorId;
use headwater_core::mode::OutputMode;
use headwater_exec::aggregate::StreamAggregateExec;
use headwater_exec::idle_keys::StateTtl;
use headwater_exec::keyed::{Growth, KeyedRunsExec};

use crate::retention::{KeptFor, aggregate_growth};

/// An operator that keeps state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorInfo {
    /// Identity in the checkpoint.
    pub id: OperatorId,
    /// Its state schema as a text, compared when a query is resumed.
    pub state_schema: String,
    /// Number of shards.
    pub shards: usize,
    /// Whether it holds results back until the watermark passes them.
    pub holds_back: bool,
    /// How its state grows.
    pub growth: Growth,
    /// How long it keeps keys that no row touches; `None` for ever.
    pub ttl: Option<StateTtl>,
    /// The aggregates of its only group that keep every value they see, by name: nothing ends that
    /// group.
    pub keeps_values: Vec<String>,
}

pub(super) fn operators(
    physical: &Arc<dyn ExecutionPlan>,
    mode: OutputMode,
) -> Result<Vec<OperatorInfo>> {
    let mut found = Vec::new();
    physical.apply(|node| {
        let shards = node.output_partitioning().partition_count();
        if let Some(exec) = node.downcast_ref::<StreamAggregateExec>() {
            let aggregate = exec.aggregate();
            let is_final = aggregate.stage.mode(mode) == OutputMode::Append;
            found.push(OperatorInfo {
                id: aggregate.operator.clone(),
                state_schema: columns_of(aggregate.spec.state_schema(), aggregate.ttl),
                shards,
                holds_back: aggregate.window.is_some() && is_final,
                growth: match aggregate.window {
                    Some(_) if aggregate.stage.mode(mode) == OutputMode::Complete => {
                        Growth::ByWindows
                    }
                    _ => aggregate_growth(exec),
                },
                ttl: aggregate.ttl,
                keeps_values: values_kept(exec),
            });
        }
        if let Some(exec) = node.downcast_ref::<KeyedRunsExec>() {
            let runs = exec.runs();
            let is_final = runs.stage.mode(mode) == OutputMode::Append;
            found.push(OperatorInfo {
                id: runs.operator.clone(),
                state_schema: columns_of(runs.logic.schema(), runs.ttl),
                shards,
                holds_back: runs.holds_back && is_final,
                growth: match runs.growth {
                    Growth::ByWindows if runs.stage.mode(mode) != OutputMode::Complete => {
                        Growth::None
                    }
                    growth => growth,
                },
                ttl: runs.ttl,
                keeps_values: vec![],
            });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// The aggregates over all rows, in one group without a window, whose state grows with the rows.
fn values_kept(exec: &StreamAggregateExec) -> Vec<String> {
    const LISTS: [&str; 4] = ["array_agg", "string_agg", "median", "percentile_cont"];
    const ONE_VALUE: [&str; 2] = ["min", "max"];
    let aggregate = exec.aggregate();
    if aggregate.window.is_some() || aggregate.spec.key_count() > 0 {
        return vec![];
    }
    let all = aggregate.spec.aggregates().iter();
    let growing = all.filter(|one| {
        let function = one.fun().name();
        LISTS.contains(&function) || (one.is_distinct() && !ONE_VALUE.contains(&function))
    });
    growing.map(|one| one.name().to_string()).collect()
}

/// Columns with their Arrow types, in which state is kept: `key_0 Utf8View, sum(v) Int64`; and for
/// how long, if not for ever.
fn columns_of(schema: &SchemaRef, ttl: Option<StateTtl>) -> String {
    let columns = schema.fields().iter();
    let columns: Vec<_> = columns
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    format!("{}{}", columns.join(", "), KeptFor(ttl))
}
