//! Which window columns a row gets.

use headwater_core::format::BadDataPolicy;
use headwater_core::mode::OutputMode;
use headwater_core::source::{ReadRequest, Source};

use super::*;
use crate::testing::aggregates::column;
use crate::testing::epoch::{Query, lines};
use crate::testing::plans::{SourceRow, assign, at, hop, scan, source, source_schema};

/// `t k x window_start window_end window_time` of rows.
async fn check(window: WindowSpec, how: Assign, rows: &[SourceRow<'_>], expected: &[&str]) {
    let plan = assign(scan(1, BadDataPolicy::Fail), window, how);
    let epoch = Query::new(plan, OutputMode::Append)
        .run(source(&[rows]))
        .await
        .unwrap();
    assert_eq!(epoch.rows, expected, "{window} as {how:?}");
}

#[tokio::test]
async fn a_tumbling_window_is_one_row_either_way() {
    let rows = [at(-1, "a"), at(0, "b"), at(9999, "c"), at(10_000, "d")];
    let expected = [
        "-1 a 1 -10000 0 -1000",
        "0 b 1 0 10000 9000",
        "10000 d 1 10000 20000 19000",
        "9999 c 1 0 10000 9000",
    ];
    check(hop(10_000, 10_000), Assign::Windows, &rows, &expected).await;
    check(hop(10_000, 10_000), Assign::Panes, &rows, &expected).await;
}

#[tokio::test]
async fn a_hopping_window_is_a_row_per_window_or_one_per_pane() {
    let rows = [at(9000, "a"), at(3000, "b")];
    check(
        hop(4000, 10_000),
        Assign::Windows,
        &rows,
        &[
            "3000 b 1 -4000 6000 5000",
            "3000 b 1 0 10000 9000",
            "9000 a 1 0 10000 9000",
            "9000 a 1 4000 14000 13000",
            "9000 a 1 8000 18000 17000",
        ],
    )
    .await;
    // Of the columns of a pane only the first means anything: the aggregation gives the window's.
    let panes = hop(4000, 10_000);
    let starts = [3000, 9000].map(|t| panes.pane_of(t));
    assert_eq!(starts, [2000, 8000]);
    check(
        panes,
        Assign::Panes,
        &rows,
        &["3000 b 1 2000 2000 2000", "9000 a 1 8000 8000 8000"],
    )
    .await;
}

#[tokio::test]
async fn a_row_without_a_time_is_in_no_window() {
    let (window, schema) = (hop(10, 10), source_schema());
    let source = source(&[&[(None, Some("a"), None), at(5, "b"), (None, None, None)]]);
    let mut batches = source
        .read(ReadRequest {
            slice: source.whole(),
            projection: vec![0, 1, 2],
            batch_rows: 10,
            rows_wanted: None,
            counters: Arc::default(),
        })
        .unwrap();
    let batch = batches.next().await.unwrap().unwrap().rows;
    let time = column(&schema, "t");
    let with_windows = Arc::new(WindowAssignExec::schema_over(&schema));
    for how in [Assign::Windows, Assign::Panes] {
        let rows = assign_batch(&batch, &time, window, how, &with_windows).unwrap();
        assert_eq!(lines(&[rows]), ["5 b 1 0 10 -990"]);
    }
}
