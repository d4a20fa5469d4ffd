//! Which columns of an event are no values of its row, however the event is written.

use arrow::datatypes::{DataType, Field, Schema};
use headwater_core::Result;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::special_column::{SpecialColumn, check_distinct};

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

/// The columns that have a meaning of their own.
#[derive(Debug, Clone)]
pub(crate) struct EventColumns {
    op: SpecialColumn,
    before: SpecialColumn,
    source: SpecialColumn,
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

impl EventColumns {
    /// What it takes.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&OP_COLUMN, &BEFORE_COLUMN, &SOURCE_COLUMN];

    /// Takes its options.
    ///
    /// # Errors
    /// If two name the same column.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let op = SpecialColumn::take(reader, OP_COLUMN.name, Some("op"))?;
        let before = SpecialColumn::take(reader, BEFORE_COLUMN.name, Some("before"))?;
        let source = SpecialColumn::take(reader, SOURCE_COLUMN.name, None)?;
        check_distinct(reader, &[&op, &before, &source])?;
        Ok(EventColumns { op, before, source })
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

    /// Whether a column's type can hold what is there; of values another one decides.
    pub(crate) fn can_hold(&self, field: &Field) -> bool {
        let data_type = field.data_type();
        match self.part_of(field) {
            Part::Op => matches!(data_type, DataType::Utf8 | DataType::Utf8View),
            Part::Before | Part::Source => matches!(data_type, DataType::Struct(_)),
            Part::Value => true,
        }
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
