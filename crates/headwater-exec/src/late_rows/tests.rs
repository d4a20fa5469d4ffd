//! Where late begins, and what is counted.

use headwater_core::event_time::EventTime;
use headwater_core::format::BadDataPolicy;
use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

use super::*;
use crate::testing::epoch::{Query, lines};
use crate::testing::plans::{assign, at, guard, guard_keeping, hop, operator, scan, source};
use crate::window_assign::Assign;

/// Keys of the rows that are let through at a watermark, and the number of those that are not.
async fn check(
    window: WindowSpec,
    how: Assign,
    mode: OutputMode,
    watermark: i64,
    expected: (&[&str], u64),
) {
    let guarded = match how {
        Assign::Panes => window,
        Assign::Windows => window.unpaned(),
    };
    let plan = guard(assign(scan(1, BadDataPolicy::Fail), window, how), guarded);
    let mut query = Query::new(plan, mode);
    query.watermark = Watermark::at(EventTime(watermark));
    let rows = [
        at(0, "a"),
        at(9, "b"),
        at(10, "c"),
        at(19, "d"),
        at(25, "e"),
    ];
    let epoch = query.run(source(&[&rows])).await.unwrap();
    let mut keys: Vec<_> = epoch
        .rows
        .iter()
        .map(|r| r.split(' ').nth(1).unwrap())
        .collect();
    keys.sort_unstable();
    assert_eq!(
        (keys.as_slice(), epoch.late),
        expected,
        "{window} {how:?} at {watermark}"
    );
}

#[tokio::test]
async fn a_row_is_late_when_its_window_ended_at_the_watermark() {
    let tumble = hop(10, 10);
    for how in [Assign::Panes, Assign::Windows] {
        let append = OutputMode::Append;
        check(tumble, how, append, 9, (&["a", "b", "c", "d", "e"], 0)).await;
        check(tumble, how, append, 10, (&["c", "d", "e"], 2)).await;
        check(tumble, how, append, 19, (&["c", "d", "e"], 2)).await;
        check(tumble, how, append, 20, (&["e"], 4)).await;
        check(tumble, how, append, 30, (&[], 5)).await;
        check(tumble, how, OutputMode::Update, 20, (&["e"], 4)).await;
    }
}

#[tokio::test]
async fn a_row_of_a_hopping_window_is_late_when_its_last_window_ended() {
    // Panes of 2; windows 0..10, 4..14, 8..18, 12..22, 16..26, 20..30, 24..34.
    let hopping = hop(4, 10);
    check(
        hopping,
        Assign::Panes,
        OutputMode::Append,
        9,
        (&["a", "b", "c", "d", "e"], 0),
    )
    .await;
    check(
        hopping,
        Assign::Panes,
        OutputMode::Append,
        10,
        (&["b", "c", "d", "e"], 1),
    )
    .await;
    check(
        hopping,
        Assign::Panes,
        OutputMode::Append,
        17,
        (&["b", "c", "d", "e"], 1),
    )
    .await;
    check(
        hopping,
        Assign::Panes,
        OutputMode::Append,
        18,
        (&["d", "e"], 3),
    )
    .await;
}

#[tokio::test]
async fn the_late_limit_is_the_watermark_before_the_epoch() {
    let window = hop(10, 10);
    let panes = assign(scan(1, BadDataPolicy::Fail), window, Assign::Panes);
    let mut query = Query::new(guard(panes, window), OutputMode::Append);
    let first = query
        .run(source(&[&[at(50, "a"), at(1, "b")]]))
        .await
        .unwrap();
    assert_eq!(
        (first.rows.len(), first.late),
        (2, 0),
        "50 came in this very epoch"
    );
    let second = query
        .run(source(&[&[at(49, "a"), at(50, "b"), at(60, "c")]]))
        .await
        .unwrap();
    assert_eq!((second.rows.len(), second.late), (2, 1));
}

#[tokio::test]
async fn in_complete_mode_no_row_is_late() {
    let all: &[&str] = &["a", "b", "c", "d", "e"];
    check(
        hop(10, 10),
        Assign::Panes,
        OutputMode::Complete,
        1000,
        (all, 0),
    )
    .await;
}

/// A query over windows of 10 at watermark 10 that keeps `t`, `k` and `x` of late rows.
fn keeping() -> Query {
    let panes = assign(scan(1, BadDataPolicy::Fail), hop(10, 10), Assign::Panes);
    let columns = LateColumns {
        row: vec![0, 1, 2],
        event_time: Some(0),
        once_per_window: None,
    };
    let mut query = Query::new(
        guard_keeping(panes, hop(10, 10), columns),
        OutputMode::Append,
    );
    query.watermark = Watermark::at(EventTime(10));
    query
}

#[tokio::test]
async fn late_rows_are_kept_as_they_came() {
    let rows = [at(12, "in time"), at(3, "late"), at(9, "later")];
    let epoch = keeping().run(source(&[&rows])).await.unwrap();
    assert_eq!((epoch.rows.len(), epoch.late), (1, 2));
    let mut kept = Vec::new();
    for late in &epoch.late_rows {
        assert_eq!(late.operator, operator());
        assert_eq!(late.watermark, Watermark::at(EventTime(10)));
        let times = as_micros(late.event_times.as_ref().unwrap()).unwrap();
        assert_eq!(&times, &as_micros(late.rows.column(0)).unwrap());
        kept.extend(lines(std::slice::from_ref(&late.rows)));
    }
    assert_eq!(kept, ["3 late 1", "9 later 1"]);
}

#[tokio::test]
async fn late_rows_that_do_not_fit_into_memory_are_an_error() {
    let mut query = keeping();
    query.late_room = 1;
    let error = query.run(source(&[&[at(1, "late")]])).await.unwrap_err();
    assert!(error.to_string().contains("late rows"), "{error}");
}
