//! Options that several connectors have in common.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use headwater_core::format::FormatSpec;
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

/// Takes `max.records.per.epoch`, the most records one epoch reads.
pub(crate) fn take_max_records(options: &mut OptionReader) -> Result<Option<u64>> {
    const NAME: &str = "max.records.per.epoch";
    let max = options.take_parsed::<u64>(NAME, &[], "a number of records, at least 1")?;
    match max {
        Some(0) => Err(options.bad_value(NAME, "0", "a number of records, at least 1")),
        max => Ok(max),
    }
}

/// The format a connector is to use: of the FORMAT clause or of the option `format`, with the
/// options written as `<name>.<option>`; `default` if neither says one.
pub(crate) fn take_format(
    clause: Option<FormatSpec>,
    options: &mut OptionReader,
    default: &str,
) -> Result<FormatSpec> {
    let option = options.take("format", &[])?.map(FormatSpec::named);
    let mut format = match (clause, option) {
        (Some(clause), Some(option)) if clause.name != option.name => {
            return Err(Error::configuration(format!(
                "{} names two formats, {} and \"{}\"",
                options.owner(),
                clause.name.to_ascii_uppercase(),
                option.name
            ))
            .with_hint("Keep the FORMAT clause or the option \"format\", not both."));
        }
        (Some(clause), _) => clause,
        (None, Some(option)) => option,
        (None, None) => FormatSpec::named(default),
    };
    let prefix = format!("{}.", format.name);
    format.options.extend(options.take_prefixed(&prefix));
    Ok(format)
}

/// Refuses a format where rows are not encoded.
pub(crate) fn refuse_format(clause: Option<&FormatSpec>, owner: &str) -> Result<()> {
    match clause {
        None => Ok(()),
        Some(format) => Err(Error::configuration(format!(
            "{owner} has format {}, but its connector encodes nothing",
            format.name.to_ascii_uppercase()
        ))
        .with_hint("Leave out the format.")),
    }
}

/// The columns of a payload: those declared, or the one column `value` of formats without
/// structure.
pub(crate) fn payload_schema(
    declared: Option<SchemaRef>,
    format: &FormatSpec,
    owner: &str,
) -> Result<SchemaRef> {
    if let Some(schema) = declared {
        return Ok(schema);
    }
    let value = match format.name.as_str() {
        "text" => DataType::Utf8View,
        "raw" => DataType::Binary,
        other => {
            return Err(Error::plan(format!(
                "{owner} declares no columns, and format {} needs them",
                other.to_ascii_uppercase()
            ))
            .with_hint("List the columns, write INFER behind the format if files are read, or use FORMAT TEXT for one column \"value\"."));
        }
    };
    Ok(Arc::new(Schema::new(vec![Field::new(
        "value", value, true,
    )])))
}
