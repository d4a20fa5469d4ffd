//! What the command shows of bounded reads: rows in every format, and how far it is.

use crate::command::Dir;

#[test]
fn times_and_values_in_values_have_one_form() {
    let dir = Dir::new();
    let run = |text: &str, format: &str| dir.command(&["sql", "-e", text, "--format", format]);
    let time = "SELECT TIMESTAMP '2026-01-01 00:00:00.25' AS t";
    // As the sinks write them.
    assert_eq!(run(time, "csv").stdout(), "t\n2026-01-01T00:00:00.250Z\n");
    assert_eq!(
        run(time, "json").stdout(),
        "{\"t\":\"2026-01-01T00:00:00.250Z\"}\n"
    );
    let nested = "SELECT MAP {'a': 1} AS m, named_struct('x', 1) AS s, [1, 2] AS l";
    assert_eq!(
        run(nested, "json").stdout(),
        "{\"m\":{\"a\":1},\"s\":{\"x\":1},\"l\":[1,2]}\n"
    );
    assert!(
        run(nested, "table")
            .stdout()
            .contains("| {a: 1} | {x: 1} | [1, 2] |")
    );
    let stderr = run(nested, "csv").fails_with(2);
    let message = "format \"csv\" cannot show column \"m\", which is a MAP";
    assert!(stderr.contains(message), "{stderr}");
    assert!(stderr.contains("to_json(\"m\")"), "{stderr}");
}

#[test]
fn a_bounded_read_shows_its_progress_on_standard_error_alone() {
    let dir = Dir::new();
    dir.create("numbers.csv", "1\n2\n3\n");
    let folder = dir.path().display();
    let text = format!(
        "CREATE SOURCE t (n INT) WITH (connector = 'filesystem', path = '{folder}/numbers.csv')
         FORMAT CSV; SELECT n FROM t;"
    );
    let run = |progress: &str| {
        let arguments = ["sql", "--format", "csv", progress, "-e", &text];
        let run = dir.command(&arguments).output();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert_eq!(run.stdout, "n\n1\n2\n3\n");
        run.stderr
    };
    // Standard error is no terminal.
    assert_eq!(run("--progress=auto"), "");
    assert_eq!(run("--progress=never"), "");
    let told = run("--progress=always");
    assert!(told.starts_with("read in "), "{told}");
    assert!(told.contains(": 3 records, "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_long_bounded_read_shows_its_progress_again_and_again() {
    let dir = Dir::new();
    let text = "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 100000000000);
                SELECT count(*) FROM t;";
    let mut run = dir
        .command(&["sql", "--progress=always", "-e", text])
        .spawn();
    for _ in 0..2 {
        let line = run.wait_for_stderr("reading ");
        assert!(line.contains(" records, "), "{line}");
    }
    let end = run.signal_and_wait("INT");
    assert_eq!(end.stdout, "");
}

/// The start of it says so, whatever comes of it: the broker of this test looks up no times.
#[test]
fn a_time_that_no_message_can_have_is_warned_of() {
    let dir = Dir::new();
    let mut broker = dir.command(&["dev-broker", "--topic", "t:1"]).spawn();
    let started = broker.read_stdout_line();
    let (_, servers) = started.split_once("bootstrap.servers=").unwrap();
    let to = ["kafka", "produce", "t", "--bootstrap", servers];
    dir.command(&to).stdin("{\"n\":1}\n").stdout();
    let stderr_of = |option: &str, select: &str| {
        let text = format!(
            "CREATE SOURCE t (n INT) WITH (connector = 'kafka', topic = 't', {option},
               'bootstrap.servers' = '{servers}') FORMAT JSON; {select} n FROM t;"
        );
        dir.command(&["sql", "-e", &text]).output().stderr
    };
    let doubt = "option \"start\" is the time 1970-01-21T18:42:00.005Z, before any message";
    for select in ["SELECT", "SELECT STREAM"] {
        let stderr = stderr_of("start = 'timestamp:1795320005'", select);
        assert_eq!(stderr.matches(doubt).count(), 1, "{stderr}");
        assert!(stderr.contains("'timestamp:1795320005000'"), "{stderr}");
        let stderr = stderr_of("'end.timestamp' = '1795320005'", select);
        assert!(
            stderr.contains("option \"end\" is the time 1970"),
            "{stderr}"
        );
        let stderr = stderr_of("start = 'timestamp:2026-11-01T00:00:00Z'", select);
        assert!(!stderr.contains("is the time"), "{stderr}");
    }
    broker.signal_and_wait("TERM");
}

/// SQL makes names without quotes lower case, and records of JSON have theirs.
#[test]
fn a_name_that_lost_its_case_is_warned_of() {
    let dir = Dir::new();
    dir.create("users.json", "{\"userId\":7}\n");
    let path = dir.path().join("users.json");
    let run = |column: &str, of: &str| {
        let text = format!(
            "CREATE SOURCE t ({column} BIGINT) WITH (connector = 'filesystem', path = '{}')
             FORMAT JSON; SELECT {of} AS n FROM t;",
            path.display()
        );
        let run = dir
            .command(&["sql", "--format", "csv", "-e", &text])
            .output();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        (run.stdout, run.stderr)
    };
    let (rows, told) = run("userId", "userId");
    assert_eq!(rows, "n\n\"\"\n");
    let expected = "column userId of source \"t\" is named userid, as names without quotes are: a \
                    field userId of JSON is another one; write \"userId\" to mean that";
    assert!(told.contains(expected), "{told}");
    let (rows, told) = run("\"userId\"", "\"userId\"");
    assert_eq!((rows.as_str(), told.as_str()), ("n\n7\n", ""));
    let (_, told) = run("USERID", "userid");
    assert_eq!(told, "");
}
