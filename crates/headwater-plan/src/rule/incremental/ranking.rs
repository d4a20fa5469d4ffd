//! Numbered rows of which the first are kept, and DISTINCT ON, to an operator that keeps the first
//! rows of every key.
//!
//! ```text
//! Filter: rn <= 3
//!   Projection: *, rn                          Projection: *, rn
//!     Window: row_number() OVER (           →    Keyed: RowNumber <= 3, keys=[window, k]
//!       PARTITION BY window_start, k               …
//!       ORDER BY v DESC) AS rn
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    DistinctOn, Expr, ExprSchemable, Extension, Filter, LogicalPlan, Projection, SortExpr, Window,
    lit,
};

use headwater_core::mode::OutputMode;
use headwater_exec::changelog::Stage;
use headwater_exec::rank::Numbering;
use headwater_exec::window::Length;
use headwater_exec::window_assign::WINDOW_TIME_GAP_US;

use super::{Change, Converter, Incremental, windows_close};
use crate::check::refuse;
use crate::event_time_field::{
    WindowRole, Windows, event_time_source, window_of, window_struct_of,
};
use crate::node::{Closing, ClosingKind, KeyedLogic, KeyedNode};
use crate::rule::number_sources::sources_of;
use crate::rule::provenance::{is_in_window, is_plain};
use crate::rule::row_key::RowKey;
use crate::rule::time_buckets::bucket_length;
use crate::window_struct::window_part;
use bound::Bound;

mod bound;

/// A filter that keeps the first rows of a numbering.
pub(super) struct Ranking<'a> {
    filter: &'a Filter,
    window: &'a Window,
    limit: u64,
    /// What the filter asks for besides.
    rest: Option<Expr>,
}

impl<'a> Ranking<'a> {
    /// The ranking that a filter is, if it bounds a number of the rows below it.
    pub(super) fn of(filter: &'a Filter) -> Result<Option<Self>> {
        let conjuncts = split_conjunction(&filter.predicate);
        let bounds = conjuncts.iter().enumerate();
        let found = bounds.filter_map(|(position, conjunct)| {
            let bound = Bound::of(conjunct)?;
            let window = numbering_below(&filter.input, bound.column)?;
            Some((position, bound, window))
        });
        let Some((position, bound, window)) = found.min_by_key(|(_, bound, _)| bound.limit) else {
            return Ok(None);
        };
        let others = conjuncts.into_iter().enumerate();
        let others = others.filter(|(other, _)| !(bound.is_all && *other == position));
        let rest = conjunction(others.map(|(_, conjunct)| conjunct.clone()));
        Ok(Some(Ranking {
            filter,
            window,
            limit: bound.limit,
            rest,
        }))
    }
}

/// The node whose one numbering a column is, through renamings.
fn numbering_below<'a>(plan: &'a LogicalPlan, column: &Column) -> Option<&'a Window> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let position = projection.schema.maybe_index_of_column(column)?;
            let below = column_of_alias(projection.expr.get(position)?)?;
            numbering_below(&projection.input, below)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let position = alias.schema.maybe_index_of_column(column)?;
            let below = Column::from(alias.input.schema().qualified_field(position));
            numbering_below(&alias.input, &below)
        }
        LogicalPlan::Window(window) => {
            let position = window.schema.maybe_index_of_column(column)?;
            let is_numbering = position == window.input.schema().fields().len();
            let numbering = window.window_expr.as_slice();
            (is_numbering && matches!(numbering, [only] if numbering_of(only).is_some()))
                .then_some(window)
        }
        _ => None,
    }
}

fn column_of_alias(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Alias(alias) => column_of_alias(&alias.expr),
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// The numbering that an expression over windows is.
fn numbering_of(expr: &Expr) -> Option<(Numbering, &WindowFunctionParams)> {
    let call = match expr {
        // An expression that was given other types keeps its name.
        Expr::Alias(alias) => return numbering_of(&alias.expr),
        Expr::WindowFunction(call) => call,
        _ => return None,
    };
    let WindowFunction { fun, params } = call.as_ref();
    let numbering = match fun.name() {
        "row_number" => Numbering::RowNumber,
        "rank" => Numbering::Rank,
        "dense_rank" => Numbering::DenseRank,
        _ => return None,
    };
    Some((numbering, params))
}

/// What is ranked, and by what.
pub(super) struct Spec<'a> {
    /// What the query calls it, for messages.
    pub(super) name: &'static str,
    pub(super) input: &'a LogicalPlan,
    pub(super) partition: &'a [Expr],
    pub(super) order: Vec<SortExpr>,
    pub(super) limit: u64,
    pub(super) numbering: Numbering,
}

