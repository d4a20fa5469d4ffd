//! `google.protobuf.Struct`, `Value` and `ListValue` as JSON text and back: they are JSON that was
//! written as messages.
//!
//! ```text
//!   Struct     1 map<string, Value>
//!   Value      oneof: 1 null, 2 double, 3 string, 4 bool, 5 Struct, 6 ListValue
//!   ListValue  1 repeated Value
//! ```

use serde_json::{Map, Number, Value as Json};

use crate::protobuf::message_plan::JsonKind;
use crate::protobuf::wire::{Broken, Raw, Span, Tag, Wire, WireType};
use crate::protobuf::wire_writing::{write_bytes, write_with_length};

/// Values inside each other.
const MAX_DEPTH: u32 = 100;
/// Whole numbers up to here are written without a point; a double holds all of them.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The text of a message that comes in some parts; `None` if there is none, such as for NaN.
pub(crate) fn json_text(
    kind: JsonKind,
    record: &[u8],
    parts: &[Span],
) -> Result<Option<String>, Broken> {
    let json = json(kind, record, parts, MAX_DEPTH)?;
    Ok(json.map(|json| json.to_string()))
}

fn json(kind: JsonKind, record: &[u8], parts: &[Span], depth: u32) -> Result<Option<Json>, Broken> {
    let depth = depth.checked_sub(1).ok_or(Broken::Deep)?;
    match kind {
        JsonKind::Object => object(record, parts, depth),
        JsonKind::Value => value(record, parts, depth),
        JsonKind::List => list(record, parts, depth),
    }
}

/// The fields of a message that comes in some parts.
fn fields(record: &[u8], parts: &[Span]) -> Result<Vec<(Tag, Raw)>, Broken> {
    let mut fields = Vec::new();
    for part in parts {
        let mut wire = Wire::new(record, *part);
        while let Some(tag) = wire.tag()? {
            fields.push((tag, wire.value(tag)?));
        }
    }
    Ok(fields)
}

fn object(record: &[u8], parts: &[Span], depth: u32) -> Result<Option<Json>, Broken> {
    let mut members = Map::new();
    for (tag, raw) in fields(record, parts)? {
        let entry = match (tag.number, tag.wire, raw) {
            (1, WireType::Bytes, Raw::Span(entry)) => entry,
            (1, ..) => return Ok(None),
            _ => continue,
        };
        let mut key = Span::EMPTY;
        let mut values = Vec::new();
        for (tag, raw) in fields(record, &[entry])? {
            match (tag.number, tag.wire, raw) {
                (1, WireType::Bytes, Raw::Span(span)) => key = span,
                (2, WireType::Bytes, Raw::Span(span)) => values.push(span),
                (1 | 2, ..) => return Ok(None),
                _ => {}
            }
        }
        let Ok(key) = std::str::from_utf8(key.of(record)) else {
            return Ok(None);
        };
        let Some(value) = json(JsonKind::Value, record, &values, depth)? else {
            return Ok(None);
        };
        members.insert(key.to_string(), value);
    }
    Ok(Some(Json::Object(members)))
}

fn list(record: &[u8], parts: &[Span], depth: u32) -> Result<Option<Json>, Broken> {
    let mut items = Vec::new();
    for (tag, raw) in fields(record, parts)? {
        let item = match (tag.number, tag.wire, raw) {
            (1, WireType::Bytes, Raw::Span(item)) => item,
            (1, ..) => return Ok(None),
            _ => continue,
        };
        match json(JsonKind::Value, record, &[item], depth)? {
            Some(value) => items.push(value),
            None => return Ok(None),
        }
    }
    Ok(Some(Json::Array(items)))
}

fn value(record: &[u8], parts: &[Span], depth: u32) -> Result<Option<Json>, Broken> {
    let mut last: (u32, Option<Raw>) = (1, None);
    // The parts of the message that counts, if it is one.
    let mut inside: Vec<Span> = Vec::new();
    for (tag, raw) in fields(record, parts)? {
        let fits = match tag.number {
            1 | 4 => tag.wire == WireType::Varint,
            2 => tag.wire == WireType::Fixed64,
            3 | 5 | 6 => tag.wire == WireType::Bytes,
            _ => continue,
        };
        if !fits {
            return Ok(None);
        }
        if last.0 != tag.number {
            inside.clear();
        }
        if let Raw::Span(span) = raw {
            inside.push(span);
        }
        last = (tag.number, Some(raw));
    }
    Ok(match last {
        (2, Some(Raw::Number(raw))) => number(f64::from_bits(raw)).map(Json::Number),
        (3, Some(Raw::Span(span))) => {
            let text = std::str::from_utf8(span.of(record));
            text.ok().map(|text| Json::String(text.to_string()))
        }
        (4, Some(Raw::Number(raw))) => Some(Json::Bool(raw != 0)),
        (5, _) => json(JsonKind::Object, record, &inside, depth)?,
        (6, _) => json(JsonKind::List, record, &inside, depth)?,
        _ => Some(Json::Null),
    })
}

/// A number as JSON spells it; NaN and infinity have no spelling.
fn number(value: f64) -> Option<Number> {
    let is_whole = value.trunc() == value && value.abs() < MAX_WHOLE;
    if is_whole && !(value == 0.0 && value.is_sign_negative()) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number in range")]
        let whole = value as i64;
        return Some(whole.into());
    }
    Number::from_f64(value)
}

/// Writes JSON text as a message; `None` if it is not JSON, or not of the kind.
pub(crate) fn write_json_text(kind: JsonKind, text: &str, out: &mut Vec<u8>) -> Option<()> {
    // serde_json refuses what is nested more than 128 deep, so the walk is bounded.
    let json: Json = serde_json::from_str(text).ok()?;
    match (kind, &json) {
        (JsonKind::Value, json) => write_value(json, out),
        (JsonKind::Object, Json::Object(members)) => write_object(members, out),
        (JsonKind::List, Json::Array(items)) => write_list(items, out),
        (JsonKind::Object | JsonKind::List, _) => None,
    }
}

fn write_object(members: &Map<String, Json>, out: &mut Vec<u8>) -> Option<()> {
    for (key, value) in members {
        write_message(1, out, |out| {
            out.push(1 << 3 | 2);
            write_bytes(key.as_bytes(), out);
            write_message(2, out, |out| write_value(value, out))
        })?;
    }
    Some(())
}

fn write_list(items: &[Json], out: &mut Vec<u8>) -> Option<()> {
    for item in items {
        write_message(1, out, |out| write_value(item, out))?;
    }
    Some(())
}

fn write_value(json: &Json, out: &mut Vec<u8>) -> Option<()> {
    match json {
        Json::Null => out.extend([1 << 3, 0]),
        Json::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64()?.to_le_bytes());
        }
        Json::String(text) => {
            out.push(3 << 3 | 2);
            write_bytes(text.as_bytes(), out);
        }
        Json::Bool(value) => out.extend([4 << 3, u8::from(*value)]),
        Json::Object(members) => {
            return write_message(5, out, |out| write_object(members, out));
        }
        Json::Array(items) => return write_message(6, out, |out| write_list(items, out)),
    }
    Some(())
}

fn write_message(
    number: u8,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    out.push(number << 3 | 2);
    write_with_length(out, write)
}
