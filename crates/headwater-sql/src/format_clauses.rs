//! The formats of a declaration: those of its clauses, or of options that say the same.

use headwater_core::connector::Connector;
use headwater_core::format::FormatSpec;
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};
use headwater_formats::format_named_by;

use crate::ast::TableDeclaration;

/// `FORMAT x (…)`, or the option `format` with options that start with `x.`; Flink's names of the
/// same begin with `value.`.
pub(crate) fn format_of(
    declaration: &TableDeclaration,
    reader: &mut OptionReader,
) -> Result<Option<FormatSpec>> {
    let named = reader.take("format", &["value.format"])?;
    let mut format = one_format(&declaration.format, named, "FORMAT", reader)?;
    if let Some(format) = &mut format {
        let short = reader.take_prefixed(&format!("{}.", format.name));
        let long = reader.take_prefixed(&format!("value.{}.", format.name));
        if let Some((key, _)) = long.iter().find(|(key, _)| short.get(key).is_some()) {
            return Err(given_twice(reader, &format.name, key));
        }
        format.options.extend(short);
        format.options.extend(long);
    }
    refuse_of_others(reader, "", "FORMAT", format.as_ref())?;
    refuse_of_others(reader, "value.", "FORMAT", format.as_ref())?;
    Ok(format)
}

fn given_twice(reader: &OptionReader, format: &str, key: &str) -> Error {
    let name = format!("{format}.{key}");
    Error::configuration(format!(
        "{} gives the same option twice, as \"{name}\" and as \"value.{name}\"",
        reader.owner()
    ))
    .with_hint(format!("Keep \"{name}\" alone."))
}

/// `KEY FORMAT x (…)`, or the option `key.format` with options that start with `key.x.`.
pub(crate) fn key_format_of(
    declaration: &TableDeclaration,
    connector: &dyn Connector,
    reader: &mut OptionReader,
) -> Result<Option<FormatSpec>> {
    let named = match connector.has_keys() {
        true => reader.take("key.format", &[])?,
        false => None,
    };
    let Some(mut format) = one_format(&declaration.key_format, named, "KEY FORMAT", reader)? else {
        refuse_of_others(reader, "key.", "KEY FORMAT", None)?;
        return Ok(None);
    };
    if !connector.has_keys() {
        return Err(Error::unsupported(format!(
            "{} has a KEY FORMAT, but records of connector \"{}\" have no keys",
            reader.owner(),
            connector.name()
        ))
        .with_hint("Leave it out."));
    }
    for (key, value) in reader
        .take_prefixed(&format!("key.{}.", format.name))
        .iter()
    {
        format.options.set(key, value);
    }
    refuse_of_others(reader, "key.", "KEY FORMAT", Some(&format))?;
    Ok(Some(format))
}

/// Refuses an option that is left and names another format: nobody reads it.
fn refuse_of_others(
    reader: &OptionReader,
    prefix: &str,
    what: &str,
    format: Option<&FormatSpec>,
) -> Result<()> {
    let of_a_format = |(key, _): (&str, &str)| {
        let named = format_named_by(key.strip_prefix(prefix)?)?;
        Some((key.to_string(), named.to_ascii_uppercase()))
    };
    let Some((key, named)) = reader.left().find_map(of_a_format) else {
        return Ok(());
    };
    let here = match format {
        Some(format) => format!("the {what} here is {}", format.name.to_ascii_uppercase()),
        None => format!("there is no {what} here"),
    };
    Err(Error::configuration(format!(
        "option \"{key}\" of {} is one of {what} {named}, and {here}",
        reader.owner()
    ))
    .with_hint(format!("Leave it out, or write {what} {named}.")))
}

/// The format of a clause or of an option, of which there may be one.
fn one_format(
    clause: &Option<FormatSpec>,
    named: Option<String>,
    what: &str,
    reader: &OptionReader,
) -> Result<Option<FormatSpec>> {
    match (clause, named) {
        (Some(_), Some(_)) => Err(Error::configuration(format!(
            "{} has a {what} clause and an option for the same",
            reader.owner()
        ))
        .with_hint("Keep one of the two.")),
        (Some(clause), None) => Ok(Some(clause.clone())),
        (None, Some(name)) => Ok(Some(FormatSpec::named(name))),
        (None, None) => Ok(None),
    }
}
