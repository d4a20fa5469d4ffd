//! The refusals of planning, one function each: what is wrong, where, and what would make it right.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{JoinType, Spans};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use headwater_core::Error;
use headwater_core::changes::OP_COLUMN;
use headwater_core::error::Span;
use headwater_core::mode::OutputMode;
use headwater_exec::window::Bound;

use crate::check::chained_windows::{grouped_bound, windowed_bound};
use crate::check::unsteady::Unsteady;
use crate::event_time_field::window_of;
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::number_sources::{first_source, sources_of};
use crate::stream_table::StreamDefinition;

mod rows;

pub(crate) use rows::*;

/// The place of an expression in the SQL text, if the planner kept it.
pub(crate) fn span_of(expr: &Expr) -> Option<Span> {
    let first = |spans: &Spans| spans.first();
    let span = expr.spans().and_then(first).or_else(|| {
        // The columns come in no order.
        let columns = expr.column_refs().into_iter();
        let spans = columns.filter_map(|c| c.spans.first());
        spans.min_by_key(|span| (span.start.line, span.start.column))
    })?;
    Some(Span {
        line: span.start.line,
        column: span.start.column,
        end_line: span.end.line,
        end_column: span.end.column,
    })
}

/// A key that is no function of the row.
pub(crate) fn unsteady_key(what: &Unsteady, expr: &Expr) -> Error {
    let error = match what {
        Unsteady::Time => {
            Error::plan("the time of the epoch cannot be grouped, joined or sorted by")
                .with_detail("A row would belong elsewhere in every epoch.")
                .with_hint("Use a time column of the source, such as METADATA FROM 'timestamp'.")
        }
        Unsteady::Drawn(name) => {
            let message = format!("what {name}() gives cannot be grouped, joined or sorted by");
            Error::plan(message)
                .with_detail("A row would belong elsewhere when an epoch is run again.")
                .with_hint("Derive it from the row, for example by md5() of a column.")
        }
    };
    error.with_span(span_of(expr))
}

/// A map where values tell rows apart.
pub(crate) fn map_key(expr: &Expr) -> Error {
    Error::unsupported("a MAP cannot be grouped, joined, sorted or compared by")
        .with_detail("Its entries have no order, and maps are equal here only in the same one.")
        .with_hint("Take what tells rows apart out of it, such as m['key'].")
        .with_span(span_of(expr))
}

/// A key of a map that comes from the row.
pub(crate) fn map_key_of_a_row(key: &Expr) -> Error {
    Error::unsupported("a MAP is looked into by a constant key")
        .with_hint("Write map_extract(map, key)[1], which takes the key of a row.")
        .with_span(span_of(key))
}

/// A join that would give the rows of a table that no row of the stream has matched.
pub(crate) fn unmatched_table_rows(join_type: JoinType) -> Error {
    Error::plan(format!(
        "a {} JOIN of a stream and a table has rows of the table that the stream may still match",
        join_type.to_string().to_uppercase()
    ))
    .with_detail("They would be known at the end of the stream only.")
    .with_hint("Use an inner join, or a LEFT JOIN with the stream on the left.")
}

/// A part that is read once cannot hold what changes.
pub(crate) fn unsteady_in_table(what: &Unsteady, expr: &Expr) -> Error {
    let error = match what {
        Unsteady::Time => {
            Error::plan("the time of the epoch cannot stand in a part that reads tables only")
                .with_detail("That part is read once, and the time would stand still.")
                .with_hint(
                    "Compare with now() outside: in the WHERE or the SELECT that reads the stream.",
                )
        }
        Unsteady::Drawn(name) => {
            let message = format!("{name}() cannot stand in a part that reads tables only");
            Error::plan(message)
                .with_detail("That part is read once, and one draw would hold for all rows.")
                .with_hint("Call it outside: in the WHERE or the SELECT that reads the stream.")
        }
    };
    error.with_span(span_of(expr))
}

