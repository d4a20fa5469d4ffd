//! What every sink beside that of the result must be: another one, to which rows are added.

use arrow::datatypes::DataType;

use headwater_core::mode::OutputMode;
use headwater_core::{Error, Result};

use crate::assignment::can_be_stored;
use crate::catalog::SinkEntry;

/// Refuses a sink for `what` (late rows, dead letters) of a query whose result goes to `main`.
///
/// # Errors
/// If it is the same, or rows cannot be added to it.
pub(crate) fn check_side_sink(sink: &SinkEntry, what: &str, main: &str) -> Result<()> {
    if sink.name == main {
        return Err(Error::plan(format!(
            "{what} cannot go to sink \"{main}\", where the result goes"
        ))
        .with_hint("Declare another sink for them."));
    }
    let modes = sink.declared.capabilities()?.modes;
    if !modes.contains(&OutputMode::Append) {
        return Err(Error::plan(format!(
            "sink \"{}\" cannot take {what}: it has no append mode",
            sink.name
        ))
        .with_hint("Choose a sink that rows are added to."));
    }
    Ok(())
}

/// Whether a column can be handed over in another type: as by INSERT, but a time stays a time.
pub(crate) fn fits(from: &DataType, to: &DataType) -> bool {
    let is_time = |t: &DataType| matches!(t, DataType::Timestamp(_, _));
    let is_kept = can_be_stored(from, to) && (!is_time(from) || is_time(to));
    is_kept && arrow::compute::can_cast_types(from, to)
}
