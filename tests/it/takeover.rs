//! One query, two processes: the second is refused, or takes over from a first that hangs. The
//! first hangs in earnest: it is stopped by a signal at any moment, and wakes up when the query
//! has gone on without it.
#![cfg(unix)]

use std::time::Duration;

use crate::command::Dir;

const EPOCHS: usize = 60;

const JOB: &str = "
CREATE SOURCE orders (time TIMESTAMP, symbol VARCHAR, amount INT,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'filesystem', path = 'DIR/in', 'max.files.per.epoch' = 1) FORMAT JSON;
CREATE SINK out (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT)
WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;
CREATE STREAMING QUERY windows WITH (checkpoint = 'DIR/checkpoint')
AS INSERT INTO out
SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
FROM tumble(orders, time, INTERVAL '2 seconds')
GROUP BY window_start, window_end, symbol;";

const TO_THE_END: [&str; 4] = ["run", "job.sql", "--set", "trigger=available-now"];

fn job() -> Dir {
    let dir = Dir::new();
    let folder = dir.path().display().to_string();
    dir.create("job.sql", &JOB.replace("DIR", &folder));
    std::fs::create_dir(dir.path().join("in")).unwrap();
    (0..EPOCHS).for_each(|file| create_file(&dir, file));
    dir
}

fn create_file(dir: &Dir, file: usize) {
    let row = |row: usize| {
        let (minute, second, symbol) = (file / 60, file % 60, ["A", "B", "C"][row % 3]);
        format!(
            "{{\"time\":\"2026-01-01T00:{minute:02}:{second:02}Z\",\"symbol\":\"{symbol}\",\"amount\":{row}}}\n"
        )
    };
    let text: String = (0..10).map(row).collect();
    dir.create(&format!("in/{file:03}.jsonl"), &text);
}

fn output(dir: &Dir) -> Vec<String> {
    let mut lines = dir.lines_below("out");
    lines.sort();
    lines
}

#[test]
fn a_second_instance_is_told_who_runs_the_query() {
    let dir = job();
    let mut first = dir.command(&["run", "job.sql", "-v"]).spawn();
    first.wait_for_stderr("query started");
    let error = dir.command(&TO_THE_END).fails_with(3);
    assert!(error.contains("is in use by process"), "{error}");
    assert!(error.contains("--takeover"), "{error}");
}

#[test]
fn a_process_that_hangs_is_fenced_and_writes_nothing_when_it_wakes_up() {
    let reference = job();
    reference.command(&TO_THE_END).stdout();
    let expected = output(&reference);
    assert!(expected.len() > 60, "{} rows", expected.len());
    for round in 0..6 {
        let dir = job();
        let mut first = dir.command(&["run", "job.sql", "-v"]).spawn();
        first.wait_for_stderr("query started");
        std::thread::sleep(Duration::from_millis(40 + 83 * round));
        first.signal("STOP");
        let takeover = [TO_THE_END.as_slice(), &["--takeover"]].concat();
        let second = dir.command(&takeover).output();
        assert_eq!(second.code, Some(0), "{}", second.stderr);
        let from = format!("checkpoint\" was taken from process {} on host", first.id());
        assert!(
            second.stderr.contains(&from),
            "{}\nlacks {from}",
            second.stderr
        );
        assert_eq!(output(&dir), expected, "round {round}");

        first.signal("CONT");
        // One that had nothing to do has now.
        create_file(&dir, EPOCHS);
        let end = first.wait();
        let said = &end.stderr;
        assert_eq!(end.code, Some(3), "round {round}: {said}");
        assert!(said.contains("was taken over by process"), "{said}");
        assert_eq!(output(&dir), expected, "round {round}");
        // The query goes on where the second left it.
        dir.command(&TO_THE_END).stdout();
        assert!(output(&dir).len() >= expected.len(), "round {round}");
    }
}