/// A subquery in an expression that reads a stream.
pub(crate) fn subquery_of_source(subquery: &LogicalPlan) -> Error {
    let source = first_source(subquery);
    let name = source.as_ref().map_or("?", |s| s.name.as_str());
    Error::unsupported(format!(
        "a subquery over source \"{name}\" in an expression is not there yet"
    ))
    .with_detail("Its result would change, and with it rows that are out already.")
    .with_hint(
        "Let it read a table, such as one that CREATE TABLE … AS SELECT makes of the source, or \
         run a bounded read: SELECT without STREAM.",
    )
}

/// A subquery of which DataFusion makes no join.
pub(crate) fn subquery_place(plan: &LogicalPlan, expr: &Expr) -> Error {
    let holds = |of: fn(&Expr) -> bool| expr.exists(|e| Ok(of(e))).unwrap_or(false);
    let tests = holds(|e| matches!(e, Expr::Exists(_) | Expr::InSubquery(_)));
    let error = match plan {
        LogicalPlan::Join(_) => {
            Error::unsupported("a subquery in the ON of an outer join is not there yet")
                .with_hint("Test it in a subquery in FROM, and join that.")
        }
        LogicalPlan::Aggregate(_) => {
            Error::unsupported("a subquery inside an aggregation is not there yet")
                .with_hint("Compute it in a subquery in FROM, and aggregate that.")
        }
        LogicalPlan::Projection(_) if tests => {
            Error::unsupported("EXISTS and IN (SELECT …) in the SELECT list are not there yet")
                .with_hint(
                    "Test them in WHERE, or LEFT JOIN the table and ask whether a column IS NULL.",
                )
        }
        _ => Error::unsupported("this subquery over the row around it is not there yet").with_hint(
            "Let it aggregate, and compare its columns with those of the row by = only.",
        ),
    };
    error.with_detail("Only what can be turned to a join with the table runs.")
}

/// A subquery in FROM that looks at the rows beside it, and cannot become a join.
pub(crate) fn lateral() -> Error {
    Error::unsupported("this LATERAL subquery is not there yet")
        .with_detail("Only what can be turned to a join with the table runs.")
        .with_hint(
            "Compare with the stream's columns in its WHERE alone, without LIMIT or ORDER BY.",
        )
}

pub(crate) fn no_source() -> Error {
    Error::plan("a streaming query must read at least one source").with_hint(
        "Declare one with CREATE SOURCE, or write rows that are there with INSERT INTO alone, or \
             read them with SELECT without STREAM.",
    )
}

pub(crate) fn shape(plan: &LogicalPlan) -> Error {
    let what = match plan {
        LogicalPlan::Join(_) => "a join of two streams".to_string(),
        LogicalPlan::RecursiveQuery(_) => "a recursive query over a source".to_string(),
        other => format!("{} in a streaming query", kind(other)),
    };
    Error::unsupported(format!("{what} is not there yet"))
        .with_hint("Run it as a bounded read: SELECT without STREAM reads what is there now.")
}

fn kind(plan: &LogicalPlan) -> String {
    let text = plan.display().to_string();
    text.split([':', ' '])
        .next()
        .unwrap_or_default()
        .to_string()
}

/// A filter whose outcome changes without a new row, or is another when a row is taken back.
pub(crate) fn unsteady_over_updates(what: &Unsteady, predicate: &Expr) -> Error {
    let error = match what {
        Unsteady::Time => Error::plan(
            "rows that replace each other cannot be filtered by the time of the epoch",
        )
        .with_detail("A row would have to go when no new one comes.")
        .with_hint(
            "Filter by a time of the rows, or ask for the whole result with `EMIT COMPLETE`.",
        ),
        Unsteady::Drawn(name) => {
            let message = format!("rows that replace each other cannot be filtered by {name}()");
            Error::plan(message)
                .with_detail("A row could pass, and the row that replaces it could not.")
                .with_hint("Filter the rows of the source by it, in a subquery in FROM.")
        }
    };
    error.with_span(span_of(predicate))
}

