//! GROUP BY and DISTINCT to an aggregation that keeps its groups between epochs.

use std::sync::Arc;

use datafusion::common::{Column, Result, internal_err};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, Extension, LogicalPlan};

use headwater_core::Error;
use headwater_core::mode::OutputMode;
use headwater_exec::changelog::Stage;
use headwater_exec::window::Bound;

use super::ranking::is_event_time;
use super::{Change, Converter, Incremental, windows_close};
use crate::check::refuse;
use crate::event_time_field::{WindowField, WindowRole, Windows, window_of};
use crate::node::StreamAggregateNode;
use crate::node::aggregate_node::{GroupColumn, GroupingSets, WindowGroup};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::panes::{to_panes, uses_window};
use crate::rule::provenance::{is_handed_on, is_plain};
use crate::rule::row_key::RowKey;

impl Converter {
    /// DISTINCT is an aggregation by all columns without aggregates.
    pub(super) fn distinct(&mut self, input: &Arc<LogicalPlan>) -> Result<Incremental> {
        let columns = input.schema().columns().into_iter().map(Expr::Column);
        let columns: Vec<Expr> = columns.collect();
        let has_time = columns.iter().any(|column| is_event_time(column, input));
        if has_time && self.mode != OutputMode::Complete {
            return self.distinct_in_time(input, &columns);
        }
        self.aggregate(&Aggregate::try_new(Arc::clone(input), columns, vec![])?)
    }

    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Incremental> {
        let schema = aggregate.input.schema();
        let grouped = GroupedBy::of(aggregate)?;
        let Groups {
            keys,
            sets,
            groups,
            window,
        } = split_groups(aggregate, &grouped)?;
        if !self.keeps_sessions(aggregate, &keys)? {
            let whole = LogicalPlan::Aggregate(aggregate.clone());
            if let Some(whole) = self.of_whole_result(&whole, &aggregate.input)? {
                return Ok(whole);
            }
        }
        if let Some((field, expr)) = &window
            && matches!(field.window, Windows::Session(_))
        {
            let window = (field.clone(), expr.clone());
            return self.session_aggregate(aggregate, &grouped, &keys, groups, window);
        }
        let input = self.convert_final("an aggregation", &aggregate.input)?;
        let told_by = match &window {
            Some((field, _)) => field.window.told_by(),
            None => Bound::Start,
        };
        self.check_mode(window.as_ref(), aggregate, &grouped)?;
        let (plan, window) = match &window {
            None => (input.plan, None),
            Some((field, _)) => {
                let uses = |e: &Expr| uses_window(e, schema);
                let only_grouped = !keys.iter().chain(&aggregate.aggr_expr).any(uses);
                let (plan, group) = window_group(input.plan, field, only_grouped)?;
                (plan, Some(group))
            }
        };
        let kind = if window.is_some() {
            "window-aggregate"
        } else {
            "running-aggregate"
        };
        let operator = self.operator(kind);
        let change = match self.mode {
            OutputMode::Append => Change::AppendOnly,
            OutputMode::Update | OutputMode::Complete => Change::Updating {
                key: Some(RowKey::of_groups(aggregate, &grouped, &groups, told_by)?),
            },
        };
        let node = StreamAggregateNode {
            input: Arc::new(plan),
            operator,
            window,
            keys,
            sets,
            aggregates: aggregate.aggr_expr.clone(),
            groups,
            input_time: input.time.clone(),
            stage: self.stage,
            having: None,
            schema: Arc::clone(&aggregate.schema),
        };
        let plan = LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        });
        Ok(Incremental {
            plan,
            change,
            time: input.time,
            has_state: true,
        })
    }

    fn check_mode(
        &self,
        window: Option<&(WindowField, Expr)>,
        aggregate: &Aggregate,
        grouped: &GroupedBy,
    ) -> Result<(), Error> {
        if self.mode != OutputMode::Append {
            return Ok(());
        }
        match window {
            // A group without aggregates is final when it is there.
            None if aggregate.aggr_expr.is_empty() => Ok(()),
            None if leaves_window_out(aggregate, grouped) => {
                Err(refuse::set_without_window(grouped))
            }
            None if self.stage == Stage::Inner => {
                Err(refuse::running_below_state(aggregate, self.above))
            }
            None => Err(refuse::running_append(aggregate)),
            Some((field, expr)) if !windows_close(field, &aggregate.input) => Err(
                refuse::window_without_watermark(expr, &aggregate.input, refuse::UPDATES),
            ),
            Some(_) => Ok(()),
        }
    }
}

