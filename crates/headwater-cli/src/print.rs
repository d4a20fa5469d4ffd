//! Rows of a bounded query on standard output, as a table, as JSON or as CSV.
//!
//! JSON and CSV are written as rows come. A table is drawn of at most [`TABLE_ROWS`] rows, and
//! the rows after them get a table of their own, so that no answer has to fit in memory.

use std::io::Write;

use headwater::arrow::array::RecordBatch;
use headwater::arrow::csv;
use headwater::arrow::datatypes::{DataType, Schema, SchemaRef};
use headwater::arrow::json;
use headwater::arrow::json::writer::LineDelimited;
use headwater::arrow::util::display::FormatOptions;
use headwater::arrow::util::pretty::pretty_format_batches_with_options;
use headwater::{Error, Result, Rows};

use crate::args::{ProgressWhen, RowFormat};
use crate::context::Context;
use crate::progress::{counted, shows_progress};
use crate::reading::ReadLine;
use crate::screen::{DataWriter, output_failed};

/// Times without a zone are UTC; in JSON and CSV they say so, as the sinks write them.
const UTC: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// How rows are printed, and whether the progress of their read is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Showing {
    pub(crate) format: RowFormat,
    pub(crate) progress: ProgressWhen,
}

/// Rows of one table.
const TABLE_ROWS: usize = 10_000;

/// Prints all rows, shows the progress of the read until then, and says which records were left out.
///
/// # Errors
/// If reading or writing fails.
pub(crate) async fn print_rows(mut rows: Rows, showing: Showing, context: &Context) -> Result<()> {
    let printer = Printer::try_new(rows.schema(), showing.format, context)?;
    let printed = print_all(&mut rows, printer, showing, context).await;
    context.screen.end_progress();
    printed?;
    for (source, reason, records) in rows.bad_records() {
        context.note(&format!(
            "warning: source \"{source}\": {} ({reason})",
            counted(records, "bad record")
        ));
    }
    Ok(())
}

async fn print_all(
    rows: &mut Rows,
    mut printer: Printer,
    showing: Showing,
    context: &Context,
) -> Result<()> {
    let watch = rows.watch();
    // Rows that are there already, such as those of EXPLAIN, are not read.
    if !watch.is_read() || !shows_progress(showing.progress, context) {
        while let Some(batch) = rows.next().await? {
            printer.add(batch)?;
        }
        return printer.finish();
    }
    let mut line = ReadLine::new(context);
    while let Some(batch) = line.during(|| watch.progress(), rows.next()).await? {
        printer.add(batch)?;
    }
    printer.finish()?;
    if showing.progress == ProgressWhen::Always {
        line.tell_end(watch.progress());
    }
    Ok(())
}

/// Prints rows that are there already.
///
/// # Errors
/// If writing fails.
pub(crate) fn print_batch(batch: RecordBatch, format: RowFormat, context: &Context) -> Result<()> {
    let mut printer = Printer::try_new(batch.schema(), format, context)?;
    printer.add(batch)?;
    printer.finish()
}

struct Printer {
    schema: SchemaRef,
    form: Form,
    out: DataWriter,
}

enum Form {
    Table {
        waiting: Vec<RecordBatch>,
        drawn: bool,
    },
    Json,
    Csv {
        has_names: bool,
    },
}

impl Printer {
    /// # Errors
    /// If a column has no form in the format.
    fn try_new(schema: SchemaRef, format: RowFormat, context: &Context) -> Result<Self> {
        let form = match format {
            RowFormat::Table => Form::Table {
                waiting: Vec::new(),
                drawn: false,
            },
            RowFormat::Json => {
                refuse(&schema, "json", holds_json_value)?;
                Form::Json
            }
            RowFormat::Csv => {
                refuse(&schema, "csv", DataType::is_nested)?;
                Form::Csv { has_names: false }
            }
        };
        Ok(Printer {
            schema,
            form,
            out: context.screen.data(),
        })
    }

    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        match &mut self.form {
            Form::Table { waiting, .. } => {
                waiting.push(batch);
                let rows: usize = waiting.iter().map(RecordBatch::num_rows).sum();
                if rows >= TABLE_ROWS {
                    self.draw()?;
                }
                Ok(())
            }
            Form::Json => {
                let mut lines = Vec::new();
                let mut writer = json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .with_timestamp_format(UTC.to_string())
                    .build::<_, LineDelimited>(&mut lines);
                writer.write(&batch)?;
                writer.finish()?;
                self.write(&lines)
            }
            Form::Csv { has_names } => {
                let mut lines = Vec::new();
                let mut writer = csv::WriterBuilder::new()
                    .with_header(!*has_names)
                    .with_timestamp_format(UTC.to_string())
                    .build(&mut lines);
                writer.write(&batch)?;
                drop(writer);
                *has_names = true;
                self.write(&lines)
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        match &self.form {
            Form::Table { waiting, drawn } if !waiting.is_empty() || !drawn => self.draw(),
            Form::Csv { has_names: false } => {
                self.add(RecordBatch::new_empty(SchemaRef::clone(&self.schema)))
            }
            Form::Table { .. } | Form::Json | Form::Csv { .. } => Ok(()),
        }
    }

    fn draw(&mut self) -> Result<()> {
        let Form::Table { waiting, drawn } = &mut self.form else {
            return Ok(());
        };
        if waiting.is_empty() {
            waiting.push(RecordBatch::new_empty(SchemaRef::clone(&self.schema)));
        }
        let options = FormatOptions::default().with_null("NULL");
        let table = pretty_format_batches_with_options(waiting, &options)?;
        waiting.clear();
        *drawn = true;
        self.write(format!("{table}\n").as_bytes())
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        let written = self.out.write_all(text);
        written
            .and_then(|()| self.out.flush())
            .map_err(output_failed)
    }
}

/// Refuses columns of which Arrow's writers say only that they do not support them.
fn refuse(schema: &Schema, format: &str, is_refused: fn(&DataType) -> bool) -> Result<()> {
    let mut fields = schema.fields().iter();
    let Some(field) = fields.find(|field| is_refused(field.data_type())) else {
        return Ok(());
    };
    let name = field.name();
    let (what, hint) = match field.data_type() {
        DataType::Union(..) => (
            "a JSON value",
            format!("Take its text with ->> or json_as_text(), and name it: … AS \"{name}\"."),
        ),
        DataType::Struct(_) => (
            "a STRUCT",
            format!("Write its fields one by one, or to_json(\"{name}\")."),
        ),
        DataType::Map(..) => (
            "a MAP",
            format!("Write values of it one by one, or to_json(\"{name}\")."),
        ),
        _ => ("an ARRAY", format!("Write to_json(\"{name}\").")),
    };
    let message = format!("format \"{format}\" cannot show column \"{name}\", which is {what}");
    Err(Error::unsupported(message).with_hint(hint))
}

/// Whether a value is one of several types, as what looking into JSON gives, or holds one.
fn holds_json_value(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(..) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
            holds_json_value(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|f| holds_json_value(f.data_type())),
        _ => false,
    }
}
