//! From the descriptor of a message to declared columns: fields by name, without regard to case if
//! none has it exactly.
//!
//! ```text
//!   descriptor ───────┐
//!   declared columns ─┴──► MessagePlan  (run for every record)
//!                          problems     (refused when a source is declared)
//! ```

use arrow::datatypes::{DataType, Fields};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::protobuf::describe::describe;
use crate::protobuf::message_plan::{
    Absent, EnumNames, FieldPlan, JsonKind, MapKey, MessagePlan, Number, Reading, Shape,
};
use crate::protobuf::wire::WireType;
use crate::protobuf::wire_writing::zigzag;
use crate::time::per_second;

/// Why messages cannot fill the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no field of a column's name; with the names that there are.
    Missing { column: String, fields: Vec<String> },
    /// A field's type, described, does not fit its column's.
    Type {
        column: String,
        found: String,
        wanted: DataType,
    },
}

/// Makes the plan for messages of a type in columns, and says what will not work.
pub(crate) fn resolve(
    message: &MessageDescriptor,
    columns: &Fields,
) -> (MessagePlan, Vec<Problem>) {
    let mut resolver = Resolver {
        problems: Vec::new(),
    };
    let plan = resolver.message(message, columns, "");
    (plan, resolver.problems)
}

/// The field of a column.
pub(crate) fn find_field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_name(name).or_else(|| {
        let mut alike = message
            .fields()
            .filter(|f| f.name().eq_ignore_ascii_case(name));
        let first = alike.next()?;
        alike.next().is_none().then_some(first)
    })
}

/// The names of a message's fields.
pub(crate) fn field_names(message: &MessageDescriptor) -> Vec<String> {
    message.fields().map(|f| f.name().to_string()).collect()
}

/// A column with those around it.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

struct Resolver {
    problems: Vec<Problem>,
}