/// A filter takes rows back of which nobody knows which ones they are.
pub(crate) fn filter_without_key() -> Error {
    Error::plan("the query filters rows that replace each other, and does not show which row is which")
        .with_detail(
            "A row that no longer passes is taken back by its key: the columns of GROUP BY, or those of \
             PARTITION BY and the number.",
        )
        .with_hint("Select these columns as they are, or ask for the whole result with `EMIT COMPLETE`.")
}

/// A filter takes rows of a join back, which have no key.
pub(crate) fn filter_above_join(predicate: &Expr) -> Error {
    Error::unsupported("a filter above a join of a result that changes is not there yet")
        .with_detail("A row of the join that no longer passes would have to be taken back.")
        .with_hint(
            "Write a condition on the table into ON, or ask for the whole result with `EMIT \
             COMPLETE`.",
        )
        .with_span(span_of(predicate))
}

/// A filter over rows that replace each other, for a sink that cannot take a row back.
pub(crate) fn sink_deletes(sink: &str) -> Error {
    Error::plan(format!("sink \"{sink}\" cannot take rows back"))
        .with_detail("A row that no longer passes the filter has to go.")
        .with_hint(
            "Ask for the whole result with `EMIT COMPLETE` or for final windows with `EMIT ON WINDOW \
             CLOSE`, or write to a sink that deletes: the console, memory, or a topic with a PRIMARY KEY.",
        )
}

/// A column with the name of the one that says what rows do.
pub(crate) fn op_column() -> Error {
    Error::plan(format!("the column name \"{OP_COLUMN}\" is reserved"))
        .with_detail("A query that takes rows back says there what a row does to the result.")
        .with_hint("Give the column another name with AS, or in CREATE SOURCE.")
}

pub(crate) fn over_updates(what: &str) -> Error {
    Error::unsupported(format!(
        "{what} over a result that changes is not there yet"
    ))
    .with_detail("Rows of an aggregation replace each other in this output mode.")
    .with_hint("Aggregate last, or ask for final windows with `EMIT ON WINDOW CLOSE`.")
}

pub(crate) fn needs_complete(what: &str, mode: OutputMode, has_state: bool) -> Error {
    if !has_state {
        return Error::plan(format!("{what} over a stream that never ends has no result"))
            .with_detail("There is always a row that has not come yet.")
            .with_hint("Aggregate first and ask for `EMIT COMPLETE`, or run a bounded read: SELECT without STREAM.");
    }
    Error::plan(format!("{what} is not possible in {mode} mode"))
        .with_detail("It needs the whole result, and this mode emits parts of it.")
        .with_hint("Ask for the whole result every epoch with `EMIT COMPLETE`.")
}

/// A union of a result that is shown whole in every epoch and of rows that come once.
pub(crate) fn partly_whole() -> Error {
    Error::plan("complete mode cannot show rows beside a whole result")
        .with_detail(
            "One part of the UNION is shown whole in every epoch, and the rows of another come once.",
        )
        .with_hint("Aggregate each part, or the union of the rows.")
}

/// A running aggregation below a stateful operator, which would have to take rows back; `above` is
/// that operator.
pub(crate) fn running_below_state(aggregate: &Aggregate, above: &str) -> Error {
    Error::unsupported(format!("{above} of a result that changes is not there yet"))
        .with_detail("Without a window every row of the inner result could change again.")
        .with_hint(
            "Ask for the whole result with `EMIT COMPLETE`, group the inner query by a window, \
             write its result to a sink and read it as a source, or run a bounded read.",
        )
        .with_span(aggregate.group_expr.iter().find_map(span_of))
}

/// A grouping set without the window has groups that are never final.
pub(crate) fn set_without_window(grouped: &GroupedBy) -> Error {
    Error::plan("a grouping set without the window cannot append")
        .with_detail("Its rows could always change with the next row.")
        .with_hint(
            "Put window_start and window_end into every set, as GROUP BY window_start, window_end, \
             ROLLUP(…) does, or ask for the whole result with `EMIT COMPLETE`.",
        )
        .with_span(grouped.columns.iter().find_map(span_of))
}

