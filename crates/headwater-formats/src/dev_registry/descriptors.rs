//! Protobuf schemas in the form that some clients send and ask for: the bytes of a
//! `FileDescriptorProto`, in Base64. A registry keeps them as the text of a `.proto` file.
//!
//! The text has what serializers need: messages, enums, fields, oneofs, maps and imports. It leaves
//! out services, extensions, comments and options.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

use crate::protobuf::ProtoSchema;

/// The text of a schema that is Base64; `None` if it is none.
pub(super) fn to_text(serialized: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(serialized).ok()?;
    let file = FileDescriptorProto::decode(bytes.as_slice()).ok()?;
    let mut text = match file.syntax() {
        "" => "syntax = \"proto2\";\n".to_string(),
        syntax => format!("syntax = \"{syntax}\";\n"),
    };
    if let Some(package) = &file.package {
        let _ = writeln!(text, "package {package};");
    }
    for import in &file.dependency {
        let _ = writeln!(text, "import \"{import}\";");
    }
    for kind in &file.enum_type {
        write_enum(kind, 0, &mut text);
    }
    for message in &file.message_type {
        write_message(message, file.syntax() == "proto3", 0, &mut text);
    }
    Some(text)
}

/// The Base64 of a schema that is text and imports nothing but what comes with Protobuf.
pub(super) fn from_text(text: &str) -> Option<String> {
    let schema = ProtoSchema::from_text(text, &BTreeMap::new()).ok()?;
    let file = schema.main_file()?;
    Some(BASE64_STANDARD.encode(file.file_descriptor_proto().encode_to_vec()))
}

fn write_enum(kind: &EnumDescriptorProto, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}enum {} {{", kind.name());
    for value in &kind.value {
        let _ = writeln!(out, "{indent}  {} = {};", value.name(), value.number());
    }
    let _ = writeln!(out, "{indent}}}");
}

fn write_message(message: &DescriptorProto, is_proto3: bool, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}message {} {{", message.name());
    for kind in &message.enum_type {
        write_enum(kind, depth + 1, out);
    }
    for inner in &message.nested_type {
        if !is_map_entry(inner) {
            write_message(inner, is_proto3, depth + 1, out);
        }
    }
    for field in &message.field {
        if oneof_of(field).is_none() {
            let label = label(field, message, is_proto3);
            let _ = writeln!(out, "{indent}  {label}{};", declaration(field, message));
        }
    }
    for (place, oneof) in message.oneof_decl.iter().enumerate() {
        let fields = message.field.iter().filter(|field| {
            oneof_of(field).is_some_and(|index| usize::try_from(index) == Ok(place))
        });
        let fields: Vec<String> = fields.map(|field| declaration(field, message)).collect();
        if !fields.is_empty() {
            let fields = fields.join("; ");
            let _ = writeln!(out, "{indent}  oneof {} {{ {fields}; }}", oneof.name());
        }
    }
    let _ = writeln!(out, "{indent}}}");
}

/// The oneof that a field is written in. That of an `optional` field is not written.
fn oneof_of(field: &FieldDescriptorProto) -> Option<i32> {
    field.oneof_index.filter(|_| !field.proto3_optional())
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
}

/// The word before a field's type.
fn label(field: &FieldDescriptorProto, around: &DescriptorProto, is_proto3: bool) -> &'static str {
    match field.label() {
        Label::Repeated if entry_of(field, around).is_some() => "",
        Label::Repeated => "repeated ",
        Label::Required => "required ",
        Label::Optional if is_proto3 && !field.proto3_optional() => "",
        Label::Optional => "optional ",
    }
}

/// The message of the entries of a field that is a map.
fn entry_of<'a>(
    field: &FieldDescriptorProto,
    around: &'a DescriptorProto,
) -> Option<&'a DescriptorProto> {
    let (_, name) = field.type_name().rsplit_once('.')?;
    let mut inner = around.nested_type.iter();
    inner.find(|inner| inner.name() == name && is_map_entry(inner))
}

/// `int64 a = 1`
fn declaration(field: &FieldDescriptorProto, around: &DescriptorProto) -> String {
    let kind = match entry_of(field, around).map(|entry| entry.field.as_slice()) {
        Some([key, value]) => format!("map<{}, {}>", type_of(key), type_of(value)),
        _ => type_of(field),
    };
    format!("{kind} {} = {}", field.name(), field.number())
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let name = match field.r#type() {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        // A name with a dot before it is a whole one.
        Type::Message | Type::Enum | Type::Group => field.type_name(),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_comes_back() {
        let text = "syntax = \"proto3\";
package shop;
import \"google/protobuf/timestamp.proto\";
enum Side {
  BUY = 0;
  SELL = 1;
}
message Order {
  message Item {
    string name = 1;
  }
  int64 id = 1;
  optional bytes note = 2;
  repeated .shop.Order.Item items = 3;
  map<string, .shop.Order.Item> named = 4;
  .google.protobuf.Timestamp ts = 5;
  .shop.Side side = 6;
  oneof price { double exact = 7; sint32 rough = 8; }
}
message Other {
}
";
        let serialized = from_text(text).unwrap();
        assert_eq!(to_text(&serialized).unwrap(), text);
        // Written in another way, it is the same schema.
        let spread = text.replace('\n', "\n\n").replace(" .shop.Side", " Side");
        assert_eq!(to_text(&from_text(&spread).unwrap()).unwrap(), text);
        assert_eq!(to_text("syntax = \"proto3\";"), None);
        assert_eq!(from_text("message {"), None);
    }
}
