//! What a query warns of when it starts; EXPLAIN says it too.

use headwater::Headwater;
use headwater_testkit::text_rows::text_rows;

async fn session() -> Headwater {
    let session = Headwater::builder().target_partitions(2).build().unwrap();
    for statement in [
        "CREATE SOURCE t (k VARCHAR, id BIGINT NOT NULL, ts TIMESTAMP,
           WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (connector = 'memory')",
        "CREATE SOURCE nowm (k VARCHAR, ts TIMESTAMP) WITH (connector = 'memory')",
        "CREATE SINK out WITH (connector = 'memory')",
        "CREATE SINK by_k (k VARCHAR, n BIGINT, PRIMARY KEY (k)) WITH
           (connector = 'kafka', 'bootstrap.servers' = 'b:9', topic = 'a', format = 'json')",
        "CREATE SINK by_id (id BIGINT, n BIGINT, PRIMARY KEY (id)) WITH
           (connector = 'kafka', 'bootstrap.servers' = 'b:9', topic = 'b', format = 'json')",
        "CREATE SINK by_both (k VARCHAR, id BIGINT, n BIGINT, PRIMARY KEY (k, id)) WITH
           (connector = 'kafka', 'bootstrap.servers' = 'b:9', topic = 'c', format = 'json')",
    ] {
        session.sql(statement).await.unwrap();
    }
    session
}

/// The warnings of a query, by their first words.
async fn check(session: &Headwater, insert: &str, expected: &[&str]) {
    let explained = session.sql(&format!("EXPLAIN INSERT INTO {insert}")).await;
    let explained = explained.unwrap_or_else(|e| panic!("{}", e.report(insert, None)));
    let rows = text_rows(&explained.collect().await.unwrap()).unwrap();
    let warnings = rows.iter().find(|row| row[0] == "warnings");
    let warnings: Vec<&str> = warnings.map_or(vec![], |row| row[1].lines().collect());
    assert_eq!(warnings.len(), expected.len(), "{insert}: {warnings:#?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{insert}: {warning}");
    }
}

const KEYS: &str = "operator 0-running-aggregate keeps every group it has ever seen";
const WINDOWS: &str = "operator 0-window-aggregate keeps every window it has ever seen, because \
                       complete mode shows them all";

#[tokio::test]
async fn a_key_that_may_be_null_is_warned_of() {
    let session = session().await;
    let null = "\"k\" is the key of the sink and may be NULL";
    let by_k = "by_k SELECT k, count(*) AS n FROM t GROUP BY k EMIT ON UPDATE";
    check(&session, by_k, &[KEYS, null]).await;
    let given = "by_k SELECT coalesce(k, '') AS k, count(*) AS n FROM t GROUP BY 1 EMIT ON UPDATE";
    check(&session, given, &[KEYS]).await;
    let by_id = "by_id SELECT id, count(*) AS n FROM t GROUP BY id EMIT ON UPDATE";
    check(&session, by_id, &[KEYS]).await;
    // The key of a message of several columns is there whatever they are.
    let both = "by_both SELECT k, id, count(*) AS n FROM t GROUP BY k, id EMIT ON UPDATE";
    check(&session, both, &[KEYS]).await;
    // Rows that stay are not found again.
    check(&session, "by_k SELECT k, id FROM t", &[]).await;
    check(
        &session,
        "out SELECT k, count(*) FROM t GROUP BY k EMIT ON UPDATE",
        &[KEYS],
    )
    .await;
}

#[tokio::test]
async fn windows_that_stay_are_warned_of() {
    let session = session().await;
    let windows = "out SELECT window_start, count(*) AS n
         FROM tumble(t, ts, '10 seconds') GROUP BY window_start EMIT";
    check(&session, &format!("{windows} COMPLETE"), &[WINDOWS]).await;
    check(&session, &format!("{windows} ON UPDATE"), &[]).await;
    check(&session, &format!("{windows} ON WINDOW CLOSE"), &[]).await;
    let without = windows.replace("tumble(t", "tumble(nowm");
    let no_watermark = "no source has a watermark";
    check(&session, &format!("{without} COMPLETE"), &[no_watermark]).await;
    let ranked = "out SELECT window_end, id, rn FROM (
           SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY id) AS rn
           FROM tumble(t, ts, '10 seconds')) WHERE rn <= 3 EMIT";
    let of_ranked = "operator 0-rank keeps every window it has ever seen";
    check(&session, &format!("{ranked} COMPLETE"), &[of_ranked]).await;
    check(&session, &format!("{ranked} ON UPDATE"), &[]).await;
    let sessions = "out SELECT window_start, k, count(*) AS n
         FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '6 seconds')
         GROUP BY window_start, window_end, k EMIT";
    let of_sessions = "operator 0-session-aggregate keeps every window it has ever seen";
    check(&session, &format!("{sessions} COMPLETE"), &[of_sessions]).await;
    check(&session, &format!("{sessions} ON WINDOW CLOSE"), &[]).await;
}

