//! Stateful parts of a plan to nodes that keep state between epochs.
//!
//! ```text
//! Aggregate: [window_start, symbol], [sum(x)]  →  StreamAggregate: operator=0-window-aggregate, …
//! Distinct                                     →  StreamAggregate without aggregates
//! Sort, Limit over an aggregation              →  as they are, over the whole result (complete)
//! everything row by row                        →  as it is
//! ```
//!
//! What cannot be right, or is not there yet, is refused here, before anything runs.

use std::sync::Arc;

use datafusion::common::{Column, JoinSide, JoinType, Result};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Extension, Join, LogicalPlan, Union,
};

use headwater_core::Error;
use headwater_core::id::SourceIndex;
use headwater_core::mode::OutputMode;

use headwater_exec::changelog::Stage;

use crate::check::refuse;
use crate::event_time_field::{WindowField, WindowRole, window_of};
use crate::node::aggregate_node::{GroupColumn, WindowGroup};
use crate::node::{StaticNode, StreamAggregateNode, WindowNode};
use crate::rule::number_sources::{reads_sources, sources_of, stream_table};
use crate::rule::panes::{to_panes, uses_window};
use crate::rule::provenance::{is_handed_on, is_plain};
use crate::rule::row_key::RowKey;

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
    fn with_key(&self, rename: impl FnOnce(&RowKey) -> Option<RowKey>) -> Change {
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
    pub(crate) sources: Vec<SourceIndex>,
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
}

impl Converter {
    /// Converts a plan that reads at least one declared source.
    pub(crate) fn convert(&mut self, plan: &LogicalPlan) -> Result<Incremental> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let source = stream_table(scan).and_then(|t| t.index);
                let source = source.ok_or_else(|| refuse::static_table(scan))?;
                Ok(Incremental {
                    plan: plan.clone(),
                    change: Change::AppendOnly,
                    sources: vec![source],
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
                let input = self.convert(&filter.input)?;
                if self.mode == OutputMode::Update && input.change != Change::AppendOnly {
                    return Err(refuse::filter_over_updates(&filter.predicate).into());
                }
                let change = input.change.clone();
                rebuilt(plan, vec![filter.predicate.clone()], input, change)
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<WindowNode>() => {
                let inputs = extension.node.inputs();
                let Some(input) = inputs.first() else {
                    return Err(refuse::shape(plan).into());
                };
                let input = self.convert(input)?;
                if input.change != Change::AppendOnly {
                    return Err(refuse::over_updates("a window function").into());
                }
                rebuilt(
                    plan,
                    extension.node.expressions(),
                    input,
                    Change::AppendOnly,
                )
            }
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => self.join_with_table(plan, join),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Sort(sort) => self.over_whole_result(plan, &sort.input, "ORDER BY"),
            LogicalPlan::Limit(limit) => {
                let converted = self.over_whole_result(plan, &limit.input, "LIMIT")?;
                if !is_sorted(&limit.input) {
                    return Err(refuse::limit_without_order().into());
                }
                Ok(converted)
            }
            other => Err(refuse::shape(other).into()),
        }
    }

    fn union(&mut self, union: &Union) -> Result<Incremental> {
        let mut inputs = Vec::with_capacity(union.inputs.len());
        let (mut sources, mut has_state) = (Vec::new(), false);
        for input in &union.inputs {
            let input = self.convert(input)?;
            if input.change != Change::AppendOnly {
                return Err(refuse::over_updates("UNION ALL").into());
            }
            sources.extend(input.sources);
            has_state |= input.has_state;
            inputs.push(Arc::new(input.plan));
        }
        let plan = LogicalPlan::Union(Union {
            inputs,
            schema: Arc::clone(&union.schema),
        });
        Ok(Incremental {
            plan,
            change: Change::AppendOnly,
            sources,
            has_state,
        })
    }

    /// A stream with a table. A row of the stream finds the same rows whenever it comes, so nothing
    /// is kept; what the table has and the stream has not can only be told at the end of time.
    fn join_with_table(&mut self, plan: &LogicalPlan, join: &Join) -> Result<Incremental> {
        let stream_side = match (reads_sources(&join.left), reads_sources(&join.right)) {
            (true, false) => JoinSide::Left,
            (false, true) => JoinSide::Right,
            _ => return Err(refuse::shape(plan).into()),
        };
        let keeps_to_stream = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => {
                stream_side == JoinSide::Left
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => {
                stream_side == JoinSide::Right
            }
            JoinType::Full | JoinType::LeftMark | JoinType::RightMark => false,
        };
        if !keeps_to_stream {
            return Err(refuse::unmatched_table_rows(join.join_type).into());
        }
        let (stream, table) = match stream_side {
            JoinSide::Left => (&join.left, &join.right),
            _ => (&join.right, &join.left),
        };
        let Incremental {
            plan: stream,
            change,
            sources,
            has_state,
        } = self.convert(stream)?;
        if self.mode == OutputMode::Update && change != Change::AppendOnly {
            return Err(refuse::over_updates("a join").into());
        }
        let table = LogicalPlan::Extension(Extension {
            node: Arc::new(StaticNode {
                input: Arc::clone(table),
            }),
        });
        let inputs = match stream_side {
            JoinSide::Left => vec![stream, table],
            _ => vec![table, stream],
        };
        Ok(Incremental {
            plan: plan.with_new_exprs(plan.expressions(), inputs)?,
            // A row of the stream may find several of the table.
            change: change.with_key(|_| None),
            sources,
            has_state,
        })
    }

