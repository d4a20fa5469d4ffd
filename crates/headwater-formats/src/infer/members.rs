//! Names with what was seen of each, in the order in which they came.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields};

use super::seen::{Mixed, Seen, Typed};
use super::{Found, InferredColumn, MAX_COLUMNS};
use crate::json::walk_members;
use crate::timestamp::TimestampOptions;

/// Problems of the members of a STRUCT that its note names.
const MAX_NOTED: usize = 3;

/// The members of objects, or the columns of records.
#[derive(Debug, Default)]
pub(super) struct Members {
    places: HashMap<String, usize>,
    seen: Vec<(String, Seen)>,
}

/// How many more names there may be.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    /// How often a name was passed over.
    passed_over: usize,
}

impl Room {
    /// Room for all columns of a source.
    pub(super) fn new() -> Self {
        Room {
            left: MAX_COLUMNS,
            passed_over: 0,
        }
    }

    /// What is to be said if there was not enough.
    pub(super) fn note(&self) -> Option<String> {
        let note = format!("there are more than {MAX_COLUMNS} names; the later ones are left out");
        (self.passed_over > 0).then_some(note)
    }
}

impl Members {
    /// What was seen of a name; `None` if there is no room for another one.
    pub(super) fn of(&mut self, name: &str, room: &mut Room) -> Option<&mut Seen> {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None if room.left == 0 => {
                room.passed_over += 1;
                return None;
            }
            None => {
                room.left -= 1;
                self.places.insert(name.to_string(), self.seen.len());
                self.seen.push((name.to_string(), Seen::default()));
                self.seen.len() - 1
            }
        };
        self.seen.get_mut(place).map(|(_, seen)| seen)
    }

    /// Adds the members of an object of JSON, which are at a depth.
    pub(super) fn add_object(
        &mut self,
        text: &str,
        depth: usize,
        timestamps: &TimestampOptions,
        room: &mut Room,
    ) {
        // The text is that of a scanned object, so the walk comes to its end.
        let _ = walk_members(text, |key, cell| {
            // A key that is not Unicode is no name of a column, and is passed over when read.
            let seen = key.and_then(|key| self.of(&key, room));
            if let Some(seen) = seen {
                seen.add_json(cell, depth, timestamps, room);
            }
        });
    }

    /// The type of objects with these members.
    pub(super) fn struct_type(&self, mixed: Mixed) -> Typed {
        let (fields, problems) = self.fields(mixed);
        if fields.is_empty() {
            let why = problems.first().map_or("nothing", String::as_str);
            return Err(format!("objects that hold {why}"));
        }
        let more = problems.len().saturating_sub(MAX_NOTED);
        let mut noted: Vec<_> = problems.into_iter().take(MAX_NOTED).collect();
        if more > 0 {
            noted.push(format!("and {more} more"));
        }
        let note = (!noted.is_empty()).then(|| format!("without {}", noted.join("; ")));
        Ok((DataType::Struct(fields), note))
    }

    fn fields(&self, mixed: Mixed) -> (Fields, Vec<String>) {
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        for (name, seen) in &self.seen {
            let typed = check_name(name).and_then(|()| seen.data_type(name, mixed));
            match typed {
                Ok((data_type, _)) => fields.push(Field::new(name, data_type, true)),
                Err(why) => problems.push(format!("\"{}\" ({why})", name.escape_debug())),
            }
        }
        (Fields::from(fields), problems)
    }

    /// The members as columns. Names that `is_taken` are those of other columns.
    pub(super) fn columns(&self, mixed: Mixed, found: &mut Found, is_taken: impl Fn(&str) -> bool) {
        for (name, seen) in &self.seen {
            if is_taken(name) {
                let why = "the format has a column of its own under this name";
                found.left_out.push((name.clone(), why.to_string()));
                continue;
            }
            match check_name(name).and_then(|()| seen.data_type(name, mixed)) {
                Ok((data_type, note)) => found.columns.push(InferredColumn {
                    note,
                    ..InferredColumn::new(name, data_type)
                }),
                Err(why) => found.left_out.push((name.clone(), why)),
            }
        }
    }
}

/// Refuses names that cannot be written into a statement.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err("a name that SQL cannot have".to_string());
    }
    Ok(())
}
