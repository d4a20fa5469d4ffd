//! The operator in epochs: what it emits, when, and what a failed epoch leaves.

use datafusion_physical_expr::Partitioning;
use datafusion_physical_plan::repartition::RepartitionExec;

use headwater_core::event_time::EventTime;
use headwater_core::format::BadDataPolicy;
use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

use super::*;
use crate::testing::aggregates::{Kind, column};
use crate::testing::epoch::Query;
use crate::testing::plans::{aggregate, assign, at, hop, operator, scan, source, windowed};
use crate::window_assign::Assign;

fn running(keys: &[&str], kinds: &[Kind]) -> Arc<dyn ExecutionPlan> {
    aggregate(scan(1, BadDataPolicy::Fail), None, keys, kinds)
}

#[tokio::test]
async fn a_window_comes_out_in_the_epoch_whose_rows_close_it() {
    let plan = windowed(hop(10, 10), &[Kind::Count, Kind::SumX]);
    let mut query = Query::new(plan, OutputMode::Append);
    let open = query
        .run(source(&[&[at(1, "a"), at(9, "b"), at(2, "a")]]))
        .await
        .unwrap();
    assert!(open.rows.is_empty());
    let closed = query
        .run(source(&[&[at(10, "a"), at(5, "b")]]))
        .await
        .unwrap();
    assert_eq!(closed.rows, ["0 10 a 2 2", "0 10 b 2 2"]);
    let late = query
        .run(source(&[&[at(5, "b"), at(12, "b")]]))
        .await
        .unwrap();
    assert!(late.rows.is_empty());
    assert_eq!(late.late, 1);
    let two = query
        .run(source(&[&[at(20, "c"), at(35, "c")]]))
        .await
        .unwrap();
    assert_eq!(two.rows, ["10 20 a 1 1", "10 20 b 1 1", "20 30 c 1 1"]);
    let nothing = query.run(source(&[&[]])).await.unwrap();
    assert!(nothing.rows.is_empty());
    assert_eq!(
        query.state.sizes()[&operator()].0,
        1,
        "only window 30 is open"
    );
}

#[tokio::test]
async fn update_mode_emits_the_changed_keys_of_the_changed_windows() {
    let mut query = Query::new(windowed(hop(5, 10), &[Kind::Count]), OutputMode::Update);
    let first = query
        .run(source(&[&[at(6, "a"), at(7, "b")]]))
        .await
        .unwrap();
    assert_eq!(first.rows, ["0 10 a 1", "0 10 b 1", "5 15 a 1", "5 15 b 1"]);
    let second = query
        .run(source(&[&[at(3, "a"), at(11, "c")]]))
        .await
        .unwrap();
    // Window -5 had ended. Row 11 ends window 0, which is still told what it came to.
    assert_eq!(second.rows, ["0 10 a 2", "10 20 c 1", "5 15 c 1"]);
    let third = query.run(source(&[&[at(9, "b")]])).await.unwrap();
    assert_eq!(third.rows, ["5 15 b 2"], "window 0 had ended");
}

#[tokio::test]
async fn complete_mode_emits_all_windows_for_ever() {
    let mut query = Query::new(windowed(hop(10, 10), &[Kind::Count]), OutputMode::Complete);
    query
        .run(source(&[&[at(5, "a"), at(95, "b")]]))
        .await
        .unwrap();
    let second = query.run(source(&[&[at(5, "c")]])).await.unwrap();
    assert_eq!(second.rows, ["0 10 a 1", "0 10 c 1", "90 100 b 1"]);
    assert_eq!(second.late, 0);
}

#[tokio::test]
async fn a_global_aggregate_over_no_rows_has_a_result() {
    let mut query = Query::new(
        running(&[], &[Kind::Count, Kind::SumX, Kind::AvgX]),
        OutputMode::Complete,
    );
    let empty = query.run(source(&[&[]])).await.unwrap();
    assert_eq!(empty.rows, ["0 NULL NULL"]);
    let some = query
        .run(source(&[&[at(1, "a"), at(2, "b")]]))
        .await
        .unwrap();
    assert_eq!(some.rows, ["2 2 1.0"]);
    let again = query.run(source(&[&[]])).await.unwrap();
    assert_eq!(again.rows, ["2 2 1.0"]);
}

