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
    /// Names of the columns, in the order of [`ROLES`].
    names: [String; 3],
    schema: DFSchemaRef,
}

const ROLES: [WindowRole; 3] = [WindowRole::Start, WindowRole::End, WindowRole::Time];
const NAMES: [&str; 3] = ["window_start", "window_end", "window_time"];

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
        let names = named();
        Self::try_named(input, time, window, assign, names)
    }

    /// Windows whose columns no query names, so that they are named after none of the input's.
    ///
    /// # Errors
    /// If the time is not a TIMESTAMP.
    pub fn try_unnamed(
        input: LogicalPlan,
        time: Expr,
        window: WindowSpec,
        assign: Assign,
    ) -> Result<Self> {
        let names = unnamed(&input);
        Self::try_named(input, time, window, assign, names)
    }

    fn try_named(
        input: LogicalPlan,
        time: Expr,
        window: WindowSpec,
        assign: Assign,
        names: [String; 3],
    ) -> Result<Self> {
        let (_, time_field) = time.to_field(input.schema().as_ref())?;
        if !is_event_time_type(time_field.data_type()) {
            return plan_err!(
                "a window needs a TIMESTAMP column, and \"{time}\" is {}",
                type_name(time_field.data_type())
            );
        }
        let schema = with_window_columns(&input, &time, &Windows::Fixed(window), &names)?;
        Ok(WindowNode {
            input: Arc::new(input),
            time,
            window,
            assign,
            names,
            schema,
        })
    }

    /// Name of the column of the windows' starts.
    pub fn start_name(&self) -> &str {
        &self.names[0]
    }

    /// Name of the column of the windows' ends.
    pub fn end_name(&self) -> &str {
        &self.names[1]
    }

    /// Whether the windows are on an event time with a watermark.
    pub fn has_watermark(&self) -> bool {
        let mark = self.schema.fields().last().and_then(|f| window_of(f));
        mark.is_some_and(|mark| mark.has_watermark)
    }

    /// The same with panes instead of windows.
    pub fn paned(&self) -> Self {
        WindowNode {
            assign: Assign::Panes,
            ..self.clone()
        }
    }

    fn identity(&self) -> (&LogicalPlan, &Expr, WindowSpec, Assign, &[String; 3]) {
        let (input, time) = (&self.input, &self.time);
        (input, time, self.window, self.assign, &self.names)
    }
}

/// The names that queries know the columns by.
pub(crate) fn named() -> [String; 3] {
    NAMES.map(str::to_string)
}

/// Names that are none of the input's.
fn unnamed(input: &LogicalPlan) -> [String; 3] {
    named().map(|name| {
        let mut name = format!("__{name}");
        while input.schema().has_column_with_unqualified_name(&name) {
            name.insert(0, '_');
        }
        name
    })
}

/// The columns of an input with those of windows behind them.
///
/// # Errors
/// If the input already has a column of one of the names.
pub(crate) fn with_window_columns(
    input: &LogicalPlan,
    time: &Expr,
    windows: &Windows,
    names: &[String; 3],
) -> Result<DFSchemaRef> {
    let (_, time_field) = time.to_field(input.schema().as_ref())?;
    let source = has_watermark(&time_field).filter(|_| is_plain(time, input));
    let columns = input.schema().iter();
    let mut fields: Vec<_> = columns.map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
    let below = fields.iter().filter_map(|(_, field)| window_of(field));
    let level = below.map(|w| w.level + 1).max().unwrap_or(0);
    for (name, role) in names.iter().zip(ROLES) {
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
            (Some(time), Some(input)) => {
                let names = self.names.clone();
                WindowNode::try_named(input, time, self.window, self.assign, names)
            }
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
