//! The command from outside: its outputs, its exit codes, signals, and a process that is killed.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::collections::BTreeMap;

use crate::command::Dir;

/// Windows of ten seconds over 40,000 seeded orders, into files.
const WINDOWS: &str = "
CREATE SOURCE orders (time TIMESTAMP, symbol VARCHAR, amount INT,
  WATERMARK FOR time AS time - INTERVAL '5 seconds')
WITH (connector = 'datagen', preset = 'orders', rows = 40000, 'time.step' = '10 ms', symbols = 3,
  'max.records.per.epoch' = 2000, PACE);
CREATE SINK out (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT)
WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;
CREATE STREAMING QUERY windows WITH (checkpoint = 'DIR/checkpoint') AS INSERT INTO out
SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
FROM tumble(orders, time, INTERVAL '10 seconds')
GROUP BY window_start, window_end, symbol;";

/// The same windows as a bounded read.
const WINDOWS_AT_ONCE: &str = "
SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
FROM tumble(orders, time, INTERVAL '10 seconds')
GROUP BY window_start, window_end, symbol;";

fn windows_script(dir: &Dir, pace: &str) -> String {
    let folder = dir.path().display().to_string();
    WINDOWS.replace("DIR", &folder).replace("PACE", pace)
}

/// What a bounded read says about the rows of [`WINDOWS`], in order.
fn expected_windows(dir: &Dir) -> Vec<String> {
    let (source, _) = WINDOWS.split_once("CREATE SINK").unwrap();
    let source = source.replace("PACE", "seed = 42");
    let text = format!("{source} {WINDOWS_AT_ONCE}");
    let answer = dir
        .command(&["sql", "--format", "json", "-e", &text])
        .stdout();
    sorted(answer.lines().map(ToString::to_string))
}

fn written_windows(dir: &Dir) -> Vec<String> {
    sorted(dir.lines_below("out"))
}

pub(crate) fn sorted(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort();
    lines
}

