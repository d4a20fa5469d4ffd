//! `from_json(text, 'columns')`, `from_csv`, `from_avro` and `parse_influx`: payloads to STRUCTs.
//!
//! Input: a column of text or bytes; the columns as CREATE SOURCE declares them, or an Avro schema;
//! options of the format in pairs.
//! Output: a STRUCT of the columns, or with `from_json` an ARRAY. It is NULL for a payload that is
//! NULL or malformed, or in which a value does not fit its column.
//! Errors: only while planning.
//! Source: Spark's functions of these names, whose `from_json` keeps the other fields of a record
//! with a wrong one. Here a record is right or it is not, as with the same format in a source.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result as DataFusionResult, internal_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;
use headwater_core::Result;
use headwater_core::format::FormatSpec;
use headwater_core::options::Options;
use headwater_formats::{PayloadReader, columns_of_schema};

use super::arguments::{Arguments, any_arguments, options_at, text_at};
use super::schema_text::read_schema;

/// One of the functions.
pub(super) struct FromPayloadUdf {
    reads: Reads,
    signature: Signature,
    /// What knows the types of SQL.
    types: Arc<SessionState>,
}

/// What a function reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reads {
    Json,
    Csv,
    Avro,
    Influx,
}

impl Reads {
    fn function(self) -> &'static str {
        match self {
            Reads::Json => "from_json",
            Reads::Csv => "from_csv",
            Reads::Avro => "from_avro",
            Reads::Influx => "parse_influx",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Reads::Json => "from_json(text, 'a INT, b ARRAY<DOUBLE>'[, 'option', 'value', …])",
            Reads::Csv => "from_csv(text, 'a INT, b DOUBLE'[, 'option', 'value', …])",
            Reads::Avro => "from_avro(bytes, '{\"type\": \"record\", …}')",
            Reads::Influx => {
                "parse_influx(text, 'measurement VARCHAR, time TIMESTAMP, a DOUBLE'[, 'option', \
                 'value', …])"
            }
        }
    }

    /// How messages name whose columns and options they are.
    fn owner(self) -> String {
        format!("{}()", self.function())
    }

    /// The reader of payloads as values of a type.
    fn reader(self, data_type: &DataType, schema: &str, options: Options) -> Result<PayloadReader> {
        let owner = self.owner();
        let DataType::Struct(columns) = data_type else {
            return PayloadReader::of_json_values(&options, &owner, data_type);
        };
        let (name, options) = match self {
            Reads::Json => ("json", options),
            Reads::Csv => ("csv", options),
            Reads::Influx => ("influx", options),
            Reads::Avro => ("avro", Options::from_iter([("schema", schema)])),
        };
        let spec = FormatSpec {
            options,
            ..FormatSpec::named(name)
        };
        PayloadReader::of_structs(&spec, &owner, columns)
    }
}

impl FromPayloadUdf {
    /// All of them; `types` knows the types of SQL.
    pub(super) fn all(types: &Arc<SessionState>) -> impl Iterator<Item = FromPayloadUdf> {
        let all = [Reads::Json, Reads::Csv, Reads::Avro, Reads::Influx];
        all.into_iter().map(|reads| FromPayloadUdf {
            reads,
            signature: any_arguments(),
            types: Arc::clone(types),
        })
    }

    /// The type of the result of a call, whose arguments are checked.
    fn result_type(&self, arguments: &Arguments<'_>) -> Result<DataType> {
        let reads = self.reads;
        arguments.expect_count(2, reads != Reads::Avro)?;
        arguments.expect_payloads()?;
        let schema = arguments.constant(1, "the schema")?;
        let options = arguments.options(2)?;
        let columns = |columns: Fields| DataType::Struct(columns);
        let data_type = match reads {
            Reads::Avro => columns(columns_of_schema(schema, &reads.owner())?),
            Reads::Json => read_schema(schema, &reads.owner(), &self.types)?.into_any_type()?,
            Reads::Csv | Reads::Influx => {
                columns(read_schema(schema, &reads.owner(), &self.types)?.into_columns()?)
            }
        };
        // What the format cannot hold is refused with the query.
        reads.reader(&data_type, schema, options)?;
        Ok(data_type)
    }
}

impl fmt::Debug for FromPayloadUdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromPayloadUdf").field(&self.reads).finish()
    }
}

impl PartialEq for FromPayloadUdf {
    fn eq(&self, other: &Self) -> bool {
        self.reads == other.reads
    }
}

impl Eq for FromPayloadUdf {}

impl Hash for FromPayloadUdf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reads.hash(state);
    }
}

impl ScalarUDFImpl for FromPayloadUdf {
    fn name(&self) -> &str {
        self.reads.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        internal_err!("the type of {}() depends on its schema", self.name())
    }

    fn return_field_from_args(&self, planned: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let reads = self.reads;
        let arguments = Arguments::of(reads.function(), reads.usage(), &planned);
        let data_type = self.result_type(&arguments)?;
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Some(payloads) = call.args.first() else {
            return internal_err!("{}() has no arguments", self.name());
        };
        let schema = text_at(&call.args, 1)?;
        let options = options_at(&call.args, 2)?;
        let data_type = call.return_field.data_type();
        let mut reader = self.reads.reader(data_type, schema, options)?;
        match payloads {
            ColumnarValue::Array(payloads) => Ok(ColumnarValue::Array(reader.read(payloads)?)),
            ColumnarValue::Scalar(payload) => {
                let value = reader.read(&payload.to_array()?)?;
                debug_assert_eq!(value.len(), 1);
                let value = ScalarValue::try_from_array(&value, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
        }
    }
}