pub(crate) fn two_windows() -> Error {
    Error::plan("an aggregation can group by one window, and this one groups by several")
}

/// Windows whose rows come in without the column that tells one window from another.
pub(crate) fn no_window_bound(told_by: Bound) -> Error {
    let (grouped, needed) = match told_by {
        Bound::Start => ("window_end or window_time", "window_start"),
        Bound::End => ("window_time", "window_end"),
    };
    Error::plan(format!(
        "an aggregation by {grouped} needs {needed} in its input"
    ))
    .with_hint(format!("Keep {needed} in the subquery's columns."))
}

/// A GROUP BY that would put several windows into one group.
pub(crate) fn start_of_many_windows(window: &Expr) -> Error {
    Error::plan("cumulating windows share their starts, and the query groups by the start alone")
        .with_detail("A row would count once for every window that it is in.")
        .with_hint("Group by window_start and window_end.")
        .with_span(span_of(window))
}

pub(crate) fn running_append(aggregate: &Aggregate) -> Error {
    let span = aggregate
        .group_expr
        .iter()
        .chain(&aggregate.aggr_expr)
        .find_map(span_of);
    if let Some(bound) = grouped_bound(aggregate) {
        return bound_is_no_time(&bound, WHOLE_RESULT);
    }
    let mut fields = aggregate.input.schema().fields().iter();
    let window = fields.find(|field| window_of(field).is_some());
    let error = match window {
        Some(field) => Error::plan("the query has windows and does not group by them")
            .with_hint(format!("Add \"{}\" to GROUP BY.", field.name())),
        None => Error::plan("an aggregation without a window cannot append").with_hint(
            "Ask for changes with `EMIT ON UPDATE`, for the whole result with `EMIT COMPLETE`, or \
             group by a window.",
        ),
    };
    error
        .with_detail("A result could always change with the next row.")
        .with_span(span)
}

/// The window is over a column that no watermark speaks of: name the source that lacks one, or
/// say that the column is not the event time.
/// `otherwise` is what can be asked for without a watermark.
pub(crate) fn window_without_watermark(
    window: &Expr,
    input: &LogicalPlan,
    otherwise: &str,
) -> Error {
    let definitions = sources_of(input);
    let without = definitions.iter().find(|d| d.watermark.is_none());
    if without.is_none()
        && let Some(bound) = windowed_bound(input)
    {
        return bound_is_no_time(&bound, otherwise);
    }
    let error = match (without, definitions.first()) {
        (Some(source), _) => Error::plan(format!(
            "the query groups by a window, but source \"{}\" has no watermark",
            source.name
        ))
        .with_hint(format!(
            "Add `WATERMARK FOR ts AS ts - INTERVAL '10 seconds'` to source \"{}\", or ask for \
             {otherwise}.",
            source.name
        )),
        (None, source) => {
            let column = source.and_then(|s| s.watermark.as_ref());
            let column = column.map_or("ts", |w| w.column.as_str());
            Error::plan("the query groups by a window over a column that is not the event time")
                .with_hint(format!(
                    "Window by the column \"{column}\" as it is, generate the other column in \
                     CREATE SOURCE and name it in WATERMARK FOR, or ask for {otherwise}."
                ))
        }
    };
    error
        .with_detail("Rows of a window could arrive for ever, so append mode can never emit.")
        .with_span(span_of(window))
}

/// Windows over the start or the end of others.
fn bound_is_no_time(bound: &Expr, otherwise: &str) -> Error {
    let name = bound.human_display().to_string();
    Error::plan(format!(
        "the query windows by \"{name}\", which is no event time"
    ))
    .with_detail("Rows of a window could arrive for ever, so append mode can never emit.")
    .with_hint(format!(
        "Window by window_time, the event time of the windows below: select it there, and group \
             by it beside window_start. Or ask for {otherwise}."
    ))
    .with_span(span_of(bound))
}

