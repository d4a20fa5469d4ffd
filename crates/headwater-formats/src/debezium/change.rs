//! What has happened to a row, and why an event may give none.

/// An event that does not say what has happened.
pub(crate) const NO_OP: &str = "no event: \"op\" is missing or no text";
/// A delete that does not say what is gone.
pub(crate) const NO_BEFORE: &str = "a delete without \"before\"";
/// A change that does not say what is there.
pub(crate) const NO_AFTER: &str = "a change without \"after\"";

/// What has happened, if it gives a row.
///
/// # Errors
/// Why it gives none.
pub(crate) fn known_op(text: &str) -> Result<&'static str, &'static str> {
    match text {
        "c" => Ok("c"),
        "r" => Ok("r"),
        "u" => Ok("u"),
        "d" => Ok("d"),
        "t" => Err("a truncate event, which has no row"),
        _ => Err("an event with an unknown \"op\""),
    }
}
