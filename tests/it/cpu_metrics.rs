//! The example of CPU metrics, as its page tells to run it: on a broker in this process, with the
//! command.

use crate::command::Dir;
use crate::kafka::{Cluster, produce};

const SOURCE: &str = include_str!("../../sql/cpu-metrics/source.sql");
const SAMPLE: &str = include_str!("../../sql/cpu-metrics/sample.txt");

/// Runs a script of the example over its source; gives standard output and standard error.
fn run(dir: &Dir, cluster: &Cluster, script: &str, more: &[&str]) -> (String, String) {
    dir.create("job.sql", &format!("{SOURCE}\n{script}"));
    let bootstrap = format!("BOOTSTRAP={}", cluster.servers);
    let mut arguments = vec!["run", "job.sql", "--define", &bootstrap];
    arguments.extend(more);
    let run = dir.command(&arguments).output();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    (run.stdout, run.stderr)
}

#[test]
fn the_example_of_cpu_metrics_runs_as_its_page_says() {
    let cluster = Cluster::mock();
    let broker = cluster.mock.as_ref().unwrap();
    broker.create_topic("cpu-metric", 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let lines = SAMPLE.lines().map(str::to_string).collect();
    runtime.block_on(produce(&cluster.servers, "cpu-metric", 0, lines));
    let dir = Dir::new();

    let look = include_str!("../../sql/cpu-metrics/look.sql");
    let (out, _) = run(&dir, &cluster, look, &["--format", "csv"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["messages", "62"]);
    assert!(out.contains(",0,61\n"), "the newest is first: {out}");
    assert!(
        out.contains("2026-01-01T00:00:00Z,94.73,0.26,4.374,0.636"),
        "{out}"
    );

    let now = ["--set", "trigger=available-now"];
    let stream = include_str!("../../sql/cpu-metrics/stream.sql");
    let (out, err) = run(&dir, &cluster, stream, &now);
    assert!(out.contains("Batch: 0"), "{out}");
    assert!(err.contains("62 rows in, 60 rows out"), "{err}");
    assert!(err.contains("1 bad ("), "{err}");

    let windows = include_str!("../../sql/cpu-metrics/windows.sql");
    let (out, err) = run(&dir, &cluster, windows, &now);
    // The last minute is over when the input is.
    assert!(err.contains("5 rows out"), "{err}");
    let minute = |start: &str| {
        let mut rows = out.lines().filter(|line| line.contains(start));
        rows.next()
            .unwrap_or_else(|| panic!("{start}: {out}"))
            .to_string()
    };
    assert!(minute("00:00:00").contains(" 12|"), "{out}");
    // The broken line is one of the second minute.
    assert!(minute("00:01:00").contains(" 12|"), "{out}");
    assert!(minute("00:02:00").contains("|65.0|"), "busy then: {out}");
}
