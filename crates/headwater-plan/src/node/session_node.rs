//! `SessionNode`: the rows of its input with `window_start`, `window_end` and `window_time` of the
//! session that each is in.
//!
//! A row stretches from its time to its time plus the gap; rows whose partition columns are equal
//! and whose stretches touch are one session. A bounded read computes it with DataFusion's window
//! functions (`rule/session_rows.rs`), a streaming query keeps the rows of open sessions.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::{fmt, iter};

use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};

use headwater_core::type_name::type_name;

use super::window_node::{named, with_window_columns};
use crate::event_time_field::Windows;
use crate::stream_table::is_event_time_type;

/// Adds the columns of a session. See the module's page.
#[derive(Debug, Clone)]
pub struct SessionNode {
    /// Rows.
    pub input: Arc<LogicalPlan>,
    /// Their event time.
    pub time: Expr,
    /// How long a session goes on after a row: an INTERVAL.
    pub gap: Expr,
    /// Rows in which these differ are in different sessions.
    pub partition_by: Vec<Expr>,
    schema: DFSchemaRef,
}

impl SessionNode {
    /// Sessions over an input.
    ///
    /// # Errors
    /// If the time is not a TIMESTAMP, the gap not an INTERVAL, or the input already has a column
    /// of one of the names.
    pub fn try_new(
        input: LogicalPlan,
        time: Expr,
        gap: Expr,
        partition_by: Vec<Expr>,
    ) -> Result<Self> {
        let (_, time_field) = time.to_field(input.schema().as_ref())?;
        if !is_event_time_type(time_field.data_type()) {
            return plan_err!(
                "a session needs a TIMESTAMP column, and \"{time}\" is {}",
                type_name(time_field.data_type())
            );
        }
        let gap_type = gap.get_type(input.schema().as_ref())?;
        if gap_type != DataType::Interval(IntervalUnit::MonthDayNano) {
            return plan_err!(
                "the gap of a session must be an INTERVAL, and \"{gap}\" is {}",
                type_name(&gap_type)
            );
        }
        let identity = iter::once(&gap).chain(&partition_by);
        let identity: Vec<_> = identity.map(ToString::to_string).collect();
        let windows = Windows::Session(identity.join(", "));
        let schema = with_window_columns(&input, &time, &windows, &named())?;
        Ok(SessionNode {
            input: Arc::new(input),
            time,
            gap,
            partition_by,
            schema,
        })
    }

    fn identity(&self) -> (&LogicalPlan, &Expr, &Expr, &[Expr]) {
        (&self.input, &self.time, &self.gap, &self.partition_by)
    }
}

impl PartialEq for SessionNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for SessionNode {}

impl Hash for SessionNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for SessionNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl UserDefinedLogicalNodeCore for SessionNode {
    fn name(&self) -> &'static str {
        "Session"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let fixed = [self.time.clone(), self.gap.clone()];
        fixed.into_iter().chain(self.partition_by.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.partition_by.iter().map(ToString::to_string).collect();
        write!(
            f,
            "Session: gap {} on {}, keys=[{}]",
            self.gap,
            self.time,
            keys.join(", ")
        )
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        match (exprs.next(), exprs.next(), inputs.into_iter().next()) {
            (Some(time), Some(gap), Some(input)) => {
                SessionNode::try_new(input, time, gap, exprs.collect())
            }
            _ => internal_err!("a session takes a time, a gap and one input"),
        }
    }
}
