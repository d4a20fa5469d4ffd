//! The byte order mark, which some programs put before a text: it is a part of it, and not seen.

/// Refuses a record that begins with one. Who reads files takes away the one at their beginning.
///
/// # Errors
/// The reason why it is no record.
pub(crate) fn check_no_mark(text: &str) -> Result<(), &'static str> {
    match text.starts_with('\u{feff}') {
        true => Err("a byte order mark before the line"),
        false => Ok(()),
    }
}