impl Resolver {
    fn message(
        &mut self,
        message: &MessageDescriptor,
        columns: &Fields,
        path: &str,
    ) -> MessagePlan {
        let mut fields: Vec<FieldPlan> = Vec::with_capacity(columns.len());
        let mut missing = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            let path = join(path, column.name());
            let found = find_field(message, column.name());
            let is_free = |f: &FieldDescriptor| !fields.iter().any(|p| p.number == f.number());
            match found.filter(is_free) {
                Some(field) => fields.push(self.field(&field, place, column.data_type(), &path)),
                None => {
                    missing.push(place);
                    self.problems.push(Problem::Missing {
                        column: path,
                        fields: field_names(message),
                    });
                }
            }
        }
        add_rivals(message, &mut fields);
        MessagePlan::new(fields, missing)
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        place: usize,
        data_type: &DataType,
        path: &str,
    ) -> FieldPlan {
        let found = if field.is_map() {
            self.map(field, data_type, path)
        } else if field.is_list() {
            match data_type {
                DataType::List(element) => self
                    .value(field, element.data_type(), path)
                    .map(|reading| (Shape::Repeated, reading)),
                _ => None,
            }
        } else {
            self.value(field, data_type, path).map(|reading| {
                let is_message = reading.is_message();
                let shape = if is_message {
                    Shape::Message
                } else {
                    Shape::Single
                };
                (shape, reading)
            })
        };
        let (shape, reading) = found.unwrap_or_else(|| {
            self.problems.push(Problem::Type {
                column: path.to_string(),
                found: describe(field),
                wanted: data_type.clone(),
            });
            (Shape::Single, Reading::Misfit)
        });
        FieldPlan {
            column: Some(place),
            shape,
            reading,
            ..unread(field)
        }
    }

    fn map(
        &mut self,
        field: &FieldDescriptor,
        data_type: &DataType,
        path: &str,
    ) -> Option<(Shape, Reading)> {
        let Kind::Message(entry) = field.kind() else {
            return None;
        };
        let plan = match data_type {
            DataType::Map(entries, _) => match entries.data_type() {
                // Keys of a MAP are text.
                DataType::Struct(parts) if entry.map_entry_key_field().kind() == Kind::String => {
                    let fields = [entry.map_entry_key_field(), entry.map_entry_value_field()];
                    let parts = fields.iter().zip(parts).enumerate();
                    let plans = parts.map(|(place, (field, part))| {
                        self.field(field, place, part.data_type(), path)
                    });
                    MessagePlan::new(plans.collect(), Vec::new())
                }
                _ => return None,
            },
            DataType::List(element) => match element.data_type() {
                DataType::Struct(parts) => self.message(&entry, parts, path),
                _ => return None,
            },
            _ => return None,
        };
        let key = match number(&entry.map_entry_key_field().kind()) {
            Some((wire, number)) => MapKey::Number(wire, number),
            None => MapKey::Text,
        };
        Some((Shape::Map(key), Reading::Message(Box::new(plan))))
    }

    /// How one value is read; `None` if it does not fit.
    fn value(
        &mut self,
        field: &FieldDescriptor,
        data_type: &DataType,
        path: &str,
    ) -> Option<Reading> {
        let is_text = matches!(data_type, DataType::Utf8 | DataType::Utf8View);
        let is_bytes = matches!(data_type, DataType::Binary | DataType::BinaryView);
        match field.kind() {
            Kind::String | Kind::Bytes => (is_text || is_bytes).then_some(Reading::Bytes),
            Kind::Enum(names) if is_text => Some(Reading::Enum(names_of(&names))),
            Kind::Enum(_) => data_type
                .is_integer()
                .then_some(Reading::Number(Number::Int32)),
            Kind::Message(message) => match (well_known(&message), data_type) {
                (_, DataType::Struct(fields)) => {
                    let plan = self.message(&message, fields, path);
                    Some(Reading::Message(Box::new(plan)))
                }
                (Some(WellKnown::Timestamp), DataType::Timestamp(unit, _)) => {
                    Some(Reading::Timestamp(per_second(*unit)))
                }
                (Some(WellKnown::Duration), DataType::Int64) => Some(Reading::Duration),
                (Some(WellKnown::Json(kind)), _) if is_text => Some(Reading::Json(kind)),
                (Some(WellKnown::Wrapper), _) => {
                    let inner = message.get_field(1)?;
                    let mut plan = FieldPlan {
                        column: Some(0),
                        ..unread(&inner)
                    };
                    plan.reading = self.value(&inner, data_type, path)?;
                    let plan = MessagePlan::new(vec![plan], Vec::new());
                    Some(Reading::Wrapper(Box::new(plan)))
                }
                _ => None,
            },
            kind => number_reading(number(&kind)?.1, data_type),
        }
    }
}

/// Messages that have a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WellKnown {
    Timestamp,
    Duration,
    Wrapper,
    Json(JsonKind),
}

/// The meaning of a message that comes with Protobuf.
pub(crate) fn well_known(message: &MessageDescriptor) -> Option<WellKnown> {
    Some(
        match message.full_name().strip_prefix("google.protobuf.")? {
            "Timestamp" => WellKnown::Timestamp,
            "Duration" => WellKnown::Duration,
            "Struct" => WellKnown::Json(JsonKind::Object),
            "Value" => WellKnown::Json(JsonKind::Value),
            "ListValue" => WellKnown::Json(JsonKind::List),
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
            | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => WellKnown::Wrapper,
            _ => return None,
        },
    )
}

fn names_of(names: &EnumDescriptor) -> EnumNames {
    EnumNames::new(names.values().map(|v| (v.number(), v.name().into())))
}

/// A field that is looked at and goes nowhere.
fn unread(field: &FieldDescriptor) -> FieldPlan {
    FieldPlan {
        number: field.number(),
        column: None,
        wire: wire_of(field),
        shape: Shape::Single,
        reading: Reading::Misfit,
        absent: absent(field),
        rivals: Vec::new(),
    }
}

/// The wire type of one value.
pub(crate) fn wire_of(field: &FieldDescriptor) -> WireType {
    match number(&field.kind()) {
        Some((wire, _)) => wire,
        None if field.is_group() => WireType::Group,
        None => WireType::Bytes,
    }
}

