//! Checkpoints as an earlier headwater wrote them: a query goes on from them as if it had never
//! stopped.
//!
//! Each folder below `tests/checkpoints` has a job and the checkpoint that it left when it was
//! killed, between the state of an epoch and its commit record. They are never written again: how
//! to add one is said in `docs/testing.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::command::Dir;

/// The folders below a folder, by name.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}

/// What a job prints, each line with its epoch, in order.
fn run(job: &str, checkpoint: Option<&Path>) -> (Vec<(u64, String)>, String) {
    let dir = Dir::new();
    let folder = dir.path().join("checkpoint");
    if let Some(checkpoint) = checkpoint {
        copy(checkpoint, &folder);
    }
    let folder = dir.path().display().to_string();
    dir.create("job.sql", &job.replace("DIR", &folder));
    let end = dir.command(&["run", "job.sql"]).output();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let epoch = |line: &str| {
        let rest = line.strip_prefix("{\"epoch\":").unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    let lines = end.stdout.lines();
    let mut lines: Vec<(u64, String)> = lines.map(|l| (epoch(l), l.to_string())).collect();
    lines.sort();
    (lines, end.stderr)
}

#[test]
fn queries_go_on_from_the_checkpoints_of_every_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints");
    let mut kinds = BTreeSet::new();
    for version in folders(&root) {
        for kept in folders(&version) {
            let job = std::fs::read_to_string(kept.join("job.sql")).unwrap();
            let (mut expected, _) = run(&job, None);
            let (found, said) = run(&job, Some(&kept.join("checkpoint")));
            let resumed = said.split_once("resumed after epoch ").expect(&said).1;
            let resumed: u64 = resumed.split(',').next().unwrap().parse().unwrap();
            expected.retain(|(epoch, _)| *epoch > resumed);
            assert!(expected.len() > 2, "{} has more to do", kept.display());
            assert_eq!(found, expected, "{}", kept.display());
            kinds.insert(kept.file_name().unwrap().to_owned());
        }
    }
    assert!(kinds.len() >= 6, "{kinds:?}");
}
