//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage and lets libFuzzer look for an
//! input that makes one fail.
//!
//! The compiler is the stable one. Only the crates of this workspace are instrumented, by a wrapper
//! that cargo puts before rustc for them alone; what they depend on is shared with every other build.
//! Targets run beside each other, one a core, and each starts from its corpus.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use clap::Args;

use crate::command::{cargo, describe, run as run_command};
use crate::environment::{variable, workspace_root};
use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::say::say;
use crate::step::step;

/// An input that takes longer has hung.
const TIMEOUT_S: u32 = 10;
/// An input and the process around it stay below this.
const MEMORY_MB: u32 = 1_024;
/// Longer inputs find nothing that shorter ones do not, and are slow.
const MAX_INPUT_BYTES: u32 = 8_192;

/// `cargo xtask fuzz …`
#[derive(Debug, Args)]
pub(crate) struct FuzzArguments {
    /// How long every target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// Run one input, in place of looking for others
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Run these targets, in place of all
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs the targets.
///
/// # Errors
/// If one of them does not build, or fails; its input is in a file that the message names.
pub(crate) fn run(arguments: &FuzzArguments) -> Result<()> {
    let targets = chosen(&arguments.targets)?;
    step("build", || run_command(&mut build(&targets)))?;
    step("fuzz", || fuzz(&targets, arguments))
}

fn folder() -> PathBuf {
    workspace_root().join("fuzz")
}

/// The targets that are named, or all that there are.
fn chosen(named: &[String]) -> Result<Vec<String>> {
    let path = folder().join("fuzz_targets");
    let entries =
        fs::read_dir(&path).context(|| format!("could not list \"{}\"", path.display()))?;
    let names =
        entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(String::from));
    let mut known: Vec<String> = names.collect();
    known.sort();
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(Failure::new(format!(
            "there is no target \"{unknown}\"; there are {known}"
        )));
    }
    Ok(match named {
        [] => known,
        named => named.to_vec(),
    })
}

fn build(targets: &[String]) -> Command {
    let mut command = cargo([
        "build",
        "--package",
        "headwater-fuzz",
        "--features",
        "libfuzzer",
    ]);
    for target in targets {
        command.args(["--bin".to_string(), format!("fuzz_{target}")]);
    }
    command.env("RUSTC_WORKSPACE_WRAPPER", folder().join("instrument.sh"));
    command
}

/// Where cargo puts what it builds.
fn target_dir() -> PathBuf {
    let named = variable("CARGO_TARGET_DIR").map(PathBuf::from);
    // Targets run in a folder of their own.
    let absolute = named.and_then(|named| std::path::absolute(named).ok());
    absolute.unwrap_or_else(|| workspace_root().join("target"))
}

fn fuzz(targets: &[String], arguments: &FuzzArguments) -> Result<()> {
    let at_once = available_parallelism().map_or(1, usize::from);
    let mut running = VecDeque::new();
    let mut failed = Vec::new();
    for target in targets {
        if running.len() == at_once
            && let Some(earliest) = running.pop_front()
        {
            failed.extend(finish(earliest)?);
        }
        running.push_back(start(target, arguments)?);
    }
    for rest in running {
        failed.extend(finish(rest)?);
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::new(format!("failed: {}", failed.join(", ")))),
    }
}

/// A target that runs, and the file that it writes to.
struct Run {
    target: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        // One that has ended is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a target. What it finds goes to a corpus beside what is built, so that a later run goes on
/// from there; the committed corpus is only read.
fn start(target: &str, arguments: &FuzzArguments) -> Result<Run> {
    let work = target_dir().join("fuzz").join(target);
    let found = work.join("corpus");
    files::create_dir(&found)?;
    let log = work.join("log");
    let output =
        fs::File::create(&log).context(|| format!("could not write \"{}\"", log.display()))?;
    let mut command = Command::new(target_dir().join("debug").join(format!("fuzz_{target}")));
    command
        .current_dir(&work)
        .arg(format!("-timeout={TIMEOUT_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"))
        .arg(format!("-artifact_prefix={}/failed-", work.display()));
    match &arguments.input {
        Some(input) => {
            let absolute = fs::canonicalize(input);
            command.arg(absolute.context(|| format!("could not find \"{}\"", input.display()))?);
        }
        None => with_corpus(&mut command, target, &found, arguments.seconds),
    }
    say(format_args!("$ {}", describe(&command)));
    let child = command
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .context(|| format!("could not start target \"{target}\""))?;
    Ok(Run {
        target: target.to_string(),
        child,
        log,
    })
}

fn with_corpus(command: &mut Command, target: &str, found: &Path, seconds: u32) {
    let dictionary = folder().join("dictionaries").join(target);
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg(found)
        .arg(folder().join("corpus").join(target));
}

/// Waits for a target, says what it did, and gives its name if it failed.
fn finish(mut run: Run) -> Result<Option<String>> {
    let target = &run.target;
    let status = run.child.wait();
    let status = status.context(|| format!("could not wait for target \"{target}\""))?;
    // What a target prints may hold any byte of its input.
    let log = fs::read(&run.log).context(|| format!("could not read \"{}\"", run.log.display()))?;
    let log = String::from_utf8_lossy(&log);
    if status.success() {
        let summary = log.lines().rev().find(|line| line.starts_with("Done "));
        say(format_args!("{target}: {}", summary.unwrap_or("done")));
        return Ok(None);
    }
    say(format_args!("{target}: {status}\n{}", end_of(&log)));
    say(format_args!(
        "run it again with: cargo xtask fuzz {target} --input FILE; once it is mended, keep the file \
         in fuzz/corpus/{target}"
    ));
    Ok(Some(target.clone()))
}

/// The last lines, which hold the panic and the file of the input.
fn end_of(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_folder() {
        let all = chosen(&[]).unwrap();
        assert!(all.contains(&"json".to_string()), "{all:?}");
        assert_eq!(chosen(&["sql".to_string()]).unwrap(), ["sql"]);
        let error = chosen(&["jsn".to_string()]).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no target \"jsn\"; there are avro, "),
            "{error}"
        );
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        assert_eq!(end_of("a\nb"), "a\nb");
        let long: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        assert!(end_of(&long.join("\n")).starts_with("40\n"));
    }
}
