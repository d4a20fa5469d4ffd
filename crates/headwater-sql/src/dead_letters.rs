//! The columns in which a sink takes dead letters: those it declares, checked against what is known
//! of every bad record.

use arrow::datatypes::{DataType, Field, SchemaRef};

use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::catalog::SinkEntry;
use crate::side_sinks::{check_side_sink, fits};

/// Checks that a sink can take the bad records of a source, in a query whose result goes to `main`.
/// `every` are the columns that a dead letter has; gives the columns that the sink is handed.
///
/// # Errors
/// If it is the sink of the result, does not take rows that are added, or has a column that a dead
/// letter cannot fill.
pub fn dead_letter_schema(sink: &SinkEntry, main: &str, every: &SchemaRef) -> Result<SchemaRef> {
    check_side_sink(sink, "dead letters", main)?;
    let Some(declared) = &sink.schema else {
        let record = sink.declared.record_schema();
        return Ok(record.unwrap_or_else(|| SchemaRef::clone(every)));
    };
    for field in declared.fields() {
        check_column(sink, field, every)?;
    }
    Ok(SchemaRef::clone(declared))
}

fn check_column(sink: &SinkEntry, wanted: &Field, every: &SchemaRef) -> Result<()> {
    let name = wanted.name();
    let Ok(own) = every.field_with_name(name) else {
        return Err(no_such_column(sink, name, every));
    };
    let (from, to) = (own.data_type(), wanted.data_type());
    let is_text = matches!(
        to,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    // Bytes are written as text, whatever they are.
    let is_text_of_bytes = is_text && from.is_binary();
    if !is_text_of_bytes && !fits(from, to) {
        return Err(Error::plan(format!(
            "column \"{name}\" of sink \"{}\" is {}, and that of dead letters is {}",
            sink.name,
            a_type_name(to),
            a_type_name(from)
        ))
        .with_hint("Declare the sink's column so."));
    }
    if own.is_nullable() && !wanted.is_nullable() {
        return Err(Error::plan(format!(
            "column \"{name}\" of sink \"{}\" is NOT NULL, and a dead letter may have NULL",
            sink.name
        ))
        .with_hint("Declare the sink's column without NOT NULL."));
    }
    Ok(())
}

fn no_such_column(sink: &SinkEntry, name: &str, every: &SchemaRef) -> Error {
    let known: Vec<&str> = every.fields().iter().map(|f| f.name().as_str()).collect();
    let error = Error::plan(format!(
        "column \"{name}\" of sink \"{}\" is in no dead letter",
        sink.name
    ))
    .with_detail(format!("A dead letter has {}.", known.join(", ")));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint("Leave the column out."),
    }
}
