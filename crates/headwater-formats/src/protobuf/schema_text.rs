//! The `.proto` text of rows whose sink was given none: what is registered for them.
//!
//! A column that may be NULL is `optional`, so that NULL and the default are not the same. Fields
//! are numbered as the columns are placed.

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field, Fields};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::avro::is_field_name;

/// Writes messages for columns.
struct Writer<'a> {
    owner: &'a str,
    out: String,
    has_timestamps: bool,
}

/// The text of a schema for rows of these columns, as a message of a full name.
///
/// # Errors
/// If a column's name or type cannot be one of a field.
pub(crate) fn schema_text(columns: &Fields, name: &str, owner: &str) -> Result<String> {
    let (package, name) = match name.rsplit_once('.') {
        Some((package, name)) => (Some(package), name),
        None => (None, name),
    };
    let mut writer = Writer {
        owner,
        out: String::new(),
        has_timestamps: false,
    };
    writer.message(columns, name, 0)?;
    let mut text = "syntax = \"proto3\";\n".to_string();
    if let Some(package) = package {
        let _ = writeln!(text, "package {package};");
    }
    if writer.has_timestamps {
        text.push_str("import \"google/protobuf/timestamp.proto\";\n");
    }
    text.push_str(&writer.out);
    Ok(text)
}

impl Writer<'_> {
    /// Messages inside are named by the way to them and stand in the message around.
    fn message(&mut self, columns: &Fields, name: &str, depth: usize) -> Result<()> {
        let indent = "  ".repeat(depth);
        let _ = writeln!(self.out, "{indent}message {name} {{");
        for (column, number) in columns.iter().zip(1_u32..) {
            // 19000 to 19999 are Protobuf's own.
            let number = if number < 19_000 {
                number
            } else {
                number + 1000
            };
            if !is_field_name(column.name()) {
                return Err(Error::plan(format!(
                    "column \"{}\" of {} has no name that a Protobuf field may have",
                    column.name(),
                    self.owner
                ))
                .with_hint("Name it with letters, digits and underscores: SELECT … AS name."));
            }
            let field_type = self.field(column, name, depth + 1)?;
            let name = column.name();
            let _ = writeln!(self.out, "{indent}  {field_type} {name} = {number};");
        }
        let _ = writeln!(self.out, "{indent}}}");
        Ok(())
    }

    /// A field's type, with the word before it. Writes the messages that it needs.
    fn field(&mut self, column: &Field, around: &str, depth: usize) -> Result<String> {
        let inner = format!("{around}_{}", column.name());
        Ok(match column.data_type() {
            DataType::List(element) | DataType::LargeList(element) => {
                format!("repeated {}", self.value(element, column, &inner, depth)?)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(parts) => match parts.as_ref() {
                    [_, value] => {
                        let value = self.value(value, column, &inner, depth)?;
                        format!("map<string, {value}>")
                    }
                    _ => return Err(self.no_type(column)),
                },
                _ => return Err(self.no_type(column)),
            },
            DataType::Struct(_) => self.value(column, column, &inner, depth)?,
            _ if column.is_nullable() => {
                format!("optional {}", self.value(column, column, &inner, depth)?)
            }
            _ => self.value(column, column, &inner, depth)?,
        })
    }

    /// The type of one value of a column.
    fn value(&mut self, value: &Field, column: &Field, name: &str, depth: usize) -> Result<String> {
        Ok(match value.data_type() {
            DataType::Boolean => "bool",
            DataType::Int8 | DataType::Int16 | DataType::Int32 => "int32",
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => "uint32",
            DataType::Int64 => "int64",
            DataType::UInt64 => "uint64",
            DataType::Float32 => "float",
            DataType::Float64 => "double",
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "string",
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "bytes",
            DataType::Timestamp(..) => {
                self.has_timestamps = true;
                "google.protobuf.Timestamp"
            }
            DataType::Struct(fields) => {
                self.message(fields, name, depth)?;
                name
            }
            _ => return Err(self.no_type(column)),
        }
        .to_string())
    }

    fn no_type(&self, column: &Field) -> Error {
        Error::unsupported(format!(
            "format \"protobuf\" of {} cannot hold column \"{}\", which is {}",
            self.owner,
            column.name(),
            a_type_name(column.data_type())
        ))
        .with_hint("Convert it with CAST, such as to VARCHAR.")
    }
}
