//! How rows are written with a schema: a plan that is made once (here) and run for every batch
//! (`row_writer.rs`).
//!
//! A field that the rows do not have is written as its default; without one the schema is refused.
//! A union is written by the first branch that can hold the column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use crate::avro::default_value::default_bytes;
use crate::avro::reading::Factor;
use crate::avro::resolve::time_factor;
use crate::avro::schema::{AvroSchema, Meaning, RecordField, Shape, TypeId};

/// How the values of a column are written.
#[derive(Debug)]
pub(crate) struct Writing {
    /// The column, with those around it.
    pub(crate) path: String,
    /// The field's type, for messages.
    pub(crate) described: String,
    /// If the field is a union.
    pub(crate) branches: Option<Branches>,
    pub(crate) kind: WritingKind,
}

/// The branches of a union that are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branches {
    pub(crate) null: Option<i64>,
    pub(crate) value: i64,
}

/// How a value is written that is not NULL.
#[derive(Debug)]
pub(crate) enum WritingKind {
    Boolean,
    /// Of 32 bits.
    Int(Factor),
    Long(Factor),
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    /// The place of each symbol.
    Symbols(HashMap<String, i64>),
    /// Multiplied, with as many bytes as it takes or of this size.
    Decimal(i128, Option<usize>),
    Record(Vec<FieldWriting>),
    List(Box<Writing>),
    Map(Box<Writing>),
}

/// What is written for a field.
#[derive(Debug)]
pub(crate) enum FieldWriting {
    /// A column.
    Column(usize, Writing),
    /// The default.
    Constant(Vec<u8>),
}

/// Why rows cannot be written with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WritingProblem {
    /// The whole schema, described, is no record.
    NoRecord(String),
    /// A column has no field; with the fields that there are.
    NoField { column: String, fields: Vec<String> },
    /// A field, with the type, described, has neither a column nor a default.
    NoColumn { field: String, described: String },
    /// A column's type does not fit its field's, described.
    Type {
        column: String,
        given: DataType,
        described: String,
    },
}

/// Makes the plan for rows of these columns.
pub(crate) fn plan_writing(
    schema: &AvroSchema,
    columns: &Fields,
) -> Result<Vec<FieldWriting>, WritingProblem> {
    let root = schema.root();
    if schema.fields(root).is_none() {
        return Err(WritingProblem::NoRecord(schema.describe(root)));
    }
    record(schema, root, columns, "")
}

fn record(
    schema: &AvroSchema,
    id: TypeId,
    columns: &Fields,
    path: &str,
) -> Result<Vec<FieldWriting>, WritingProblem> {
    let fields = schema.fields(id).unwrap_or_default();
    let has_no_field = |column: &&Arc<Field>| !fields.iter().any(|f| f.name == *column.name());
    if let Some(column) = columns.iter().find(has_no_field) {
        return Err(WritingProblem::NoField {
            column: join(path, column.name()),
            fields: fields.iter().map(|field| field.name.clone()).collect(),
        });
    }
    let of_field = |field: &RecordField| {
        let path = join(path, &field.name);
        if let Some((place, column)) = columns.find(&field.name) {
            return value(schema, field.type_id, column.data_type(), &path)
                .map(|writing| FieldWriting::Column(place, writing));
        }
        let default = field.default.as_ref();
        let bytes = default.and_then(|json| default_bytes(schema, field.type_id, json));
        bytes
            .map(FieldWriting::Constant)
            .ok_or_else(|| WritingProblem::NoColumn {
                field: path,
                described: schema.describe(field.type_id),
            })
    };
    fields.iter().map(of_field).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

fn value(
    schema: &AvroSchema,
    id: TypeId,
    data_type: &DataType,
    path: &str,
) -> Result<Writing, WritingProblem> {
    if let Shape::Union(branches) = schema.shape(id) {
        let place = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        let is_null = |id: &TypeId| *schema.shape(*id) == Shape::Null;
        let null = branches.iter().position(is_null).map(place);
        let mut problem = None;
        for (at, branch) in branches.iter().enumerate() {
            if is_null(branch) && *data_type != DataType::Null {
                continue;
            }
            match value(schema, *branch, data_type, path) {
                Ok(writing) => {
                    let branches = Branches {
                        null,
                        value: place(at),
                    };
                    return Ok(Writing {
                        branches: Some(branches),
                        ..writing
                    });
                }
                Err(found) => problem = problem.or(Some(found)),
            }
        }
        return Err(problem.unwrap_or_else(|| mismatch(schema, id, data_type, path)));
    }
    let kind = match (schema.shape(id), data_type) {
        (Shape::Record(_), DataType::Struct(fields)) => {
            Some(WritingKind::Record(record(schema, id, fields, path)?))
        }
        (Shape::Array(item), DataType::List(element) | DataType::LargeList(element)) => {
            let item = value(schema, *item, element.data_type(), path)?;
            Some(WritingKind::List(Box::new(item)))
        }
        (Shape::Map(inner), DataType::Map(entries, _)) => match entry_types(entries.data_type()) {
            Some((key, data_type)) if is_text(key) => {
                let inner = value(schema, *inner, data_type, path)?;
                Some(WritingKind::Map(Box::new(inner)))
            }
            _ => None,
        },
        _ => scalar(schema, id, data_type),
    };
    let kind = kind.ok_or_else(|| mismatch(schema, id, data_type, path))?;
    Ok(Writing {
        path: path.to_string(),
        described: schema.describe(id),
        branches: None,
        kind,
    })
}

fn mismatch(schema: &AvroSchema, id: TypeId, data_type: &DataType, path: &str) -> WritingProblem {
    WritingProblem::Type {
        column: path.to_string(),
        given: data_type.clone(),
        described: schema.describe(id),
    }
}

fn entry_types(entries: &DataType) -> Option<(&DataType, &DataType)> {
    match entries {
        DataType::Struct(fields) => match fields.as_ref() {
            [key, value] => Some((key.data_type(), value.data_type())),
            _ => None,
        },
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
    )
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary
    )
}

