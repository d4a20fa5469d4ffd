//! Which columns are in the keys of messages, as the options say.
//!
//! | option | Flink's | meaning |
//! |---|---|---|
//! | `KEY FORMAT x`, `key.format` | `key.format` | how keys are encoded |
//! | `key.columns` | `key.fields` | the columns that are in the keys |
//! | `key.columns.prefix` | `key.fields-prefix` | what their names begin with, and the names in the keys do not |
//! | `value.columns` | `value.fields-include` | `EXCEPT_KEY` or `ALL`: whether the columns of the key are in the value too |

use arrow::datatypes::SchemaRef;
use headwater_core::connector::{SinkDefinition, SourceDefinition};
use headwater_core::format::FormatSpec;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};
use headwater_formats::{KeyDefinition, with_files};

const KEY_COLUMNS: OptionDoc = OptionDoc::new(
    "key.columns",
    OptionValues::Described("columns, between `,` or `;`"),
    OptionDefault::Described("the PRIMARY KEY"),
    "what the key of a message is made of",
)
.with_flink(&["key.fields"])
.with_also(&["key"]);
const SOURCE_KEY_COLUMNS: OptionDoc = OptionDoc::new(
    "key.columns",
    OptionValues::Described("columns, between `,` or `;`"),
    OptionDefault::Described("none; needed with a KEY FORMAT"),
    "the columns that are read from the key of a message",
)
.with_flink(&["key.fields"]);
const PREFIX: OptionDoc = OptionDoc::new(
    "key.columns.prefix",
    OptionValues::Described("a text"),
    OptionDefault::Nothing,
    "what the names of these columns begin with, and the names in the key do not",
)
.with_flink(&["key.fields-prefix"]);
const VALUE_COLUMNS: OptionDoc = OptionDoc::new(
    "value.columns",
    OptionValues::Words(&["ALL", "EXCEPT_KEY"]),
    OptionDefault::Described("of a sink `ALL`, of a source with a KEY FORMAT `EXCEPT_KEY`"),
    "whether the columns of the key are in the value too; a source reads a column from one of both",
)
.with_flink(&["value.fields-include"]);

/// What a sink was told of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkKeyOptions {
    pub(crate) columns: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) value_columns: ValueColumns,
}

impl SinkKeyOptions {
    /// What [`SinkKeyOptions::take`] reads.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&KEY_COLUMNS, &PREFIX, &VALUE_COLUMNS];

    /// The options of a sink; without them the columns are those of the PRIMARY KEY.
    ///
    /// # Errors
    /// If they do not fit together.
    pub(crate) fn take(definition: &SinkDefinition, options: &mut OptionReader) -> Result<Self> {
        let named = options.take(KEY_COLUMNS.name, &KEY_COLUMNS.aliases())?;
        let prefix = options.take(PREFIX.name, &PREFIX.aliases())?;
        let value_columns = take_value_columns(options)?;
        let columns = match named {
            Some(named) => names_in(&named),
            None => definition.primary_key.clone(),
        };
        let owner = options.owner();
        if definition.key_format.is_some() && columns.is_empty() {
            return Err(which_columns(owner));
        }
        if let (None, Some(_)) = (&definition.key_format, &prefix) {
            return Err(how_encoded(owner));
        }
        if value_columns == Some(ValueColumns::ExceptKey)
            && (columns.is_empty() || definition.format.is_none())
        {
            return Err(Error::configuration(format!(
                "{owner} leaves the columns of the key out of the value, and has none"
            ))
            .with_hint("Name them in 'key.columns', and give the sink a FORMAT."));
        }
        let prefix = prefix.unwrap_or_default();
        if let Some(column) = columns.iter().find(|column| !column.starts_with(&prefix)) {
            return Err(not_prefixed(column, owner, &prefix));
        }
        Ok(SinkKeyOptions {
            columns,
            prefix,
            value_columns: value_columns.unwrap_or(ValueColumns::All),
        })
    }
}

fn which_columns(owner: &str) -> Error {
    Error::configuration(format!(
        "{owner} has a KEY FORMAT and does not say which columns are in the key"
    ))
    .with_hint("Add 'key.columns' = 'id', or 'id, region'.")
}

