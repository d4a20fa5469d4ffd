//! The columns in which a sink takes late rows: those it declares, checked against what late rows
//! have.

use arrow::datatypes::{Field, FieldRef, SchemaRef};

use headwater_core::error::Span;
use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};
use headwater_plan::LateInput;

use crate::catalog::SinkEntry;
use crate::side_sinks::{check_side_sink, fits};

/// Checks that a sink can take the late rows of a query whose result goes to `main`. `every` are
/// the columns that every late row fills; gives the columns of the rows that the sink is handed.
///
/// # Errors
/// If it is the sink of the result, does not take rows that are added, or has a column that no late
/// row can fill.
pub fn late_schema(
    sink: &SinkEntry,
    main: &str,
    every: &SchemaRef,
    inputs: &[LateInput],
    span: Option<Span>,
) -> Result<SchemaRef> {
    check_side_sink(sink, "late rows", main).map_err(|e| e.with_span(span))?;
    let Some(declared) = &sink.schema else {
        return Ok(SchemaRef::clone(every));
    };
    for field in declared.fields() {
        check_column(sink, field, every, inputs).map_err(|e| e.with_span(span))?;
    }
    Ok(SchemaRef::clone(declared))
}

fn check_column(
    sink: &SinkEntry,
    wanted: &Field,
    every: &SchemaRef,
    inputs: &[LateInput],
) -> Result<()> {
    let name = wanted.name();
    let own = every.field_with_name(name).ok();
    let found: Vec<&Field> = match own {
        Some(own) => vec![own],
        None => {
            let with = |input| of_row(input, name);
            inputs.iter().filter_map(with).map(AsRef::as_ref).collect()
        }
    };
    if found.is_empty() {
        return Err(no_such_column(sink, name, every, inputs));
    }
    for field in &found {
        let (from, to) = (field.data_type(), wanted.data_type());
        if !fits(from, to) {
            return Err(Error::plan(format!(
                "column \"{name}\" of sink \"{}\" is {}, and that of late rows is {}",
                sink.name,
                a_type_name(to),
                a_type_name(from)
            ))
            .with_hint("Declare the sink's column so."));
        }
    }
    let may_be_null = match own {
        Some(own) => own.is_nullable(),
        None => found.len() < inputs.len() || found.iter().any(|f| f.is_nullable()),
    };
    if may_be_null && !wanted.is_nullable() {
        return Err(Error::plan(format!(
            "column \"{name}\" of sink \"{}\" is NOT NULL, and a late row may have NULL",
            sink.name
        ))
        .with_hint("Declare the sink's column without NOT NULL."));
    }
    Ok(())
}

fn of_row<'a>(input: &'a LateInput, name: &str) -> Option<&'a FieldRef> {
    input.columns.iter().find(|column| column.name() == name)
}

fn no_such_column(sink: &SinkEntry, name: &str, every: &SchemaRef, inputs: &[LateInput]) -> Error {
    let of_rows = inputs.iter().flat_map(|input| &input.columns);
    let mut known: Vec<&str> = of_rows.map(|column| column.name().as_str()).collect();
    known.extend(every.fields().iter().map(|field| field.name().as_str()));
    let error = Error::plan(format!(
        "column \"{name}\" of sink \"{}\" is in no late row of the query",
        sink.name
    ));
    let own: Vec<String> = every
        .fields()
        .iter()
        .map(|f| format!("\"{}\"", f.name()))
        .collect();
    let every = format!("Every late row has {}.", own.join(", "));
    match nearest(name, known.iter().copied()) {
        Some(near) => error
            .with_detail(every)
            .with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_detail(every).with_hint("Leave the column out."),
    }
}