/// Whether a type is a whole number that fits 32 bits.
fn is_small_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16
    )
}

fn scalar(schema: &AvroSchema, id: TypeId, data_type: &DataType) -> Option<WritingKind> {
    let found = schema.get(id);
    match (&found.shape, found.meaning, data_type) {
        (Shape::Boolean, _, DataType::Boolean) => Some(WritingKind::Boolean),
        (Shape::Int, Meaning::Date, DataType::Date32) => Some(WritingKind::Int(Factor::Same)),
        (Shape::Int, Meaning::Time(unit), DataType::Time32(of) | DataType::Time64(of)) => {
            Some(WritingKind::Int(time_factor(*of, unit)))
        }
        (Shape::Long, Meaning::Time(unit), DataType::Time32(of) | DataType::Time64(of)) => {
            Some(WritingKind::Long(time_factor(*of, unit)))
        }
        (Shape::Long, Meaning::Timestamp(unit), DataType::Timestamp(of, _)) => {
            Some(WritingKind::Long(time_factor(*of, unit)))
        }
        (Shape::Int, _, data_type) if is_small_integer(data_type) => {
            Some(WritingKind::Int(Factor::Same))
        }
        (Shape::Long, _, data_type) if data_type.is_integer() => {
            Some(WritingKind::Long(Factor::Same))
        }
        (Shape::Float, _, DataType::Float32) => Some(WritingKind::Float),
        (Shape::Double, _, DataType::Float32 | DataType::Float64) => Some(WritingKind::Double),
        (Shape::String, _, data_type) if is_text(data_type) => Some(WritingKind::Text),
        (Shape::Enum(symbols), _, data_type) if is_text(data_type) => {
            let names = symbols.names.iter().cloned();
            Some(WritingKind::Symbols(names.zip(0..).collect()))
        }
        (Shape::Bytes, meaning, DataType::Decimal128(..)) => {
            Some(WritingKind::Decimal(multiplier(meaning, data_type)?, None))
        }
        (Shape::Fixed(size), meaning, DataType::Decimal128(..)) => Some(WritingKind::Decimal(
            multiplier(meaning, data_type)?,
            Some(*size),
        )),
        (Shape::Bytes, _, data_type) if is_bytes(data_type) => Some(WritingKind::Bytes),
        (Shape::Fixed(size), _, data_type) if is_bytes(data_type) => {
            Some(WritingKind::Fixed(*size))
        }
        _ => None,
    }
}

/// What a decimal is multiplied with so that it has the digits of its field; `None` if it could
/// lose some.
fn multiplier(meaning: Meaning, data_type: &DataType) -> Option<i128> {
    let (Meaning::Decimal { precision, scale }, DataType::Decimal128(given, given_scale)) =
        (meaning, data_type)
    else {
        return None;
    };
    let more = u32::try_from(i32::from(scale) - i32::from(*given_scale)).ok()?;
    let has_room = u32::from(precision) >= u32::from(*given) + more;
    has_room.then(|| 10_i128.checked_pow(more)).flatten()
}