fn how_encoded(owner: &str) -> Error {
    Error::configuration(format!(
        "{owner} says which columns are in the key, and not how keys are encoded"
    ))
    .with_hint("Add KEY FORMAT JSON, RAW or another format.")
}

fn not_prefixed(column: &str, owner: &str, prefix: &str) -> Error {
    Error::configuration(format!(
        "column \"{column}\" of the key of {owner} does not begin with \"{prefix}\""
    ))
}

/// The columns of the keys of a source, by name.
#[derive(Debug)]
pub(crate) struct KeyNames {
    format: FormatSpec,
    columns: Vec<String>,
    prefix: String,
}

/// Names in a text with commas or semicolons between them.
fn names_in(text: &str) -> Vec<String> {
    let names = text.split([',', ';']).map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(ToString::to_string)
        .collect()
}

/// Takes whether the columns of the key are in the value too.
///
/// # Errors
/// If the word is unknown.
fn take_value_columns(options: &mut OptionReader) -> Result<Option<ValueColumns>> {
    let choices = [
        ("ALL", ValueColumns::All),
        ("EXCEPT_KEY", ValueColumns::ExceptKey),
    ];
    options.take_choice(VALUE_COLUMNS.name, &VALUE_COLUMNS.aliases(), &choices)
}

/// Which columns are in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueColumns {
    All,
    ExceptKey,
}

impl KeyNames {
    /// What [`KeyNames::of_source`] reads.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&SOURCE_KEY_COLUMNS, &PREFIX, &VALUE_COLUMNS];

    /// The options of a source, if it has a KEY FORMAT.
    ///
    /// # Errors
    /// If they are wrong, or there is one without the other.
    pub(crate) fn of_source(
        definition: &SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Option<Self>> {
        let named = options.take(SOURCE_KEY_COLUMNS.name, &SOURCE_KEY_COLUMNS.aliases())?;
        let prefix = options.take(PREFIX.name, &PREFIX.aliases())?;
        let values = take_value_columns(options)?;
        let owner = options.owner();
        let (format, columns) = match (&definition.key_format, named) {
            (Some(format), Some(named)) => (format, names_in(&named)),
            (None, None) if prefix.is_none() && values.is_none() => return Ok(None),
            (Some(_), None) => return Err(which_columns(owner)),
            (None, _) => return Err(how_encoded(owner)),
        };
        if values == Some(ValueColumns::All) {
            return Err(Error::unsupported(format!(
                "{owner} wants the columns of the key from the value too"
            ))
            .with_hint(
                "A column is read from one of the two: leave \"value.columns\" out to read them \
                 from the key, or leave KEY FORMAT out to read them from the value.",
            ));
        }
        Ok(Some(KeyNames {
            format: format.clone(),
            columns,
            prefix: prefix.unwrap_or_default(),
        }))
    }

    /// The columns by their places among the declared ones.
    ///
    /// # Errors
    /// If one is not declared, all of them are, or the format cannot hold them.
    pub(crate) fn definition(self, owner: &str, payload: &SchemaRef) -> Result<KeyDefinition> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let index = payload.index_of(name).map_err(|_| {
                let declared: Vec<_> = payload.fields().iter().map(|f| f.name().as_str()).collect();
                Error::configuration(format!(
                    "{owner} has no column \"{name}\" for \"{}\"",
                    KEY_COLUMNS.name
                ))
                .with_hint(format!("The columns are {}.", declared.join(", ")))
            })?;
            if !name.starts_with(&self.prefix) {
                return Err(not_prefixed(name, owner, &self.prefix));
            }
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
        if columns.is_empty() || columns.len() == payload.fields().len() {
            let what = if columns.is_empty() {
                "no column"
            } else {
                "every column"
            };
            return Err(
                Error::configuration(format!("{owner} has {what} in its key")).with_hint(
                    "Name those of the key in \"key.columns\", and declare at least one of the \
                     value; without columns a source has `key` and `value` as bytes.",
                ),
            );
        }
        let keys = KeyDefinition {
            format: with_files(self.format, owner)?,
            columns,
            prefix: self.prefix,
        };
        keys.check(owner, payload)?;
        Ok(keys)
    }
}
