//! The line of names at the start of a file, held against the declared columns.
//!
//! Fields have their meaning by place, so names in another order, or of other columns, would make
//! every row wrong without a sign of it.

use arrow::datatypes::Schema;
use headwater_core::{Error, Result};

use crate::csv::line::split_line;
use crate::csv::options::Dialect;
use headwater_core::excerpt::excerpt;

/// Names that a message shows at most.
const MAX_SHOWN: usize = 20;

/// Compares a header with the declared columns; `place` is the file's kind and quoted name, `owner`
/// those of the source.
///
/// # Errors
/// Bad data if it does not name the columns in their order, whatever else is done with bad records.
pub(crate) fn check_header(
    header: &[u8],
    dialect: Dialect,
    declared: &Schema,
    place: &str,
    owner: &str,
) -> Result<()> {
    let header = String::from_utf8_lossy(header);
    let named = header_names(&header, dialect);
    let columns: Vec<_> = declared.fields().iter().map(|field| field.name()).collect();
    let is_same =
        |(name, column): (&String, &&String)| name.to_lowercase() == column.trim().to_lowercase();
    if named.len() == columns.len() && named.iter().zip(&columns).all(is_same) {
        return Ok(());
    }
    Err(Error::bad_data(format!(
        "the header of {place} does not name the columns of {owner}"
    ))
    .with_detail(format!(
        "The header says {}; the columns are {}.",
        listed(&named),
        listed(&columns)
    ))
    .with_hint(
        "Declare the columns in the order of the file's header, or set 'csv.header' = 'skip' if the \
         names do not matter, 'false' if the first line is a record.",
    ))
}

/// The names without quotes and spaces around them; of a line that is no CSV the line itself.
pub(crate) fn header_names(header: &str, dialect: Dialect) -> Vec<String> {
    let mut names = Vec::new();
    let quote = char::from(dialect.quote);
    let split = split_line(header, dialect, |_, field| {
        let name = field.text.trim();
        // A quote after a space is part of a value, which no name is meant to have.
        let bare = name.strip_prefix(quote).and_then(|n| n.strip_suffix(quote));
        names.push(bare.unwrap_or(name).trim().to_string());
    });
    match split {
        Ok(_) => names,
        Err(_) => vec![header.to_string()],
    }
}

/// `"a", "b" and 3 more`.
fn listed(names: &[impl AsRef<str>]) -> String {
    let quoted = |name: &_| format!("\"{}\"", excerpt(AsRef::<str>::as_ref(name).as_bytes()));
    let shown: Vec<_> = names.iter().take(MAX_SHOWN).map(quoted).collect();
    let more = names.len() - shown.len();
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}
