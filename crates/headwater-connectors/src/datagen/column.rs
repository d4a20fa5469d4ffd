//! The values of one generated column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{CastOptions, cast, cast_with_options, take};
use arrow::datatypes::{DataType, Field, FieldRef};

use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

use super::rows::RowNumbers;
use crate::event_shape::EventShape;
use crate::seeded::Draws;

const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

/// Makes the values of one column. Options, all as `fields.<column>.<option>`:
///
/// | type | kind | options | default |
/// | --- | --- | --- | --- |
/// | whole numbers | `random` | `min`, `max` | 0 to 999,999, or what the type holds |
/// | whole numbers | `sequence` | `min`, `max` (`start`, `end`), then from `min` again | the row number |
/// | DOUBLE, FLOAT, DECIMAL | `random` | `min`, `max` | 0 to 1,000 |
/// | VARCHAR | `random` | `length` | 8 letters |
/// | VARCHAR | `sequence` | | the row number |
/// | BOOLEAN | `random` | | |
/// | TIMESTAMP, DATE | | | the first TIMESTAMP is the event time, others the time in order |
/// | all but times | | `values` = 'a,b,c': one of them, or with `sequence` in turn | |
#[derive(Debug)]
pub(super) struct ColumnGenerator {
    field: FieldRef,
    stream: u64,
    values: Values,
}

#[derive(Debug)]
enum Values {
    EventTime,
    Arrival,
    Sequence { min: i64, count: Option<u64> },
    Whole { min: i64, max: i64 },
    Real { min: f64, max: f64 },
    Text { length: u64 },
    Boolean,
    Picks { values: ArrayRef, kind: Kind },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Random,
    Sequence,
}

/// Whether a column is a TIMESTAMP.
pub(super) fn is_timestamp(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Timestamp(..))
}

impl ColumnGenerator {
    /// Reads the options of a column.
    ///
    /// # Errors
    /// If its type cannot be generated, or an option does not fit the type.
    pub(super) fn take(
        field: &FieldRef,
        index: usize,
        is_event_time: bool,
        options: &mut OptionReader,
    ) -> Result<Self> {
        let mut column = ColumnOptions { field, options };
        let values = match field.data_type() {
            DataType::Timestamp(..) if is_event_time => Values::EventTime,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Values::Arrival,
            data_type => {
                let kinds = [("random", Kind::Random), ("sequence", Kind::Sequence)];
                let name = column.name("kind");
                let kind = column.options.take_choice(&name, &[], &kinds)?;
                let kind = kind.unwrap_or(Kind::Random);
                match column.take_picks()? {
                    Some(values) => Values::Picks { values, kind },
                    None => column.take_values(data_type, kind)?,
                }
            }
        };
        Ok(ColumnGenerator {
            field: Arc::clone(field),
            stream: index as u64,
            values,
        })
    }

    /// The values of some rows.
    pub(super) fn make(&self, rows: RowNumbers, seed: u64, times: &EventShape) -> Result<ArrayRef> {
        let draws = |row| Draws::new(seed, self.stream, row);
        let numbers = rows.iter();
        let array: ArrayRef = match &self.values {
            Values::EventTime => {
                let times = numbers.map(|row| times.event_time(row, &mut draws(row)).0);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times))
            }
            Values::Arrival => {
                let times = numbers.map(|row| times.arrival(row).0);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times))
            }
            Values::Sequence { min, count } => {
                let values = numbers.map(|row| {
                    let place = count.map_or(row, |count| row % count.max(1));
                    min.wrapping_add(place as i64)
                });
                Arc::new(values.collect::<Int64Array>())
            }
            Values::Whole { min, max } => {
                let values = max.wrapping_sub(*min) as u64;
                let values = numbers.map(|row| {
                    let more = match values.checked_add(1) {
                        Some(bound) => draws(row).below(bound),
                        None => draws(row).number(),
                    };
                    min.wrapping_add(more as i64)
                });
                Arc::new(values.collect::<Int64Array>())
            }
            Values::Real { min, max } => {
                let values = numbers.map(|row| min + draws(row).unit() * (max - min));
                Arc::new(values.collect::<Float64Array>())
            }
            Values::Text { length } => {
                let values = numbers.map(|row| Some(letters(*length, &mut draws(row))));
                Arc::new(values.collect::<StringArray>())
            }
            Values::Boolean => {
                let values = numbers.map(|row| Some(draws(row).below(2) == 1));
                Arc::new(values.collect::<BooleanArray>())
            }
            Values::Picks { values, kind } => {
                let count = values.len() as u64;
                let places = numbers.map(|row| match kind {
                    Kind::Random => draws(row).below(count),
                    Kind::Sequence => row % count.max(1),
                });
                take(values, &places.collect::<UInt64Array>(), None)?
            }
        };
        Ok(cast(&array, self.field.data_type())?)
    }
}

fn letters(length: u64, draws: &mut Draws) -> String {
    let letter = |_| {
        LETTERS
            .get(draws.below(26) as usize)
            .copied()
            .unwrap_or(b'a')
    };
    (0..length).map(letter).map(char::from).collect()
}

