//! The options of CSV.
//!
//! Without `null.value` an empty unquoted field is NULL in every column but a VARCHAR, where it is
//! the empty string.

use headwater_core::Result;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::timestamp::TimestampOptions;

const DELIMITER_DEFAULT: u8 = b',';
const QUOTE_DEFAULT: u8 = b'"';

const DELIMITER: OptionDoc = OptionDoc::new(
    "delimiter",
    OptionValues::Described("an ASCII character; `\\t` or `tab` for a tab"),
    OptionDefault::Character(DELIMITER_DEFAULT),
    "stands between fields",
)
.with_spark(&["sep", "delimiter"])
.with_also(&["csv.delimiter"]);
const QUOTE: OptionDoc = OptionDoc::new(
    "quote",
    OptionValues::Described("an ASCII character"),
    OptionDefault::Character(QUOTE_DEFAULT),
    "stands around a field; twice inside it for itself",
)
.with_spark(&["quote"])
.with_also(&["csv.quote"]);
const ESCAPE: OptionDoc = OptionDoc::new(
    "escape",
    OptionValues::Described("an ASCII character"),
    OptionDefault::Nothing,
    "takes the next character literally inside quotes",
)
.with_spark(&["escape"])
.with_also(&["csv.escape"]);
const NULL_VALUE: OptionDoc = OptionDoc::new(
    "null.value",
    OptionValues::Described("a text"),
    OptionDefault::Described("an empty field, but for VARCHAR"),
    "the unquoted text that is NULL, in every column",
)
.with_spark(&["nullValue"])
.with_also(&["csv.null.value"]);
const HEADER: OptionDoc = OptionDoc::new(
    "header",
    OptionValues::Words(&["true", "false", "skip"]),
    OptionDefault::Value("false"),
    "whether a file begins with a line of names: `true`, those of the columns; `skip`, names that \
     may be others (sources)",
)
.with_spark(&["header"])
.with_also(&["csv.header"]);

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
    /// What it takes, beside the options of timestamps.
    pub(crate) const DOCS: [&'static OptionDoc; 5] =
        [&DELIMITER, &QUOTE, &ESCAPE, &NULL_VALUE, &HEADER];

    /// Takes all options of CSV.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let delimiter = take_character(reader, &DELIMITER)?;
        let quote = take_character(reader, &QUOTE)?.unwrap_or(QUOTE_DEFAULT);
        let escape = take_character(reader, &ESCAPE)?;
        let null_value = reader.take(NULL_VALUE.name, &NULL_VALUE.aliases())?;
        let headers = [
            ("true", Header::Names),
            ("false", Header::None),
            ("skip", Header::Skipped),
        ];
        let header = reader.take_choice(HEADER.name, &HEADER.aliases(), &headers)?;
        let delimiter = delimiter.unwrap_or(DELIMITER_DEFAULT);
        if delimiter == quote || escape == Some(delimiter) {
            let text = char::from(delimiter).to_string();
            let expected = "different from \"quote\" and \"escape\"";
            return Err(reader.bad_value(DELIMITER.name, &text, expected));
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

fn take_character(reader: &mut OptionReader, option: &OptionDoc) -> Result<Option<u8>> {
    let Some(text) = reader.take(option.name, &option.aliases())? else {
        return Ok(None);
    };
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(Some(b'\t')),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Some(*byte)),
        _ => Err(reader.bad_value(option.name, &text, "one ASCII character")),
    }
}
