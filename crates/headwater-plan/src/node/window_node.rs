//! `WindowNode`: the rows of its input with `window_start`, `window_end` and `window_time`.
//!
//! As a table function (`FROM hop(t, ts, …)`) it gives a row per window. Below an aggregation the
//! planner may turn it to panes, which gives a row per input row.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};

use headwater_core::type_name::type_name;
use headwater_exec::window::WindowSpec;
use headwater_exec::window_assign::{Assign, window_time_type};

use crate::event_time_field::{
    WindowField, WindowRole, Windows, event_time_source, mark_window, window_of,
};
use crate::rule::provenance::is_plain;
use crate::stream_table::is_event_time_type;

/// Adds the columns of a window. See the module's page.
#[derive(Debug, Clone)]
pub struct WindowNode {
    /// Rows.
    pub input: Arc<LogicalPlan>,
    /// Their event time.
    pub time: Expr,
    /// The windows.
    pub window: WindowSpec,
    /// A row per window or a row per pane.
    pub assign: Assign,
    schema: DFSchemaRef,
}

impl WindowNode {
    /// Windows over an input.
    ///
    /// # Errors
    /// If the time is not a TIMESTAMP, or the input already has a column of one of the names.
    pub fn try_new(
        input: LogicalPlan,
        time: Expr,
        window: WindowSpec,
        assign: Assign,
    ) -> Result<Self> {
        let (_, time_field) = time.to_field(input.schema().as_ref())?;
        if !is_event_time_type(time_field.data_type()) {
            return plan_err!(
                "a window needs a TIMESTAMP column, and \"{time}\" is {}",
                type_name(time_field.data_type())
            );
        }
        let schema = with_window_columns(&input, &time, &Windows::Fixed(window))?;
        Ok(WindowNode {
            input: Arc::new(input),
            time,
            window,
            assign,
            schema,
        })
    }

    /// The same with panes instead of windows.
    pub fn paned(&self) -> Self {
        WindowNode {
            assign: Assign::Panes,
            ..self.clone()
        }
    }

    fn identity(&self) -> (&LogicalPlan, &Expr, WindowSpec, Assign) {
        (&self.input, &self.time, self.window, self.assign)
    }
}

/// The columns of an input with those of windows behind them.
///
/// # Errors
/// If the input already has a column of one of the names.
pub(crate) fn with_window_columns(
    input: &LogicalPlan,
    time: &Expr,
    windows: &Windows,
) -> Result<DFSchemaRef> {
    let (_, time_field) = time.to_field(input.schema().as_ref())?;
    let source = has_watermark(&time_field).filter(|_| is_plain(time, input));
    let columns = input.schema().iter();
    let mut fields: Vec<_> = columns.map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
    let below = fields.iter().filter_map(|(_, field)| window_of(field));
    let level = below.map(|w| w.level + 1).max().unwrap_or(0);
    let roles = [
        ("window_start", WindowRole::Start),
        ("window_end", WindowRole::End),
        ("window_time", WindowRole::Time),
    ];
    for (name, role) in roles {
        if input.schema().has_column_with_unqualified_name(name) {
            return plan_err!("the input of a window already has a column \"{name}\"");
        }
        let field = Field::new(name, window_time_type(), false);
        let mark = WindowField {
            role,
            window: windows.clone(),
            has_watermark: source.is_some(),
            source: source.clone().unwrap_or_default(),
            level,
        };
        fields.push((None, Arc::new(mark_window(field, &mark))));
    }
    let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
    Ok(Arc::new(schema))
}

/// The source whose watermark speaks of a field: its event time, or the time of windows over it.
fn has_watermark(field: &Field) -> Option<String> {
    if let Some(source) = event_time_source(field) {
        return Some(source.to_string());
    }
    let window = window_of(field)?;
    let is_certain = match &window.window {
        Windows::Fixed(window) => window.is_whole_millis(),
        // What is held back for them covers the millisecond.
        Windows::Session(_) => true,
    };
    let is_time = window.role == WindowRole::Time;
    (is_time && is_certain && window.has_watermark).then_some(window.source)
}

impl PartialEq for WindowNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for WindowNode {}

impl Hash for WindowNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &'static str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.time.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.assign {
            Assign::Windows => "windows",
            Assign::Panes => "panes",
        };
        write!(f, "Window: {what} of {} on {}", self.window, self.time)
    }

    fn with_exprs_and_inputs(
        &self,
        mut exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        match (exprs.pop(), inputs.pop()) {
            (Some(time), Some(input)) => WindowNode::try_new(input, time, self.window, self.assign),
            _ => internal_err!("a window takes one expression and one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed: Vec<usize> = output_columns
            .iter()
            .copied()
            .filter(|i| *i < input.fields().len())
            .collect();
        needed.extend(
            self.time
                .column_refs()
                .iter()
                .filter_map(|c| input.maybe_index_of_column(c)),
        );
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
