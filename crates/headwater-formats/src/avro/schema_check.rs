//! What a schema that a user gives must keep to beside what reading needs: names, the branches of
//! unions, and defaults, as the specification asks.
//!
//! A writer's schema from a registry is not held to it. Its records are there and can be read, and
//! some writers name fields as they like.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::avro::default_value::default_bytes;
use crate::avro::parser::SchemaFlaw;
use crate::avro::schema::{AvroSchema, Shape, Symbols, TypeId};
use crate::avro::schema_text::is_field_name;

const NAME_RULE: &str = "a name has letters, digits and underscores, and begins with no digit";

/// Refuses a name of a type, whose parts have points between them.
pub(crate) fn check_type_name(full: &str) -> Result<(), SchemaFlaw> {
    if full.split('.').all(is_field_name) {
        return Ok(());
    }
    Err(SchemaFlaw(format!(
        "Type \"{}\" has no valid name: {NAME_RULE}.",
        full.escape_debug()
    )))
}

/// Refuses a name of a field.
pub(crate) fn check_field_name(name: &str, record: &str) -> Result<(), SchemaFlaw> {
    if is_field_name(name) {
        return Ok(());
    }
    Err(SchemaFlaw(format!(
        "Field \"{}\" of record \"{record}\" has no valid name: {NAME_RULE}.",
        name.escape_debug()
    )))
}

/// Refuses symbols that are no names, and one that is there twice.
pub(crate) fn check_symbols(symbols: &Symbols, full: &str) -> Result<(), SchemaFlaw> {
    let mut seen = BTreeSet::new();
    for name in &symbols.names {
        if !is_field_name(name) {
            return Err(SchemaFlaw(format!(
                "Symbol \"{}\" of enum \"{full}\" is no valid name: {NAME_RULE}.",
                name.escape_debug()
            )));
        }
        if !seen.insert(name) {
            return Err(SchemaFlaw(format!(
                "Enum \"{full}\" has the symbol \"{name}\" twice."
            )));
        }
    }
    Ok(())
}

/// Refuses unions of which two branches are alike, and defaults that are no values of their types.
pub(crate) fn check_types(schema: &AvroSchema) -> Result<(), SchemaFlaw> {
    for id in schema.type_ids() {
        match schema.shape(id) {
            Shape::Union(branches) => check_branches(schema, branches)?,
            Shape::Record(fields) => {
                for field in fields {
                    if let Some(default) = &field.default {
                        check_default(schema, &field.name, field.type_id, default)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Branches are told apart by their types, and those with names of their own by these.
fn check_branches(schema: &AvroSchema, branches: &[TypeId]) -> Result<(), SchemaFlaw> {
    for (place, branch) in branches.iter().enumerate() {
        let shape = schema.shape(*branch);
        let is_named = matches!(shape, Shape::Record(_) | Shape::Enum(_) | Shape::Fixed(_));
        let is_same = |earlier: &TypeId| match is_named {
            true => earlier == branch,
            false => {
                std::mem::discriminant(schema.shape(*earlier)) == std::mem::discriminant(shape)
            }
        };
        if branches.iter().take(place).any(is_same) {
            return Err(SchemaFlaw(format!(
                "A union has {} twice.",
                schema.describe(*branch)
            )));
        }
    }
    Ok(())
}

fn check_default(
    schema: &AvroSchema,
    field: &str,
    id: TypeId,
    default: &Json,
) -> Result<(), SchemaFlaw> {
    if default_bytes(schema, id, default).is_some() {
        return Ok(());
    }
    let shown: String = default.to_string().chars().take(60).collect();
    Err(SchemaFlaw(format!(
        "The default of field \"{field}\" is {shown}, which is not {}.",
        schema.describe(id)
    )))
}