#[test]
fn help_teaches() {
    let dir = Dir::new();
    let help = dir.command(&["--help"]).stdout();
    for part in ["demo brokerage", "Exit codes:", "75 ", "dev-broker"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for command in ["run", "sql", "dev-broker", "demo"] {
        let help = dir.command(&[command, "--help"]).stdout();
        assert!(help.contains("Examples:"), "{command}: {help}");
    }
    let version = dir.command(&["--version"]).stdout();
    assert!(version.starts_with("headwater 0."), "{version}");
}

#[test]
fn an_unknown_option_names_the_nearest() {
    let dir = Dir::new();
    let stderr = dir
        .command(&["run", "a.sql", "--defin", "A=1"])
        .fails_with(2);
    assert!(stderr.contains("--define"), "{stderr}");
    let stderr = dir
        .command(&["sql", "--set", "triger=once", "-e", "SELECT 1"])
        .fails_with(2);
    assert!(stderr.contains("Did you mean \"trigger\"?"), "{stderr}");
}

#[test]
fn a_sql_error_shows_its_place() {
    let dir = Dir::new();
    dir.create("job.sql", "SELECT 1;\nSELECT a,\n  FROM b WHERE;\n");
    let stderr = dir.command(&["run", "job.sql"]).fails_with(2);
    assert!(stderr.contains("--> job.sql:"), "{stderr}");
    assert!(stderr.contains("^"), "{stderr}");
}

#[test]
fn an_unknown_table_is_an_error_of_the_statement() {
    let dir = Dir::new();
    let stderr = dir
        .command(&["sql", "-e", "SELECT * FROM nowhere"])
        .fails_with(2);
    assert!(stderr.contains("nowhere"), "{stderr}");
    assert!(stderr.contains("--> -e:1:15"), "{stderr}");
}

#[test]
fn one_shot_answers_in_every_format() {
    let dir = Dir::new();
    let text = "SELECT 1 AS n, 'a' AS s, NULL AS x";
    let answer = |format| {
        dir.command(&["sql", "-e", text, "--format", format])
            .stdout()
    };
    assert_eq!(
        answer("table"),
        "+---+---+------+\n| n | s | x    |\n+---+---+------+\n| 1 | a | NULL |\n+---+---+------+\n"
    );
    assert_eq!(answer("json"), "{\"n\":1,\"s\":\"a\",\"x\":null}\n");
    assert_eq!(answer("csv"), "n,s,x\n1,a,\n");
    let piped = dir
        .command(&["sql", "--format", "csv"])
        .stdin("SELECT 1 AS n;")
        .stdout();
    assert_eq!(piped, "n\n1\n");
}

#[test]
fn names_are_filled_in_and_unknown_ones_refused() {
    let dir = Dir::new();
    dir.create("job.sql", "SELECT ${N} AS n;");
    let run = dir.command(&["run", "job.sql", "--define", "N=7", "--format", "csv"]);
    assert_eq!(run.stdout(), "n\n7\n");
    let stderr = dir.command(&["run", "job.sql"]).fails_with(2);
    assert!(stderr.contains("line 1 uses ${N}"), "{stderr}");
}

#[test]
fn a_broker_that_is_not_there_is_temporary() {
    let dir = Dir::new();
    let topics = ["kafka", "topics", "--bootstrap", "127.0.0.1:1"];
    dir.command(&topics).fails_with(75);
}

#[test]
fn a_path_without_anything_is_no_matter_of_trying_again() {
    let dir = Dir::new();
    dir.create("file", "");
    for text in [
        "CREATE SOURCE s (n INT) WITH (connector = 'filesystem', path = 'nowhere') FORMAT CSV;
         SELECT * FROM s;",
        "CREATE SINK f WITH (connector = 'filesystem', path = 'file/below');
         INSERT INTO f SELECT id FROM (VALUES (1)) AS v(id);",
    ] {
        let stderr = dir.command(&["sql", "-e", text]).fails_with(2);
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}

#[test]
fn a_checkpoint_of_another_query_is_refused() {
    let dir = Dir::new();
    dir.create("job.sql", &windows_script(&dir, "seed = 42"));
    dir.command(&["run", "job.sql"]).stdout();
    let other = windows_script(&dir, "seed = 42").replace("sum(amount)", "max(amount)");
    dir.create("job.sql", &other);
    let stderr = dir.command(&["run", "job.sql"]).fails_with(5);
    assert!(stderr.contains("checkpoint"), "{stderr}");
}

/// An epoch that fails stays in the log; its files are wanted again at the next start.
#[test]
fn a_file_of_a_logged_epoch_that_is_gone_is_data_loss() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    dir.create("in/a.csv", "1\nx\n");
    dir.create(
        "job.sql",
        "CREATE SOURCE numbers (n INT) WITH (connector = 'filesystem', path = 'in') FORMAT CSV;
         CREATE SINK out (n INT) WITH (connector = 'filesystem', path = 'out') FORMAT CSV;
         CREATE STREAMING QUERY copy WITH (checkpoint = 'checkpoint', trigger = 'available-now')
         AS INSERT INTO out SELECT n FROM numbers;",
    );
    let stderr = dir.command(&["run", "job.sql"]).fails_with(1);
    assert!(stderr.contains("line 2 of file "), "{stderr}");
    std::fs::remove_file(dir.path().join("in/a.csv")).unwrap();
    let stderr = dir.command(&["run", "job.sql"]).fails_with(4);
    assert!(stderr.contains("is gone before it was read"), "{stderr}");
}

#[test]
fn a_script_fills_files_and_tells_what_it_did() {
    let dir = Dir::new();
    dir.create("job.sql", &windows_script(&dir, "seed = 42"));
    let run = dir.command(&["run", "job.sql"]).output();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "", "standard output is data");
    for part in [
        "query \"windows\" started, checkpoint ",
        "query \"windows\" ended: 21 epochs, 40,000 rows in, ",
        "0 late, 0 bad, ",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(written_windows(&dir), expected_windows(&dir));
}

#[test]
fn standard_input_is_a_source() {
    let dir = Dir::new();
    dir.create(
        "job.sql",
        "CREATE SOURCE lines (n INT, s VARCHAR) WITH (connector = 'stdin', bad_data = 'drop') FORMAT CSV;
         SELECT STREAM s, n * 2 AS twice FROM lines WHERE n > 1;",
    );
    let run = dir
        .command(&["run", "job.sql"])
        .stdin("2,b\n1,a\nx,c\n3,d\n")
        .output();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("Batch: 0"), "{}", run.stdout);
    assert!(run.stdout.contains("|d  |6    |"), "{}", run.stdout);
    assert!(run.stderr.contains("1 bad ("), "{}", run.stderr);
}

