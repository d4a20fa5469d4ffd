//! Runs `sql/slt/**/*.slt` and `sql/error/*.slt`: `cargo slt [-- part of a path] [--complete]`.
//!
//! Every file runs straight, restarted and crashed; see `headwater_testkit::slt`. With
//! `--complete` the answers of the straight run are written into the files instead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures::StreamExt;
use headwater_testkit::{FileReport, complete_file, run_file};

/// Files that run at the same time.
const CONCURRENT_FILES: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_flag = |argument: &&String| argument.starts_with("--");
    let complete = arguments.iter().any(|a| a == "--complete");
    let filters: Vec<_> = arguments.iter().filter(|a| !is_flag(a)).collect();
    let root = headwater_tests::workspace_root().join("sql");
    let mut files = Vec::new();
    for folder in ["slt", "error"] {
        if let Err(error) = find_files(&root.join(folder), &mut files) {
            print(&format!("sql/{folder} cannot be read: {error}"));
            return ExitCode::FAILURE;
        }
    }
    files.retain(|file| {
        let name = name_of(file, &root);
        filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str()))
    });
    files.sort();
    if files.is_empty() {
        print("no file has such a name");
        return ExitCode::FAILURE;
    }
    if complete {
        return complete_all(&files, &root).await;
    }
    let reports = futures::stream::iter(&files).map(|file| Box::pin(run_file(file)));
    let mut reports = reports.buffered(CONCURRENT_FILES);
    let (mut passed, mut failed) = (0, 0);
    while let Some(report) = reports.next().await {
        show(&report, &root);
        match report.failures.len() {
            0 => passed += 1,
            _ => failed += 1,
        }
    }
    print(&format!("{passed} passed, {failed} failed"));
    ExitCode::from(u8::from(failed > 0))
}

async fn complete_all(files: &[PathBuf], root: &Path) -> ExitCode {
    let mut failed = 0;
    for file in files {
        match complete_file(file).await {
            Ok(()) => print(&format!("wrote  {}", name_of(file, root))),
            Err(error) => {
                failed += 1;
                print(&format!("FAILED {}\n{error}", name_of(file, root)));
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn find_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "slt") {
            found.push(path);
        }
    }
    Ok(())
}

fn name_of(file: &Path, root: &Path) -> String {
    let name = file.strip_prefix(root).unwrap_or(file);
    name.display().to_string()
}

fn show(report: &FileReport, root: &Path) {
    let name = name_of(&report.path, root);
    if report.failures.is_empty() {
        print(&format!("ok     {name}"));
    }
    for (mode, failure) in &report.failures {
        print(&format!("FAILED {name} ({mode})\n{failure}"));
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a test program without a harness reports by itself"
)]
fn print(line: &str) {
    println!("{line}");
}
