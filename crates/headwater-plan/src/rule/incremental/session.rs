//! Sessions to operators that keep the open ones.
//!
//! An aggregation by a session's columns and its partition columns keeps one state per session and
//! no rows:
//!
//! ```text
//! Aggregate: [window_start, window_end, k], [sum(v)]
//!   Session: gap 5 s on ts, keys=[k]                  →  Keyed: session, aggregates=[sum(v)]
//!     orders                                               orders
//! ```
//!
//! Anything else over sessions reads their rows, which come all at once when a session is final: an
//! aggregation by session is then complete within its epoch, and stays DataFusion's.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore,
};

use headwater_core::mode::OutputMode;
use headwater_exec::changelog::Stage;
use headwater_exec::window::Bound;
use headwater_exec::window_assign::WINDOW_TIME_GAP_US;

use super::{Change, Converter, Incremental, windows_close};
use crate::check::refuse;
use crate::event_time_field::{WindowField, WindowRole, window_of};
use crate::node::aggregate_node::GroupColumn;
use crate::node::{KeyedLogic, KeyedNode, SessionNode};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::number_sources::reads_sources;
use crate::rule::panes::uses_window;
use crate::rule::row_key::RowKey;
use crate::rule::session_rows::rewrite_session_rows;

impl Converter {
    /// Rows with their sessions.
    pub(super) fn session_rows(
        &mut self,
        plan: &LogicalPlan,
        session: &SessionNode,
    ) -> Result<Incremental> {
        if let Some(whole) = self.of_whole_result(plan, &session.input)? {
            let plan = rewrite_session_rows(whole.plan)?;
            return Ok(Incremental { plan, ..whole });
        }
        let input = self.convert_final("sessions", &session.input)?;
        let field = session.schema().fields().iter().find_map(|f| window_of(f));
        self.check_session(field.as_ref(), &session.time, &session.input)?;
        let node = KeyedNode {
            operator: self.operator("session"),
            input: Arc::new(input.plan),
            keys: session.partition_by.clone(),
            logic: KeyedLogic::SessionRows {
                time: session.time.clone(),
                gap: session.gap.clone(),
            },
            input_time: input.time.clone(),
            stage: self.stage,
            having: None,
            schema: Arc::clone(session.schema()),
        };
        Ok(self.sessions(node, None))
    }

    /// Whether an aggregation is by sessions of which one state each is kept, and not their rows.
    pub(super) fn keeps_sessions(&self, aggregate: &Aggregate, keys: &[Expr]) -> Result<bool> {
        let fused = fused(aggregate, keys)?;
        Ok(fused.is_some_and(|fused| !self.is_whole(&fused.session.input)))
    }

    /// An aggregation by sessions.
    pub(super) fn session_aggregate(
        &mut self,
        aggregate: &Aggregate,
        grouped: &GroupedBy,
        keys: &[Expr],
        groups: Vec<GroupColumn>,
        (field, expr): (WindowField, Expr),
    ) -> Result<Incremental> {
        self.check_session(Some(&field), &expr, &aggregate.input)?;
        let Some(Fused {
            session,
            keys,
            aggregates,
        }) = fused(aggregate, keys)?.filter(|_| !groups.contains(&GroupColumn::GroupingId))
        else {
            return self.aggregate_of_session_rows(aggregate, grouped, &groups);
        };
        let input = self.convert_final("sessions", &session.input)?;
        let key = RowKey::of_groups(aggregate, grouped, &groups, Bound::Start)?;
        let node = KeyedNode {
            operator: self.operator("session-aggregate"),
            input: Arc::new(input.plan),
            keys,
            logic: KeyedLogic::SessionAggregate {
                time: session.time.clone(),
                gap: session.gap.clone(),
                aggregates,
                groups,
            },
            input_time: input.time,
            stage: self.stage,
            having: None,
            schema: Arc::clone(&aggregate.schema),
        };
        Ok(self.sessions(node, Some(key)))
    }

