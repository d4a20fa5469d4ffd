//! The rows that a query wrote into its folder.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::failure::{Context as _, Result};
use crate::files;

/// A row of any of the queries; columns that a query does not have keep their defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Row {
    pub(super) window_start: String,
    pub(super) symbol: String,
    pub(super) client_id: i64,
    pub(super) order_id: i64,
    pub(super) buy: String,
    /// Orders that the row stands for.
    pub(super) orders: i64,
    /// Sum of amount times price.
    pub(super) volume: f64,
}

impl Default for Row {
    fn default() -> Self {
        Row {
            window_start: String::new(),
            symbol: String::new(),
            client_id: 0,
            order_id: 0,
            buy: String::new(),
            orders: 1,
            volume: 0.0,
        }
    }
}

/// Reads the files of `rows/` below the folder, one row after the other.
///
/// # Errors
/// If a file cannot be read, a line is no row, or `take` refuses it.
pub(super) fn for_each_row(folder: &Path, mut take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
    for path in files::list(&folder.join("rows"))? {
        if path
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        let name = || format!("could not read \"{}\"", path.display());
        let file = File::open(&path).context(name)?;
        for line in BufReader::new(file).lines() {
            let line = line.context(name)?;
            let row = serde_json::from_str(&line);
            take(&row.context(|| format!("line \"{line}\" of a result"))?)?;
        }
    }
    Ok(())
}