impl Converter {
    /// The first rows of a numbering, and what stands between it and its filter.
    pub(super) fn ranking(
        &mut self,
        plan: &LogicalPlan,
        ranking: &Ranking<'_>,
    ) -> Result<Incremental> {
        if let Some(whole) = self.of_whole_result(plan, &ranking.filter.input)? {
            return Ok(whole);
        }
        let window = ranking.window;
        let Some((numbering, params)) = window.window_expr.first().and_then(numbering_of) else {
            return Err(refuse::shape(&ranking.filter.input).into());
        };
        let spec = Spec {
            name: "a ranking",
            input: &window.input,
            partition: &params.partition_by,
            order: params.order_by.clone(),
            limit: ranking.limit,
            numbering,
        };
        let number = Column::from(
            window
                .schema
                .qualified_field(window.schema.fields().len() - 1),
        );
        let number = (ranking.limit > 1).then_some(number);
        let ranked = self.ranked(&spec, number, Arc::clone(&window.schema))?;
        let ranked = self.rebuilt_above(&ranking.filter.input, ranked)?;
        match &ranking.rest {
            Some(rest) => self.filtered(ranked, rest.clone()),
            None => Ok(ranked),
        }
    }

    /// The renamings above a numbering, over its incremental form.
    fn rebuilt_above(&mut self, plan: &LogicalPlan, ranked: Incremental) -> Result<Incremental> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.rebuilt_above(&projection.input, ranked)?;
                let change = input.change.with_key(|key| key.projected(projection));
                super::rebuilt(plan, projection.expr.clone(), input, change)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.rebuilt_above(&alias.input, ranked)?;
                let change = input.change.with_key(|key| key.aliased(&alias.input, plan));
                super::rebuilt(plan, vec![], input, change)
            }
            _ => Ok(ranked),
        }
    }

    /// `SELECT DISTINCT ON (k) …`: the first row of every key.
    pub(super) fn distinct_on(
        &mut self,
        plan: &LogicalPlan,
        distinct: &DistinctOn,
    ) -> Result<Incremental> {
        if let Some(whole) = self.of_whole_result(plan, &distinct.input)? {
            return Ok(whole);
        }
        let order = distinct.sort_expr.as_deref().unwrap_or_default();
        let of_key = order.len().min(distinct.on_expr.len());
        let spec = Spec {
            name: "DISTINCT ON",
            input: &distinct.input,
            partition: &distinct.on_expr,
            order: order[of_key..].to_vec(),
            limit: 1,
            numbering: Numbering::RowNumber,
        };
        let ranked = self.ranked(&spec, None, Arc::clone(distinct.input.schema()))?;
        let columns = distinct.select_expr.iter().zip(distinct.schema.iter());
        let columns = columns.map(|(expr, (qualifier, field))| {
            let expr = expr.clone().unalias();
            expr.alias_qualified(qualifier.cloned(), field.name())
        });
        let projection = Projection::try_new(columns.collect(), Arc::new(ranked.plan.clone()))?;
        let change = ranked.change.with_key(|key| key.projected(&projection));
        Ok(Incremental {
            plan: LogicalPlan::Projection(projection),
            change,
            ..ranked
        })
    }

    /// Rows without doubles that hold their event time: behind the watermark none can come, so none
    /// need be kept.
    pub(super) fn distinct_in_time(
        &mut self,
        input: &LogicalPlan,
        columns: &[Expr],
    ) -> Result<Incremental> {
        let spec = Spec {
            name: "DISTINCT",
            input,
            partition: columns,
            order: vec![],
            limit: 1,
            numbering: Numbering::RowNumber,
        };
        self.ranked(&spec, None, Arc::clone(input.schema()))
    }

    pub(super) fn ranked(
        &mut self,
        spec: &Spec<'_>,
        number: Option<Column>,
        schema: datafusion::common::DFSchemaRef,
    ) -> Result<Incremental> {
        let ends = closing(spec.partition, spec.input)?;
        let by_time = match &ends {
            None => in_order_of_time(&spec.order, spec.input),
            Some(_) => None,
        };
        let closes = match (ends, &by_time) {
            (None, by_time) => match (self.remembered(spec, by_time.as_ref()), by_time) {
                (None, Some(time)) => {
                    let found = closing_in_order(spec.partition, time, spec.input)?;
                    found.map(|(_, closing)| closing)
                }
                (remembered, _) => remembered,
            },
            (ends, _) => ends,
        };
        self.check_ranking(spec, closes.is_some() || by_time.is_some())?;
        let input = self.convert_final(spec.name, spec.input)?;
        let mut input_time = input.time;
        let window_time = |expr: &Expr| is_window_time(expr, spec.input);
        let times = by_time.iter().chain(closes.iter().map(|c| &c.at));
        if times.into_iter().any(window_time) {
            input_time.behind_us += WINDOW_TIME_GAP_US;
        }
        let change = match self.mode {
            OutputMode::Append => Change::AppendOnly,
            OutputMode::Update | OutputMode::Complete => Change::Updating {
                key: RowKey::of_ranking(spec.partition, number, spec.input),
            },
        };
        let node = KeyedNode {
            operator: self.operator("rank"),
            input: Arc::new(input.plan),
            keys: spec.partition.to_vec(),
            logic: KeyedLogic::Rank {
                order: spec.order.clone(),
                limit: spec.limit,
                numbering: spec.numbering,
                by_time,
                closes,
            },
            input_time: input_time.clone(),
            stage: self.stage,
            having: None,
            schema,
        };
        Ok(Incremental {
            plan: LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }),
            change,
            time: input_time,
            has_state: true,
        })
    }

    /// When the key of a first row is forgotten, if that was asked for. In complete mode the row is
    /// part of every result.
    fn remembered(&self, spec: &Spec<'_>, by_time: Option<&Expr>) -> Option<Closing> {
        let is_first_row = spec.limit == 1
            && spec.numbering == Numbering::RowNumber
            && !spec.partition.is_empty()
            && self.stage.mode(self.mode) != OutputMode::Complete;
        let time_us = self.dedup.filter(|_| is_first_row)?.as_micros();
        let kind = ClosingKind::Remembered(i64::try_from(time_us).unwrap_or(i64::MAX));
        let at = match by_time {
            Some(time) => time.clone(),
            None if spec.order.is_empty() => event_time_of(spec.input)?,
            None => return None,
        };
        Some(Closing { at, kind })
    }

    fn check_ranking(&self, spec: &Spec<'_>, has_end: bool) -> Result<()> {
        match self.mode {
            OutputMode::Append if !has_end && !spec.order.is_empty() => {
                let span = spec.order.first().map(|sort| &sort.expr);
                Err(refuse::ranking_append(span, self.stage == Stage::Inner).into())
            }
            _ if spec.numbering != Numbering::RowNumber && spec.order.is_empty() => {
                Err(refuse::ties_without_order().into())
            }
            OutputMode::Update if spec.numbering != Numbering::RowNumber => {
                Err(refuse::ties_without_key().into())
            }
            OutputMode::Append | OutputMode::Update | OutputMode::Complete => Ok(()),
        }
    }
}

