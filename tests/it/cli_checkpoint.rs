//! The commands on checkpoints, from outside.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::io::Write;

use crate::cli::sorted;
use crate::command::Dir;

/// Rows of a file, a commit for each.
const COPY: &str = "
CREATE SOURCE orders (id BIGINT) WITH (connector = 'filesystem', path = 'DIR/in',
  'max.files.per.epoch' = 1) FORMAT JSON;
CREATE SINK out WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;
CREATE STREAMING QUERY copy WITH (checkpoint = 'DIR/checkpoint', trigger = 'available-now',
  'checkpoint.retain' = 10) AS INSERT INTO out SELECT DISTINCT id FROM orders;";

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn a_query_is_looked_at_and_taken_back() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for id in 0..4 {
        dir.create(&format!("in/{id}.json"), &format!("{{\"id\":{id}}}\n"));
    }
    let script = COPY.replace("DIR", &dir.path().display().to_string());
    dir.create("copy.sql", &script);
    dir.command(&["run", "copy.sql"]).stdout();
    let expected = ["{\"id\":0}", "{\"id\":1}", "{\"id\":2}", "{\"id\":3}"];
    assert_eq!(sorted(dir.lines_below("out")), expected);

    let table = dir
        .command(&["checkpoint", "inspect", "checkpoint"])
        .stdout();
    for part in [
        "\"copy\"",
        "not running",
        "after epoch 3",
        "files/0",
        "rows",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let json = ["checkpoint", "inspect", "checkpoint", "--format", "json"];
    let json = dir.command(&json).stdout();
    for part in ["\"commits\":[{\"epoch\":0", "\"held_by\":null", "\"rows\":"] {
        assert!(json.contains(part), "{part}: {json}");
    }
    let verify = ["checkpoint", "verify", "checkpoint", "--format", "csv"];
    let files = dir.command(&verify).stdout();
    assert!(
        files.contains("commits/00000003.json,needed,true,"),
        "{files}"
    );
    assert!(
        files.contains("commits/00000001.json,kept,true,"),
        "{files}"
    );

    let rewind = |to: &str| {
        dir.command(&["checkpoint", "rewind", "checkpoint", "--to", to])
            .output()
    };
    let unknown = rewind("9");
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(
        unknown
            .stderr
            .contains("older commits that are kept: 2, 1, 0"),
        "{}",
        unknown.stderr
    );
    let done = rewind("1");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stderr.contains("2 files of the sink will be removed"),
        "{}",
        done.stderr
    );
    let table = dir
        .command(&["checkpoint", "inspect", "checkpoint"])
        .stdout();
    assert!(
        table.contains("after epoch 4, taken back to epoch 1"),
        "{table}"
    );
    // What the epochs wrote is still there, goes when the query starts, and is written again.
    assert_eq!(sorted(dir.lines_below("out")), expected);
    dir.command(&["run", "copy.sql"]).stdout();
    assert_eq!(sorted(dir.lines_below("out")), expected);
    let names = std::fs::read_dir(dir.path().join("out")).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("part-"))
        .collect();
    names.sort();
    let epochs: Vec<&str> = names.iter().map(|name| &name[..13]).collect();
    assert_eq!(
        epochs,
        [
            "part-00000000",
            "part-00000001",
            "part-00000005",
            "part-00000006"
        ]
    );

    // A damaged file that is needed has its exit code.
    let state = std::fs::read_dir(dir.path().join("checkpoint/state")).unwrap();
    for file in state {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::File::create(&path)
            .and_then(|mut file| file.write_all(&bytes))
            .unwrap();
    }
    let damaged = dir.command(&verify).output();
    assert_eq!(damaged.code, Some(5), "{}", damaged.stderr);
    assert!(
        damaged.stdout.contains(",needed,false,"),
        "{}",
        damaged.stdout
    );
    let empty = dir.command(&["checkpoint", "inspect", "out"]).output();
    assert_eq!(empty.code, Some(2), "{}", empty.stderr);
    assert!(
        empty.stderr.contains("there is no checkpoint in"),
        "{}",
        empty.stderr
    );
}