#[tokio::test]
async fn a_global_window_over_no_rows_has_none() {
    let window = hop(10, 10);
    let panes = assign(scan(1, BadDataPolicy::Fail), window, Assign::Panes);
    let plan = aggregate(panes, Some(window), &[], &[Kind::Count]);
    let mut query = Query::new(plan, OutputMode::Complete);
    assert!(query.run(source(&[&[]])).await.unwrap().rows.is_empty());
    let some = query
        .run(source(&[&[at(1, "a"), at(15, "b")]]))
        .await
        .unwrap();
    assert_eq!(some.rows, ["0 10 1", "10 20 1"]);
}

#[tokio::test]
async fn null_keys_are_a_group_and_filters_do_not_lose_one() {
    let kinds = [Kind::Count, Kind::CountPositive];
    let mut query = Query::new(running(&["k"], &kinds), OutputMode::Update);
    let rows = [(Some(1), None, Some(-1)), at(2, "a"), (Some(3), None, None)];
    let epoch = query.run(source(&[&rows])).await.unwrap();
    assert_eq!(epoch.rows, ["NULL 2 0", "a 1 1"]);
}

#[tokio::test]
async fn distinct_emits_a_key_whenever_it_comes() {
    let mut query = Query::new(running(&["k", "x"], &[]), OutputMode::Update);
    let first = query
        .run(source(&[&[at(1, "a"), at(2, "a"), at(3, "b")]]))
        .await
        .unwrap();
    assert_eq!(first.rows, ["a 1", "b 1"]);
    let second = query.run(source(&[&[at(4, "c")]])).await.unwrap();
    assert_eq!(second.rows, ["c 1"]);
}

#[tokio::test]
async fn shards_share_the_keys_and_see_the_watermark_of_all_readers() {
    let window = hop(10, 10);
    let panes = assign(scan(2, BadDataPolicy::Fail), window, Assign::Panes);
    let by_key = Partitioning::Hash(vec![column(&panes.schema(), "k")], 3);
    let dealt = Arc::new(RepartitionExec::try_new(panes, by_key).unwrap());
    let plan = aggregate(dealt, Some(window), &["k"], &[Kind::Count]);
    let mut query = Query::new(plan, OutputMode::Append);
    let early: Vec<_> = ["a", "b", "c", "d", "e"].map(|k| at(1, k)).to_vec();
    let epoch = query
        .run(source(&[&early, &[at(2, "a"), at(10, "z")]]))
        .await
        .unwrap();
    assert_eq!(
        epoch.rows,
        ["0 10 a 2", "0 10 b 1", "0 10 c 1", "0 10 d 1", "0 10 e 1"]
    );
    assert_eq!(epoch.rows_by_partition.len(), 3);
    assert_eq!(query.state.sizes()[&operator()].0, 1);
}

#[tokio::test]
async fn a_failed_epoch_leaves_nothing_behind() {
    let mut query = Query::new(windowed(hop(10, 10), &[Kind::Count]), OutputMode::Append);
    query.run(source(&[&[at(1, "a")]])).await.unwrap();
    let bad = [at(2, "a"), at(3, "b"), at(30, "c"), (None, None, None)];
    assert!(query.run(source(&[&bad])).await.is_err());
    assert_eq!(query.watermark, Watermark::at(EventTime(1)));
    let again = query.run(source(&[&bad[..3]])).await.unwrap();
    assert_eq!(again.rows, ["0 10 a 2", "0 10 b 1"]);
}

#[tokio::test]
async fn a_registry_of_a_checkpoint_continues_the_query() {
    let plan = || windowed(hop(10, 10), &[Kind::Count]);
    let mut query = Query::new(plan(), OutputMode::Append);
    query
        .run(source(&[&[at(1, "a"), at(2, "b")]]))
        .await
        .unwrap();
    let chunks = query.state.snapshots().unwrap();
    let mut query = query.restarted(plan(), chunks);
    let closed = query
        .run(source(&[&[at(3, "b"), at(11, "a")]]))
        .await
        .unwrap();
    assert_eq!(closed.rows, ["0 10 a 1", "0 10 b 2"]);
}

#[test]
fn a_batch_is_cut_by_pane_and_left_alone_if_there_is_one() {
    let cut = |panes: &[i64]| -> Vec<(i64, Option<Vec<u32>>)> {
        let runs = runs_by_pane(panes).into_iter();
        runs.map(|(pane, rows)| (pane, rows.map(|r| r.values().to_vec())))
            .collect()
    };
    assert_eq!(cut(&[]), []);
    assert_eq!(cut(&[5, 5, 5]), [(5, None)]);
    let two = [(5, Some(vec![0, 1, 3])), (7, Some(vec![2, 4]))];
    assert_eq!(cut(&[5, 5, 7, 5, 7]), two);
}