/// What closes the keys of a partition: the end of a window that they hold, or an event time.
pub(super) fn closing(partition: &[Expr], input: &LogicalPlan) -> Result<Option<Closing>> {
    let mut from_start = None;
    for expr in partition {
        match closed_by(expr, input)? {
            Some((closing, Some(WindowRole::Start))) => from_start = Some(closing),
            Some((closing, _)) => return Ok(Some(closing)),
            None => {}
        }
    }
    Ok(from_start)
}

/// When rows of one value of an expression are closed, and what the value is of a window.
fn closed_by(expr: &Expr, input: &LogicalPlan) -> Result<Option<(Closing, Option<WindowRole>)>> {
    if !is_plain(expr, input) {
        return Ok(None);
    }
    let (_, field) = expr.to_field(input.schema().as_ref())?;
    if window_struct_of(&field).is_some_and(|window| windows_close(&window, input)) {
        let closing = Closing {
            at: window_part(WindowRole::End, expr.clone()),
            kind: ClosingKind::WindowEnd,
        };
        return Ok(Some((closing, Some(WindowRole::End))));
    }
    let at = expr.clone();
    let Some(window) = window_of(&field).filter(|window| windows_close(window, input)) else {
        let kind = ClosingKind::EventTime;
        return Ok(is_event_time(expr, input).then_some((Closing { at, kind }, None)));
    };
    let (at, kind) = match (window.role, window.window) {
        (WindowRole::End, _) => (at, ClosingKind::WindowEnd),
        (WindowRole::Time, _) => (at, ClosingKind::EventTime),
        // Windows of a calendar are told by their ends only: they differ in length.
        (WindowRole::Start, Windows::Fixed(window)) => match window.fixed_length_us() {
            Some(size_us) => (after(at, Length::fixed(size_us)), ClosingKind::WindowEnd),
            None => return Ok(None),
        },
        (WindowRole::Start, Windows::Session(_)) => return Ok(None),
    };
    Ok(Some((Closing { at, kind }, Some(window.role))))
}