#[test]
fn a_stream_is_printed_whole_in_every_format() {
    let dir = Dir::new();
    let answer = |format| {
        let text = "CREATE SOURCE lines (n INT, s VARCHAR) WITH (connector = 'stdin') FORMAT CSV;
                    SELECT STREAM n, s FROM lines;";
        dir.create("job.sql", text);
        let lines: String = (0..30).map(|n| format!("{n},{n:025}\n")).collect();
        let run = dir.command(&["run", "job.sql", "--quiet", "--format", format]);
        run.stdin(&lines).stdout()
    };
    let last = format!("{:025}", 29);
    let table = answer("table");
    assert!(table.contains(&format!("|29 |{last}|")), "{table}");
    assert!(!table.contains("only showing"), "{table}");
    let json = answer("json");
    assert_eq!(json.lines().count(), 30);
    let row = format!("\"op\":\"+I\",\"row\":{{\"n\":29,\"s\":\"{last}\"}}}}\n");
    assert!(json.ends_with(&row), "{json}");
    let csv = answer("csv");
    assert!(csv.starts_with("epoch,op,n,s\n0,+I,0,"), "{csv}");
    assert_eq!(csv.lines().count(), 31);
    assert!(csv.ends_with(&format!(",+I,29,{last}\n")), "{csv}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = Dir::new();
    let text = "SELECT value FROM generate_series(1, 1000000)";
    let mut run = dir.command(&["sql", "--format", "csv", "-e", text]).spawn();
    assert_eq!(run.read_stdout_line(), "value");
    run.close_stdout();
    let end = run.wait();
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_signal_finishes_the_epoch() {
    let dir = Dir::new();
    dir.create("job.sql", &windows_script(&dir, "'rows.per.second' = 4000"));
    let mut run = dir
        .command(&["run", "job.sql", "--progress=always"])
        .spawn();
    run.wait_for_stderr("windows: epoch ");
    run.signal("INT");
    let end = run.wait();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    assert!(
        end.stderr.contains("query \"windows\" ended: "),
        "{}",
        end.stderr
    );
}

#[test]
fn a_second_signal_does_not_wait_for_the_epoch() {
    let dir = Dir::new();
    // One epoch that takes far longer than this test.
    let job = "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 100000000000,
                 'max.records.per.epoch' = 100000000000);
               CREATE SINK s WITH (connector = 'blackhole');
               CREATE STREAMING QUERY q AS INSERT INTO s SELECT n FROM t;";
    dir.create("job.sql", job);
    let mut run = dir.command(&["run", "job.sql"]).spawn();
    run.wait_for_stderr("started");
    run.signal("INT");
    run.wait_for_stderr("stopping");
    // Those that come with the first are the same wish.
    let end = run.signal_until_it_ends("INT");
    assert_eq!(end.code, Some(130), "{}", end.stderr);
}

#[test]
fn a_topic_is_read_without_declaring_its_columns() {
    let dir = Dir::new();
    let mut broker = dir.command(&["dev-broker", "--topic", "orders:2"]).spawn();
    let started = broker.read_stdout_line();
    let (_, servers) = started.split_once("bootstrap.servers=").unwrap();
    let produce = [
        "kafka",
        "produce",
        "--bootstrap",
        servers,
        "--topic",
        "orders",
    ];
    let lines: String = (0..7).map(|n| format!("line {n}\n")).collect();
    dir.command(&produce).stdin(&lines).stdout();
    dir.create("read.sql", include_str!("../../sql/batch-read.sql"));
    let define = format!("BOOTSTRAP={servers}");
    let read = ["run", "read.sql", "--define", &define, "--format", "csv"];
    let text = dir.command(&read).stdout();
    broker.signal("INT");
    broker.wait();
    let (count, newest) = text.split_once("key,value,topic").unwrap();
    assert_eq!(count.trim(), "messages\n7");
    let newest: Vec<&str> = newest.lines().skip(1).collect();
    assert_eq!(newest.len(), 5, "{text}");
    assert!(
        newest
            .iter()
            .all(|row| row.contains("line ") && row.contains(",orders,")),
        "{text}"
    );
}

#[test]
fn a_killed_process_loses_and_doubles_nothing() {
    let dir = Dir::new();
    dir.create(
        "job.sql",
        &windows_script(&dir, "'rows.per.second' = 20000"),
    );
    for _ in 0..2 {
        let mut run = dir
            .command(&["run", "job.sql", "--progress=always"])
            .spawn();
        run.wait_for_stderr("epoch ");
        run.signal("KILL");
        assert_eq!(run.wait().code, None);
    }
    dir.command(&["run", "job.sql"]).stdout();
    assert_eq!(written_windows(&dir), expected_windows(&dir));
}

#[test]
fn the_demo_agrees_with_a_bounded_read() {
    let dir = Dir::new();
    let mut demo = dir
        .command(&["demo", "brokerage", "--rows", "5000", "--keep"])
        .spawn();
    let kept = demo.wait_for_stderr("bootstrap.servers=");
    let (_, servers) = kept.split_once("bootstrap.servers=").unwrap();
    let orders = include_str!("../../sql/brokerage/orders.sql");
    let orders = orders.replace("${BOOTSTRAP}", servers.trim());
    let top = |select: &str| {
        let text = format!("{orders} {select}");
        let read = dir.command(&["sql", "--format", "csv", "-e", &text]);
        let rows = read.stdout();
        rows.trim_end().split_once('\n').unwrap().1.to_string()
    };
    let top_clients = top(
        "SELECT client_id, sum(amount * price) AS total FROM orders WHERE buy IN ('B', 'S')
         GROUP BY client_id ORDER BY total DESC, client_id LIMIT 5;",
    );
    // Without a window function: the hour that ends with the ten minutes of a stock's last order.
    let top_stocks = top(
        "SELECT l.slot + INTERVAL '10 minutes' AS window_end, o.symbol, sum(o.amount) AS volume
         FROM orders o JOIN (
           SELECT symbol, max(date_bin(INTERVAL '10 minutes', \"time\")) AS slot
           FROM orders WHERE buy IN ('B', 'S') GROUP BY symbol
         ) l ON o.symbol = l.symbol
         WHERE o.buy IN ('B', 'S') AND o.\"time\" >= l.slot - INTERVAL '50 minutes'
         GROUP BY l.slot, o.symbol ORDER BY window_end DESC, volume DESC, o.symbol LIMIT 5;",
    );
    demo.signal("INT");
    let end = demo.wait();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let tables = tables(&end.stdout);
    assert_eq!(tables["client_id,total"].join("\n"), top_clients);
    let stocks = tables["window_end,symbol,volume"].join("\n");
    assert_eq!(stocks.replace(' ', "T"), top_stocks.replace("Z,", ","));
    assert!(tables["side,orders"].len() >= 2, "{}", end.stdout);
    assert!(end.stdout.contains("Batch: 0"), "{}", end.stdout);
    assert!(end.stderr.contains("5,000 orders, "), "{}", end.stderr);
    assert!(end.stderr.contains(" bad ("), "{}", end.stderr);
}

/// The last table of each shape, by its names: the rows with commas.
fn tables(stdout: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let mut name = None;
    for line in stdout.lines() {
        let Some(cells) = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')) else {
            // A rule stands above the names, below them, and below the rows.
            if line.is_empty() {
                name = None;
            }
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        match &name {
            None => {
                let names = cells.join(",");
                tables.insert(names.clone(), Vec::new());
                name = Some(names);
            }
            Some(name) => tables.get_mut(name).unwrap().push(cells.join(",")),
        }
    }
    tables
}

#[test]
fn the_columns_of_a_topic_are_found_and_the_statement_runs() {
    let dir = Dir::new();
    let mut broker = dir.command(&["dev-broker", "--topic", "orders:2"]).spawn();
    let started = broker.read_stdout_line();
    let (_, servers) = started.split_once("bootstrap.servers=").unwrap();
    let at = ["--bootstrap", servers];
    let produce = [&["kafka", "produce", "--topic", "orders"][..], &at].concat();
    let lines: String = (0..7)
        .map(|n| format!("{{\"id\":{n},\"Price\":{n}.5,\"ts\":\"2026-01-01T00:00:0{n}Z\"}}\n"))
        .collect();
    dir.command(&produce).stdin(&lines).stdout();
    let property = ["--property", "ssl.keystore.password=hunter2"];
    let infer = [&["kafka", "infer", "orders"][..], &at, &property].concat();
    let statement = dir.command(&infer).stdout();
    let expected = format!(
        "CREATE SOURCE orders (\n  id      BIGINT,\n  \"Price\" DOUBLE,\n  ts      TIMESTAMP\n  \
         -- , WATERMARK FOR ts AS ts - INTERVAL '10 seconds'\n) FORMAT JSON WITH (\n  \
         'connector' = 'kafka',\n  'bootstrap.servers' = '{servers}',\n  'topic' = 'orders',\n  \
         'properties.ssl.keystore.password' = '${{env:SSL_KEYSTORE_PASSWORD}}'\n);\n"
    );
    assert_eq!(statement, expected);
    dir.create(
        "read.sql",
        &format!("{statement}SELECT count(*) AS n, sum(\"Price\") AS p FROM orders;"),
    );
    let read = dir.command(&["run", "read.sql", "--format", "csv"]);
    let rows = read.env("SSL_KEYSTORE_PASSWORD", "x").stdout();
    let empty = [
        &["kafka", "infer", "orders", "--format", "nothing"][..],
        &at,
    ]
    .concat();
    dir.command(&empty).fails_with(2);
    broker.signal("INT");
    broker.wait();
    assert_eq!(rows, "n,p\n7,24.5\n");
}
