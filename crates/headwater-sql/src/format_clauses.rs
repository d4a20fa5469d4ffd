//! The formats of a declaration: those of its clauses, or of options that say the same.

use headwater_core::connector::Connector;
use headwater_core::format::FormatSpec;
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

use crate::ast::TableDeclaration;

/// `FORMAT x (…)`, or the option `format` with options that start with `x.`.
pub(crate) fn format_of(
    declaration: &TableDeclaration,
    reader: &mut OptionReader,
) -> Result<Option<FormatSpec>> {
    let named = reader.take("format", &["value.format"])?;
    let Some(mut format) = one_format(&declaration.format, named, "FORMAT", reader)? else {
        return Ok(None);
    };
    format
        .options
        .extend(reader.take_prefixed(&format!("{}.", format.name)));
    Ok(Some(format))
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
    Ok(Some(format))
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
