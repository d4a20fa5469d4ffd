//! The options of INFLUX, and what they make of the declared columns.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_core::Result;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::builder::Builder;
use crate::column::scalar_column;
use crate::special_column::{SpecialColumn, check_distinct};
use crate::timestamp::TimestampOptions;

const MEASUREMENT: OptionDoc = OptionDoc::new(
    "measurement",
    OptionValues::Described("the name of a column"),
    OptionDefault::Described("`measurement`, if it is declared"),
    "the column of the measurement",
);
const TIME: OptionDoc = OptionDoc::new(
    "time",
    OptionValues::Described("the name of a column"),
    OptionDefault::Described("`time`, if it is declared"),
    "the column of the line's time",
);
const PRECISION: OptionDoc = OptionDoc::new(
    "precision",
    OptionValues::Words(&["ns", "us", "ms", "s"]),
    OptionDefault::Value("ns"),
    "the unit of the line's time",
);

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

impl InfluxOptions {
    /// What it takes, beside the options of timestamps, which are for tags and fields.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&MEASUREMENT, &TIME, &PRECISION];

    /// Takes all options.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let measurement = SpecialColumn::take(reader, MEASUREMENT.name, Some("measurement"))?;
        let time = SpecialColumn::take(reader, TIME.name, Some("time"))?;
        check_distinct(reader, &[&measurement, &time])?;
        let units = [
            ("ns", TimeUnit::Nanosecond),
            ("us", TimeUnit::Microsecond),
            ("ms", TimeUnit::Millisecond),
            ("s", TimeUnit::Second),
        ];
        let precision = reader.take_choice(PRECISION.name, &[], &units)?;
        Ok(InfluxOptions {
            measurement,
            time,
            line_time: TimestampOptions::in_unit(precision.unwrap_or(TimeUnit::Nanosecond)),
            timestamps: TimestampOptions::take(reader)?,
        })
    }

    /// The column of the measurement.
    pub(crate) fn measurement_name(&self) -> Option<&str> {
        self.measurement.name()
    }

    /// The column of the line's time.
    pub(crate) fn time_name(&self) -> Option<&str> {
        self.time.name()
    }

    /// How times in fields are read.
    pub(crate) fn timestamps(&self) -> &TimestampOptions {
        &self.timestamps
    }

    /// What a column holds.
    pub(crate) fn part_of(&self, field: &Field) -> Part {
        if self.measurement.is(field) {
            Part::Measurement
        } else if self.time.is(field) {
            Part::Time
        } else {
            Part::Value
        }
    }

    /// The builder of a column; `None` if its type cannot hold what is there.
    pub(crate) fn column(&self, field: &Field) -> Option<Builder> {
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
                "It is the column of the measurement: declare it as VARCHAR, or name another column \
                 with the option \"measurement\" to read a tag or field of this name."
            }
            Part::Time => {
                "It is the column of the line's time: declare it as TIMESTAMP or BIGINT, or name \
                 another column with the option \"time\" to read a tag or field of this name."
            }
            Part::Value => "A tag or a field holds one value: declare the parts as columns.",
        }
    }

    /// Refuses options that name columns which are not there; `whose` is the format and its owner.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn check_named(&self, whose: &str, declared: &Schema) -> Result<()> {
        self.measurement.check_declared(whose, declared)?;
        self.time.check_declared(whose, declared)
    }
}
