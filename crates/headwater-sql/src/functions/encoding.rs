//! `decode(bytes, 'utf-8')` and `encode(text, 'utf-8')`, as in Spark, beside the encodings of
//! DataFusion's functions of these names: `hex`, `base64` and `base64pad`.
//!
//! | call | gives | of what cannot be read |
//! | --- | --- | --- |
//! | `decode(bytes, 'utf-8')` | VARCHAR | NULL |
//! | `encode(text, 'utf-8')` | BINARY | |
//! | `decode(text, 'hex')`, `'base64'` | BINARY | the query fails |
//! | `encode(bytes, 'hex')`, `'base64'` | VARCHAR | |

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result as DataFusionResult, internal_err};
use datafusion::functions::encoding::{decode, encode};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;
use headwater_core::options::nearest;
use headwater_core::{Error, Result};
use headwater_formats::{PayloadReader, as_payloads};

use super::arguments::{Arguments, any_arguments, text_at};

/// Encodings that DataFusion has.
const OF_DATAFUSION: [&str; 3] = ["hex", "base64", "base64pad"];

/// One of the two functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct EncodingUdf {
    direction: Direction,
    signature: Signature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    Decode,
    Encode,
}

/// An encoding by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Encoding {
    Utf8,
    /// One that DataFusion's functions have, under the name they have for it.
    OfDataFusion(&'static str),
}

impl Direction {
    fn function(self) -> &'static str {
        match self {
            Direction::Decode => "decode",
            Direction::Encode => "encode",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Direction::Decode => "decode(bytes, 'utf-8')",
            Direction::Encode => "encode(text, 'utf-8')",
        }
    }

    /// DataFusion's function.
    fn of_datafusion(self) -> Arc<ScalarUDF> {
        match self {
            Direction::Decode => decode(),
            Direction::Encode => encode(),
        }
    }

    fn result_type(self, encoding: &Encoding) -> DataType {
        match (self, encoding) {
            (Direction::Decode, Encoding::Utf8) => DataType::Utf8View,
            (Direction::Encode, Encoding::OfDataFusion(_)) => DataType::Utf8,
            (Direction::Encode, Encoding::Utf8)
            | (Direction::Decode, Encoding::OfDataFusion(_)) => DataType::Binary,
        }
    }
}

impl Encoding {
    /// The encoding of a name, in any case.
    fn named(name: &str, function: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase();
        if matches!(wanted.as_str(), "utf-8" | "utf8") {
            return Ok(Encoding::Utf8);
        }
        if let Some(known) = OF_DATAFUSION.into_iter().find(|known| *known == wanted) {
            return Ok(Encoding::OfDataFusion(known));
        }
        let all = ["utf-8"].into_iter().chain(OF_DATAFUSION);
        let error = Error::plan(format!(
            "{function}() does not know the encoding \"{name}\""
        ));
        let known = "The encodings are utf-8, hex, base64 and base64pad.";
        Err(match nearest(&wanted, all) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"? {known}")),
            None => error.with_hint(known),
        })
    }
}

impl EncodingUdf {
    /// Both.
    pub(super) fn all() -> impl Iterator<Item = EncodingUdf> {
        let both = [Direction::Decode, Direction::Encode];
        both.into_iter().map(|direction| EncodingUdf {
            direction,
            signature: any_arguments(),
        })
    }

    fn result_type(&self, arguments: &Arguments<'_>) -> Result<DataType> {
        arguments.expect_count(2, false)?;
        arguments.expect_payloads()?;
        let name = arguments.constant(1, "the encoding")?;
        let encoding = Encoding::named(name, self.direction.function())?;
        Ok(self.direction.result_type(&encoding))
    }
}

impl ScalarUDFImpl for EncodingUdf {
    fn name(&self) -> &str {
        self.direction.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        internal_err!("the type of {}() depends on the encoding", self.name())
    }

    fn return_field_from_args(&self, planned: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let direction = self.direction;
        let arguments = Arguments::of(direction.function(), direction.usage(), &planned);
        let data_type = self.result_type(&arguments)?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let encoding = Encoding::named(text_at(&call.args, 1)?, self.name())?;
        let Some(values) = call.args.first() else {
            return internal_err!("{}() has no arguments", self.name());
        };
        let is_scalar = matches!(values, ColumnarValue::Scalar(_));
        let rows = if is_scalar { 1 } else { call.number_rows };
        let bytes = as_payloads(&values.to_array(rows)?)?;
        let bytes: ArrayRef = Arc::new(bytes);
        let result = match (encoding, self.direction) {
            (Encoding::Utf8, Direction::Encode) => bytes,
            (Encoding::Utf8, Direction::Decode) => {
                PayloadReader::of_texts("decode()")?.read(&bytes)?
            }
            (Encoding::OfDataFusion(name), direction) => {
                let name = ScalarValue::Utf8(Some(name.to_string()));
                let call = ScalarFunctionArgs {
                    args: vec![ColumnarValue::Array(bytes), ColumnarValue::Scalar(name)],
                    ..call
                };
                direction
                    .of_datafusion()
                    .invoke_with_args(call)?
                    .to_array(rows)?
            }
        };
        match is_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &result, 0,
            )?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}
