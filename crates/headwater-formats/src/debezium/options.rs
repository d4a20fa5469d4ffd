//! The options of DEBEZIUM JSON, and what they make of the declared columns.

use arrow::datatypes::{DataType, Field, Schema};
use headwater_core::Result;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::column_builder::ColumnBuilder;
use crate::json::json_column;
use crate::special_column::{SpecialColumn, check_distinct};
use crate::timestamp::TimestampOptions;

const FORMAT: OptionDoc = OptionDoc::new(
    "format",
    OptionValues::Words(&["json"]),
    OptionDefault::Value("json"),
    "how events are written",
);
const SCHEMA_INCLUDE: OptionDoc = OptionDoc::new(
    "schema.include",
    OptionValues::Bool,
    OptionDefault::Described("as it is found"),
    "whether the event is the `payload` of an object with its schema",
)
.with_flink(&["schema-include"]);
const OP_COLUMN: OptionDoc = OptionDoc::new(
    "op.column",
    OptionValues::Described("the name of a column"),
    OptionDefault::Described("`op`, if it is declared"),
    "the column of what has happened",
);
const BEFORE_COLUMN: OptionDoc = OptionDoc::new(
    "before.column",
    OptionValues::Described("the name of a column"),
    OptionDefault::Described("`before`, if it is declared"),
    "the column of the row before the change",
);
const SOURCE_COLUMN: OptionDoc = OptionDoc::new(
    "source.column",
    OptionValues::Described("the name of a column"),
    OptionDefault::Nothing,
    "the column of where the change came from",
);

/// How events become columns.
#[derive(Debug, Clone)]
pub(crate) struct DebeziumOptions {
    /// Where an event is.
    pub(crate) place: EventPlace,
    op: SpecialColumn,
    before: SpecialColumn,
    source: SpecialColumn,
    timestamps: TimestampOptions,
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

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What has happened: `c`, `r`, `u`, `d`.
    Op,
    /// The row before the change.
    Before,
    /// Where the change came from.
    Source,
    /// A value of the row.
    Value,
}

impl DebeziumOptions {
    /// What it takes, beside the options of timestamps.
    pub(crate) const DOCS: [&'static OptionDoc; 5] = [
        &FORMAT,
        &SCHEMA_INCLUDE,
        &OP_COLUMN,
        &BEFORE_COLUMN,
        &SOURCE_COLUMN,
    ];

    /// Takes all options.
    ///
    /// # Errors
    /// If one is not valid.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        reader.take_choice(FORMAT.name, &[], &[("json", ())])?;
        let place = match reader.take_bool(SCHEMA_INCLUDE.name, &SCHEMA_INCLUDE.aliases())? {
            None => EventPlace::Found,
            Some(true) => EventPlace::InPayload,
            Some(false) => EventPlace::Whole,
        };
        let op = SpecialColumn::take(reader, OP_COLUMN.name, Some("op"))?;
        let before = SpecialColumn::take(reader, BEFORE_COLUMN.name, Some("before"))?;
        let source = SpecialColumn::take(reader, SOURCE_COLUMN.name, None)?;
        check_distinct(reader, &[&op, &before, &source])?;
        Ok(DebeziumOptions {
            place,
            op,
            before,
            source,
            timestamps: TimestampOptions::take(reader)?,
        })
    }

    /// The column of what has happened.
    pub(crate) fn op_name(&self) -> Option<&str> {
        self.op.name()
    }

    /// The column of the row before the change.
    pub(crate) fn before_name(&self) -> Option<&str> {
        self.before.name()
    }

    /// The column of where the change came from.
    pub(crate) fn source_name(&self) -> Option<&str> {
        self.source.name()
    }

    /// How times are read.
    pub(crate) fn timestamps(&self) -> &TimestampOptions {
        &self.timestamps
    }

    /// What a column holds.
    pub(crate) fn part_of(&self, field: &Field) -> Part {
        if self.op.is(field) {
            Part::Op
        } else if self.before.is(field) {
            Part::Before
        } else if self.source.is(field) {
            Part::Source
        } else {
            Part::Value
        }
    }

    /// The builder of a column; `None` if its type cannot hold what is there.
    pub(crate) fn column(&self, field: &Field) -> Option<Box<dyn ColumnBuilder>> {
        let data_type = field.data_type();
        let can_hold = match self.part_of(field) {
            Part::Op => matches!(data_type, DataType::Utf8 | DataType::Utf8View),
            Part::Before | Part::Source => matches!(data_type, DataType::Struct(_)),
            Part::Value => true,
        };
        can_hold.then(|| json_column(field, &self.timestamps))?
    }

    /// What to do about a column whose type cannot hold what is there.
    pub(crate) fn hint_for(&self, field: &Field) -> Option<&'static str> {
        match self.part_of(field) {
            Part::Op => Some(
                "It is the column of what has happened: declare it as VARCHAR, or name another \
                 column with the option \"op.column\" to read a value of this name.",
            ),
            Part::Before => Some(
                "It is the column of the row before the change: declare it as STRUCT, or name \
                 another column with the option \"before.column\" to read a value of this name.",
            ),
            Part::Source => Some("Declare it as STRUCT of the members that are wanted."),
            Part::Value => None,
        }
    }

    /// Refuses options that name columns which are not there; `whose` is the format and its owner.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn check_named(&self, whose: &str, declared: &Schema) -> Result<()> {
        let columns = [&self.op, &self.before, &self.source];
        let mut columns = columns.into_iter();
        columns.try_for_each(|column| column.check_declared(whose, declared))
    }
}
