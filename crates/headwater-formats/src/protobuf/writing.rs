//! How rows are written as messages of a type: a plan that is made once (here) and run for every
//! batch (`row_writer.rs`).
//!
//! A field that the rows do not have is left out, which is its default to who reads it.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Fields};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::protobuf::describe::describe;
use crate::protobuf::message_plan::{JsonKind, Number};
use crate::protobuf::resolve::{
    WellKnown, field_names, find_field, join, number, well_known, wire_of,
};
use crate::protobuf::wire::WireType;
use crate::protobuf::wire_writing::write_varint;
use crate::time::per_second;

/// How the values of a column are written.
#[derive(Debug)]
pub(crate) struct FieldWriting {
    /// The place of the column.
    pub(crate) column: usize,
    /// The column, with those around it.
    pub(crate) path: String,
    /// The field's type, for messages.
    pub(crate) described: String,
    /// What stands before every value.
    pub(crate) tag: Vec<u8>,
    pub(crate) presence: Presence,
    pub(crate) shape: WritingShape,
    pub(crate) kind: WritingKind,
}

/// What becomes of NULL and of the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Both are left out.
    Implicit,
    /// NULL is left out.
    Explicit,
    /// There is no NULL.
    Required,
}

/// How many values a field has.
#[derive(Debug)]
pub(crate) enum WritingShape {
    Single,
    /// With the tag before each.
    List,
    /// Numbers side by side.
    Packed,
    /// Entries of a key and a value, from a MAP.
    Map(Box<[FieldWriting; 2]>),
}

/// How a value is written that is not NULL.
#[derive(Debug)]
pub(crate) enum WritingKind {
    Number(WireType, Number),
    /// The number of a name.
    Enum(HashMap<String, i32>),
    Text,
    Bytes,
    Message(Vec<FieldWriting>),
    /// With the tag of its end.
    Group(Vec<FieldWriting>, Vec<u8>),
    /// A message with the value as its one field.
    Wrapper(Box<FieldWriting>),
    /// Of so many units a second.
    Timestamp(i64),
    /// From microseconds.
    Duration,
    Json(JsonKind),
}

/// Why rows cannot be written as messages of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WritingProblem {
    /// A column has no field; with the fields that there are.
    NoField { column: String, fields: Vec<String> },
    /// A field that must be there has no column.
    NoColumn { field: String, described: String },
    /// A column's type does not fit its field's, described.
    Type {
        column: String,
        given: DataType,
        described: String,
    },
}

/// Makes the plan for rows of these columns; fields are written in the order of their numbers.
pub(crate) fn plan_writing(
    message: &MessageDescriptor,
    columns: &Fields,
    path: &str,
) -> Result<Vec<FieldWriting>, WritingProblem> {
    let mut taken: HashMap<u32, usize> = HashMap::new();
    for (place, column) in columns.iter().enumerate() {
        let field = find_field(message, column.name());
        let is_new = field.is_some_and(|f| taken.insert(f.number(), place).is_none());
        if !is_new {
            return Err(WritingProblem::NoField {
                column: join(path, column.name()),
                fields: field_names(message),
            });
        }
    }
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let mut plan = Vec::with_capacity(columns.len());
    for field in &fields {
        let place = taken.get(&field.number()).copied();
        match place.and_then(|place| Some((place, columns.get(place)?))) {
            Some((place, column)) => {
                let path = join(path, column.name());
                plan.push(plan_field(field, place, column.data_type(), &path)?);
            }
            None if field.is_required() => {
                return Err(WritingProblem::NoColumn {
                    field: join(path, field.name()),
                    described: describe(field),
                });
            }
            None => {}
        }
    }
    Ok(plan)
}

fn plan_field(
    field: &FieldDescriptor,
    column: usize,
    data_type: &DataType,
    path: &str,
) -> Result<FieldWriting, WritingProblem> {
    let mismatch = || WritingProblem::Type {
        column: path.to_string(),
        given: data_type.clone(),
        described: describe(field),
    };
    let (shape, of_value) = match data_type {
        DataType::Map(entries, _) if field.is_map() => {
            let shape = map_shape(field, entries.data_type(), path)?;
            (shape.ok_or_else(mismatch)?, data_type)
        }
        DataType::List(element) | DataType::LargeList(element) if field.is_packed() => {
            (WritingShape::Packed, element.data_type())
        }
        DataType::List(element) | DataType::LargeList(element)
            if field.is_list() || field.is_map() =>
        {
            (WritingShape::List, element.data_type())
        }
        _ if field.is_list() || field.is_map() => return Err(mismatch()),
        _ => (WritingShape::Single, data_type),
    };
    let is_of_entry = field.parent_message().is_map_entry();
    let kind = match &shape {
        // Its entries are written by the plans of their parts.
        WritingShape::Map(_) => Some(WritingKind::Bytes),
        _ => value(field, of_value, path)?,
    };
    Ok(FieldWriting {
        column,
        path: path.to_string(),
        described: describe(field),
        tag: tag(field.number(), &shape, wire_of(field)),
        presence: if field.is_required() || is_of_entry {
            Presence::Required
        } else if field.supports_presence() {
            Presence::Explicit
        } else {
            Presence::Implicit
        },
        kind: kind.ok_or_else(mismatch)?,
        shape,
    })
}

