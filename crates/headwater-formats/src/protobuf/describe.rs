//! What a field is, in words for messages.

use prost_reflect::{FieldDescriptor, Kind};

/// A field's type with its article: `an int64`, `a repeated string`, `a message shop.Money`.
pub(crate) fn describe(field: &FieldDescriptor) -> String {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let key = type_of(&entry.map_entry_key_field());
        let value = type_of(&entry.map_entry_value_field());
        return format!("a map<{key}, {value}>");
    }
    let name = match field.kind() {
        Kind::Message(message) if field.is_group() => format!("group {}", message.full_name()),
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(names) => format!("enum {}", names.full_name()),
        _ => type_of(field),
    };
    match (field.is_list(), name.starts_with(['i', 'e'])) {
        (true, _) => format!("a repeated {name}"),
        (false, true) => format!("an {name}"),
        (false, false) => format!("a {name}"),
    }
}

/// A type as `.proto` files write it.
fn type_of(field: &FieldDescriptor) -> String {
    format!("{:?}", field.kind())
}