/// When a key is closed whose rows are final one by one, in the order of a time; and which
/// expression of the key says it. All rows that have it are before that in time, so that none can
/// come any more when the watermark is there.
pub(super) fn closing_in_order<'a>(
    partition: &'a [Expr],
    time: &Expr,
    input: &LogicalPlan,
) -> Result<Option<(&'a Expr, Closing)>> {
    for expr in partition {
        if let Some(length) = bucket_length(expr, time, input)? {
            let (at, kind) = (after(expr.clone(), length), ClosingKind::WindowEnd);
            return Ok(Some((expr, Closing { at, kind })));
        }
        let Some((closing, role)) = closed_by(expr, input)? else {
            continue;
        };
        let kind = ClosingKind::WindowEnd;
        match role {
            None if expr == time => return Ok(Some((expr, closing))),
            Some(WindowRole::Time) if is_in_window(time, expr, input) => {
                let at = after(closing.at, Length::fixed(WINDOW_TIME_GAP_US));
                return Ok(Some((expr, Closing { at, kind })));
            }
            Some(WindowRole::Start | WindowRole::End) if is_in_window(time, expr, input) => {
                return Ok(Some((expr, closing)));
            }
            Some(_) | None => {}
        }
    }
    Ok(None)
}

/// The end of a length that begins at a time.
fn after(time: Expr, length: Length) -> Expr {
    let months = i32::try_from(length.months).unwrap_or(i32::MAX);
    let nanos = length.micros.saturating_mul(1_000);
    let length = IntervalMonthDayNano::new(months, 0, nanos);
    time + lit(ScalarValue::IntervalMonthDayNano(Some(length)))
}

/// The event time, if rows are in its order.
fn in_order_of_time(order: &[SortExpr], input: &LogicalPlan) -> Option<Expr> {
    let first = order.first().filter(|sort| sort.asc)?;
    is_event_time(&first.expr, input).then(|| first.expr.clone())
}

/// The event time of rows.
fn event_time_of(input: &LogicalPlan) -> Option<Expr> {
    let columns = input.schema().columns().into_iter().map(Expr::Column);
    columns
        .into_iter()
        .find(|column| is_event_time(column, input))
}

/// Whether an expression is the event time that the watermark speaks of.
pub(super) fn is_event_time(expr: &Expr, input: &LogicalPlan) -> bool {
    let Ok((_, field)) = expr.to_field(input.schema().as_ref()) else {
        return false;
    };
    let of_source = event_time_source(&field).is_some()
        && sources_of(input)
            .iter()
            .all(|source| source.watermark.is_some());
    is_plain(expr, input) && (of_source || is_window_time(expr, input))
}

/// Whether an expression is the time of windows that close.
pub(super) fn is_window_time(expr: &Expr, input: &LogicalPlan) -> bool {
    let Ok((_, field)) = expr.to_field(input.schema().as_ref()) else {
        return false;
    };
    let window = window_of(&field).filter(|window| window.role == WindowRole::Time);
    window.is_some_and(|window| windows_close(&window, input)) && is_plain(expr, input)
}