    fn aggregate_of_session_rows(
        &mut self,
        aggregate: &Aggregate,
        grouped: &GroupedBy,
        groups: &[GroupColumn],
    ) -> Result<Incremental> {
        let is_end = |group: &GroupColumn| match group {
            GroupColumn::Window(WindowRole::End | WindowRole::Time) => true,
            GroupColumn::Window(WindowRole::Start)
            | GroupColumn::Key(_)
            | GroupColumn::GroupingId => false,
        };
        if !groups.iter().any(is_end) {
            return Err(refuse::session_without_end(aggregate).into());
        }
        if !is_over_one_session(&aggregate.input) {
            return Err(refuse::sessions_apart(aggregate).into());
        }
        let input = self.convert(&aggregate.input)?;
        let change = match input.change {
            Change::AppendOnly => Change::AppendOnly,
            Change::Updating { .. } => Change::Updating {
                key: Some(RowKey::of_groups(aggregate, grouped, groups, Bound::Start)?),
            },
        };
        let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
        let exprs = exprs.cloned().collect();
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        super::rebuilt(&plan, exprs, input, change)
    }

    fn sessions(&self, node: KeyedNode, key: Option<RowKey>) -> Incremental {
        let mut time = node.input_time.clone();
        time.behind_us += WINDOW_TIME_GAP_US;
        let change = match self.mode {
            OutputMode::Append => Change::AppendOnly,
            OutputMode::Update | OutputMode::Complete => Change::Updating { key },
        };
        Incremental {
            plan: LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }),
            change,
            time,
            has_state: true,
        }
    }

    fn check_session(
        &self,
        field: Option<&WindowField>,
        expr: &Expr,
        input: &LogicalPlan,
    ) -> Result<()> {
        let closes = field.is_some_and(|field| windows_close(field, input));
        match self.mode {
            OutputMode::Append if !closes => {
                Err(refuse::window_without_watermark(expr, input, refuse::WHOLE_RESULT).into())
            }
            OutputMode::Update if self.stage == Stage::Last => {
                Err(refuse::session_updates(expr).into())
            }
            OutputMode::Append | OutputMode::Update | OutputMode::Complete => Ok(()),
        }
    }
}

/// Whether all rows of a session come out of a plan in one epoch: those of one operator, which
/// nothing holds back again.
fn is_over_one_session(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<SessionNode>(),
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Join(_) => {
            let mut streams = plan
                .inputs()
                .into_iter()
                .filter(|input| reads_sources(input));
            streams.next().is_some_and(is_over_one_session) && streams.next().is_none()
        }
        _ => false,
    }
}

/// An aggregation over the input of a session.
struct Fused<'a> {
    session: &'a SessionNode,
    keys: Vec<Expr>,
    aggregates: Vec<Expr>,
}

/// The aggregation over the session's own input, if only columns are renamed and chosen between
/// them, its keys are those of the session, and nothing else looks at the session's columns.
fn fused<'a>(aggregate: &'a Aggregate, keys: &[Expr]) -> Result<Option<Fused<'a>>> {
    let uses =
        |exprs: &[Expr], plan: &LogicalPlan| exprs.iter().any(|e| uses_window(e, plan.schema()));
    let mut plan = aggregate.input.as_ref();
    let (mut keys, mut aggregates) = (keys.to_vec(), aggregate.aggr_expr.clone());
    loop {
        if uses(&keys, plan) || uses(&aggregates, plan) {
            return Ok(None);
        }
        let (input, columns) = match plan {
            LogicalPlan::Projection(projection) => {
                (projection.input.as_ref(), projection.expr.clone())
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let columns = alias.input.schema().columns().into_iter();
                (alias.input.as_ref(), columns.map(Expr::Column).collect())
            }
            LogicalPlan::Extension(extension) => {
                let session = extension.node.as_any().downcast_ref::<SessionNode>();
                let has_same_keys = |session: &&SessionNode| {
                    let partition = &session.partition_by;
                    keys.iter().all(|key| partition.contains(key))
                        && partition.iter().all(|key| keys.contains(key))
                };
                return Ok(session.filter(has_same_keys).map(|session| Fused {
                    session,
                    keys,
                    aggregates,
                }));
            }
            _ => return Ok(None),
        };
        let schema = plan.schema();
        let below = |column: &Column| {
            let position = schema.maybe_index_of_column(column)?;
            columns.get(position).map(|expr| expr.clone().unalias())
        };
        for expr in keys.iter_mut().chain(&mut aggregates) {
            *expr = over_input(expr.clone(), &below)?;
        }
        plan = input;
    }
}

/// An expression with its columns replaced by what they are of the input.
fn over_input(expr: Expr, below: &impl Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    let rewritten = expr.transform(|expr| match &expr {
        Expr::Column(column) => Ok(match below(column) {
            Some(found) => Transformed::yes(found),
            None => Transformed::no(expr),
        }),
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(rewritten.data)
}
