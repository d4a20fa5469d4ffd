//! Which times of rows still stand when an operator has held the rows back.
//!
//! Rows that come out when a window has closed are older than the watermark by as much as the
//! window is long. Their `window_time` is not, but for a millisecond: it is the time that operators
//! above may go by. Their own event time, and other windows they are in, say nothing any more: by
//! those every such row would be late.

use datafusion::arrow::datatypes::Field;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, SortExpr};

use crate::event_time_field::{WindowField, WindowRole, window_of, window_struct_of};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::provenance::is_plain;

/// Until when an operator holds rows back.
pub(crate) enum HeldBack {
    /// Until the watermark has passed the event time that they are in the order of, if at all.
    ByTime,
    /// Until a window has closed.
    ByWindow(WindowField),
}

impl HeldBack {
    /// Of an operator over rows by partition and order: a ranking, or OVER.
    pub(crate) fn of_rows(partition: &[Expr], order: &[SortExpr], input: &LogicalPlan) -> Self {
        let mut windows = partition.iter().filter_map(|expr| window(expr, input));
        let by_order = || {
            let first = window(&order.first()?.expr, input)?;
            (first.role == WindowRole::Time).then_some(first)
        };
        match windows.next().or_else(by_order) {
            Some(window) => HeldBack::ByWindow(window),
            None => HeldBack::ByTime,
        }
    }

    /// Of an aggregation.
    pub(crate) fn of_groups(aggregate: &Aggregate) -> Self {
        let Ok(grouped) = GroupedBy::of(aggregate) else {
            return HeldBack::ByTime;
        };
        let columns = 0..aggregate.schema.fields().len();
        let mut shown = columns.filter_map(|column| grouped.shown(column));
        match shown.find_map(|expr| window(expr, &aggregate.input)) {
            Some(window) => HeldBack::ByWindow(window),
            None => HeldBack::ByTime,
        }
    }

    /// Whether the time in a column still stands.
    pub(crate) fn leaves(&self, field: &Field) -> bool {
        match self {
            HeldBack::ByTime => true,
            HeldBack::ByWindow(window) => {
                let found = window_of(field).or_else(|| window_struct_of(field));
                found.is_some_and(|found| found.is_of_same_window(window))
            }
        }
    }
}

/// The window that a column tells, if its mark holds.
fn window(expr: &Expr, input: &LogicalPlan) -> Option<WindowField> {
    let (_, field) = expr.to_field(input.schema().as_ref()).ok()?;
    let window = window_of(&field).or_else(|| window_struct_of(&field))?;
    is_plain(expr, input).then_some(window)
}
