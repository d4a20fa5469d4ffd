//! The columns that a schema's records fill: the way from an Avro schema to SQL types, where a user
//! declares none. [`resolve`](crate::avro::resolve) reads into them.
//!
//! | Avro | column |
//! | --- | --- |
//! | boolean, int, long, float, double | BOOLEAN, INT, BIGINT, FLOAT, DOUBLE |
//! | string, enum, uuid | VARCHAR |
//! | bytes, fixed | BINARY |
//! | decimal, date, time, timestamp | DECIMAL, DATE, TIME, TIMESTAMP in their unit |
//! | record, array, map | STRUCT, ARRAY, MAP with VARCHAR keys |
//! | union of null and a type | the type |
//!
//! Every column may be NULL, whatever the schema says: a payload that cannot be read is.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use headwater_core::{Error, Result};

use crate::avro::parser::parse_given_schema;
use crate::avro::schema::{AvroSchema, AvroType, Meaning, Shape, TypeId};

/// The columns of the records of a schema, whose text is JSON; `owner` says whose it is, for
/// messages.
///
/// # Errors
/// If the text is no schema, the schema is no record, or something in it has no SQL type.
pub fn columns_of_schema(text: &str, owner: &str) -> Result<Fields> {
    let schema = parse_given_schema(text).map_err(|flaw| {
        Error::configuration(format!("the schema of {owner} is no Avro schema"))
            .with_detail(flaw.0)
            .with_hint(
                "It is written as JSON: '{\"type\": \"record\", \"name\": …, \"fields\": …}'.",
            )
    })?;
    if schema.fields(schema.root()).is_none() {
        return Err(Error::configuration(format!(
            "the schema of {owner} is {}, not a record",
            schema.describe(schema.root())
        ))
        .with_hint("The fields of a record are those of the STRUCT."));
    }
    let mut walk = Walk {
        schema: &schema,
        around: Vec::new(),
        fields: 0,
    };
    walk.record(schema.root(), "").map_err(|problem| {
        Error::unsupported(format!(
            "field \"{}\" of the schema of {owner} is {}, for which there is no SQL type",
            problem.path, problem.found
        ))
        .with_hint("Declare a source with FORMAT AVRO and the columns that are wanted.")
    })
}

/// Fields at most, with those inside: a named type that is used twice in each of thirty records
/// around it has a billion.
const MOST_FIELDS: usize = 10_000;

/// A field without a column.
struct NoColumn {
    path: String,
    found: String,
}

struct Walk<'a> {
    schema: &'a AvroSchema,
    /// The records that are being walked through: one that holds itself has no end.
    around: Vec<TypeId>,
    fields: usize,
}

impl Walk<'_> {
    fn record(&mut self, id: TypeId, path: &str) -> Result<Fields, NoColumn> {
        if self.around.contains(&id) {
            return Err(NoColumn {
                path: path.to_string(),
                found: "a record that holds itself".to_string(),
            });
        }
        self.around.push(id);
        let fields = self.schema.fields(id).unwrap_or_default();
        let fields = fields.iter().map(|field| {
            let path = match path {
                "" => field.name.clone(),
                path => format!("{path}.{}", field.name),
            };
            let data_type = self.data_type(field.type_id, &path)?;
            Ok(Field::new(&field.name, data_type, true))
        });
        let fields = fields.collect::<Result<Fields, NoColumn>>();
        self.around.pop();
        fields
    }

    fn data_type(&mut self, id: TypeId, path: &str) -> Result<DataType, NoColumn> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            return Err(NoColumn {
                path: path.to_string(),
                found: format!("one of more than {MOST_FIELDS} fields"),
            });
        }
        let AvroType { shape, meaning } = self.schema.get(id);
        Ok(match shape {
            Shape::Record(_) => DataType::Struct(self.record(id, path)?),
            Shape::Array(item) => {
                let item = self.data_type(*item, path)?;
                DataType::List(Arc::new(Field::new_list_field(item, true)))
            }
            Shape::Map(value) => map_of(self.data_type(*value, path)?),
            Shape::Union(branches) => {
                let is_value = |id: &&TypeId| *self.schema.shape(**id) != Shape::Null;
                let mut values = branches.iter().filter(is_value);
                match (values.next(), values.next()) {
                    (Some(value), None) => self.data_type(*value, path)?,
                    _ => return Err(self.no_column(id, path)),
                }
            }
            shape => match scalar(shape, *meaning) {
                Some(data_type) => data_type,
                None => return Err(self.no_column(id, path)),
            },
        })
    }

    fn no_column(&self, id: TypeId, path: &str) -> NoColumn {
        NoColumn {
            path: path.to_string(),
            found: self.schema.describe(id),
        }
    }
}

/// The type of values without values inside.
fn scalar(shape: &Shape, meaning: Meaning) -> Option<DataType> {
    Some(match (shape, meaning) {
        (_, Meaning::Decimal { precision, scale }) => DataType::Decimal128(precision, scale),
        (_, Meaning::Date) => DataType::Date32,
        (_, Meaning::Time(TimeUnit::Millisecond)) => DataType::Time32(TimeUnit::Millisecond),
        (_, Meaning::Time(unit)) => DataType::Time64(unit),
        (_, Meaning::Timestamp(unit)) => DataType::Timestamp(unit, None),
        (_, Meaning::ZonedTimestamp) => DataType::Timestamp(TimeUnit::Microsecond, None),
        (_, Meaning::Uuid) => DataType::Utf8View,
        (Shape::Boolean, Meaning::Plain) => DataType::Boolean,
        (Shape::Int, Meaning::Plain) => DataType::Int32,
        (Shape::Long, Meaning::Plain) => DataType::Int64,
        (Shape::Float, Meaning::Plain) => DataType::Float32,
        (Shape::Double, Meaning::Plain) => DataType::Float64,
        (Shape::String | Shape::Enum(_), Meaning::Plain) => DataType::Utf8View,
        (Shape::Bytes | Shape::Fixed(_), Meaning::Plain) => DataType::Binary,
        (
            Shape::Null | Shape::Array(_) | Shape::Map(_) | Shape::Record(_) | Shape::Union(_),
            Meaning::Plain,
        ) => return None,
    })
}

/// The type of maps of text to a type. The keys are not views: a literal that looks one up is none.
pub(crate) fn map_of(value: DataType) -> DataType {
    let fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ];
    let entries = Field::new_struct("entries", fields, false);
    DataType::Map(Arc::new(entries), false)
}
