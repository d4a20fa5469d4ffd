//! Which keys of a line are wanted, and where their values go.
//!
//! Lines of one measurement have the same keys in the same order nearly always. The key seen at
//! each position is remembered, so that finding a value's column is one comparison of bytes. The
//! memory changes the speed and never the result, and it is bounded.

use std::collections::HashMap;

use crate::influx::cell::Escapes;
use crate::influx::scanner::Scanner;

/// Keys remembered at most.
const MAX_REMEMBERED_KEYS: usize = 256;
/// Length up to which a key is remembered.
const MAX_REMEMBERED_KEY_BYTES: usize = 64;

/// The keys of tags and fields that are wanted.
#[derive(Debug)]
pub(crate) struct Keys {
    columns: HashMap<String, usize>,
    remembered: Vec<RememberedKey>,
}

#[derive(Debug)]
struct RememberedKey {
    /// The key as written, without escapes, with its equals sign.
    written: String,
    column: Option<usize>,
}

impl Keys {
    /// The columns by the keys they want, exactly as they are spelled.
    pub(crate) fn new(columns: HashMap<String, usize>) -> Self {
        Keys {
            columns,
            remembered: Vec::new(),
        }
    }

    /// Moves past a key and its equals sign to the value; gives the column of the key. `position`
    /// is how many keys the line has before it. `None` if there is no key.
    pub(crate) fn read(
        &mut self,
        position: usize,
        scanner: &mut Scanner<'_>,
    ) -> Option<Option<usize>> {
        if let Some(key) = self.remembered.get(position)
            && scanner.take(&key.written)
        {
            return Some(key.column);
        }
        let key = scanner.key()?;
        if key.has_escapes {
            let name = Escapes::in_tag(true).undo(key.text);
            return Some(self.columns.get(&name).copied());
        }
        let column = self.columns.get(key.text).copied();
        self.remember(position, key.text, column);
        Some(column)
    }

    /// Where lines of several measurements alternate, keys are remembered over and over: into the
    /// memory that is there.
    fn remember(&mut self, position: usize, key: &str, column: Option<usize>) {
        if position >= MAX_REMEMBERED_KEYS || key.len() > MAX_REMEMBERED_KEY_BYTES {
            return;
        }
        // A position past the end is left out: a key before it was not to be remembered.
        if position == self.remembered.len() {
            self.remembered.push(RememberedKey {
                written: String::with_capacity(key.len() + 1),
                column: None,
            });
        }
        if let Some(place) = self.remembered.get_mut(position) {
            place.written.clear();
            place.written.push_str(key);
            place.written.push('=');
            place.column = column;
        }
    }
}
