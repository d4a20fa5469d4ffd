//! State that does not grow: a hundred windows of keys that never come again, and as many rows and
//! bytes of state, and tasks, after the last as after the first dozen.

use std::time::Duration;

use headwater_testkit::{RunMode, TestSession};
use tokio::runtime::Handle;

const WINDOWS: i64 = 110;
const KEYS: i64 = 100;
const WINDOW_S: i64 = 10;
/// Keys that are gone are forgotten a thousand at a time: what they may hold until then.
const GONE_KEYS_BYTES: usize = 64 * 1024;

/// Queries whose watermark finishes what they keep.
const QUERIES: &[&str] = &[
    "SELECT window_start, window_end, k, count(*) AS n, array_agg(v ORDER BY v) AS all_v
     FROM hop(t, ts, '5 seconds', '15 seconds') GROUP BY window_start, window_end, k
     EMIT ON WINDOW CLOSE",
    "SELECT window_start, k, count(DISTINCT v) AS n FROM hop(t, ts, '5 seconds', '15 seconds')
     GROUP BY window_start, window_end, k EMIT ON UPDATE",
    "SELECT window_end, k, sum(v) AS total FROM tumble(t, ts, '10 seconds')
     GROUP BY window_end, CUBE(k) EMIT ON WINDOW CLOSE",
    "SELECT window_start, k, sum(v) AS total
     FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '6 seconds')
     GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE",
    "SELECT window_end, k, v FROM (
       SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY v, k) AS rn
       FROM tumble(t, ts, '10 seconds')) WHERE rn <= 3 EMIT ON WINDOW CLOSE",
    "SELECT k, v, ts FROM (
       SELECT *, row_number() OVER (PARTITION BY k, ts ORDER BY ts) AS rn FROM t) WHERE rn = 1
     EMIT ON WINDOW CLOSE",
    "SELECT window_start, window_end, k, max(v) AS top
     FROM cumulate(t, ts, '5 seconds', '10 seconds') GROUP BY window_start, window_end, k
     EMIT ON WINDOW CLOSE",
    "SELECT window_start, window_end, k, v
     FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '6 seconds')
     EMIT ON WINDOW CLOSE",
    "SELECT k, v, sum(v) OVER (PARTITION BY window_start, window_end, k) AS total
     FROM tumble(t, ts, '10 seconds') EMIT ON WINDOW CLOSE",
    // Chains.
    "SELECT window_start, window_end, count(*) AS keys, sum(n) AS n FROM tumble((
       SELECT window_time AS at, k, count(*) AS n FROM tumble(t, ts, '10 seconds')
       GROUP BY window_start, window_end, window_time, k), at, '30 seconds')
     GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
    "SELECT window_start, window_end, count(*) AS n
     FROM tumble((SELECT DISTINCT k, ts FROM t), ts, '10 seconds')
     GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
    "SELECT * FROM (
       SELECT *, row_number() OVER (PARTITION BY window_start, window_end ORDER BY n DESC, k) AS rn
       FROM (SELECT window_start, window_end, k, count(*) AS n FROM tumble(t, ts, '10 seconds')
             GROUP BY window_start, window_end, k)) WHERE rn <= 3 EMIT ON WINDOW CLOSE",
    "SELECT DISTINCT window_start, window_end, k FROM tumble(t, ts, '10 seconds')
     EMIT ON WINDOW CLOSE",
    // Within windows and in the order of time rows are out one by one, and the rest is kept.
    "SELECT k, row_number() OVER w AS rn, v - lag(v) OVER w AS step, sum(v) OVER w AS total
     FROM tumble(t, ts, '10 seconds')
     WINDOW w AS (PARTITION BY window_start, window_end, k ORDER BY ts) EMIT ON WINDOW CLOSE",
    "SELECT k, lag(v) IGNORE NULLS OVER (PARTITION BY k, window_time ORDER BY ts) AS before
     FROM tumble(t, ts, '10 seconds') EMIT ON WINDOW CLOSE",
    "SELECT k, sum(n) OVER (PARTITION BY window_start, k ORDER BY window_time) AS total FROM (
       SELECT window_start, window_time, k, count(*) AS n FROM tumble(t, ts, '10 seconds')
       GROUP BY window_start, window_end, window_time, k) EMIT ON WINDOW CLOSE",
    "SELECT k, sum(v) OVER (PARTITION BY date_trunc('minute', ts), k ORDER BY ts) AS total FROM t
     EMIT ON WINDOW CLOSE",
    "SELECT k, v FROM (
       SELECT *, row_number() OVER (PARTITION BY date_trunc('minute', ts), k ORDER BY ts) AS rn
       FROM t) WHERE rn <= 3 EMIT ON WINDOW CLOSE",
    "SELECT k, v FROM (
       SELECT *, row_number() OVER (PARTITION BY at, k ORDER BY ts) AS rn FROM (
         SELECT *, date_bin(INTERVAL '20 seconds', ts) AS at FROM t)) WHERE rn = 1 EMIT ON UPDATE",
];

