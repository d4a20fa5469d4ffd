//! Which keys of an object are wanted, and where their values go.
//!
//! Records of one topic have the same keys in the same order nearly always. The shape remembers
//! the key seen at each position, so that finding a value's column is one comparison of bytes.
//! The memory changes the speed and never the result. It is bounded: keys beyond its size are
//! looked up.

use std::collections::HashMap;

use arrow::datatypes::FieldRef;

use crate::json::cell::JsonCell;
use crate::json::reading::Reading;
use crate::json::scanner::{NotJson, Scanner, unescape};
use crate::timestamp::TimestampOptions;

/// Keys remembered at most.
const MAX_REMEMBERED_KEYS: usize = 256;
/// Length up to which a key is remembered.
const MAX_REMEMBERED_KEY_BYTES: usize = 64;

/// The wanted keys of an object.
#[derive(Debug)]
pub(crate) struct ObjectShape {
    columns: HashMap<String, usize>,
    /// How the value of each column is read.
    readings: Vec<Reading>,
    remembered: Vec<RememberedKey>,
}

#[derive(Debug)]
struct RememberedKey {
    /// The key as written, without escapes, with its quotes and a colon.
    written: String,
    column: Option<usize>,
}

impl ObjectShape {
    /// The shape that wants these keys, with the places of their values.
    pub(crate) fn new(places: impl IntoIterator<Item = (String, usize)>) -> Self {
        ObjectShape {
            columns: places.into_iter().collect(),
            readings: Vec::new(),
            remembered: Vec::new(),
        }
    }

    /// The shape that wants the values of columns, with their places; a key must have a column's name
    /// exactly.
    pub(crate) fn of_columns<'a>(
        columns: impl IntoIterator<Item = (usize, &'a FieldRef)>,
        timestamps: &TimestampOptions,
    ) -> Self {
        let mut shape = ObjectShape::new([]);
        for (place, field) in columns {
            shape.columns.insert(field.name().clone(), place);
            let places = shape.readings.len().max(place + 1);
            shape.readings.resize(places, Reading::Any);
            if let Some(reading) = shape.readings.get_mut(place) {
                *reading = Reading::of(field, timestamps);
            }
        }
        shape
    }

    /// Reads an object; the scanner must be at its brace. `cells` has every place of a value and
    /// is reset first. Of a key that comes twice, the last value counts.
    pub(crate) fn read<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        cells: &mut [JsonCell<'a>],
    ) -> Result<(), NotJson> {
        cells.fill(JsonCell::Null);
        if scanner.next_byte() != Some(b'{') {
            return Err(NotJson);
        }
        scanner.skip_space();
        if scanner.take("}") {
            return Ok(());
        }
        let mut position = 0;
        loop {
            let column = self.read_key(position, scanner)?;
            let place = column.and_then(|column| {
                let reading = self.readings.get_mut(column);
                Some((cells.get_mut(column)?, reading))
            });
            match place {
                Some((cell, Some(reading))) => reading.read(scanner, cell)?,
                Some((cell, None)) => *cell = scanner.value()?,
                None => {
                    scanner.value()?;
                }
            }
            position += 1;
            scanner.skip_space();
            match scanner.next_byte() {
                Some(b',') => scanner.skip_space(),
                Some(b'}') => return Ok(()),
                _ => return Err(NotJson),
            }
        }
    }

    /// Moves past a key and its colon to the value; gives the column of the key.
    #[inline]
    fn read_key(
        &mut self,
        position: usize,
        scanner: &mut Scanner<'_>,
    ) -> Result<Option<usize>, NotJson> {
        if let Some(key) = self.remembered.get(position)
            && scanner.take_known(key.written.as_bytes())
        {
            scanner.skip_space();
            return Ok(key.column);
        }
        self.find_key(position, scanner)
    }

    /// As [`ObjectShape::read_key`], where another key is than the last time.
    #[cold]
    fn find_key(
        &mut self,
        position: usize,
        scanner: &mut Scanner<'_>,
    ) -> Result<Option<usize>, NotJson> {
        let (key, has_escapes) = scanner.string()?;
        scanner.colon()?;
        if has_escapes {
            // A lone surrogate is no name of a column.
            let column = unescape(key).and_then(|key| self.columns.get(&key).copied());
            return Ok(column);
        }
        let column = self.columns.get(key).copied();
        self.remember(position, key, column);
        Ok(column)
    }

    fn remember(&mut self, position: usize, key: &str, column: Option<usize>) {
        if position >= MAX_REMEMBERED_KEYS || key.len() > MAX_REMEMBERED_KEY_BYTES {
            return;
        }
        let key = RememberedKey {
            written: format!("\"{key}\":"),
            column,
        };
        // A position past the end is left out: a key before it was not to be remembered.
        if let Some(place) = self.remembered.get_mut(position) {
            *place = key;
        } else if position == self.remembered.len() {
            self.remembered.push(key);
        }
    }
}
