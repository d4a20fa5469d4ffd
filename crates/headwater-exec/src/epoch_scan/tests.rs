//! What a scan reads, computes, observes and counts.

use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{binary, lit};

use headwater_core::event_time::EventTime;
use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

use super::*;
use crate::testing::aggregates::column;
use crate::testing::epoch::Query;
use crate::testing::plans::{at, scan, source, source_schema};
use crate::testing::scripted_source::partition;

fn query(plan: Arc<dyn ExecutionPlan>) -> Query {
    Query::new(plan, OutputMode::Append)
}

#[tokio::test]
async fn reads_what_it_projects_and_computes_the_rest() {
    // The columns read are (x, t); `k` is not.
    let source_columns = source_schema();
    let read = Arc::new(source_columns.project(&[2, 0]).unwrap());
    let x = column(&read, "x");
    let plus_one = binary(Arc::clone(&x), Operator::Plus, lit(1i64), &read).unwrap();
    let schema = Arc::new(source_columns.project(&[2, 2]).unwrap());
    let spec = ScanSpec {
        source: SourceIndex(0),
        name: "scripted".into(),
        projection: vec![2, 0],
        columns: vec![plus_one, x],
        schema,
        event_time: Some(EventTimeColumn {
            expr: column(&read, "t"),
            name: "t".into(),
        }),
        bad_data: BadDataPolicy::Fail,
        bounds: ReadBounds::default(),
        until: ReadUntil::End,
    };
    let mut query = query(Arc::new(EpochScanExec::new(spec, 1)));
    let rows = [(Some(7), Some("a"), Some(1)), (Some(9), Some("b"), None)];
    let epoch = query.run(source(&[&rows])).await.unwrap();
    assert_eq!(epoch.rows, ["2 1", "NULL NULL"]);
    assert_eq!(query.watermark, Watermark::at(EventTime(9)));
}

#[tokio::test]
async fn a_scan_of_no_columns_still_has_rows() {
    let spec = ScanSpec {
        source: SourceIndex(0),
        name: "scripted".into(),
        projection: vec![],
        columns: vec![],
        schema: Arc::new(arrow::datatypes::Schema::empty()),
        event_time: None,
        bad_data: BadDataPolicy::Fail,
        bounds: ReadBounds::default(),
        until: ReadUntil::End,
    };
    let mut query = query(Arc::new(EpochScanExec::new(spec, 1)));
    let epoch = query
        .run(source(&[&[at(1, "a"), at(2, "b"), at(3, "c")]]))
        .await
        .unwrap();
    assert_eq!(epoch.rows_by_partition, [3]);
    assert_eq!(
        query.watermark,
        Watermark::MIN,
        "no event time, no watermark"
    );
}

#[tokio::test]
async fn observes_the_greatest_event_time_of_every_partition() {
    let mut query = query(scan(2, BadDataPolicy::Fail));
    let source = source(&[&[at(5, "a"), at(3, "a")], &[], &[at(-4, "b")]]);
    let epoch = query.run(source).await.unwrap();
    let maxima = epoch.observer.max_event_times(SourceIndex(0));
    assert_eq!(maxima.get(&partition(0)), Some(5));
    assert_eq!(maxima.get(&partition(1)), None);
    assert_eq!(maxima.get(&partition(2)), Some(-4));
    assert_eq!(
        epoch.observer.active(SourceIndex(0)),
        [partition(0), partition(2)]
    );
}

#[tokio::test]
async fn a_row_without_an_event_time_stops_the_query_or_is_dropped_and_counted() {
    let rows = [at(5, "a"), (None, Some("b"), None), at(6, "c")];
    let error = query(scan(1, BadDataPolicy::Fail))
        .run(source(&[&rows]))
        .await
        .unwrap_err();
    let text = error.find_root().to_string();
    for part in ["scripted/0", "\"scripted\"", "column \"t\""] {
        assert!(text.contains(part), "no {part} in {text}");
    }

    let mut dropping = query(scan(1, BadDataPolicy::Drop));
    let epoch = dropping
        .run(source(&[&rows, &[(None, None, None)]]))
        .await
        .unwrap();
    assert_eq!(epoch.rows, ["5 a 1", "6 c 1"]);
    assert_eq!(epoch.bad["no event time"], 2);
    let active = epoch.observer.active(SourceIndex(0));
    assert_eq!(
        active,
        [partition(0)],
        "a partition of bad rows brought no event time"
    );
}