/// Queries that keep every key but for an option. The clock goes on as fast as event time.
const WITH_OPTIONS: &[(&str, &str)] = &[
    (
        "'state.ttl' = '60 seconds'",
        "SELECT k, count(*) AS n, array_agg(v ORDER BY v) AS all_v FROM t GROUP BY k EMIT ON UPDATE",
    ),
    (
        "'state.ttl' = '60 seconds'",
        "SELECT k, sum(v) AS total FROM t GROUP BY k EMIT COMPLETE",
    ),
    (
        "'state.ttl' = '60 seconds'",
        "SELECT DISTINCT k FROM t EMIT ON WINDOW CLOSE",
    ),
    (
        "'state.ttl' = '60 seconds'",
        "SELECT DISTINCT ON (k) k, v FROM t EMIT ON WINDOW CLOSE",
    ),
    (
        "'state.ttl' = '60 seconds'",
        "SELECT k, rn, v FROM (
           SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn FROM t)
         WHERE rn <= 3 EMIT ON UPDATE",
    ),
    (
        "'state.ttl' = '60 seconds'",
        "SELECT k, v - lag(v) OVER (PARTITION BY k ORDER BY ts) AS step,
           sum(v) OVER (PARTITION BY k ORDER BY ts) AS total FROM t EMIT ON WINDOW CLOSE",
    ),
    (
        "'dedup.retention' = '20 seconds'",
        "SELECT DISTINCT ON (k) k, v FROM t EMIT ON WINDOW CLOSE",
    ),
    (
        "'dedup.retention' = '20 seconds'",
        "SELECT k, v, ts FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY ts) = 1
         EMIT ON WINDOW CLOSE",
    ),
    (
        "'dedup.retention' = '20 seconds'",
        "SELECT DISTINCT ON (k) k, v FROM t ORDER BY k, ts EMIT ON UPDATE",
    ),
];

/// The greatest state of some epochs.
#[derive(Debug, Default, Clone, Copy)]
struct Peak {
    rows: usize,
    bytes: usize,
    /// Those of the runtime, which is the test's own, between two epochs.
    tasks: usize,
}

fn rows_of(window: i64) -> String {
    let row = |key: i64| {
        let second = window * WINDOW_S + key % WINDOW_S;
        let (minutes, seconds) = (second / 60, second % 60);
        format!("('key-{window}-{key}', {key}, '12:{minutes:02}:{seconds:02}')")
    };
    (0..KEYS).map(row).collect::<Vec<_>>().join(", ")
}

/// The peaks of an early and of a late stretch of a query's epochs.
async fn peaks(with: &str, select: &str) -> headwater::Result<(Peak, Peak)> {
    let mut session = TestSession::try_new(RunMode::Straight, 2)?;
    session
        .run(
            "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
               WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (connector = 'memory')",
        )
        .await?;
    session
        .run("CREATE SINK out WITH (connector = 'memory')")
        .await?;
    let create = format!("CREATE STREAMING QUERY q {with} AS INSERT INTO out {select}");
    session.run(&create).await?;
    let (mut early, mut late) = (Peak::default(), Peak::default());
    for window in 0..WINDOWS {
        session
            .run(&format!("FEED t VALUES {}", rows_of(window)))
            .await?;
        session.run_to_end("q").await?;
        session.advance_clock(Duration::from_secs(WINDOW_S as u64));
        let progress = session.query("q")?.last_progress();
        let sizes = progress.iter().flat_map(|progress| progress.state.values());
        let now = sizes.fold(Peak::default(), |sum, size| Peak {
            rows: sum.rows + size.rows,
            bytes: sum.bytes + size.bytes,
            tasks: 0,
        });
        let tasks = Handle::current().metrics().num_alive_tasks();
        let peak = match window {
            10..40 => &mut early,
            80.. => &mut late,
            _ => continue,
        };
        peak.rows = peak.rows.max(now.rows);
        peak.bytes = peak.bytes.max(now.bytes);
        peak.tasks = peak.tasks.max(tasks);
    }
    Ok((early, late))
}

async fn does_not_grow(with: &str, select: &str) {
    let (early, late) = peaks(with, select).await.unwrap();
    assert!(early.rows > 0, "{select} kept nothing: {early:?}");
    assert_eq!(late.rows, early.rows, "{select}: {early:?}, then {late:?}");
    assert!(
        late.bytes <= early.bytes + early.bytes / 4 + GONE_KEYS_BYTES,
        "{select}: {early:?}, then {late:?}"
    );
    let grown = late.tasks > early.tasks;
    assert!(!grown, "{select}: {early:?}, then {late:?}");
}

#[tokio::test]
async fn finished_windows_leave_nothing() {
    for select in QUERIES {
        does_not_grow("", select).await;
    }
}

#[tokio::test]
async fn keys_that_are_kept_for_a_time_leave_nothing() {
    for (option, select) in WITH_OPTIONS {
        does_not_grow(&format!("WITH ({option})"), select).await;
    }
}