/// Group expressions as the node keeps them.
struct Groups {
    keys: Vec<Expr>,
    sets: Option<GroupingSets>,
    groups: Vec<GroupColumn>,
    window: Option<(WindowField, Expr)>,
}

/// Parts the group expressions into keys and columns of the window. A window's column that a set
/// leaves out is a key like any other.
fn split_groups(aggregate: &Aggregate, grouped: &GroupedBy) -> Result<Groups> {
    let schema = aggregate.input.schema();
    let (mut keys, mut groups, mut window) = (Vec::new(), Vec::new(), None);
    let mut key_positions = Vec::new();
    for (position, expr) in grouped.columns.iter().enumerate() {
        let (_, field) = expr.to_field(schema.as_ref())?;
        let is_window = grouped.shown(position).is_some() && is_plain(expr, &aggregate.input);
        match window_of(&field).filter(|_| is_window) {
            Some(found) => {
                groups.push(GroupColumn::Window(found.role));
                window = Some(same_window(window, found, expr)?);
            }
            None => {
                groups.push(GroupColumn::Key(keys.len()));
                keys.push(expr.clone());
                key_positions.push(position);
            }
        }
    }
    if let Some((field, expr)) = &window
        && field.window.told_by() == Bound::End
        && groups.iter().all(|group| match group {
            GroupColumn::Window(role) => *role == WindowRole::Start,
            GroupColumn::Key(_) | GroupColumn::GroupingId => true,
        })
    {
        return Err(refuse::start_of_many_windows(expr).into());
    }
    let sets = match &grouped.left_out {
        None => None,
        Some(left_out) => {
            groups.push(GroupColumn::GroupingId);
            let of_keys = |set: &Vec<bool>| key_positions.iter().map(|p| set[*p]).collect();
            Some(GroupingSets {
                left_out: left_out.iter().map(of_keys).collect(),
                ids: grouped.ids()?,
            })
        }
    };
    Ok(Groups {
        keys,
        sets,
        groups,
        window,
    })
}

/// Whether some sets have a window and others have none.
fn leaves_window_out(aggregate: &Aggregate, grouped: &GroupedBy) -> bool {
    let is_window = |expr: &Expr| {
        let field = expr.to_field(aggregate.input.schema().as_ref());
        field.is_ok_and(|(_, field)| window_of(&field).is_some())
    };
    grouped.left_out.is_some() && grouped.columns.iter().any(is_window)
}

fn same_window(
    known: Option<(WindowField, Expr)>,
    found: WindowField,
    expr: &Expr,
) -> Result<(WindowField, Expr), Error> {
    match known {
        Some((known, first)) if known.is_of_same_window(&found) => Ok((known, first)),
        Some(_) => Err(refuse::two_windows()),
        None => Ok((found, expr.clone())),
    }
}

/// The column that holds the pane of a row, with the input turned to panes if that is possible.
fn window_group(
    plan: LogicalPlan,
    field: &WindowField,
    only_grouped: bool,
) -> Result<(LogicalPlan, WindowGroup)> {
    let Windows::Fixed(window) = field.window else {
        return internal_err!("panes of a session");
    };
    let start = window_column(&plan, field, WindowRole::Start);
    if let Some(pane) = &start {
        let pane = pane.clone();
        if window.is_tumbling() {
            return Ok((plan, WindowGroup { window, pane }));
        }
        if only_grouped && let Some(plan) = to_panes(&plan)? {
            return Ok((plan, WindowGroup { window, pane }));
        }
    }
    let pane = match window.told_by() {
        Bound::Start => start,
        Bound::End => window_column(&plan, field, WindowRole::End),
    };
    let pane = pane.ok_or_else(|| refuse::no_window_bound(window.told_by()))?;
    let window = window.unpaned();
    Ok((plan, WindowGroup { window, pane }))
}

/// The column of a plan that has a role in the windows of a field.
fn window_column(plan: &LogicalPlan, of: &WindowField, role: WindowRole) -> Option<Expr> {
    let mut columns = plan.schema().iter().enumerate();
    columns.find_map(|(index, (qualifier, field))| {
        let mark = window_of(field)?;
        let is_it = mark.role == role && mark.is_of_same_window(of) && is_handed_on(plan, index);
        is_it.then(|| Expr::Column(Column::new(qualifier.cloned(), field.name())))
    })
}
