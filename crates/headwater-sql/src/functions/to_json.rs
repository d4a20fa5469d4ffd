//! `to_json(value)`: the JSON text of a value of any type.
//!
//! Input: a value; options of the format JSON in pairs.
//! Output: VARCHAR, in the forms that the JSON of a sink has: NULL inside is `null`. The text of NULL
//! is NULL.
//! Errors: only while planning, of a type that JSON has no form for.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as DataFusionResult, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;
use headwater_core::Error;
use headwater_formats::JsonWriter;

use super::arguments::{Arguments, any_arguments, options_at};

const NAME: &str = "to_json";
/// How messages name whose options they are.
const OWNER: &str = "to_json()";
const USAGE: &str = "to_json(value[, 'option', 'value', …])";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToJsonUdf {
    signature: Signature,
}

impl ToJsonUdf {
    pub(super) fn new() -> Self {
        ToJsonUdf {
            signature: any_arguments(),
        }
    }
}

impl ScalarUDFImpl for ToJsonUdf {
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
        arguments.expect_count(1, true)?;
        // What JSON cannot hold is refused with the query.
        let data_type = arguments.data_type(0);
        JsonWriter::try_new(&arguments.options(1)?, OWNER, data_type).map_err(
            |e| match data_type {
                DataType::Union(..) => Error::plan("to_json() writes no value that -> gives")
                    .with_hint("Write json_get_json(text, 'key'), which is JSON text already."),
                _ => e,
            },
        )?;
        Ok(Arc::new(Field::new(NAME, DataType::Utf8View, true)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Some(values) = call.args.first() else {
            return internal_err!("{NAME}() has no arguments");
        };
        let options = options_at(&call.args, 1)?;
        let writer = JsonWriter::try_new(&options, OWNER, &values.data_type())?;
        match values {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(writer.write(values)?)),
            ColumnarValue::Scalar(value) => {
                let text = writer.write(&value.to_array()?)?;
                let text = ScalarValue::try_from_array(&text, 0)?;
                Ok(ColumnarValue::Scalar(text))
            }
        }
    }
}
