//! What the keys of records are, for who declares columns: text or bytes, and which format they are
//! in.

use arrow::array::{Array, BinaryArray};
use headwater_core::Result;

use super::guess::{Guess, guess_format};

/// The keys of a sample that has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKeys {
    /// How many records have a key.
    pub keys: usize,
    /// Whether all of them are UTF-8.
    pub are_texts: bool,
    /// The format in which columns can be read from them, if that is more than a text.
    pub format: Option<&'static str>,
}

/// Looks at the keys of records; `None` if none has one.
///
/// # Errors
/// Only for a bug: no record is bad here.
pub async fn seen_keys(owner: &str, keys: &BinaryArray) -> Result<Option<SeenKeys>> {
    let count = keys.len() - keys.null_count();
    if count == 0 {
        return Ok(None);
    }
    let format = match guess_format(owner, keys).await? {
        Guess::Registered { .. } => Some("AVRO"),
        Guess::Format(format) if format.name == "json" => Some("JSON"),
        Guess::Format(_) => None,
    };
    let mut each = keys.iter().flatten();
    Ok(Some(SeenKeys {
        keys: count,
        are_texts: each.all(|key| std::str::from_utf8(key).is_ok()),
        format,
    }))
}
