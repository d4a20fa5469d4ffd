//! Commands that tasks run.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::environment::{variable, workspace_root};
use crate::failure::{Context as _, Failure, Result};
use crate::say::warn;

/// The cargo that runs this task, at the root of the workspace.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_string()));
    command.current_dir(workspace_root()).args(arguments);
    command
}

/// Prints the command, runs it with this task's input and output, and wants it to succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = describe(command);
    warn(format_args!("$ {text}"));
    let status = command
        .status()
        .context(|| format!("could not run `{text}`"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{text}` failed: {status}")))
}

/// Runs the command, which must succeed, and gives what it wrote to stdout.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let text = describe(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context(|| format!("could not run `{text}`"))?;
    if !output.status.success() {
        let status = output.status;
        return Err(Failure::new(format!("`{text}` failed: {status}")));
    }
    String::from_utf8(output.stdout).context(|| format!("`{text}` did not write text"))
}

/// Whether the command can be run and succeeds; what it prints is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The command as one would type it, with the program's name in place of its path.
pub(crate) fn describe(command: &Command) -> String {
    let program = command.get_program();
    let name = Path::new(program).file_name().unwrap_or(program);
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<String> = words.map(|word| quote(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["nextest", "-E", "not binary_id(a::b)", "it's", ""]);
        assert_eq!(
            describe(&command),
            r"cargo nextest -E 'not binary_id(a::b)' 'it'\''s' ''"
        );
    }
}
