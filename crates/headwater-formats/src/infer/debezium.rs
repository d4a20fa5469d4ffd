//! DEBEZIUM JSON: the members of the rows before and after the changes, and what has happened.

use arrow::datatypes::{DataType, Field, Fields};

use super::members::{Members, Room};
use super::seen::Mixed;
use super::{Found, InferredColumn};
use crate::debezium::{DebeziumOptions, EventColumns, EventFinder};
use crate::json::JsonCell;

/// The columns that the options name, without which they are refused.
pub(super) fn special_columns(options: &EventColumns) -> Vec<InferredColumn> {
    let of = |name: Option<&str>, data_type: &DataType| {
        let data_type = data_type.clone();
        name.map(|name| InferredColumn::new(name, data_type))
    };
    let member = Field::new("member", DataType::Utf8View, true);
    let row = DataType::Struct(Fields::from(vec![member]));
    let columns = [
        of(options.op_name(), &DataType::Utf8View),
        of(options.before_name(), &row),
        of(options.source_name(), &row),
    ];
    columns.into_iter().flatten().collect()
}

/// Finds the columns of events: those of the rows, then `op`, and `before` and the source if events
/// have them.
pub(super) fn infer(options: &DebeziumOptions, records: &[&[u8]]) -> Found {
    let mut room = Room::new();
    let mut events = EventFinder::new(options.place);
    let (mut rows, mut before, mut source) = <(Members, Members, Members)>::default();
    let timestamps = options.timestamps();
    for record in records {
        let Ok(([_, _, row_before, row_after, from], _)) = events.find(Some(record)) else {
            continue;
        };
        for row in [row_after, row_before] {
            if let JsonCell::Object(text) = row {
                rows.add_object(text, 1, timestamps, &mut room);
            }
        }
        if let JsonCell::Object(text) = row_before {
            before.add_object(text, 2, timestamps, &mut room);
        }
        if let (JsonCell::Object(text), Some(_)) = (from, options.columns.source_name()) {
            source.add_object(text, 2, timestamps, &mut room);
        }
    }
    let mut found = Found::default();
    let special = [
        options.columns.op_name(),
        options.columns.before_name(),
        options.columns.source_name(),
    ];
    rows.columns(Mixed::HaveNoType, &mut found, |name| {
        special.contains(&Some(name))
    });
    let type_of = |members: Members| Some(members.struct_type(Mixed::HaveNoType).ok()?.0);
    add_special(
        &options.columns,
        type_of(before),
        type_of(source),
        &mut found,
    );
    found.notes.extend(room.note());
    found
}

/// Adds the columns that are no values of the row, where they have types.
pub(crate) fn add_special(
    columns: &EventColumns,
    before: Option<DataType>,
    source: Option<DataType>,
    found: &mut Found,
) {
    if let Some(name) = columns.op_name() {
        found.columns.push(InferredColumn {
            note: Some("c created, u updated, d deleted, r read by a snapshot".to_string()),
            ..InferredColumn::new(name, DataType::Utf8View).not_null()
        });
    }
    let structs = [
        (columns.before_name(), before, "the row before the change"),
        (columns.source_name(), source, "where the change came from"),
    ];
    for (name, data_type, note) in structs {
        if let (Some(name), Some(data_type)) = (name, data_type) {
            found.columns.push(InferredColumn {
                note: Some(note.to_string()),
                ..InferredColumn::new(name, data_type)
            });
        }
    }
}
