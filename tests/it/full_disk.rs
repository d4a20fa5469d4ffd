//! A disk without room: a small file system of its own, filled to the last byte.
//!
//! Needs the binary: `cargo build -p headwater-cli`, and the right to mount. Without the right the
//! tests say that they did nothing; what a failed write says is tested with the files themselves.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::Dir;
use crate::files::{check_manifests, parquet_rows};

/// A file system of eight megabytes in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<SmallDisk> {
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true).create(&at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=8m", "small"];
        let mounted = Command::new("mount").args(options).arg(&at).output();
        match mounted {
            Ok(done) if done.status.success() => Some(SmallDisk(at)),
            refused => {
                eprintln!("SKIPPED, NOTHING WAS TESTED: no right to mount: {refused:?}");
                None
            }
        }
    }

    /// Leaves no room for another byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A job that writes for some seconds, at a pace.
fn job(dir: &Dir, checkpoint: &Path, out: &Path, pace: &str, options: &str) {
    let (checkpoint, out) = (checkpoint.display(), out.display());
    let text = format!(
        "CREATE SOURCE t (n BIGINT, s VARCHAR) WITH (connector = 'datagen', rows = 3000,
           'fields.n.kind' = 'sequence', 'max.records.per.epoch' = 100{pace});
         CREATE SINK out (k BIGINT, n BIGINT) WITH (connector = 'filesystem', path = '{out}')
           FORMAT JSON;
         CREATE STREAMING QUERY q WITH (checkpoint = '{checkpoint}'{options}) AS
         INSERT INTO out SELECT n % 7 AS k, n FROM t;"
    );
    dir.create("job.sql", &text);
}

/// Half a minute in all: the disk is full long before, on a machine that is busy too.
const SLOWLY: &str = ", 'rows.per.second' = 100";
/// Twenty seconds, for a job that also goes to its end at this pace.
const AT_A_WALK: &str = ", 'rows.per.second' = 150";

fn rows(dir: &Dir, out: &str) -> Vec<String> {
    let mut rows = dir.lines_below(out);
    rows.sort();
    rows
}

/// What the job writes on a disk with room.
fn expected() -> Vec<String> {
    let rows = (0..3000).map(|n| format!("{{\"k\":{},\"n\":{n}}}", n % 7));
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

/// The folders of the checkpoint and of the results, of which one is on the small disk.
const PLACES: [(&str, &str); 2] = [("small/checkpoint", "out"), ("checkpoint", "small/out")];

/// Lets the job run into a full disk, of which it must say where that is, and to its end when there
/// is room again.
fn stops_and_goes_on(dir: &Dir, disk: &SmallDisk, told: &str) {
    let mut run = dir
        .command(&["run", "job.sql", "--progress=always"])
        .spawn();
    run.wait_for_stderr("q: epoch ");
    disk.fill();
    let end = run.wait();
    assert_eq!(end.code, Some(75), "{}", end.stderr);
    for part in [
        "error: cannot ",
        told,
        "No space left",
        "hint: Free some disk",
    ] {
        assert!(end.stderr.contains(part), "{part}: {}", end.stderr);
    }
    disk.make_room();
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    dir.create("job.sql", &text.replace(SLOWLY, ""));
    let mut again = dir.command(&["run", "job.sql"]).spawn();
    again.wait_for_stderr("resumed after epoch ");
    let end = again.wait();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
}

#[test]
fn a_full_disk_stops_the_query_and_room_lets_it_go_on() {
    for (checkpoint, out) in PLACES {
        let dir = Dir::new();
        let Some(disk) = SmallDisk::mount(dir.path().join("small")) else {
            return;
        };
        job(
            &dir,
            &dir.path().join(checkpoint),
            &dir.path().join(out),
            SLOWLY,
            "",
        );
        stops_and_goes_on(&dir, &disk, "/small/");
        assert_eq!(rows(&dir, out), expected(), "{checkpoint} {out}");
    }
}

/// The job with Parquet files in folders by value, of which the disk of one place becomes full.
fn parquet_job_finds_no_room(out: &str, full: &str, log: Option<&str>, told: &str) {
    let dir = Dir::new();
    let Some(disk) = SmallDisk::mount(dir.path().join(full)) else {
        return;
    };
    // A disk of its own, which does not become full.
    let _log = log.map(|log| SmallDisk::mount(dir.path().join(log)).unwrap());
    let out = dir.path().join(out);
    job(&dir, &dir.path().join("checkpoint"), &out, SLOWLY, "");
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    let text = text.replace("FORMAT JSON", "FORMAT PARQUET");
    let text = text.replace("'filesystem',", "'filesystem', 'partition.by' = 'k',");
    dir.create("job.sql", &text);
    let told = format!("error: cannot write \"{}", dir.path().join(told).display());
    stops_and_goes_on(&dir, &disk, &told);
    assert_eq!(check_manifests(&out), 3000);
    let rows = parquet_rows(&out, &["k"], "count(DISTINCT n), sum(n), count(DISTINCT k)");
    assert_eq!(rows, ["3000,4498500,7"]);
}

#[test]
fn a_parquet_file_that_finds_no_room_is_written_again() {
    let log = Some("small/out/_headwater_log");
    let told = "small/out/.headwater/staged/part-000000";
    parquet_job_finds_no_room("small/out", "small", log, told);
}

#[test]
fn a_manifest_that_finds_no_room_is_written_again() {
    let log = "out/_headwater_log";
    parquet_job_finds_no_room("out", log, None, "out/_headwater_log/000000");
}

#[test]
fn a_query_that_may_restart_waits_for_room() {
    for (checkpoint, out) in PLACES {
        let dir = Dir::new();
        let Some(disk) = SmallDisk::mount(dir.path().join("small")) else {
            return;
        };
        // Not an epoch for every row: their files alone would fill the disk.
        let restarts = ", 'restart.attempts' = 50, 'restart.delay' = '100 ms', trigger = '100 ms'";
        let (checkpoint, results) = (dir.path().join(checkpoint), dir.path().join(out));
        job(&dir, &checkpoint, &results, AT_A_WALK, restarts);
        let mut run = dir
            .command(&["run", "job.sql", "--progress=always"])
            .spawn();
        run.wait_for_stderr("q: epoch ");
        disk.fill();
        let warning = run.wait_for_stderr("the query failed, and is opened again in 100ms");
        assert!(warning.contains("No space left"), "{warning}");
        std::thread::sleep(std::time::Duration::from_millis(500));
        disk.make_room();
        let end = run.wait();
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        assert_eq!(rows(&dir, out), expected(), "{}", checkpoint.display());
    }
}

#[test]
fn a_start_without_room_is_temporary() {
    let dir = Dir::new();
    let Some(disk) = SmallDisk::mount(dir.path().join("small")) else {
        return;
    };
    disk.fill();
    let checkpoint = dir.path().join("small/checkpoint");
    job(&dir, &checkpoint, &dir.path().join("out"), "", "");
    let stderr = dir.command(&["run", "job.sql"]).fails_with(75);
    assert!(stderr.contains("No space left"), "{stderr}");
    disk.make_room();
    dir.command(&["run", "job.sql"]).stdout();
    assert_eq!(rows(&dir, "out"), expected());
}
