//! Failures that stay.

use super::*;

/// One more failure than the engine tries again: the query stops with the failure itself, and goes
/// on where it was when it is started again.
#[tokio::test]
async fn a_failure_that_stays_stops_the_query_with_its_own_words() {
    for moment in Moment::ALL {
        let case = Case {
            epochs: vec![],
            query: queries(&[windows::TUMBLE], &[UPDATE])[0],
            shards: 2,
            publication: Publication::AfterRecord,
        };
        let mut session = case.run(10).await.unwrap();
        let row = |number: i64| Placed {
            partition: (number % 2) as usize,
            key: Some(format!("key{}", number % 3)),
            value: Some(number),
            time_s: Some(NOON_S + number),
        };
        feed(&session, &(0..20).map(row).collect::<Vec<_>>()).unwrap();
        session.run_to_end("q").await.unwrap();
        feed(&session, &(20..40).map(row).collect::<Vec<_>>()).unwrap();
        feed(&session, &(40..60).map(row).collect::<Vec<_>>()).unwrap();
        session.query("q").unwrap().faults().arrange(moment, 99);
        let error = session.run_to_end("q").await.unwrap_err();
        let expected = format!("arranged failure: {moment:?}");
        assert_eq!(error.message(), expected);
        // A reader per shard may have failed beside the first one.
        let struck = 99 - session.query("q").unwrap().faults().left();
        assert!(
            (4..=8).contains(&struck),
            "{moment:?} struck {struck} times"
        );
        session.query("q").unwrap().faults().clear();
        session.query("q").unwrap().close();
        check_oracle(&mut session).await.unwrap();
    }
}
