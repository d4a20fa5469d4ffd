//! Stateful parts of a plan to nodes that keep state between epochs.
//!
//! ```text
//! Aggregate: [window_start, symbol], [sum(x)]  →  StreamAggregate: operator=0-window-aggregate, …
//! Distinct                                     →  StreamAggregate without aggregates
//! Session                                      →  Keyed: operator=0-session, …
//! row_number() of which the first are kept     →  Keyed: operator=0-rank, …
//! Sort, Limit over an aggregation              →  as they are, over the whole result (complete)
//! everything row by row                        →  as it is
//! ```
//!
//! What cannot be right, or is not there yet, is refused here, before anything runs.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Distinct, Expr, Extension, Filter, LogicalPlan, Union, Unnest};

use headwater_core::mode::OutputMode;

use headwater_exec::changelog::Stage;
use headwater_exec::kept::Refresh;
use headwater_exec::watermark::InputTime;

use crate::check::refuse;
use crate::check::unsteady::Unsteady;
use crate::event_time_field::WindowField;
use crate::node::static_node::Seen;
use crate::node::{SessionNode, StaticNode, WindowNode};
use crate::rule::having::filter_updates;
use crate::rule::number_sources::{reads_sources, sources_of, stream_table};
use crate::rule::row_key::RowKey;
use crate::rule::subqueries::subquery_of;
use ranking::Ranking;

mod aggregate;
mod limit;
mod over;
mod ranking;
mod session;
mod table_join;

pub(crate) use table_join::keep_tables;

/// How the output of a plan node changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Rows are added and stay.
    AppendOnly,
    /// Rows with the same key replace each other; the key, if the rows still show it.
    Updating { key: Option<RowKey> },
}

impl Change {
    /// The same change where the key has other names, or none.
    pub(crate) fn with_key(&self, rename: impl FnOnce(&RowKey) -> Option<RowKey>) -> Change {
        match self {
            Change::AppendOnly => Change::AppendOnly,
            Change::Updating { key } => Change::Updating {
                key: key.as_ref().and_then(rename),
            },
        }
    }
}

/// A plan with state, and what is known about its output.
#[derive(Debug)]
pub(crate) struct Incremental {
    pub(crate) plan: LogicalPlan,
    pub(crate) change: Change,
    /// Whose event time the rows have, and how far behind its watermark they may be.
    pub(crate) time: InputTime,
    pub(crate) has_state: bool,
}

/// Converts plans of one query.
#[derive(Debug)]
pub(crate) struct Converter {
    /// How rows of the part that is converted are handed on.
    pub(crate) mode: OutputMode,
    /// Whether that part is below a stateful operator.
    pub(crate) stage: Stage,
    pub(crate) operators: usize,
    /// When its tables are read again.
    pub(crate) refresh: Refresh,
    /// How long the key of a first row is remembered, in event time; `None` for ever.
    dedup: Option<Duration>,
    /// The nearest stateful operator above that part, as messages name it.
    above: &'static str,
}

impl Converter {
    /// For a query of an output mode, and when its tables are read again.
    pub(crate) fn new(mode: OutputMode, refresh: Refresh) -> Self {
        Converter {
            mode,
            stage: Stage::Last,
            operators: 0,
            refresh,
            dedup: None,
            above: "",
        }
    }

    /// The same, which remembers the keys of first rows for a time.
    pub(crate) fn remembering(self, dedup: Option<Duration>) -> Self {
        Converter { dedup, ..self }
    }

