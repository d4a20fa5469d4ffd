//! State files of a long run: compacted beside its epochs, restored after restarts, and never much
//! more than the state.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_testkit::checkpoint::{CommitLog, FileStore, MemoryFiles};
use headwater_testkit::{RunMode, TestSession, check_oracle};

/// Queries of every family of state.
const QUERIES: &[&str] = &[
    "SELECT k, count(*) AS n, sum(v) AS total, array_agg(v ORDER BY v) AS all_v FROM t GROUP BY k
     EMIT ON UPDATE",
    "SELECT window_start, k, count(DISTINCT v) AS n FROM hop(t, ts, '5 seconds', '15 seconds')
     GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE",
    "SELECT window_start, k, sum(v) AS total
     FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '6 seconds')
     GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE",
    "SELECT k, rn, v FROM (
       SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC, ts) AS rn FROM t)
     WHERE rn <= 3 EMIT ON UPDATE",
    "SELECT k, v - lag(v) OVER (PARTITION BY k ORDER BY ts) AS step FROM t EMIT ON WINDOW CLOSE",
    "SELECT DISTINCT ON (k) k, v FROM t ORDER BY k, ts EMIT ON UPDATE",
];

/// A run that needs more epochs for a few snapshots does not make any.
const MAX_EPOCHS: u64 = 400;

async fn session_of(select: &str) -> headwater::Result<TestSession> {
    let mut session = TestSession::try_new(RunMode::Straight, 2)?;
    let source = "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
        WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (connector = 'memory')";
    session.run(source).await?;
    let sink = "CREATE SINK out WITH (connector = 'memory')";
    session.run(sink).await?;
    let create = format!("CREATE STREAMING QUERY q AS INSERT INTO out {select}");
    session.run(&create).await?;
    Ok(session)
}

async fn feed_one_epoch(session: &mut TestSession, rows: &[(u64, u64, u64)]) {
    let row = |(key, value, second): &(u64, u64, u64)| {
        let (hour, minute, second) = (12 + second / 3600, second / 60 % 60, second % 60);
        format!("('key-{key}', {value}, '{hour:02}:{minute:02}:{second:02}')")
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    let feed = format!("FEED t VALUES {}", rows.join(", "));
    session.run(&feed).await.unwrap();
    session.run_to_end("q").await.unwrap();
    // The threads of the machine, not its epochs, make snapshots.
    std::thread::sleep(Duration::from_millis(2));
}

/// The snapshots that the newest commit names.
fn snapshots(disk: &MemoryFiles) -> Vec<String> {
    let commits = CommitLog::new(std::sync::Arc::new(disk.clone()));
    let newest = commits.latest().unwrap();
    let files = newest.into_iter().flat_map(|c| c.state_files);
    let paths = files.map(|f| f.path);
    paths.filter(|path| path.ends_with(".snapshot")).collect()
}

#[tokio::test]
async fn every_kind_of_state_is_compacted_and_goes_on_from_its_snapshots() {
    for select in QUERIES {
        let mut session = session_of(select).await.unwrap();
        let mut seen = BTreeSet::new();
        let mut epochs = 0;
        while seen.len() < 3 {
            assert!(epochs < MAX_EPOCHS, "{select}: only {seen:?}");
            let known = |i| {
                (
                    (epochs * 3 + i) % 17,
                    (epochs * 7 + i) % 11,
                    epochs * 2 + i % 2,
                )
            };
            let new = (100 + epochs, epochs % 11, epochs * 2);
            let rows: Vec<_> = (0..6).map(known).chain([new]).collect();
            feed_one_epoch(&mut session, &rows).await;
            epochs += 1;
            seen.extend(snapshots(&session.query("q").unwrap().disk()));
            if epochs % 30 == 0 {
                session.restart("q").await.unwrap();
            }
        }
        session.restart("q").await.unwrap();
        check_oracle(&mut session).await.unwrap();
    }
}

#[tokio::test]
async fn the_files_take_less_than_three_times_the_room_of_the_state() {
    let select = "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k EMIT ON UPDATE";
    let mut session = session_of(select).await.unwrap();
    let keys = 8_000;
    let all: Vec<_> = (0..keys).map(|key| (key, key * 7_919 % 1_000, 0)).collect();
    feed_one_epoch(&mut session, &all).await;
    let disk = session.query("q").unwrap().disk();
    let size = |name: &String| disk.size(&format!("state/{name}")).unwrap().unwrap_or(0);
    // The first delta is the whole state.
    let mut state: u64 = disk.list("state").unwrap().iter().map(size).sum();
    let (mut seen, mut peak, mut most_files) = (BTreeSet::new(), 0, 0);
    for epoch in 1.. {
        if seen.len() >= 4 {
            break;
        }
        assert!(epoch < MAX_EPOCHS, "only {seen:?}");
        let row = |i| ((epoch * 1_237 + i * 41) % keys, i, epoch);
        let rows: Vec<_> = (0..20).map(row).collect();
        feed_one_epoch(&mut session, &rows).await;
        let names = disk.list("state").unwrap();
        let total: u64 = names.iter().map(size).sum();
        for snapshot in snapshots(&disk) {
            let bytes = disk.size(&snapshot).unwrap().unwrap_or(0);
            state = state.max(bytes);
            seen.insert(snapshot);
        }
        (peak, most_files) = (peak.max(total), most_files.max(names.len()));
    }
    assert!(peak < 3 * state, "{peak} bytes for a state of {state}");
    assert!(most_files < 200, "{most_files} files");
}
