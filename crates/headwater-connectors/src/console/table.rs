//! A table per epoch, drawn as Spark's `Dataset.show` draws it.
//!
//! ```text
//! -------------------------------------------
//! Batch: 0
//! -------------------------------------------
//! +------+-----+
//! |symbol|count|
//! +------+-----+
//! |   EPE|    3|
//! +------+-----+
//! only showing top 1 row
//!
//! ```
//!
//! Texts, bytes and nested values are cut, and all cells are set to the right; with
//! `truncate = false` nothing is cut and cells are set to the left. Only the rows that will be shown
//! are held, as text; the rest is counted.

use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use headwater_core::Result;
use headwater_core::id::EpochId;

use super::cell;

const RULE: &str = "-------------------------------------------";
const LEAST_COLUMN_CHARS: usize = 3;
/// Rows of one table where all are shown; the rows after them get a table of their own.
const FULL_ROWS: usize = 10_000;

/// How much of an epoch is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableStyle {
    /// Rows shown; `None` shows all.
    pub(super) rows: Option<usize>,
    /// Characters that names, and cells that may be cut, are cut to; `None` does not cut.
    pub(super) cell_chars: Option<usize>,
}

impl Default for TableStyle {
    fn default() -> Self {
        TableStyle {
            rows: Some(20),
            cell_chars: Some(20),
        }
    }
}

/// The rows of a partition, as far as they may be shown.
#[derive(Debug, Default)]
pub(super) struct TablePart {
    shown: Vec<Vec<String>>,
    rows: u64,
}

impl TablePart {
    /// Rows there are, shown or not.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch, style: TableStyle) -> Result<()> {
        let most = style.rows.unwrap_or(usize::MAX);
        let shown = most.saturating_sub(self.shown.len());
        for row in 0..batch.num_rows().min(shown) {
            let cells = batch.columns().iter().map(|column| {
                let text = escape(&cell::text(column, row)?);
                Ok(if cell::may_be_cut(column.data_type()) {
                    cut(&text, style.cell_chars)
                } else {
                    text
                })
            });
            self.shown.push(cells.collect::<Result<_>>()?);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The rows so far, if there are as many as should be held.
    pub(super) fn take_full(&mut self) -> Option<TablePart> {
        (self.shown.len() >= FULL_ROWS).then(|| std::mem::take(self))
    }

    /// Adds the rows of the partition after this one.
    pub(super) fn append(&mut self, next: TablePart) {
        self.shown.extend(next.shown);
        self.rows += next.rows;
    }
}

/// The text of an epoch.
pub(super) fn draw(epoch: EpochId, schema: &Schema, part: &TablePart, style: TableStyle) -> String {
    let header: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| cut(&escape(field.name()), style.cell_chars))
        .collect();
    let most = style.rows.unwrap_or(usize::MAX);
    let shown = part.shown.get(..most).unwrap_or(&part.shown);
    let widths: Vec<usize> = (0..header.len())
        .map(|i| {
            let cells = std::iter::once(&header).chain(shown);
            let widths = cells.filter_map(|row| row.get(i)).map(|c| width(c));
            widths.max().unwrap_or(0).max(LEAST_COLUMN_CHARS)
        })
        .collect();
    let bars: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
    let bar = format!("+{}+\n", bars.join("+"));
    let mut out = format!("{RULE}\nBatch: {epoch}\n{RULE}\n{bar}");
    draw_row(&mut out, &header, &widths, style);
    out.push_str(&bar);
    for row in shown {
        draw_row(&mut out, row, &widths, style);
    }
    out.push_str(&bar);
    if part.rows > shown.len() as u64 {
        let plural = if most == 1 { "" } else { "s" };
        let _ = writeln!(out, "only showing top {most} row{plural}");
    }
    out.push('\n');
    out
}

fn draw_row(out: &mut String, cells: &[String], widths: &[usize], style: TableStyle) {
    for (text, column) in cells.iter().zip(widths) {
        let pad = " ".repeat(column.saturating_sub(width(text)));
        let _ = match style.cell_chars {
            Some(_) => write!(out, "|{pad}{text}"),
            None => write!(out, "|{text}{pad}"),
        };
    }
    out.push_str("|\n");
}

/// Cuts a text to `chars` characters, the last three being dots where there is room for them.
fn cut(text: &str, chars: Option<usize>) -> String {
    match chars {
        Some(chars) if text.chars().count() > chars => {
            let dots = if chars < 4 { "" } else { "..." };
            let kept: String = text.chars().take(chars - dots.len()).collect();
            kept + dots
        }
        _ => text.to_string(),
    }
}

/// Writes the characters that would break the table as they are written in a program.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// The columns a text takes on a terminal: East Asian wide characters take two.
fn width(text: &str) -> usize {
    let is_wide = |c: char| {
        matches!(c,
            '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}'
            | '\u{F900}'..='\u{FAFF}' | '\u{FE10}'..='\u{FE19}' | '\u{FE30}'..='\u{FE6F}'
            | '\u{FF00}'..='\u{FF60}' | '\u{FFE0}'..='\u{FFE6}')
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_escaped_and_measured() {
        assert_eq!(cut("abcdef", Some(5)), "ab...");
        assert_eq!(cut("abcdef", Some(3)), "abc");
        assert_eq!(cut("abcdef", Some(6)), "abcdef");
        assert_eq!(cut("abcdef", None), "abcdef");
        assert_eq!(escape("a\nb\t\u{7}"), "a\\nb\\t\\u{7}");
        assert_eq!(width("가a"), 3);
    }
}
