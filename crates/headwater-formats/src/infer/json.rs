//! JSON: the members of the objects.

use super::Found;
use super::members::{Members, Room};
use super::seen::Mixed;
use crate::timestamp::TimestampOptions;

/// Finds the columns of records that are objects.
pub(super) fn infer(records: &[&[u8]], timestamps: &TimestampOptions) -> Found {
    let mut room = Room::new();
    let mut members = Members::default();
    for text in records.iter().filter_map(|r| std::str::from_utf8(r).ok()) {
        members.add_object(text, 1, timestamps, &mut room);
    }
    let mut found = Found::default();
    members.columns(Mixed::HaveNoType, &mut found, |_| false);
    found.notes.extend(room.note());
    found
}
