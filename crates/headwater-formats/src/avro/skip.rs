//! Passing over a value that nobody wants, as carefully as reading it: whether a record is broken
//! must not depend on which columns are read.

use crate::avro::cursor::{Broken, Cursor};
use crate::avro::schema::{AvroSchema, Shape, TypeId};

/// Passes over a value. The text of strings is not looked at.
pub(crate) fn skip(schema: &AvroSchema, id: TypeId, cursor: &mut Cursor<'_>) -> Result<(), Broken> {
    match schema.shape(id) {
        Shape::Null => {}
        Shape::Boolean => {
            cursor.boolean()?;
        }
        Shape::Int => {
            cursor.int()?;
        }
        Shape::Long => {
            cursor.long()?;
        }
        Shape::Float => {
            cursor.fixed(4)?;
        }
        Shape::Double => {
            cursor.fixed(8)?;
        }
        Shape::Bytes | Shape::String => {
            cursor.bytes()?;
        }
        Shape::Fixed(size) => {
            cursor.fixed(*size)?;
        }
        Shape::Enum(symbols) => {
            cursor.choice(symbols.names.len(), Broken::Symbol)?;
        }
        Shape::Array(item) => {
            let takes_bytes = schema.takes_bytes(*item);
            cursor.items(takes_bytes, |cursor| skip(schema, *item, cursor))?;
        }
        Shape::Map(value) => cursor.items(true, |cursor| {
            cursor.bytes()?;
            skip(schema, *value, cursor)
        })?,
        Shape::Record(fields) => cursor.deeper(|cursor| {
            let mut types = fields.iter().map(|field| field.type_id);
            types.try_for_each(|field| skip(schema, field, cursor))
        })?,
        Shape::Union(branches) => {
            let branch = cursor.choice(branches.len(), Broken::Branch)?;
            if let Some(branch) = branches.get(branch) {
                skip(schema, *branch, cursor)?;
            }
        }
    }
    Ok(())
}
