//! INFLUX: the measurement, the tags and the fields of the lines, and their time.

use arrow::datatypes::{DataType, TimeUnit};

use super::members::{Members, Room};
use super::seen::Mixed;
use super::{Found, InferredColumn};
use crate::influx::{InfluxOptions, LinePart, walk_line};

/// The columns that the options name, without which they are refused.
pub(super) fn special_columns(options: &InfluxOptions) -> Vec<InferredColumn> {
    let measurement = options.measurement_name().map(measurement);
    let time = options.time_name().map(time);
    measurement.into_iter().chain(time).collect()
}

fn measurement(name: &str) -> InferredColumn {
    InferredColumn::new(name, DataType::Utf8View).not_null()
}

fn time(name: &str) -> InferredColumn {
    InferredColumn::new(name, DataType::Timestamp(TimeUnit::Microsecond, None))
}

/// Finds the columns of lines. Tags are texts.
pub(super) fn infer(options: &InfluxOptions, records: &[&[u8]]) -> Found {
    let mut room = Room::new();
    let mut members = Members::default();
    for text in records.iter().filter_map(|r| std::str::from_utf8(r).ok()) {
        walk_line(text, |name, part| {
            let Some(seen) = members.of(name, &mut room) else {
                return;
            };
            match part {
                LinePart::Tag => seen.add_plain_text(),
                LinePart::Text(text) => seen.add_text(text, options.timestamps()),
                LinePart::Integer(text) => seen.add_number(text),
                LinePart::Float(text) => seen.add_double(text),
                LinePart::Boolean => seen.add_boolean(),
            }
        });
    }
    let mut found = Found::default();
    found
        .columns
        .extend(options.measurement_name().map(measurement));
    let special = [options.measurement_name(), options.time_name()];
    members.columns(Mixed::HaveNoType, &mut found, |name| {
        special.contains(&Some(name))
    });
    found.columns.extend(options.time_name().map(time));
    found.notes.extend(room.note());
    found
}