/// A scan of `t`, `x` and the generated column `10 / x`, which fails where `x` is 0.
fn quotients(bad_data: BadDataPolicy) -> Arc<dyn ExecutionPlan> {
    let read = source_schema();
    let (t, x) = (column(&read, "t"), column(&read, "x"));
    let quotient = binary(lit(10i64), Operator::Divide, Arc::clone(&x), &read).unwrap();
    let field = |name: &str, like: usize| read.field(like).clone().with_name(name);
    let fields = vec![field("t", 0), field("x", 2), field("q", 2)];
    let spec = ScanSpec {
        source: SourceIndex(0),
        name: "scripted".into(),
        projection: vec![0, 1, 2],
        columns: vec![Arc::clone(&t), x, quotient],
        schema: Arc::new(arrow::datatypes::Schema::new(fields)),
        event_time: Some(EventTimeColumn {
            expr: t,
            name: "t".into(),
        }),
        bad_data,
        bounds: ReadBounds::default(),
        until: ReadUntil::End,
    };
    Arc::new(EpochScanExec::new(spec, 1))
}

#[tokio::test]
async fn a_row_that_cannot_be_computed_costs_no_other_row() {
    // Two rows divide by zero, one has no event time, one has neither a time nor a quotient.
    let rows = [
        (Some(1), None, Some(5)),
        (Some(9), None, Some(0)),
        (Some(2), None, Some(2)),
        (None, None, Some(1)),
        (Some(3), None, Some(0)),
        (None, None, Some(0)),
        (Some(4), None, None),
    ];
    const NOT_COMPUTED: &str = "column \"q\" cannot be computed";

    let mut dropping = query(quotients(BadDataPolicy::Drop));
    let epoch = dropping.run(source(&[&rows])).await.unwrap();
    assert_eq!(epoch.rows, ["1 5 2", "2 2 5", "4 NULL NULL"]);
    assert_eq!(
        (epoch.bad[NOT_COMPUTED], epoch.bad["no event time"]),
        (3, 1)
    );
    // The time of a row that is left out is not noted: 4, not 9.
    assert_eq!(dropping.watermark, Watermark::at(EventTime(4)));

    let mut keeping = query(quotients(BadDataPolicy::Null));
    let epoch = keeping.run(source(&[&rows])).await.unwrap();
    let expected = ["1 5 2", "2 2 5", "3 0 NULL", "4 NULL NULL", "9 0 NULL"];
    assert_eq!(epoch.rows, expected);
    assert_eq!(
        (epoch.bad[NOT_COMPUTED], epoch.bad["no event time"]),
        (3, 1)
    );

    let mut failing = query(quotients(BadDataPolicy::Fail));
    let error = failing.run(source(&[&rows])).await.unwrap_err();
    let text = error.find_root().to_string();
    for part in [NOT_COMPUTED, "scripted/0", "\"scripted\""] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[tokio::test]
async fn a_bad_record_without_an_event_time_counts_once() {
    let rows = [at(5, "a"), (None, None, None), (None, Some("b"), None)];
    let scripted = source(&[&rows]).with_bad_rows(vec![1]);
    let mut query = query(scan(1, BadDataPolicy::Null));
    let epoch = query.run(scripted).await.unwrap();
    assert_eq!(epoch.rows, ["5 a 1"]);
    assert_eq!(epoch.bad["no event time"], 1);
}

#[tokio::test]
async fn partitions_are_dealt_to_readers_by_position() {
    let rows = [at(1, "a"), at(2, "a"), at(3, "a")];
    for (readers, expected) in [(1, vec![6]), (2, vec![4, 2]), (5, vec![3, 2, 1, 0, 0])] {
        let mut query = query(scan(readers, BadDataPolicy::Fail));
        let epoch = query
            .run(source(&[&rows, &rows[..2], &rows[..1]]))
            .await
            .unwrap();
        assert_eq!(epoch.rows_by_partition, expected, "{readers} readers");
        assert_eq!(epoch.rows.len(), 6);
    }
}

#[tokio::test]
async fn an_epoch_operator_outside_an_epoch_says_so() {
    let task = Arc::new(TaskContext::default());
    let error = scan(1, BadDataPolicy::Fail).execute(0, task).err().unwrap();
    assert!(error.to_string().contains("outside an epoch"), "{error}");
}