    /// Converts a plan that reads at least one declared source.
    pub(crate) fn convert(&mut self, plan: &LogicalPlan) -> Result<Incremental> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let source = stream_table(scan).and_then(|t| t.index);
                let source = source.ok_or_else(|| refuse::shape(plan))?;
                Ok(Incremental {
                    plan: plan.clone(),
                    change: Change::AppendOnly,
                    time: InputTime {
                        sources: vec![source],
                        behind_us: 0,
                    },
                    has_state: false,
                })
            }
            LogicalPlan::Projection(projection) => {
                let input = self.convert(&projection.input)?;
                let change = input.change.with_key(|key| key.projected(projection));
                rebuilt(plan, projection.expr.clone(), input, change)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.convert(&alias.input)?;
                let change = input.change.with_key(|key| key.aliased(&alias.input, plan));
                rebuilt(plan, vec![], input, change)
            }
            LogicalPlan::Filter(filter) => {
                if let Some(ranking) = Ranking::of(filter)? {
                    return self.ranking(plan, &ranking);
                }
                let input = self.convert(&filter.input)?;
                self.filtered(input, filter.predicate.clone())
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<WindowNode>() => {
                self.window_rows(plan, extension)
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<SessionNode>() => {
                match extension.node.as_any().downcast_ref::<SessionNode>() {
                    Some(session) => self.session_rows(plan, session),
                    None => Err(refuse::shape(plan).into()),
                }
            }
            LogicalPlan::Unnest(unnest) => self.unnest(plan, unnest),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => self.join_with_table(plan, join),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Distinct(Distinct::On(distinct)) => self.distinct_on(plan, distinct),
            LogicalPlan::Window(window) => self.over(plan, window),
            LogicalPlan::Sort(sort) => self.sort(plan, &sort.input),
            LogicalPlan::Limit(limit) => self.limit(plan, limit),
            other => Err(refuse::shape(other).into()),
        }
    }

    /// Rows that a predicate lets through. Of rows that replace each other it lets all of one key
    /// through or none, or the operator that replaces them takes rows back.
    fn filtered(&self, input: Incremental, predicate: Expr) -> Result<Incremental> {
        if let (OutputMode::Update, Change::Updating { key }) = (self.mode, &input.change) {
            if let Some(what) = Unsteady::of(&predicate) {
                return Err(refuse::unsteady_over_updates(&what, &predicate).into());
            }
            // What a table says of a key may be something else when it has been read again.
            let may_turn = self.refresh != Refresh::Never
                && predicate.exists(|expr| Ok(subquery_of(expr).is_some()))?;
            let is_of_key = key.as_ref().is_some_and(|key| key.determines(&predicate));
            if may_turn || !is_of_key {
                let plan = filter_updates(&input.plan, predicate)?;
                return Ok(Incremental { plan, ..input });
            }
        }
        let filter = Filter::try_new(predicate, Arc::new(input.plan))?;
        Ok(Incremental {
            plan: LogicalPlan::Filter(filter),
            ..input
        })
    }

    fn unnest(&mut self, plan: &LogicalPlan, unnest: &Unnest) -> Result<Incremental> {
        let input = self.convert(&unnest.input)?;
        if self.mode == OutputMode::Update && input.change != Change::AppendOnly {
            return Err(refuse::over_updates("unnest").into());
        }
        let change = input.change.with_key(|_| None);
        rebuilt(plan, vec![], input, change)
    }

    fn window_rows(&mut self, plan: &LogicalPlan, extension: &Extension) -> Result<Incremental> {
        let inputs = extension.node.inputs();
        let Some(input) = inputs.first() else {
            return Err(refuse::shape(plan).into());
        };
        let input = self.convert(input)?;
        if self.mode == OutputMode::Update && input.change != Change::AppendOnly {
            return Err(refuse::over_updates("a window function").into());
        }
        let change = input.change.with_key(|_| None);
        rebuilt(plan, extension.node.expressions(), input, change)
    }

    /// Rows of several inputs. A table's are added once; beside whole results they are part of the
    /// whole in every epoch.
    fn union(&mut self, union: &Union) -> Result<Incremental> {
        let streams = union.inputs.iter().map(|input| match reads_sources(input) {
            true => self.convert(input).map(Some),
            false => Ok(None),
        });
        let streams = streams.collect::<Result<Vec<_>>>()?;
        let mut change = Change::AppendOnly;
        let mut time = InputTime {
            sources: vec![],
            behind_us: 0,
        };
        for stream in streams.iter().flatten() {
            if stream.change != Change::AppendOnly {
                change = Change::Updating { key: None };
            }
            time.sources.extend(&stream.time.sources);
            time.behind_us = time.behind_us.max(stream.time.behind_us);
        }
        if self.mode == OutputMode::Update && change != Change::AppendOnly {
            return Err(refuse::over_updates("UNION ALL").into());
        }
        let has_state = streams.iter().flatten().any(|stream| stream.has_state);
        let is_whole = has_state && self.mode == OutputMode::Complete && self.stage == Stage::Last;
        if is_whole && streams.iter().flatten().any(|stream| !stream.has_state) {
            return Err(refuse::partly_whole().into());
        }
        let seen = match is_whole {
            true => Seen::Always(self.refresh),
            false => Seen::InFirstEpoch,
        };
        let inputs = union.inputs.iter().zip(streams);
        let inputs = inputs.map(|(input, stream)| match stream {
            Some(stream) => Arc::new(stream.plan),
            None => Arc::new(StaticNode::of(input, seen)),
        });
        let plan = LogicalPlan::Union(Union {
            inputs: inputs.collect(),
            schema: Arc::clone(&union.schema),
        });
        Ok(Incremental {
            plan,
            change,
            time,
            has_state,
        })
    }

    /// Sorted rows: of the whole result, which only complete mode has.
    fn sort(&mut self, plan: &LogicalPlan, input: &LogicalPlan) -> Result<Incremental> {
        if let Some(whole) = self.of_whole_result(plan, input)? {
            return Ok(whole);
        }
        let has_state = self.convert(input)?.has_state;
        Err(refuse::needs_complete("ORDER BY", self.mode, has_state).into())
    }

    /// Whether a plan is a whole result in every epoch.
    fn is_whole(&self, plan: &LogicalPlan) -> bool {
        let is_last = self.mode == OutputMode::Complete && self.stage == Stage::Last;
        let converted = || Converter::new(self.mode, self.refresh).convert(plan);
        is_last && converted().is_ok_and(|converted| converted.has_state)
    }

    /// The node as it is, if its input is the whole result of every epoch: then it is a batch, and
    /// nothing need be kept for it.
    fn of_whole_result(
        &mut self,
        plan: &LogicalPlan,
        input: &LogicalPlan,
    ) -> Result<Option<Incremental>> {
        if self.mode != OutputMode::Complete || self.stage == Stage::Inner {
            return Ok(None);
        }
        let before = self.operators;
        // An input without a whole result may have final rows, which the node then keeps.
        let Some(input) = self.convert(input).ok().filter(|input| input.has_state) else {
            self.operators = before;
            return Ok(None);
        };
        let change = Change::Updating { key: None };
        rebuilt(plan, plan.expressions(), input, change).map(Some)
    }

    /// Identity of the next stateful operator.
    fn operator(&mut self, kind: &str) -> String {
        let operator = format!("{}-{kind}", self.operators);
        self.operators += 1;
        operator
    }

    /// What a stateful operator, by its name, reads: rows that stay, because it cannot take any
    /// back.
    fn convert_final(&mut self, name: &'static str, input: &LogicalPlan) -> Result<Incremental> {
        let (mode, stage, above) = (self.mode, self.stage, self.above);
        (self.mode, self.stage, self.above) = (OutputMode::Append, Stage::Inner, name);
        let input = self.convert(input);
        (self.mode, self.stage, self.above) = (mode, stage, above);
        input
    }
}

/// Whether the windows of a field are finished some day: it is the event time of a source, and
/// no other source below holds the watermark back for ever.
pub(crate) fn windows_close(field: &WindowField, input: &LogicalPlan) -> bool {
    let sources = sources_of(input);
    field.has_watermark && sources.iter().all(|source| source.watermark.is_some())
}

fn rebuilt(
    plan: &LogicalPlan,
    exprs: Vec<Expr>,
    input: Incremental,
    change: Change,
) -> Result<Incremental> {
    let Incremental {
        plan: child,
        time,
        has_state,
        ..
    } = input;
    let plan = plan.with_new_exprs(exprs, vec![child])?;
    Ok(Incremental {
        plan,
        change,
        time,
        has_state,
    })
}
