//! What to do about a record that could not be decoded, as far as the record itself tells it.

use headwater_core::format::{BadRecord, FormatSpec};

use crate::registry::Format;
use crate::timestamp::TimestampOptions;

/// What the reason begins with if a key is bad.
const OF_KEY: &str = "key: ";

/// The hint for a bad record of a payload: an option that its format lacks, where the record looks
/// like it. `None` if nothing is known but that it is bad.
pub(crate) fn bad_hint(
    spec: &FormatSpec,
    owner: &str,
    bad: &BadRecord,
    payload: Option<&[u8]>,
) -> Option<String> {
    if bad.reason.starts_with(OF_KEY) {
        return None;
    }
    match Format::from_spec(spec, owner).ok()? {
        Format::Json(timestamps) => number_as_time("JSON", &timestamps, bad, &bad.detail),
        Format::Csv(options) => {
            let text = bad.detail.trim_matches('"').trim();
            number_as_time("CSV", &options.timestamps, bad, text)
        }
        Format::Avro(options) if options.registry.is_none() => framed("AVRO", payload?),
        Format::Protobuf(options) if options.registry.is_none() => framed("PROTOBUF", payload?),
        Format::Avro(_)
        | Format::Protobuf(_)
        | Format::Msgpack(_)
        | Format::Raw
        | Format::Text
        | Format::Influx(_)
        | Format::Debezium(_)
        | Format::DebeziumAvro(_) => None,
    }
}

/// A number where a TIMESTAMP is declared.
fn number_as_time(
    format: &str,
    options: &TimestampOptions,
    bad: &BadRecord,
    found: &str,
) -> Option<String> {
    let of_a_time = bad.reason.contains(" is not a TIMESTAMP");
    if !of_a_time || !options.are_default() {
        return None;
    }
    let number: f64 = found.parse().ok()?;
    let unit = match number.abs() {
        seconds if seconds < 1e11 => "s",
        millis if millis < 1e14 => "ms",
        micros if micros < 1e17 => "us",
        _ => "ns",
    };
    Some(format!(
        "Numbers are times with FORMAT {format} (timestamp.unit = '{unit}'); the unit is 's', 'ms', \
         'us' or 'ns'."
    ))
}

/// A record that begins as those of a schema registry do: with a zero and the id of its schema.
fn framed(format: &str, payload: &[u8]) -> Option<String> {
    let (frame, _) = payload.split_first_chunk::<5>()?;
    let [0, id @ ..] = *frame else {
        return None;
    };
    match u32::from_be_bytes(id) {
        0 => None,
        id => Some(format!(
            "The record begins with a zero byte and the number {id}, which looks like the id of a \
             schema in a registry: set FORMAT {format} (schema.registry = 'http://…:8081')."
        )),
    }
}