/// The shape of a MAP; `None` if its parts do not fit.
fn map_shape(
    field: &FieldDescriptor,
    entries: &DataType,
    path: &str,
) -> Result<Option<WritingShape>, WritingProblem> {
    let (Kind::Message(entry), DataType::Struct(parts)) = (field.kind(), entries) else {
        return Ok(None);
    };
    let [key, of_value] = parts.as_ref() else {
        return Ok(None);
    };
    let key = plan_field(&entry.map_entry_key_field(), 0, key.data_type(), path)?;
    let of_value = plan_field(
        &entry.map_entry_value_field(),
        1,
        of_value.data_type(),
        path,
    )?;
    Ok(Some(WritingShape::Map(Box::new([key, of_value]))))
}

/// What stands before a value.
fn tag(number: u32, shape: &WritingShape, wire: WireType) -> Vec<u8> {
    let code = match (shape, wire) {
        (WritingShape::Packed | WritingShape::Map(_), _) | (_, WireType::Bytes) => 2,
        (_, WireType::Varint) => 0,
        (_, WireType::Fixed64) => 1,
        (_, WireType::Group) => 3,
        (_, WireType::Fixed32) => 5,
    };
    key_bytes(number, code)
}

fn key_bytes(number: u32, code: u64) -> Vec<u8> {
    let mut key = Vec::new();
    write_varint(u64::from(number) << 3 | code, &mut key);
    key
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

/// How one value is written; `None` if it does not fit.
fn value(
    field: &FieldDescriptor,
    data_type: &DataType,
    path: &str,
) -> Result<Option<WritingKind>, WritingProblem> {
    Ok(match field.kind() {
        Kind::String => is_text(data_type).then_some(WritingKind::Text),
        Kind::Bytes => is_bytes(data_type).then_some(WritingKind::Bytes),
        Kind::Enum(names) if is_text(data_type) => {
            let names = names.values().map(|v| (v.name().to_string(), v.number()));
            Some(WritingKind::Enum(names.collect()))
        }
        Kind::Message(message) => of_message(field, &message, data_type, path)?,
        kind => number(&kind).and_then(|(wire, number)| {
            let fits = match number {
                Number::Bool => *data_type == DataType::Boolean,
                Number::Float => *data_type == DataType::Float32,
                Number::Double => data_type.is_floating() && *data_type != DataType::Float16,
                _ => data_type.is_integer(),
            };
            fits.then_some(WritingKind::Number(wire, number))
        }),
    })
}

fn of_message(
    field: &FieldDescriptor,
    message: &MessageDescriptor,
    data_type: &DataType,
    path: &str,
) -> Result<Option<WritingKind>, WritingProblem> {
    Ok(match (well_known(message), data_type) {
        (_, DataType::Struct(fields)) => {
            let plan = plan_writing(message, fields, path)?;
            Some(match field.is_group() {
                true => WritingKind::Group(plan, key_bytes(field.number(), 4)),
                false => WritingKind::Message(plan),
            })
        }
        (Some(WellKnown::Timestamp), DataType::Timestamp(unit, _)) => {
            Some(WritingKind::Timestamp(per_second(*unit)))
        }
        (Some(WellKnown::Duration), DataType::Int64) => Some(WritingKind::Duration),
        (Some(WellKnown::Json(kind)), data_type) if is_text(data_type) => {
            Some(WritingKind::Json(kind))
        }
        (Some(WellKnown::Wrapper), data_type) => match message.get_field(1) {
            Some(inner) => {
                let inner = plan_field(&inner, 0, data_type, path)?;
                Some(WritingKind::Wrapper(Box::new(inner)))
            }
            None => None,
        },
        _ => None,
    })
}
