//! The few things tasks do to files, with messages that name the file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context as _, Result};

#[expect(
    clippy::disallowed_methods,
    reason = "a scratch file of a task need not survive a crash"
)]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("could not write \"{}\"", path.display()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a scratch folder of a task need not survive a crash"
)]
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("could not create \"{}\"", path.display()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cache can be made anew, so the rename need not be durable"
)]
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context(|| format!("could not rename to \"{}\"", to.display()))
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(|| format!("could not read \"{}\"", path.display()))
}

/// The text of a file, which is removed; nothing if there is none.
pub(crate) fn take(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read(path)?;
    fs::remove_file(path).context(|| format!("could not remove \"{}\"", path.display()))?;
    Ok(Some(text))
}

/// Removes a folder with all that is in it; one that is not there is removed.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(|| format!("could not remove \"{}\"", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder whole or not at all: `fill` works in a folder beside it, which then takes its
/// name. A folder that exists is left as it is.
pub(crate) fn create_whole(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut partial = path.as_os_str().to_os_string();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    remove_dir(&partial)?;
    create_dir(&partial)?;
    let filled = fill(&partial).and_then(|()| rename(&partial, path));
    if filled.is_err() {
        remove_dir(&partial)?;
        // Another process may have made it meanwhile.
        return if path.exists() { Ok(()) } else { filled };
    }
    Ok(())
}

/// The paths in a folder, ordered by name.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<std::io::Result<Vec<_>>>()
    });
    let mut paths = entries.context(|| format!("could not list \"{}\"", path.display()))?;
    paths.sort();
    Ok(paths)
}

/// The last lines of a text file; nothing if it cannot be read.
pub(crate) fn tail(path: &Path, lines_max: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}