/// The options of one column.
struct ColumnOptions<'a> {
    field: &'a Field,
    options: &'a mut OptionReader,
}

impl ColumnOptions<'_> {
    fn name(&self, option: &str) -> String {
        format!("fields.{}.{option}", self.field.name())
    }

    fn take_values(&mut self, data_type: &DataType, kind: Kind) -> Result<Values> {
        match (data_type, kind) {
            (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64, kind) => {
                self.take_whole(data_type, kind)
            }
            (DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64, kind) => {
                self.take_whole(data_type, kind)
            }
            (
                DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Decimal256(..),
                Kind::Random,
            ) => {
                let (low, high) = ("a number", "a number that is not below min");
                let min = self.take_number::<f64>("min", &[], low)?.unwrap_or(0.0);
                let max = self.take_number("max", &[], high)?;
                let max = max.unwrap_or_else(|| min.max(1000.0));
                self.check_range(min <= max, &max, high)?;
                self.check_holds(&Float64Array::from(vec![min, max]))?;
                Ok(Values::Real { min, max })
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Kind::Random) => {
                let expected = "a number from 0 to 10000";
                let length = self.take_number::<u64>("length", &[], expected)?;
                let length = length.unwrap_or(8);
                match length {
                    0..=10_000 => Ok(Values::Text { length }),
                    _ => Err(self.bad("length", &length.to_string(), expected)),
                }
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Kind::Sequence) => {
                Ok(Values::Sequence {
                    min: 0,
                    count: None,
                })
            }
            (DataType::Boolean, Kind::Random) => Ok(Values::Boolean),
            (other, Kind::Sequence) => Err(Error::unsupported(format!(
                "column \"{}\" of {} cannot be a sequence, as it is a {other}",
                self.field.name(),
                self.options.owner()
            ))),
            (other, Kind::Random) => Err(Error::unsupported(format!(
                "column \"{}\" of {} cannot be generated, as it is a {other}",
                self.field.name(),
                self.options.owner()
            ))
            .with_hint(
                "The generator makes numbers, VARCHAR, BOOLEAN, TIMESTAMP, DATE and DECIMAL.",
            )),
        }
    }

    fn take_whole(&mut self, data_type: &DataType, kind: Kind) -> Result<Values> {
        let (low, high) = ("a whole number", "a whole number that is not below min");
        let min = self.take_number::<i64>("min", &["start"], low)?;
        let max = self.take_number::<i64>("max", &["end"], high)?;
        let min = min.unwrap_or(0);
        if let Some(max) = max {
            self.check_range(min <= max, &max, high)?;
        }
        self.check_holds(&Int64Array::from(vec![min, max.unwrap_or(min)]))?;
        if kind == Kind::Sequence {
            let count = max.map(|max| (max.wrapping_sub(min) as u64).saturating_add(1));
            return Ok(Values::Sequence { min, count });
        }
        let default = match data_type {
            DataType::Int8 => i64::from(i8::MAX),
            DataType::UInt8 => i64::from(u8::MAX),
            DataType::Int16 => i64::from(i16::MAX),
            DataType::UInt16 => i64::from(u16::MAX),
            _ => 999_999,
        };
        let max = max.unwrap_or_else(|| min.max(default));
        Ok(Values::Whole { min, max })
    }

    /// The texts of `values` as an array of the column's type.
    fn take_picks(&mut self) -> Result<Option<ArrayRef>> {
        let name = self.name("values");
        let Some(text) = self.options.take(&name, &[])? else {
            return Ok(None);
        };
        let texts: StringArray = text.split(',').map(|value| Some(value.trim())).collect();
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        match cast_with_options(&texts, self.field.data_type(), &strict) {
            Ok(values) => Ok(Some(values)),
            Err(_) => {
                let expected = format!("a list of {} values", self.field.data_type());
                Err(self.bad("values", &text, &expected))
            }
        }
    }

    fn take_number<T: std::str::FromStr>(
        &mut self,
        option: &str,
        aliases: &[&str],
        expected: &str,
    ) -> Result<Option<T>> {
        let aliases: Vec<String> = aliases.iter().map(|alias| self.name(alias)).collect();
        let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
        let name = self.name(option);
        self.options.take_parsed(&name, &aliases, expected)
    }

    fn check_range(&self, fits: bool, max: &dyn std::fmt::Display, expected: &str) -> Result<()> {
        if fits {
            Ok(())
        } else {
            Err(self.bad("max", &max.to_string(), expected))
        }
    }

    /// Refuses bounds that the type cannot hold.
    fn check_holds(&self, bounds: &dyn Array) -> Result<()> {
        let held = cast(bounds, self.field.data_type())?;
        if held.null_count() == 0 {
            return Ok(());
        }
        Err(Error::configuration(format!(
            "column \"{}\" of {} is a {}, which cannot hold the given min and max",
            self.field.name(),
            self.options.owner(),
            self.field.data_type()
        )))
    }

    fn bad(&self, option: &str, text: &str, expected: &str) -> Error {
        self.options.bad_value(&self.name(option), text, expected)
    }
}
