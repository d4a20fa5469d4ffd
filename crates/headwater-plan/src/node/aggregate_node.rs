//! `StreamAggregateNode`: GROUP BY over an endless input.
//!
//! Output columns are those of the DataFusion `Aggregate` it stands for, so that everything above
//! it stays as it is: group columns (window columns among them), then aggregates.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use headwater_exec::changelog::Stage;
use headwater_exec::watermark::InputTime;
use headwater_exec::window::WindowSpec;

use crate::event_time_field::{WindowRole, window_of};
use crate::rule::late_inputs::{late_columns, once_per_window};

/// A group expression as the node keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupColumn {
    /// A column of the window.
    Window(WindowRole),
    /// A key, by position among [`StreamAggregateNode::keys`].
    Key(usize),
    /// Which of the [`GroupingSets`] the row is of.
    GroupingId,
}

/// GROUPING SETS, ROLLUP or CUBE: every row counts once in every set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct GroupingSets {
    /// Per set, whether it leaves out each of [`StreamAggregateNode::keys`].
    pub left_out: Vec<Vec<bool>>,
    /// Per set, the grouping id that the result shows, which counts the window's columns too.
    pub ids: Vec<u64>,
}

/// Windows of an aggregation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct WindowGroup {
    /// The windows.
    pub window: WindowSpec,
    /// The column that holds a row's pane.
    pub pane: Expr,
}

/// An incremental aggregation. See the module's page.
#[derive(Debug, Clone)]
pub struct StreamAggregateNode {
    /// Rows.
    pub input: Arc<LogicalPlan>,
    /// Identity in the checkpoint.
    pub operator: String,
    /// Windows, if it has any.
    pub window: Option<WindowGroup>,
    /// Keys.
    pub keys: Vec<Expr>,
    /// Sets of the keys, if there are several.
    pub sets: Option<GroupingSets>,
    /// Aggregates.
    pub aggregates: Vec<Expr>,
    /// Group columns of the output.
    pub groups: Vec<GroupColumn>,
    /// The watermark that counts.
    pub input_time: InputTime,
    /// Where it stands in its query.
    pub stage: Stage,
    /// Which results are in the output, in update mode; over [`StreamAggregateNode::schema`].
    pub having: Option<Expr>,
    /// Columns of the output. With `having`, the last is that of the operations, once planning
    /// has come to the sink.
    pub schema: DFSchemaRef,
}

type Identity<'a> = (
    &'a LogicalPlan,
    &'a str,
    &'a Option<WindowGroup>,
    &'a [Expr],
    &'a Option<GroupingSets>,
    &'a [Expr],
    &'a [GroupColumn],
    &'a InputTime,
    &'a Option<Expr>,
    Stage,
);

impl StreamAggregateNode {
    /// Whether a set leaves out a group column.
    pub(crate) fn leaves_out(&self, group: Option<&GroupColumn>) -> bool {
        let Some(GroupColumn::Key(key)) = group else {
            return false;
        };
        let sets = self.sets.iter().flat_map(|sets| &sets.left_out);
        sets.into_iter()
            .any(|set| set.get(*key).copied().unwrap_or(false))
    }

    fn identity(&self) -> Identity<'_> {
        (
            &self.input,
            &self.operator,
            &self.window,
            &self.keys,
            &self.sets,
            &self.aggregates,
            &self.groups,
            &self.input_time,
            &self.having,
            self.stage,
        )
    }
}

impl PartialEq for StreamAggregateNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for StreamAggregateNode {}

impl Hash for StreamAggregateNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for StreamAggregateNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl StreamAggregateNode {
    /// The event time of rows that come once per window: it tells whether a row is late, or only
    /// one of its windows has ended.
    fn time_of_windows(&self) -> Option<usize> {
        let group = self.window.as_ref()?;
        let Expr::Column(pane) = &group.pane else {
            return None;
        };
        let input = self.input.schema();
        let mark = window_of(input.field(input.maybe_index_of_column(pane)?))?;
        once_per_window(&mark, group.window)?;
        late_columns(input.as_arrow(), &mark).event_time
    }
}

impl UserDefinedLogicalNodeCore for StreamAggregateNode {
    fn name(&self) -> &'static str {
        "StreamAggregate"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let pane = self.window.iter().map(|w| &w.pane);
        pane.chain(&self.keys)
            .chain(&self.aggregates)
            .cloned()
            .collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |exprs: &[Expr]| {
            exprs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        write!(f, "StreamAggregate: operator={}", self.operator)?;
        if let Some(window) = &self.window {
            write!(f, ", window={} by {}", window.window, window.pane)?;
        }
        write!(f, ", keys=[{}]", list(&self.keys))?;
        if let Some(sets) = &self.sets {
            write!(f, ", sets=[")?;
            for (number, set) in sets.left_out.iter().enumerate() {
                let keys = self.keys.iter().zip(set).filter(|(_, is_out)| !**is_out);
                let keys: Vec<_> = keys.map(|(key, _)| key.to_string()).collect();
                let comma = if number == 0 { "" } else { ", " };
                write!(f, "{comma}({})", keys.join(", "))?;
            }
            write!(f, "]")?;
        }
        write!(f, ", aggregates=[{}]", list(&self.aggregates))?;
        match &self.having {
            Some(having) => write!(f, ", having={having}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let Some(input) = inputs.pop() else {
            return internal_err!("an aggregation needs an input");
        };
        let mut exprs = exprs.into_iter();
        let window = match &self.window {
            None => None,
            Some(group) => match exprs.next() {
                Some(pane) => Some(WindowGroup {
                    pane,
                    ..group.clone()
                }),
                None => return internal_err!("the pane of an aggregation is missing"),
            },
        };
        let keys: Vec<Expr> = exprs.by_ref().take(self.keys.len()).collect();
        let aggregates: Vec<Expr> = exprs.collect();
        if keys.len() != self.keys.len() || aggregates.len() != self.aggregates.len() {
            return internal_err!("an aggregation was given other expressions");
        }
        Ok(StreamAggregateNode {
            input: Arc::new(input),
            window,
            keys,
            aggregates,
            ..self.clone()
        })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed: Vec<usize> = self
            .expressions()
            .iter()
            .flat_map(|e| e.column_refs().into_iter().cloned().collect::<Vec<_>>())
            .filter_map(|c| input.maybe_index_of_column(&c))
            .collect();
        needed.extend(self.time_of_windows());
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
