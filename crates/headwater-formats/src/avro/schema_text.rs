//! The Avro schema of rows whose sink was given none: what is registered for them.
//!
//! A column that may be NULL is a union with `null` first and default `null`, so that the schema may
//! lose and gain such columns later and stay compatible. TIMESTAMP means UTC, so it is
//! `timestamp-*` and not `local-timestamp-*`.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value as Json, json};

/// The name of the outermost record.
const ROW: &str = "row";

/// Why rows have no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSchema {
    /// A column's name is no name in Avro.
    Name(String),
    /// Avro has no type for a column.
    Type(String, DataType),
}

/// The text of a schema for rows of these columns.
pub(crate) fn schema_text(columns: &Fields) -> Result<String, NoSchema> {
    Ok(record(columns, ROW)?.to_string())
}

/// Records inside are named by the way to them, because no two types may have one name.
fn record(columns: &Fields, name: &str) -> Result<Json, NoSchema> {
    let fields = columns.iter().map(|column| field(column, name));
    let fields = fields.collect::<Result<Vec<Json>, NoSchema>>()?;
    Ok(json!({ "type": "record", "name": name, "fields": fields }))
}

fn field(column: &Field, around: &str) -> Result<Json, NoSchema> {
    let name = column.name();
    if !is_field_name(name) {
        return Err(NoSchema::Name(name.clone()));
    }
    let avro_type = value(column, &format!("{around}_{name}"))?;
    Ok(if column.is_nullable() {
        json!({ "name": name, "type": ["null", avro_type], "default": null })
    } else {
        json!({ "name": name, "type": avro_type })
    })
}

/// Whether a column's name may be one of a field, in Avro as in Protobuf.
pub(crate) fn is_field_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let mut characters = name.chars();
    characters.next().is_some_and(is_first) && characters.all(|c| is_first(c) || c.is_ascii_digit())
}

/// The type of values that are not NULL.
fn value(column: &Field, path: &str) -> Result<Json, NoSchema> {
    let logical =
        |avro_type: &str, logical: &str| json!({ "type": avro_type, "logicalType": logical });
    Ok(match column.data_type() {
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            json!("int")
        }
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => json!("string"),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => json!("bytes"),
        DataType::Date32 => logical("int", "date"),
        DataType::Time32(_) => logical("int", "time-millis"),
        DataType::Time64(_) => logical("long", "time-micros"),
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => {
            logical("long", "timestamp-millis")
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => logical("long", "timestamp-micros"),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => logical("long", "timestamp-nanos"),
        DataType::Decimal128(precision, scale) if *scale >= 0 => json!({
            "type": "bytes",
            "logicalType": "decimal",
            "precision": precision,
            "scale": scale,
        }),
        DataType::Struct(fields) => record(fields, path)?,
        DataType::List(element) | DataType::LargeList(element) => {
            json!({ "type": "array", "items": inner(element, path)? })
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.as_ref() {
                [_, of_value] => json!({ "type": "map", "values": inner(of_value, path)? }),
                _ => return Err(no_type(column)),
            },
            _ => return Err(no_type(column)),
        },
        _ => return Err(no_type(column)),
    })
}

fn inner(field: &Field, path: &str) -> Result<Json, NoSchema> {
    let avro_type = value(field, path)?;
    Ok(if field.is_nullable() {
        json!(["null", avro_type])
    } else {
        avro_type
    })
}

fn no_type(column: &Field) -> NoSchema {
    NoSchema::Type(column.name().clone(), column.data_type().clone())
}
