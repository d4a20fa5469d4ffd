//! Refusals of operators that keep rows: sessions, rankings, OVER, LIMIT.

use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use headwater_core::Error;
use headwater_core::mode::OutputMode;

use super::span_of;
use crate::event_time_field::{WindowRole, window_of};
use crate::rule::number_sources::sources_of;

/// Sessions in update mode: two of them become one, and their rows would have to be taken back.
pub(crate) fn session_updates(window: &Expr) -> Error {
    Error::plan("sessions cannot be emitted by updates")
        .with_detail(
            "A row between two sessions makes them one, and the two that were emitted would stay.",
        )
        .with_hint(
            "Ask for final sessions with `EMIT ON WINDOW CLOSE`, or for all of them with \
             `EMIT COMPLETE`.",
        )
        .with_span(span_of(window))
}

/// Groups of several sessions that are not final together.
pub(crate) fn session_without_end(aggregate: &Aggregate) -> Error {
    Error::plan("a group of several sessions needs window_end")
        .with_detail(
            "Sessions of other keys may begin at the same time and end later, so the group would \
             be final at no time.",
        )
        .with_hint(
            "Add window_end to GROUP BY, or group by the columns of PARTITION BY alone, all of them.",
        )
        .with_span(aggregate.group_expr.iter().find_map(span_of))
}

/// A group of session rows that do not come in one epoch.
pub(crate) fn sessions_apart(aggregate: &Aggregate) -> Error {
    Error::unsupported("an aggregation by sessions over other operators is not there yet")
        .with_detail(
            "The rows of a session are final together only as they come out of the session.",
        )
        .with_hint(
            "Aggregate the sessions of each source by themselves, or join, filter and number the \
             rows before they are put into sessions.",
        )
        .with_span(aggregate.group_expr.iter().find_map(span_of))
}

/// OVER windows in another order than that of event time.
pub(crate) fn over_order(order: Option<&Expr>, input: &LogicalPlan) -> Error {
    let definitions = sources_of(input);
    let watermark = definitions.iter().find_map(|d| d.watermark.as_ref());
    let fields = input.schema().fields();
    let windows = || {
        fields
            .iter()
            .filter_map(|f| Some((f.name(), window_of(f)?)))
    };
    let window_time = windows().find(|(_, window)| window.role == WindowRole::Time);
    let of_windows = windows().next().is_some();
    let within = "Any order goes within a window: `PARTITION BY window_start, window_end`.";
    let bound = "To keep the first rows of a numbering, bound it: `WHERE rn <= 3`.";
    let hint = match watermark {
        Some(_) if of_windows => match window_time {
            Some((name, _)) => {
                format!("Order windows by their time: `ORDER BY {name}`. {within} {bound}")
            }
            None => format!("Select window_time below, and order windows by it. {within} {bound}"),
        },
        Some(watermark) => format!(
            "Order by the event time first, earliest first: `ORDER BY {}`. {bound}",
            watermark.column
        ),
        None => {
            "Declare the event time with WATERMARK FOR and order by it, or run a bounded read: \
                 SELECT without STREAM."
                .to_string()
        }
    };
    Error::plan("an OVER window of a stream must be in the order of event time")
        .with_detail("In any other order a row that is yet to come could stand anywhere.")
        .with_hint(hint)
        .with_span(order.and_then(span_of))
}

/// Rows that are numbered in several ways, of which at most one can be a ranking.
pub(crate) fn several_numberings(order: Option<&Expr>) -> Error {
    Error::unsupported("several numberings of the same rows are not there yet")
        .with_detail("Only the first rows of one numbering are kept, and another may need those that are not.")
        .with_hint(
            "Write a query for every numbering, each with its bound (`WHERE rn <= 3`), or number \
             within a window: `PARTITION BY window_start, window_end`.",
        )
        .with_span(order.and_then(span_of))
}

/// OVER windows over rows that are not aggregated, in another mode than append.
pub(crate) fn over_append_only(place: Option<&Expr>, mode: OutputMode) -> Error {
    Error::plan(format!(
        "an OVER window of a stream is not possible in {mode} mode"
    ))
    .with_detail("Every row is emitted once, when the watermark has passed it, and stays.")
    .with_hint("Ask for `EMIT ON WINDOW CLOSE`, or leave EMIT out.")
    .with_span(place.and_then(span_of))
}

/// A window expression that needs rows after its row.
pub(crate) fn over_following(function: &str, expr: &Expr) -> Error {
    Error::plan(format!("{function}() OVER looks at rows after its row"))
        .with_detail("They are yet to come when the row is final.")
        .with_hint("End the frame at CURRENT ROW, or look back with lag().")
        .with_span(span_of(expr))
}

