//! The first line of files whose format has names there.

use arrow::datatypes::SchemaRef;
use headwater_core::format::FormatSpec;
use headwater_core::{Error, Result};

use crate::csv::{Header, check_header};
use crate::registry::Format;

/// Whether the first line of every file holds names: the connector hands it to
/// [`check_file_header`] and not to a decoder.
///
/// # Errors
/// If the definition is wrong.
pub fn has_header(spec: &FormatSpec, owner: &str) -> Result<bool> {
    match Format::from_spec(spec, owner)? {
        Format::Csv(options) => Ok(options.header != Header::None),
        _ => Ok(false),
    }
}

/// Refuses what only files have, for connectors whose records are messages.
///
/// # Errors
/// If the definition is wrong or speaks of a file's first line.
pub fn check_messages(spec: &FormatSpec, owner: &str) -> Result<()> {
    if has_header(spec, owner)? {
        return Err(Error::configuration(format!(
            "option \"header\" of {owner} is for files, whose first line may hold names"
        ))
        .with_hint("Leave it out: every payload is one line."));
    }
    Ok(())
}

/// What is around a name of the header of a file, if the name would end before its time otherwise;
/// `None` if files have no header.
///
/// # Errors
/// If the definition is wrong.
pub fn header_quote(spec: &FormatSpec, owner: &str) -> Result<Option<u8>> {
    match Format::from_spec(spec, owner)? {
        Format::Csv(options) if options.header != Header::None => Ok(Some(options.dialect.quote)),
        _ => Ok(None),
    }
}

/// Checks the first line of a file, without a byte order mark: its names must be those of the
/// declared columns, in their order and without regard to case. `place` is the file's kind and
/// quoted name, for messages.
///
/// # Errors
/// Bad data if they are not; if the definition is wrong.
pub fn check_file_header(
    spec: &FormatSpec,
    owner: &str,
    declared: &SchemaRef,
    place: &str,
    header: &[u8],
) -> Result<()> {
    match Format::from_spec(spec, owner)? {
        Format::Csv(options) if options.header == Header::Names => {
            check_header(header, options.dialect, declared, place, owner)
        }
        _ => Ok(()),
    }
}
