//! Defaults of fields: from the JSON of a schema to the bytes that a writer of that schema would
//! have written. So a default is read as any value is, and written without a thought.

use serde_json::Value as Json;

use crate::avro::schema::{AvroSchema, RecordField, Shape, TypeId};

/// Levels of records that fill each other's defaults.
const MAX_DEPTH: u32 = 64;

/// The bytes of a default; `None` if it is no value of its type.
pub(crate) fn default_bytes(schema: &AvroSchema, id: TypeId, json: &Json) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write_json(schema, id, json, MAX_DEPTH, &mut bytes)?;
    Some(bytes)
}

fn write_json(
    schema: &AvroSchema,
    id: TypeId,
    json: &Json,
    depth: u32,
    out: &mut Vec<u8>,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match (schema.shape(id), json) {
        (Shape::Null, Json::Null) => {}
        (Shape::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
        (Shape::Int, Json::Number(number)) => {
            write_long(i32::try_from(number.as_i64()?).ok()?.into(), out);
        }
        (Shape::Long, Json::Number(number)) => write_long(number.as_i64()?, out),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float is the nearest to what is written"
        )]
        (Shape::Float, json) => out.extend((double(json)? as f32).to_le_bytes()),
        (Shape::Double, json) => out.extend(double(json)?.to_le_bytes()),
        (Shape::String, Json::String(text)) => write_bytes(text.as_bytes(), out)?,
        (Shape::Bytes, Json::String(text)) => write_bytes(&code_points(text)?, out)?,
        (Shape::Fixed(size), Json::String(text)) => {
            let bytes = code_points(text)?;
            if bytes.len() != *size {
                return None;
            }
            out.extend(bytes);
        }
        (Shape::Enum(symbols), Json::String(text)) => {
            let place = symbols.names.iter().position(|name| name == text)?;
            write_long(i64::try_from(place).ok()?, out);
        }
        (Shape::Array(item), Json::Array(items)) => {
            write_block(items.len(), out, |out| {
                let mut items = items.iter();
                items.try_for_each(|json| write_json(schema, *item, json, depth, out))
            })?;
        }
        (Shape::Map(value), Json::Object(members)) => {
            write_block(members.len(), out, |out| {
                members.iter().try_for_each(|(key, json)| {
                    write_bytes(key.as_bytes(), out)?;
                    write_json(schema, *value, json, depth, out)
                })
            })?;
        }
        (Shape::Record(fields), Json::Object(members)) => {
            for RecordField {
                name,
                type_id,
                default,
                ..
            } in fields
            {
                let json = members.get(name).or(default.as_ref())?;
                write_json(schema, *type_id, json, depth, out)?;
            }
        }
        (Shape::Union(branches), json) => {
            // The first branch until Avro 1.11, any branch since.
            let (branch, bytes) = branches.iter().enumerate().find_map(|(place, branch)| {
                let mut bytes = Vec::new();
                write_json(schema, *branch, json, depth, &mut bytes)?;
                Some((place, bytes))
            })?;
            write_long(i64::try_from(branch).ok()?, out);
            out.extend(bytes);
        }
        _ => return None,
    }
    Some(())
}

fn write_block(
    items: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    if items > 0 {
        write_long(i64::try_from(items).ok()?, out);
        write(out)?;
    }
    out.push(0);
    Some(())
}

/// A number, or one that is none as other writers of schemas spell it.
fn double(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Bytes stand in JSON as characters of the same numbers.
fn code_points(text: &str) -> Option<Vec<u8>> {
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).ok());
    bytes.collect()
}

/// Writes an `int`, a `long`, a length or a branch.
#[inline]
pub(crate) fn write_long(value: i64, out: &mut Vec<u8>) {
    let mut left = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
    while left >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits")]
        out.push((left as u8) | 0x80);
        left >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "fewer than eight bits")]
    out.push(left as u8);
}

/// Writes `bytes` or a `string`; `None` if there are more than a length can say.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    write_long(i64::try_from(bytes.len()).ok()?, out);
    out.extend_from_slice(bytes);
    Some(())
}
