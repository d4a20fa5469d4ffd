//! What values mean by the names that Kafka Connect gives to types, and Debezium with it. Confluent's
//! converter writes them beside a type as `connect.name`; only a few have a logical type of Avro too.
//!
//! | name | Avro | meaning |
//! | --- | --- | --- |
//! | `io.debezium.time.Date` | int | days since 1970 |
//! | `io.debezium.time.Time`, `MicroTime`, `NanoTime` | int, long | time of the day |
//! | `io.debezium.time.Timestamp`, `MicroTimestamp`, `NanoTimestamp` | long | since 1970 |
//! | `io.debezium.time.ZonedTimestamp` | string | ISO 8601 with an offset |
//! | `io.debezium.data.Uuid` | string | a UUID |
//! | `org.apache.kafka.connect.data.Date`, `Time`, `Timestamp` | int, int, long | days, milliseconds |
//! | `org.apache.kafka.connect.data.Decimal` | bytes | a decimal, of any number of digits |
//!
//! Source: the documentation of Debezium's connectors on data types, and of Kafka Connect's logical
//! types. Other names are no meaning: a year is an INT, JSON a VARCHAR.

use arrow::datatypes::TimeUnit;
use serde_json::{Map, Value as Json};

use crate::avro::schema::{Meaning, Shape};

/// Most digits that a column holds; a number with more makes its record bad.
const PRECISION: u8 = 38;

/// The meaning of a type by its name in Kafka Connect, if it has one that fits what it is on.
pub(crate) fn meaning_by_name(shape: &Shape, object: &Map<String, Json>) -> Option<Meaning> {
    let name = object.get("connect.name")?.as_str()?;
    if let Some(name) = name.strip_prefix("io.debezium.time.") {
        return debezium_time(name, shape);
    }
    if let Some(name) = name.strip_prefix("org.apache.kafka.connect.data.") {
        return match (name, shape) {
            ("Date", Shape::Int) => Some(Meaning::Date),
            ("Time", Shape::Int) => Some(Meaning::Time(TimeUnit::Millisecond)),
            ("Timestamp", Shape::Long) => Some(Meaning::Timestamp(TimeUnit::Millisecond)),
            ("Decimal", Shape::Bytes) => decimal(object),
            _ => None,
        };
    }
    (name == "io.debezium.data.Uuid" && *shape == Shape::String).then_some(Meaning::Uuid)
}

fn debezium_time(name: &str, shape: &Shape) -> Option<Meaning> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond};
    match (name, shape) {
        ("Date", Shape::Int) => Some(Meaning::Date),
        ("Time", Shape::Int) => Some(Meaning::Time(Millisecond)),
        ("MicroTime", Shape::Long) => Some(Meaning::Time(Microsecond)),
        ("NanoTime", Shape::Long) => Some(Meaning::Time(Nanosecond)),
        ("Timestamp", Shape::Long) => Some(Meaning::Timestamp(Millisecond)),
        ("MicroTimestamp", Shape::Long) => Some(Meaning::Timestamp(Microsecond)),
        ("NanoTimestamp", Shape::Long) => Some(Meaning::Timestamp(Nanosecond)),
        ("ZonedTimestamp", Shape::String) => Some(Meaning::ZonedTimestamp),
        _ => None,
    }
}

/// The scale is a parameter of the type, as text, and the converter repeats it as a number. What it
/// gives as the precision is 64 if nobody has said one.
fn decimal(object: &Map<String, Json>) -> Option<Meaning> {
    let number = object.get("scale").and_then(Json::as_i64);
    let parameter = || {
        let parameters = object.get("connect.parameters")?;
        parameters.get("scale")?.as_str()?.parse().ok()
    };
    let scale = i8::try_from(number.or_else(parameter)?).ok()?;
    let fits = scale >= 0 && scale.unsigned_abs() <= PRECISION;
    fits.then_some(Meaning::Decimal {
        precision: PRECISION,
        scale,
    })
}