#[tokio::test]
async fn windows_over_bounds_of_windows_are_warned_of() {
    let session = session().await;
    let over = |time: &str| {
        format!(
            "out SELECT window_start, sum(n) AS n FROM tumble((
               SELECT {time} AS at, count(*) AS n FROM tumble(t, ts, '10 seconds')
               GROUP BY window_start, window_end, window_time
             ), at, '1 minute') GROUP BY window_start"
        )
    };
    let no_time = "\"at\" is no event time";
    check(&session, &over("window_start"), &[WINDOWS, no_time]).await;
    check(&session, &over("window_end"), &[WINDOWS, no_time]).await;
    check(&session, &over("window_time"), &[]).await;
    let part = |time: &str| {
        format!(
            "out SELECT date_trunc('minute', {time}) AS at, sum(n) AS n FROM (
               SELECT window_start, window_time, count(*) AS n FROM tumble(t, ts, '10 seconds')
               GROUP BY window_start, window_end, window_time
             ) GROUP BY date_trunc('minute', {time})"
        )
    };
    let no_time = "\"window_start\" is no event time";
    check(&session, &part("window_start"), &[WINDOWS, no_time]).await;
    check(&session, &part("window_time"), &[]).await;
}

#[tokio::test]
async fn what_a_query_writes_and_reads_again_is_warned_of() {
    let session = session().await;
    for (name, topics) in [
        ("named", "topic = 'other, a', 'bootstrap.servers' = 'b:9'"),
        (
            "matched",
            "'topic.pattern' = '[a-z]', 'bootstrap.servers' = 'c:9, B:9'",
        ),
        (
            "assigned",
            "assign = '{\"a\":[0]}', 'bootstrap.servers' = 'b:9'",
        ),
        ("another", "topic = 'other', 'bootstrap.servers' = 'b:9'"),
        ("elsewhere", "topic = 'a', 'bootstrap.servers' = 'c:9'"),
    ] {
        let source = format!("CREATE SOURCE {name} (k VARCHAR, n BIGINT) WITH");
        let source = format!("{source} (connector = 'kafka', format = 'json', {topics})");
        session.sql(&source).await.unwrap();
    }
    let again = "the query reads \"a\" and sink \"by_k\" writes it";
    for source in ["named", "matched", "assigned"] {
        let copy = format!("by_k SELECT k, n FROM {source}");
        check(&session, &copy, &[again]).await;
    }
    for source in ["another", "elsewhere"] {
        check(&session, &format!("by_k SELECT k, n FROM {source}"), &[]).await;
        check(&session, &format!("out SELECT k, n FROM {source}"), &[]).await;
    }
}

#[tokio::test]
async fn one_group_that_keeps_every_value_is_warned_of() {
    let session = session().await;
    let all = |aggregates: &str| format!("out SELECT {aggregates} FROM t EMIT ON UPDATE");
    let one =
        |name: &str| format!("operator 0-running-aggregate keeps the values that \"{name}\" ");
    for (aggregates, name) in [
        ("count(DISTINCT k) AS n", "count(DISTINCT t.k)"),
        ("count(*) AS n, median(id) AS m", "median(t.id)"),
        ("array_agg(id) AS ids", "array_agg(t.id)"),
    ] {
        check(&session, &all(aggregates), &[&one(name)]).await;
    }
    let two = all("count(DISTINCT k) AS n, count(DISTINCT id) AS m");
    let more =
        "operator 0-running-aggregate keeps the values that \"count(DISTINCT t.k)\" and 1 more";
    check(&session, &two, &[more]).await;
    for bounded in [
        "count(*) AS n",
        "max(DISTINCT id) AS m",
        "approx_distinct(k) AS n",
    ] {
        check(&session, &all(bounded), &[]).await;
    }
    let windows = "out SELECT window_start, count(DISTINCT k) AS n
         FROM tumble(t, ts, '10 seconds') GROUP BY window_start";
    check(&session, windows, &[]).await;
}

#[tokio::test]
async fn a_streaming_query_is_explained_with_its_own_settings() {
    let session = session().await;
    let explain = async |with: &str| {
        let text = format!(
            "EXPLAIN CREATE STREAMING QUERY q {with} AS INSERT INTO by_id
             SELECT id, count(*) AS n FROM t GROUP BY id EMIT ON UPDATE"
        );
        let explained = session.sql(&text).await?;
        Ok::<_, headwater::Error>(text_rows(&explained.collect().await?).unwrap())
    };
    let steps = explain("").await.unwrap();
    assert!(steps[0][1].starts_with(KEYS), "{steps:#?}");
    assert!(steps.iter().any(|step| step[0] == "incremental plan"));
    let bounded = explain("WITH ('state.ttl' = '1 day')").await.unwrap();
    assert!(bounded.iter().all(|step| step[0] != "warnings"));
    let error = explain("WITH (triger = '1 day')").await.unwrap_err();
    assert_eq!(error.hint(), Some("Did you mean \"trigger\"?"));
    // Nothing was started.
    assert!(session.queries().all().is_empty());
}
