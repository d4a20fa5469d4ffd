//! The options of INFLUX, and what they make of the declared columns.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `measurement` | the column of the measurement | `measurement`, if it is declared |
//! | `time` | the column of the line's time | `time`, if it is declared |
//! | `precision` | the unit of the line's time: `ns`, `us`, `ms`, `s` | `ns` |
//! | `timestamp.format`, `timestamp.unit` | TIMESTAMP columns of tags and fields; see [`crate::timestamp`] | ISO 8601 |

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

use crate::column::scalar_column;
use crate::column_builder::ColumnBuilder;
use crate::timestamp::TimestampOptions;

/// How lines become columns.
#[derive(Debug, Clone)]
pub(crate) struct InfluxOptions {
    measurement: SpecialColumn,
    time: SpecialColumn,
    /// How the line's time is read.
    line_time: TimestampOptions,
    /// How tags and fields are read.
    timestamps: TimestampOptions,
}

/// A column that is neither a tag nor a field.
#[derive(Debug, Clone)]
struct SpecialColumn {
    option: &'static str,
    name: String,
    /// Whether the user named it: it must be declared then.
    is_asked_for: bool,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The name of what was measured.
    Measurement,
    /// The time at the end of the line.
    Time,
    /// The tag or the field of the column's name.
    Value,
}

impl SpecialColumn {
    fn take(reader: &mut OptionReader, option: &'static str) -> Result<Self> {
        let named = reader.take(option, &[])?;
        Ok(SpecialColumn {
            option,
            is_asked_for: named.is_some(),
            name: named.unwrap_or_else(|| option.to_string()),
        })
    }

    fn check_declared(&self, owner: &str, declared: &Schema) -> Result<()> {
        if !self.is_asked_for || declared.column_with_name(&self.name).is_some() {
            return Ok(());
        }
        Err(Error::plan(format!(
            "option \"{}\" of format \"influx\" of {owner} names \"{}\", which is not a column",
            self.option, self.name
        ))
        .with_hint("Declare the column, or leave the option out."))
    }
}

impl InfluxOptions {
    /// Takes all options.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let measurement = SpecialColumn::take(reader, "measurement")?;
        let time = SpecialColumn::take(reader, "time")?;
        if measurement.name == time.name {
            let expected = "another column than that of \"measurement\"";
            return Err(reader.bad_value("time", &time.name, expected));
        }
        let units = [
            ("ns", TimeUnit::Nanosecond),
            ("us", TimeUnit::Microsecond),
            ("ms", TimeUnit::Millisecond),
            ("s", TimeUnit::Second),
        ];
        let precision = reader.take_choice("precision", &[], &units)?;
        Ok(InfluxOptions {
            measurement,
            time,
            line_time: TimestampOptions::in_unit(precision.unwrap_or(TimeUnit::Nanosecond)),
            timestamps: TimestampOptions::take(reader)?,
        })
    }

    /// What a column holds.
    pub(crate) fn part_of(&self, field: &Field) -> Part {
        if *field.name() == self.measurement.name {
            Part::Measurement
        } else if *field.name() == self.time.name {
            Part::Time
        } else {
            Part::Value
        }
    }

    /// The builder of a column; `None` if its type cannot hold what is there.
    pub(crate) fn column(&self, field: &Field) -> Option<Box<dyn ColumnBuilder>> {
        let data_type = field.data_type();
        match self.part_of(field) {
            Part::Measurement => matches!(data_type, DataType::Utf8 | DataType::Utf8View)
                .then(|| scalar_column(field, &self.timestamps))?,
            Part::Time => matches!(data_type, DataType::Timestamp(..) | DataType::Int64)
                .then(|| scalar_column(field, &self.line_time))?,
            Part::Value => scalar_column(field, &self.timestamps),
        }
    }

    /// What to do about a column whose type cannot hold what is there.
    pub(crate) fn hint_for(&self, field: &Field) -> &'static str {
        match self.part_of(field) {
            Part::Measurement => {
                "It is the column of the measurement: declare it as STRING, or name another column \
                 with the option \"measurement\" to read a tag or field of this name."
            }
            Part::Time => {
                "It is the column of the line's time: declare it as TIMESTAMP or BIGINT, or name \
                 another column with the option \"time\" to read a tag or field of this name."
            }
            Part::Value => "A tag or a field holds one value: declare the parts as columns.",
        }
    }

    /// Refuses options that name columns which are not there.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn check_named(&self, owner: &str, declared: &Schema) -> Result<()> {
        self.measurement.check_declared(owner, declared)?;
        self.time.check_declared(owner, declared)
    }
}