    /// Sort and limit see the whole result when the mode is complete, and nothing else.
    fn over_whole_result(
        &mut self,
        plan: &LogicalPlan,
        input: &LogicalPlan,
        what: &str,
    ) -> Result<Incremental> {
        let input = self.convert(input)?;
        if self.mode != OutputMode::Complete || !input.has_state {
            return Err(refuse::needs_complete(what, self.mode, input.has_state).into());
        }
        let change = input.change.clone();
        rebuilt(plan, plan.expressions(), input, change)
    }

    /// DISTINCT is an aggregation by all columns without aggregates.
    fn distinct(&mut self, input: &Arc<LogicalPlan>) -> Result<Incremental> {
        let columns = input
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        self.aggregate(&Aggregate::try_new(Arc::clone(input), columns, vec![])?)
    }

    /// What a stateful operator reads: rows that stay, because it cannot take any back.
    fn convert_final(&mut self, input: &LogicalPlan) -> Result<Incremental> {
        let (mode, stage) = (self.mode, self.stage);
        (self.mode, self.stage) = (OutputMode::Append, Stage::Inner);
        let input = self.convert(input);
        (self.mode, self.stage) = (mode, stage);
        input
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Incremental> {
        let input = self.convert_final(&aggregate.input)?;
        if aggregate
            .group_expr
            .iter()
            .any(|e| matches!(e, Expr::GroupingSet(_)))
        {
            return Err(refuse::grouping_sets().into());
        }
        let schema = aggregate.input.schema();
        let (keys, groups, window) = split_groups(aggregate)?;
        self.check_mode(window.as_ref(), aggregate)?;
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
        let operator = format!("{}-{kind}", self.operators);
        self.operators += 1;
        let change = match self.mode {
            OutputMode::Append => Change::AppendOnly,
            OutputMode::Update | OutputMode::Complete => Change::Updating {
                key: Some(RowKey::of_groups(aggregate, &groups)),
            },
        };
        let node = StreamAggregateNode {
            input: Arc::new(plan),
            operator,
            window,
            keys,
            aggregates: aggregate.aggr_expr.clone(),
            groups,
            sources: input.sources.clone(),
            stage: self.stage,
            schema: Arc::clone(&aggregate.schema),
        };
        let plan = LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        });
        Ok(Incremental {
            plan,
            change,
            sources: input.sources,
            has_state: true,
        })
    }

    fn check_mode(
        &self,
        window: Option<&(WindowField, Expr)>,
        aggregate: &Aggregate,
    ) -> Result<(), Error> {
        if self.mode != OutputMode::Append {
            return Ok(());
        }
        match window {
            // A group without aggregates is final when it is there.
            None if aggregate.aggr_expr.is_empty() => Ok(()),
            None if self.stage == Stage::Inner => Err(refuse::running_below_state(aggregate)),
            None => Err(refuse::running_append(aggregate)),
            Some((field, expr)) if !windows_close(field, &aggregate.input) => {
                Err(refuse::window_without_watermark(expr, &aggregate.input))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Whether the windows of a field are finished some day: it is the event time of a source, and
/// no other source below holds the watermark back for ever.
pub(crate) fn windows_close(field: &WindowField, input: &LogicalPlan) -> bool {
    let sources = sources_of(input);
    field.has_watermark && sources.iter().all(|source| source.watermark.is_some())
}

/// Whether the rows of a plan come out of an ORDER BY, which reads all of its input. A bare LIMIT
/// would end an aggregation below it before its epoch is finished.
fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_sorted(&alias.input),
        _ => false,
    }
}

/// Group expressions as the node keeps them.
type Groups = (Vec<Expr>, Vec<GroupColumn>, Option<(WindowField, Expr)>);

/// Parts the group expressions into keys and columns of the window.
fn split_groups(aggregate: &Aggregate) -> Result<Groups> {
    let schema = aggregate.input.schema();
    let (mut keys, mut groups, mut window) = (Vec::new(), Vec::new(), None);
    for expr in &aggregate.group_expr {
        let (_, field) = expr.to_field(schema.as_ref())?;
        match window_of(&field).filter(|_| is_plain(expr, &aggregate.input)) {
            Some(found) => {
                groups.push(GroupColumn::Window(found.role));
                window = Some(same_window(window, found, expr)?);
            }
            None => {
                groups.push(GroupColumn::Key(keys.len()));
                keys.push(expr.clone());
            }
        }
    }
    Ok((keys, groups, window))
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
    let start = plan
        .schema()
        .iter()
        .enumerate()
        .find_map(|(index, (qualifier, f))| {
            let mark = window_of(f)?;
            let is_start = mark.role == WindowRole::Start && mark.is_of_same_window(field);
            (is_start && is_handed_on(&plan, index))
                .then(|| Expr::Column(Column::new(qualifier.cloned(), f.name())))
        });
    let pane = start.ok_or_else(refuse::no_window_start)?;
    if field.window.is_tumbling() {
        return Ok((
            plan,
            WindowGroup {
                window: field.window,
                pane,
            },
        ));
    }
    if only_grouped && let Some(paned) = to_panes(&plan)? {
        return Ok((
            paned,
            WindowGroup {
                window: field.window,
                pane,
            },
        ));
    }
    Ok((
        plan,
        WindowGroup {
            window: field.window.unpaned(),
            pane,
        },
    ))
}

fn rebuilt(
    plan: &LogicalPlan,
    exprs: Vec<Expr>,
    input: Incremental,
    change: Change,
) -> Result<Incremental> {
    let Incremental {
        plan: child,
        sources,
        has_state,
        ..
    } = input;
    let plan = plan.with_new_exprs(exprs, vec![child])?;
    Ok(Incremental {
        plan,
        change,
        sources,
        has_state,
    })
}
