//! Which operators may meet late rows, and with which columns; lets the optimizer keep those
//! columns if late rows are wanted.
//!
//! ```text
//! StreamAggregate: 0-window-aggregate         StreamAggregate: 0-window-aggregate
//!   Window: tumble(10 s)                  →     WholeRows
//!                                                 Window: tumble(10 s)
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode};

use headwater_core::id::OperatorId;
use headwater_core::mode::OutputMode;
use headwater_exec::changelog::window_policy;
use headwater_exec::late_rows::LateColumns;
use headwater_exec::window::WindowSpec;

use crate::event_time_field::{WindowField, WindowRole, Windows, event_time_source, window_of};
use crate::node::{KeyedLogic, KeyedNode, StreamAggregateNode, WholeRowsNode};
use crate::rule::incremental::windows_close;

/// An input of an operator in which rows may be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateInput {
    /// The operator.
    pub operator: OperatorId,
    /// The columns of its late rows.
    pub columns: Vec<FieldRef>,
}

/// The plan with whole rows below every operator that may meet late ones, and those operators.
pub(crate) fn keep_whole_rows(
    plan: LogicalPlan,
    mode: OutputMode,
) -> Result<(LogicalPlan, Vec<LateInput>)> {
    let mut found = Vec::new();
    let plan = plan.transform_up(|plan| {
        let LogicalPlan::Extension(extension) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let Some(late) = late_input(extension.node.as_ref(), mode)? else {
            return Ok(Transformed::no(plan));
        };
        found.push(late);
        let inputs = extension.node.inputs().into_iter().map(whole_rows);
        let inputs = inputs.collect();
        let plan = plan.with_new_exprs(extension.node.expressions(), inputs)?;
        Ok(Transformed::yes(plan))
    })?;
    found.sort_by(|a, b| a.operator.cmp(&b.operator));
    Ok((plan.data, found))
}

fn whole_rows(input: &LogicalPlan) -> LogicalPlan {
    LogicalPlan::Extension(Extension {
        node: Arc::new(WholeRowsNode {
            input: Arc::new(input.clone()),
        }),
    })
}

/// What a node says about late rows: the one list of the operators that drop some.
fn late_input(node: &dyn UserDefinedLogicalNode, mode: OutputMode) -> Result<Option<LateInput>> {
    if let Some(aggregate) = node.as_any().downcast_ref::<StreamAggregateNode>() {
        return Ok(of_aggregate(aggregate, mode));
    }
    if let Some(keyed) = node.as_any().downcast_ref::<KeyedNode>() {
        return of_keyed(keyed, mode);
    }
    Ok(None)
}

/// Sessions, rows in the order of time, and keys that close.
fn of_keyed(node: &KeyedNode, mode: OutputMode) -> Result<Option<LateInput>> {
    if !window_policy(node.stage.mode(mode)).evicts {
        return Ok(None);
    }
    match &node.logic {
        KeyedLogic::Rank {
            by_time: None,
            closes: None,
            ..
        } => Ok(None),
        KeyedLogic::SessionAggregate { .. }
        | KeyedLogic::SessionRows { .. }
        | KeyedLogic::Rank { .. }
        | KeyedLogic::Over { .. } => Ok(Some(LateInput {
            operator: OperatorId::new(node.operator.as_str()),
            columns: node.input.schema().as_arrow().fields().to_vec(),
        })),
    }
}

/// Windows that are finished some day and then removed have late rows.
fn of_aggregate(node: &StreamAggregateNode, mode: OutputMode) -> Option<LateInput> {
    let Expr::Column(pane) = &node.window.as_ref()?.pane else {
        return None;
    };
    let input = node.input.schema();
    let field = window_of(input.field(input.maybe_index_of_column(pane)?))?;
    if !window_policy(node.stage.mode(mode)).evicts || !windows_close(&field, &node.input) {
        return None;
    }
    let columns = late_columns(input.as_arrow(), &field);
    Some(LateInput {
        operator: OperatorId::new(node.operator.as_str()),
        columns: columns
            .row
            .iter()
            .map(|column| Arc::clone(&input.as_arrow().fields()[*column]))
            .collect(),
    })
}

/// What is kept of the late rows of a window: the columns that came into it. Its own columns are
/// left out: below an aggregation they speak of panes, and of a row's many windows of one.
pub(crate) fn late_columns(input: &Schema, window: &WindowField) -> LateColumns {
    let is_own = |mark: &WindowField| mark.is_of_same_window(window);
    let fields = input.fields().iter().enumerate();
    let row = fields
        .clone()
        .filter(|(_, f)| !window_of(f).is_some_and(|w| is_own(&w)));
    // Windows over windows read the time of those below.
    let below = |f: &FieldRef| {
        window_of(f).is_some_and(|w| w.role == WindowRole::Time && w.level + 1 == window.level)
    };
    let is_time = |f: &FieldRef| match window.level {
        0 => event_time_source(f).is_some(),
        _ => below(f),
    };
    LateColumns {
        row: row.map(|(index, _)| index).collect(),
        event_time: fields.clone().find(|(_, f)| is_time(f)).map(|(i, _)| i),
        once_per_window: None,
    }
}

/// The windows of an aggregation whose input has a row once for each window that covers it.
pub(crate) fn once_per_window(mark: &WindowField, panes: WindowSpec) -> Option<WindowSpec> {
    match mark.window {
        Windows::Fixed(windows) => (windows != panes).then_some(windows),
        Windows::Session(_) => None,
    }
}
