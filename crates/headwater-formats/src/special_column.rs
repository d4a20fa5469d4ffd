//! A column that has its meaning by its name: the time of a line, the op of a change.
//!
//! An option gives the meaning to another column, so that a value of the same name can be read.

use arrow::datatypes::{Field, Schema};
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

/// Which column has a meaning, if one has.
#[derive(Debug, Clone)]
pub(crate) struct SpecialColumn {
    option: &'static str,
    name: Option<String>,
    /// Whether the user named it: it must be declared then.
    is_asked_for: bool,
}

impl SpecialColumn {
    /// Takes the option that names the column; without it the column is `default`, if that is
    /// declared.
    ///
    /// # Errors
    /// If the option is given twice.
    pub(crate) fn take(
        reader: &mut OptionReader,
        option: &'static str,
        default: Option<&str>,
    ) -> Result<Self> {
        let named = reader.take(option, &[])?;
        Ok(SpecialColumn {
            option,
            is_asked_for: named.is_some(),
            name: named.or_else(|| default.map(ToString::to_string)),
        })
    }

    /// The name of the column, if there can be one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether a column is this one.
    pub(crate) fn is(&self, field: &Field) -> bool {
        self.name.as_ref() == Some(field.name())
    }

    /// Refuses a column that was named and is not declared; `whose` is the format and its owner.
    ///
    /// # Errors
    /// If it is so.
    pub(crate) fn check_declared(&self, whose: &str, declared: &Schema) -> Result<()> {
        match &self.name {
            Some(name) if self.is_asked_for && declared.column_with_name(name).is_none() => {
                Err(Error::plan(format!(
                    "option \"{}\" of {whose} names \"{name}\", which is not a column",
                    self.option
                ))
                .with_hint("Declare the column, or leave the option out."))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses columns of which two are the same.
///
/// # Errors
/// If two are.
pub(crate) fn check_distinct(reader: &OptionReader, columns: &[&SpecialColumn]) -> Result<()> {
    let pairs = (1..).zip(columns).flat_map(|(next, first)| {
        let rest = columns.get(next..).unwrap_or_default();
        rest.iter().map(move |second| (*first, *second))
    });
    for (first, second) in pairs {
        if let Some(name) = first.name.as_ref().filter(|_| first.name == second.name) {
            let expected = format!("another column than that of \"{}\"", first.option);
            return Err(reader.bad_value(second.option, name, &expected));
        }
    }
    Ok(())
}
