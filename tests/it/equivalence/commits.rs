//! Commits of several epochs, and sinks whose transactions decide what has happened.

use headwater_testkit::query::Ran;

use super::*;

const RUNNING: &str = "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k";
const ROWS: &str = "SELECT k, v * 2 AS twice, ts FROM t WHERE v > 0";

/// What happens to a query whose epochs wait for their commit.
fn commit_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => event(),
        3 => (1u64..4).prop_map(Event::Wait),
        3 => any::<bool>().prop_map(Event::LostCommit),
    ]
}

/// Transactions, commits of several epochs, and both.
fn cases_of_commits() -> impl Strategy<Value = Case> {
    const SINKS: [(Publication, &str); 3] = [
        (Publication::Transaction, ""),
        (Publication::AfterRecord, SHARED),
        (Publication::Transaction, SHARED),
    ];
    let mut all = queries(&[RUNNING, windows::TUMBLE], &[UPDATE, COMPLETE]);
    all.extend(queries(&[ROWS, windows::TUMBLE], &[FINAL]));
    let sink = proptest::sample::select(SINKS.to_vec());
    let cases = case_of(commit_event(), 8, all);
    (sink, cases).prop_map(|((publication, with), mut case)| {
        case.query.with = with;
        case.publication = publication;
        case
    })
}

const SHARED: &str = "WITH ('checkpoint.interval' = '2 seconds')";

#[test]
fn oracle_none_late_commits() {
    check_cases(70, &cases_of_commits(), equals_batch);
}

/// Epochs whose commit was lost are not seen, or seen once, whichever of the two it was.
#[tokio::test]
async fn a_lost_commit_is_found_out_by_the_next_process() {
    for has_happened in [false, true] {
        let query = Query {
            with: SHARED,
            ..queries(&[ROWS], &[FINAL])[0]
        };
        let case = Case {
            epochs: vec![],
            query,
            shards: 1,
            publication: Publication::Transaction,
        };
        let mut session = case.run(10).await.unwrap();
        let row = |number: i64| Placed {
            partition: 0,
            key: None,
            value: Some(number + 1),
            time_s: Some(NOON_S + number),
        };
        for epoch in 0..3 {
            feed(&session, &[row(epoch)]).unwrap();
            session.run_to_end("q").await.unwrap();
        }
        let shown = |session: &mut TestSession| session.query("q").unwrap().ledger().epochs().len();
        assert_eq!(shown(&mut session), 0);
        session.advance_clock(Duration::from_secs(3));
        session
            .query("q")
            .unwrap()
            .faults()
            .lose_commit(has_happened);
        let lost = session.query("q").unwrap().step().await.unwrap();
        assert!(matches!(lost, Ran::Lost(_)), "{lost:?}");
        assert_eq!(shown(&mut session), if has_happened { 3 } else { 0 });
        assert_eq!(session.query("q").unwrap().faults().left(), 0);
        session.query("q").unwrap().close();
        check_oracle(&mut session).await.unwrap();
        assert_eq!(shown(&mut session), 3);
    }
}