/// How a number is written and what it means; `None` for what is no number.
pub(crate) fn number(kind: &Kind) -> Option<(WireType, Number)> {
    Some(match kind {
        Kind::Int32 | Kind::Enum(_) => (WireType::Varint, Number::Int32),
        Kind::Int64 => (WireType::Varint, Number::Int64),
        Kind::Uint32 => (WireType::Varint, Number::Uint32),
        Kind::Uint64 => (WireType::Varint, Number::Uint64),
        Kind::Sint32 => (WireType::Varint, Number::Sint32),
        Kind::Sint64 => (WireType::Varint, Number::Sint64),
        Kind::Bool => (WireType::Varint, Number::Bool),
        Kind::Fixed32 => (WireType::Fixed32, Number::Uint32),
        Kind::Fixed64 => (WireType::Fixed64, Number::Uint64),
        Kind::Sfixed32 => (WireType::Fixed32, Number::Int32),
        Kind::Sfixed64 => (WireType::Fixed64, Number::Int64),
        Kind::Float => (WireType::Fixed32, Number::Float),
        Kind::Double => (WireType::Fixed64, Number::Double),
        Kind::String | Kind::Bytes | Kind::Message(_) => return None,
    })
}

fn number_reading(number: Number, data_type: &DataType) -> Option<Reading> {
    let fits = match (number, data_type) {
        (Number::Bool, _) => *data_type == DataType::Boolean,
        (Number::Double, _) => *data_type == DataType::Float64,
        (_, DataType::Float32 | DataType::Float64) => true,
        (Number::Float, _) => false,
        (_, DataType::Decimal128(_, scale)) => {
            let factor = 10_i128.checked_pow(u32::try_from(*scale).ok()?)?;
            return Some(Reading::Decimal(number, factor));
        }
        (Number::Int32 | Number::Uint32 | Number::Sint32, data_type) => data_type.is_integer(),
        // 64 bits fit no column of fewer.
        (_, data_type) => matches!(data_type, DataType::Int64 | DataType::UInt64),
    };
    fits.then_some(Reading::Number(number))
}

/// What a field is that does not come.
fn absent(field: &FieldDescriptor) -> Absent {
    let is_of_entry = field.parent_message().is_map_entry();
    let has_default = field.field_descriptor_proto().default_value.is_some();
    if field.supports_presence() && !has_default && !is_of_entry {
        return Absent::Null;
    }
    match field.kind() {
        Kind::Message(_) => return Absent::EmptyMessage,
        Kind::Sint32 | Kind::Sint64 => {
            let value = field.default_value();
            let value = value.as_i64().or_else(|| value.as_i32().map(i64::from));
            return Absent::Number(zigzag(value.unwrap_or(0)));
        }
        _ => {}
    }
    match field.default_value() {
        Value::Bool(value) => Absent::Number(value.into()),
        Value::I32(value) | Value::EnumNumber(value) => {
            Absent::Number(i64::from(value).cast_unsigned())
        }
        Value::I64(value) => Absent::Number(value.cast_unsigned()),
        Value::U32(value) => Absent::Number(value.into()),
        Value::U64(value) => Absent::Number(value),
        Value::F32(value) => Absent::Number(value.to_bits().into()),
        Value::F64(value) => Absent::Number(value.to_bits()),
        Value::String(value) => Absent::Text(value.into_bytes().into()),
        Value::Bytes(value) => Absent::Text(value.to_vec().into()),
        Value::Message(_) | Value::List(_) | Value::Map(_) => Absent::Null,
    }
}

/// Of a oneof the last field counts, so that one that is read is gone when another comes.
fn add_rivals(message: &MessageDescriptor, fields: &mut Vec<FieldPlan>) {
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let members: Vec<FieldDescriptor> = oneof.fields().collect();
        let place = |fields: &[FieldPlan], member: &FieldDescriptor| {
            fields
                .iter()
                .position(|field| field.number == member.number())
        };
        if !members.iter().any(|member| place(fields, member).is_some()) {
            continue;
        }
        for member in &members {
            if place(fields, member).is_none() {
                fields.push(unread(member));
            }
        }
        let places: Vec<usize> = members.iter().filter_map(|m| place(fields, m)).collect();
        for own in &places {
            if let Some(field) = fields.get_mut(*own) {
                field.rivals = places.iter().copied().filter(|p| p != own).collect();
            }
        }
    }
}