/// What windows that never close can still give.
pub(crate) const UPDATES: &str = "updates with `EMIT ON UPDATE`";

/// What sessions that never close can still give.
pub(crate) const WHOLE_RESULT: &str = "the whole result with `EMIT COMPLETE`";

pub(crate) fn sink_mode(sink: &str, mode: OutputMode, accepted: &[OutputMode]) -> Error {
    let names: Vec<_> = accepted.iter().map(|m| m.as_str()).collect();
    let error = Error::plan(format!("sink \"{sink}\" cannot take {mode} mode"))
        .with_detail(format!("It takes {}.", names.join(" and ")));
    match mode {
        OutputMode::Update | OutputMode::Complete => error.with_hint(
            "Group by a window of a source with a WATERMARK, which can append, or write to a sink \
             that takes changes: the console, memory, or a topic with a PRIMARY KEY.",
        ),
        OutputMode::Append => error.with_hint("Ask for another mode with EMIT."),
    }
}

/// The sink would replace other rows than those that the query replaces. `key` is the query's;
/// `None` if its SELECT leaves a part of it out.
pub(crate) fn sink_key(sink: &str, sink_key: &[String], key: Option<Vec<String>>) -> Error {
    let told = sink_key.join(", ");
    let Some(key) = key else {
        return Error::plan(format!(
            "sink \"{sink}\" replaces rows by ({told}), and the query does not show which row is which"
        ))
        .with_detail("A column of its GROUP BY or PARTITION BY, or the number of its rows, is left out of SELECT or \
             changed there.")
        .with_hint(
            "Select these columns as they are, or ask for final windows with `EMIT ON WINDOW CLOSE`.",
        );
    };
    if key.is_empty() {
        return Error::plan(format!(
            "sink \"{sink}\" replaces rows by ({told}), and the query's result is one row"
        ))
        .with_detail("Each new value of that column would leave the old row behind.")
        .with_hint(
            "Group by a column that names the row, such as a constant: `SELECT 'all' AS k, \
             count(*) … GROUP BY 1`, and make it the key.",
        );
    }
    let key = key.join(", ");
    Error::plan(format!(
        "sink \"{sink}\" replaces rows by ({told}), and the query's rows are told apart by ({key})"
    ))
    .with_detail("Rows would replace rows of other groups, or stay when they have changed.")
    .with_hint(format!("Declare the sink with PRIMARY KEY ({key})."))
}

/// A sink would take rows of several grouping sets for one: the query's SELECT does not show which
/// set a row is of.
pub(crate) fn sink_key_of_sets(sink: &str, sink_key: &[String]) -> Error {
    let told = sink_key.join(", ");
    Error::plan(format!(
        "sink \"{sink}\" replaces rows by ({told}), and the query does not show which row is which"
    ))
    .with_detail("A total and a row without a value have NULL in the same column.")
    .with_hint(
        "Select every GROUP BY column as it is, and grouping(…) of those that ROLLUP, CUBE or \
         GROUPING SETS leave out, and make them the key.",
    )
}

/// LATE ROWS INTO of a query in which no row is ever late.
pub(crate) fn no_late_rows(mode: OutputMode, sources: &[Arc<StreamDefinition>]) -> Error {
    let error = Error::plan("no row of this query can be late");
    if mode == OutputMode::Complete {
        return error
            .with_detail("In complete mode no window is ever finished, so every row still counts.")
            .with_hint("Leave LATE ROWS INTO out, or emit on update or on window close.");
    }
    if let Some(source) = sources.iter().find(|s| s.watermark.is_none()) {
        return error
            .with_detail(format!(
                "Source \"{}\" has no watermark, so no window is ever finished.",
                source.name
            ))
            .with_hint(format!(
                "Leave LATE ROWS INTO out, or declare a WATERMARK FOR a column of \"{}\".",
                source.name
            ));
    }
    error
        .with_detail("It has no operator that finishes anything by event time, such as a window.")
        .with_hint("Leave LATE ROWS INTO out, or group by a window of the event time.")
}