/// `lag()` by an offset that is no constant.
pub(crate) fn lag_offset(offset: &Expr) -> Error {
    Error::plan(format!(
        "the offset of lag() must be a number that is not negative, not {}",
        offset.human_display()
    ))
    .with_detail("As many rows are kept as it looks back.")
    .with_hint("Write it as a number: `lag(v, 2)`.")
    .with_span(span_of(offset))
}

/// A window function that nothing is known about.
pub(crate) fn over_function(function: &str, expr: &Expr) -> Error {
    Error::unsupported(format!(
        "{function}() OVER is not there yet in a streaming query"
    ))
    .with_hint(
        "There are aggregates, row_number, rank, dense_rank, lag, first_value, last_value and \
             nth_value.",
    )
    .with_span(span_of(expr))
}

/// A ranking that the next row may change for ever.
pub(crate) fn ranking_append(order: Option<&Expr>, is_inner: bool) -> Error {
    let hint = match is_inner {
        true => {
            "Rank within a window (PARTITION BY window_start, window_end, …), or order by the event \
             time alone, earliest first."
        }
        false => {
            "Ask for changes with `EMIT ON UPDATE`, for the whole result with `EMIT COMPLETE`, rank \
             within a window (PARTITION BY window_start, window_end, …), or order by the event \
             time, earliest first."
        }
    };
    Error::plan("the first rows of a key are never final")
        .with_detail("A row that is yet to come could always be ahead of them.")
        .with_hint(hint)
        .with_span(order.and_then(span_of))
}

/// Equal rows have one number, and an update could not say which of them it replaces.
pub(crate) fn ties_without_key() -> Error {
    Error::plan("rank() and dense_rank() have no key to update by")
        .with_detail("Rows that are equal in the order have the same number.")
        .with_hint("Use row_number(), or ask for the whole result with `EMIT COMPLETE`.")
}

/// `rank()` and `dense_rank()` of rows in no order.
pub(crate) fn ties_without_order() -> Error {
    Error::plan("rank() and dense_rank() need ORDER BY")
        .with_detail("Without an order all rows have the number 1, and all would have to be kept.")
        .with_hint("Add ORDER BY, or use row_number().")
}

/// LIMIT of rows that are not aggregated, in complete mode.
pub(crate) fn limit_complete() -> Error {
    Error::plan("complete mode has nothing to complete")
        .with_detail("The first rows are emitted once and stay.")
        .with_hint("Leave EMIT COMPLETE out, or aggregate first.")
}

/// LIMIT in update mode; `has_whole_result` says whether complete mode has one.
pub(crate) fn limit_update(has_whole_result: bool) -> Error {
    let error = Error::plan("LIMIT is not possible in update mode");
    match has_whole_result {
        true => error
            .with_detail("It needs the whole result, and this mode emits parts of it.")
            .with_hint("Ask for the whole result every epoch with `EMIT COMPLETE`."),
        false => error
            .with_detail("The first rows are emitted once and stay: there is nothing to update.")
            .with_hint("Leave EMIT ON UPDATE out."),
    }
}

pub(crate) fn offset_without_limit() -> Error {
    Error::plan("OFFSET without LIMIT is not possible in a streaming query")
        .with_detail("Every row that it lets through would have to be kept.")
        .with_hint("Add LIMIT, or run a bounded read: SELECT without STREAM.")
}

/// A time to live where no state lives on by itself.
pub(crate) fn nothing_idle() -> Error {
    Error::plan("\"state.ttl\" has nothing to forget")
        .with_detail(
            "It is for state by key that nothing else ends: GROUP BY, DISTINCT, rankings and OVER \
             without a window. What a window or the watermark ends goes with them, and a result of \
             one row is no more than that.",
        )
        .with_hint("Leave it out.")
}

/// A time to live of windows that nothing ends.
pub(crate) fn windows_without_end() -> Error {
    Error::plan("\"state.ttl\" does not end windows")
        .with_detail(
            "Windows end by a watermark, and a source of the query has none: the state of every \
             window is kept.",
        )
        .with_hint(
            "Declare the watermark of the source with WATERMARK FOR, or group by \
             date_trunc('minute', ts) or date_bin(…): without a watermark these are keys, which \
             \"state.ttl\" forgets.",
        )
}

/// A retention of keys where no first rows are kept.
pub(crate) fn nothing_remembered() -> Error {
    Error::plan("\"dedup.retention\" has no keys to remember")
        .with_detail(
            "It is for the first row of every key over a source with a watermark, in append and \
             update mode: DISTINCT ON (k), without ORDER BY or by the event time, and \
             row_number() OVER (PARTITION BY k ORDER BY the event time) = 1.",
        )
        .with_hint("Leave it out, or use \"state.ttl\": it forgets keys that no row touches.")
}
