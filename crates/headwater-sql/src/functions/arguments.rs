//! The arguments of a call: which are constant, and what is said of one that is wrong.
//!
//! A function takes whatever types there are and looks at them itself, because DataFusion says of
//! a type that a signature does not have nothing but that. Options stand at the end in pairs of
//! texts: `from_csv(line, 'a INT, b INT', 'delimiter', ';')`.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;
use headwater_core::options::Options;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};
use headwater_formats::holds_payloads;

/// A signature that leaves it to the function what is wrong.
pub(super) fn any_arguments() -> Signature {
    let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
    Signature::one_of(any, Volatility::Immutable)
}

/// The arguments of a call that is being planned.
pub(super) struct Arguments<'a> {
    function: &'static str,
    /// How the function is called, for hints.
    usage: &'static str,
    fields: &'a [FieldRef],
    constants: Vec<Option<&'a ScalarValue>>,
}

impl<'a> Arguments<'a> {
    /// Those of a call of a function.
    pub(super) fn of(
        function: &'static str,
        usage: &'static str,
        planned: &ReturnFieldArgs<'a>,
    ) -> Self {
        Arguments {
            function,
            usage,
            fields: planned.arg_fields,
            constants: planned.scalar_arguments.to_vec(),
        }
    }

    /// Refuses another number of arguments, options not counted.
    ///
    /// # Errors
    /// If there are fewer, or more and no options.
    pub(super) fn expect_count(&self, expected: usize, has_options: bool) -> Result<()> {
        let found = self.fields.len();
        if found == expected || (has_options && found > expected) {
            return Ok(());
        }
        let wanted = match expected {
            1 => "1 argument".to_string(),
            expected => format!("{expected} arguments"),
        };
        let found = match found {
            1 => "1 is".to_string(),
            found => format!("{found} are"),
        };
        Err(Error::plan(format!(
            "{}() takes {wanted}, and {found} given",
            self.function
        ))
        .with_hint(format!("Write {}.", self.usage)))
    }

    /// The type of an argument.
    pub(super) fn data_type(&self, at: usize) -> &'a DataType {
        self.fields
            .get(at)
            .map_or(&DataType::Null, |f| f.data_type())
    }

    /// Refuses a first argument that is neither text nor bytes.
    ///
    /// # Errors
    /// If it is.
    pub(super) fn expect_payloads(&self) -> Result<()> {
        let data_type = self.data_type(0);
        if holds_payloads(data_type) {
            return Ok(());
        }
        Err(Error::plan(format!(
            "{}() reads text or bytes, and its first argument is {}",
            self.function,
            a_type_name(data_type)
        ))
        .with_hint(format!(
            "Write {}, with a column that is VARCHAR or BINARY.",
            self.usage
        )))
    }

    /// The text of a constant argument; `what` says which it is.
    ///
    /// # Errors
    /// If it is no constant text.
    pub(super) fn constant(&self, at: usize, what: &str) -> Result<&'a str> {
        let constant = self.constants.get(at).copied().flatten();
        let text = constant.and_then(|value| value.try_as_str().flatten());
        text.ok_or_else(|| {
            let found = match constant {
                None => "is computed".to_string(),
                Some(value) if value.is_null() => "is NULL".to_string(),
                Some(value) => format!("is {}", a_type_name(&value.data_type())),
            };
            Error::plan(format!(
                "{what} of {}() must be a text in quotes, and it {found}",
                self.function
            ))
            .with_detail("The type of the result is known before there are rows.")
            .with_hint(format!("Write {}.", self.usage))
        })
    }

    /// The options after `start` arguments.
    ///
    /// # Errors
    /// If they are no pairs of texts.
    pub(super) fn options(&self, start: usize) -> Result<Options> {
        let mut options = Options::new();
        for at in (start..self.fields.len()).step_by(2) {
            let key = self.constant(at, "an option")?;
            if at + 1 == self.fields.len() {
                return Err(Error::plan(format!(
                    "option \"{key}\" of {}() has no value",
                    self.function
                ))
                .with_hint(format!("Options come in pairs: {}.", self.usage)));
            }
            let value = self.constant(at + 1, "the value of an option")?;
            if options.set(key, value).is_some() {
                return Err(Error::plan(format!(
                    "option \"{key}\" of {}() is given twice",
                    self.function
                ))
                .with_hint("Keep one of them."));
            }
        }
        Ok(options)
    }
}

/// A text argument of a call that runs, which planning has checked.
///
/// # Errors
/// Only for a bug: if it is none.
pub(super) fn text_at(arguments: &[ColumnarValue], at: usize) -> Result<&str> {
    let text = match arguments.get(at) {
        Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten(),
        _ => None,
    };
    text.ok_or_else(|| Error::internal("a constant argument of a function is none"))
}

/// The options after `start` arguments of a call that runs.
///
/// # Errors
/// Only for a bug: if planning has not checked them.
pub(super) fn options_at(arguments: &[ColumnarValue], start: usize) -> Result<Options> {
    let mut options = Options::new();
    for at in (start..arguments.len()).step_by(2) {
        options.set(text_at(arguments, at)?, text_at(arguments, at + 1)?);
    }
    Ok(options)
}
