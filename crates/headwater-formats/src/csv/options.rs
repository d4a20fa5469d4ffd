//! The options of CSV.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `delimiter` | the character between fields; `\t` or `tab` for a tab | `,` |
//! | `quote` | the character around a field; twice inside it for itself | `"` |
//! | `escape` | a character that takes the next one literally inside quotes | none |
//! | `null.value` | the unquoted text that means NULL, in every column | see below |
//! | `header` | whether a file begins with a line of names: `true` (they must be those of the columns), `false`, or `skip` (they may be any) | `false` |
//! | `timestamp.format`, `timestamp.unit` | see [`crate::timestamp`] | ISO 8601 |
//!
//! Without `null.value` an empty unquoted field is NULL in every column but a STRING, where it is
//! the empty string.

use headwater_core::Result;
use headwater_core::options::OptionReader;

use crate::timestamp::TimestampOptions;

/// How CSV lines look.
#[derive(Debug, Clone)]
pub(crate) struct CsvOptions {
    pub(crate) dialect: Dialect,
    /// The unquoted text of NULL, if one was given.
    pub(crate) null_value: Option<String>,
    /// Whether files start with a line of names.
    pub(crate) header: Header,
    pub(crate) timestamps: TimestampOptions,
}

/// The first line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// A record.
    None,
    /// The names of the columns.
    Names,
    /// Names that nobody compares.
    Skipped,
}

/// The bytes with a meaning in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    pub(crate) escape: Option<u8>,
}

impl CsvOptions {
    /// Takes all options of CSV.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let delimiter = take_character(reader, "delimiter", &["csv.delimiter", "sep"])?;
        let quote = take_character(reader, "quote", &["csv.quote"])?.unwrap_or(b'"');
        let escape = take_character(reader, "escape", &["csv.escape"])?;
        let null_value = reader.take("null.value", &["csv.null.value", "nullValue"])?;
        let headers = [
            ("true", Header::Names),
            ("false", Header::None),
            ("skip", Header::Skipped),
        ];
        let header = reader.take_choice("header", &["csv.header"], &headers)?;
        let delimiter = delimiter.unwrap_or(b',');
        if delimiter == quote || escape == Some(delimiter) {
            let text = char::from(delimiter).to_string();
            let expected = "different from \"quote\" and \"escape\"";
            return Err(reader.bad_value("delimiter", &text, expected));
        }
        Ok(CsvOptions {
            dialect: Dialect {
                delimiter,
                quote,
                // The quote as its own escape is what doubling it means already.
                escape: escape.filter(|escape| *escape != quote),
            },
            null_value,
            header: header.unwrap_or(Header::None),
            timestamps: TimestampOptions::take(reader)?,
        })
    }
}

fn take_character(reader: &mut OptionReader, name: &str, aliases: &[&str]) -> Result<Option<u8>> {
    let Some(text) = reader.take(name, aliases)? else {
        return Ok(None);
    };
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(Some(b'\t')),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Some(*byte)),
        _ => Err(reader.bad_value(name, &text, "one ASCII character")),
    }
}
