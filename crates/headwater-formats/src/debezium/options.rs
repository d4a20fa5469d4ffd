//! The options of DEBEZIUM JSON and DEBEZIUM AVRO, and what they make of the declared columns.

use arrow::datatypes::Field;
use headwater_core::Result;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::avro::AvroOptions;
use crate::builder::Builder;
use crate::debezium::event_columns::EventColumns;
use crate::json::json_column;
use crate::timestamp::TimestampOptions;

pub(crate) const FORMAT: OptionDoc = OptionDoc::new(
    "format",
    OptionValues::Words(&["json", "avro"]),
    OptionDefault::Described("what the name of the format says; of `DEBEZIUM` alone `json`"),
    "how events are written",
);
const SCHEMA_INCLUDE: OptionDoc = OptionDoc::new(
    "schema.include",
    OptionValues::Bool,
    OptionDefault::Described("as it is found"),
    "whether the event is the `payload` of an object with its schema",
)
.with_flink(&["schema-include"]);

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenAs {
    Json,
    Avro,
}

impl WrittenAs {
    /// Takes the option that says it beside the name of the format, which may say it too.
    ///
    /// # Errors
    /// If they say different things.
    pub(crate) fn take(name: &str, reader: &mut OptionReader) -> Result<Self> {
        let choices = [("json", WrittenAs::Json), ("avro", WrittenAs::Avro)];
        let given = reader.take_choice(FORMAT.name, &[], &choices)?;
        let of_name = match name {
            "debezium" => return Ok(given.unwrap_or(WrittenAs::Json)),
            "debezium-json" => WrittenAs::Json,
            _ => WrittenAs::Avro,
        };
        let word = |written| {
            if written == WrittenAs::Json {
                "json"
            } else {
                "avro"
            }
        };
        match given {
            Some(given) if given != of_name => {
                let expected = format!("'{}'", word(of_name));
                Err(reader.bad_value(FORMAT.name, word(given), &expected))
            }
            _ => Ok(of_name),
        }
    }
}

/// How events that are JSON become columns.
#[derive(Debug, Clone)]
pub(crate) struct DebeziumOptions {
    /// Where an event is.
    pub(crate) place: EventPlace,
    pub(crate) columns: EventColumns,
    timestamps: TimestampOptions,
}

/// How events that are Avro become columns.
#[derive(Debug, Clone)]
pub(crate) struct DebeziumAvroOptions {
    pub(crate) columns: EventColumns,
    pub(crate) avro: AvroOptions,
}

/// Where in a record its event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventPlace {
    /// In the member `payload`, if there is one.
    Found,
    /// In the member `payload`.
    InPayload,
    /// It is the record.
    Whole,
}

impl DebeziumOptions {
    /// What it takes, beside those of the columns and of timestamps.
    pub(crate) const DOCS: [&'static OptionDoc; 1] = [&SCHEMA_INCLUDE];

    /// Takes all options.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let place = match reader.take_bool(SCHEMA_INCLUDE.name, &SCHEMA_INCLUDE.aliases())? {
            None => EventPlace::Found,
            Some(true) => EventPlace::InPayload,
            Some(false) => EventPlace::Whole,
        };
        Ok(DebeziumOptions {
            place,
            columns: EventColumns::take(reader)?,
            timestamps: TimestampOptions::take(reader)?,
        })
    }

    /// How times are read.
    pub(crate) fn timestamps(&self) -> &TimestampOptions {
        &self.timestamps
    }

    /// The builder of a column; `None` if its type cannot hold what is there.
    pub(crate) fn column(&self, field: &Field) -> Option<Builder> {
        let can_hold = self.columns.can_hold(field);
        can_hold.then(|| json_column(field, &self.timestamps))?
    }
}

impl DebeziumAvroOptions {
    /// Takes all options.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        Ok(DebeziumAvroOptions {
            columns: EventColumns::take(reader)?,
            avro: AvroOptions::take(reader)?,
        })
    }
}
