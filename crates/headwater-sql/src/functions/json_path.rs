//! Spark's `get_json_object(text, '$.a.b[0]')`: what `json_as_text(text, 'a', 'b', 0)` gives.
//!
//! Input: a text, and a path of names and places: `$`, `.name`, `['name']`, `[0]`.
//! Output: VARCHAR: a string without its quotes, anything else as its JSON. NULL where there is nothing,
//! where there is `null`, and of a text that is not JSON up to there.
//! Errors: only while planning. Spark's `*` is refused: it has several answers.

use std::sync::Arc;

use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;
use datafusion_functions_json::udfs::json_as_text_udf;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use super::arguments::{Arguments, any_arguments, text_at};

const NAME: &str = "get_json_object";
const USAGE: &str = "get_json_object(text, '$.name[0]')";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonPathUdf {
    signature: Signature,
}

impl JsonPathUdf {
    pub(super) fn new() -> Self {
        JsonPathUdf {
            signature: any_arguments(),
        }
    }
}

impl ScalarUDFImpl for JsonPathUdf {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, planned: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let arguments = Arguments::of(NAME, USAGE, &planned);
        arguments.expect_count(2, false)?;
        let data_type = arguments.data_type(0);
        if !is_text(data_type) {
            return Err(Error::plan(format!(
                "{NAME}() reads text, and its first argument is {}",
                a_type_name(data_type)
            ))
            .with_hint(hint_for(data_type))
            .into());
        }
        steps(arguments.constant(1, "the path")?)?;
        Ok(Arc::new(Field::new(NAME, DataType::Utf8View, true)))
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let steps = steps(text_at(&call.args, 1)?)?;
        call.args.truncate(1);
        call.arg_fields.truncate(1);
        for step in steps {
            call.arg_fields
                .push(Arc::new(Field::new("step", step.data_type(), false)));
            call.args.push(ColumnarValue::Scalar(step));
        }
        call.return_field = Arc::new(Field::new(NAME, DataType::Utf8, true));
        match json_as_text_udf().invoke_with_args(call)? {
            ColumnarValue::Array(texts) => {
                Ok(ColumnarValue::Array(cast(&texts, &DataType::Utf8View)?))
            }
            ColumnarValue::Scalar(text) => {
                Ok(ColumnarValue::Scalar(text.cast_to(&DataType::Utf8View)?))
            }
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn hint_for(data_type: &DataType) -> String {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            "Write decode(column, 'utf-8') in its place.".to_string()
        }
        DataType::Struct(_) => "Write column['field'].".to_string(),
        _ => format!("Write {USAGE}."),
    }
}

/// The names and places of a path.
///
/// # Errors
/// If it is no path.
fn steps(path: &str) -> Result<Vec<ScalarValue>> {
    let wrong = |rest: &str| {
        let at = path.chars().count() - rest.chars().count() + 1;
        Error::plan(format!(
            "the path of {NAME}() is not valid at character {at}"
        ))
        .with_detail(format!("The path is \"{path}\"."))
        .with_hint("Write names and places after a $: '$.orders[0].price', '$[''a b'']'.")
    };
    let mut rest = path.strip_prefix('$').ok_or_else(|| wrong(path))?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(named) => name(named),
            None => in_brackets(rest),
        }
        .ok_or_else(|| wrong(rest))?;
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

/// A name up to the next step.
fn name(text: &str) -> Option<(ScalarValue, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let is_name = !name.is_empty() && name != "*";
    is_name.then(|| (ScalarValue::from(name), rest))
}

/// `[0]` or `['name']`.
fn in_brackets(text: &str) -> Option<(ScalarValue, &str)> {
    let inner = text.strip_prefix('[')?;
    if let Some(quoted) = inner.strip_prefix('\'') {
        let (name, rest) = quoted.split_once("']")?;
        return Some((ScalarValue::from(name), rest));
    }
    let (place, rest) = inner.split_once(']')?;
    let place: u32 = place.trim().parse().ok()?;
    Some((ScalarValue::Int64(Some(place.into())), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_and_places() {
        let cases = [
            ("$", ""),
            ("$.a", "a"),
            ("$.a.b[0]", "a b 0"),
            ("$[2]['c d'].e", "2 c d e"),
        ];
        for (path, expected) in cases {
            let steps = steps(path).unwrap();
            let steps: Vec<_> = steps.iter().map(ToString::to_string).collect();
            assert_eq!(steps.join(" "), expected, "{path}");
        }
        for path in [
            "", "a", "$a", "$.", "$..a", "$.a[", "$.a[x]", "$.*", "$[*]", "$[-1]",
        ] {
            assert!(steps(path).is_err(), "{path}");
        }
    }
}
