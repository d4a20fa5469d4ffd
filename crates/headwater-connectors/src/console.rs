//! The `console` connector (also `print`): rows as text on standard output or another writer.
//!
//! | format | what is printed |
//! | --- | --- |
//! | `table` | a titled table per epoch, as Spark's console sink draws it |
//! | `json` | one object a row: `{"epoch":3,"op":"+I","row":{…}}` |
//! | `csv` | one line a row: the epoch, the same `op`, the values |
//!
//! Replay: an epoch is printed while it is prepared; a re-run epoch is printed again under the
//! same number. An epoch without rows is not printed unless `print.empty` asks for it.
//! Source: Spark's `ConsoleWrite`, which prints empty epochs too.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::{BoxStream, TryStreamExt};
use parking_lot::Mutex;

use headwater_core::connector::{Connector, DeclaredSink, SinkDefinition};
use headwater_core::format::FormatSpec;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::options::OptionReader;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, Result};

use crate::staging::Staging;

mod cell;
mod lines;
mod table;

use lines::RowLines;
use table::{TablePart, TableStyle};

/// Where the console sink writes.
pub type SharedWriter = Arc<Mutex<dyn Write + Send>>;

/// The standard output of the process.
pub fn stdout_writer() -> SharedWriter {
    Arc::new(Mutex::new(io::stdout()))
}

/// How rows are printed.
#[derive(Debug, Clone)]
enum Form {
    Table(TableStyle),
    /// JSON or CSV.
    Lines(FormatSpec),
}

/// The connector `console`.
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `format` | `table`, `json` or `csv` | `table` |
/// | `num.rows` (`numRows`) | rows a table shows, or `all` | 20 |
/// | `truncate` | `true`, `false` or the characters of a text | 20 characters |
/// | `print.empty` | whether a table without rows is printed | `false` |
pub struct ConsoleConnector {
    writer: SharedWriter,
}

impl ConsoleConnector {
    /// A connector whose sinks print to `writer`.
    pub fn new(writer: SharedWriter) -> Self {
        ConsoleConnector { writer }
    }
}

impl fmt::Debug for ConsoleConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleConnector").finish_non_exhaustive()
    }
}

impl Connector for ConsoleConnector {
    fn name(&self) -> &'static str {
        "console"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["print"]
    }

    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        let format = crate::options::take_format(definition.format, options, "table")?;
        let style = take_style(options)?;
        let prints_empty = options.take_bool("print.empty", &[])?.unwrap_or(false);
        let form = match format.name.as_str() {
            "table" => Form::Table(style),
            "json" | "csv" => Form::Lines(format),
            other => return Err(options.bad_value("format", other, "'table', 'json' or 'csv'")),
        };
        Ok(Arc::new(DeclaredConsole {
            writer: Arc::clone(&self.writer),
            form,
            prints_empty,
            key: definition.primary_key,
        }))
    }
}

/// Reads `num.rows`, a number or `all`, and `truncate`, `true`, `false` or a number of characters.
fn take_style(options: &mut OptionReader) -> Result<TableStyle> {
    let mut style = TableStyle::default();
    if let Some(text) = options.take("num.rows", &["numRows"])? {
        style.rows = match text.trim().to_ascii_lowercase().as_str() {
            "all" => None,
            number => match number.parse::<usize>() {
                Ok(rows) => Some(rows),
                Err(_) => {
                    let expected = "a number of rows or 'all'";
                    return Err(options.bad_value("num.rows", &text, expected));
                }
            },
        };
    }
    if let Some(text) = options.take("truncate", &[])? {
        style.cell_chars = match text.trim().to_ascii_lowercase().as_str() {
            "true" => style.cell_chars,
            "false" => None,
            number => match number.parse::<usize>() {
                Ok(0) => None,
                Ok(chars) => Some(chars),
                Err(_) => {
                    let expected = "true, false or a number of characters";
                    return Err(options.bad_value("truncate", &text, expected));
                }
            },
        };
    }
    Ok(style)
}

struct DeclaredConsole {
    writer: SharedWriter,
    form: Form,
    prints_empty: bool,
    key: Vec<String>,
}

impl fmt::Debug for DeclaredConsole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredConsole")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

impl DeclaredSink for DeclaredConsole {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(ConsoleSink {
            form: self.form.clone(),
            prints_empty: self.prints_empty,
            key: self.key.clone(),
            ..ConsoleSink::new(Arc::clone(&self.writer))
        }))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(self.open()?.capabilities())
    }
}

/// Prints the rows of each epoch.
pub struct ConsoleSink {
    writer: SharedWriter,
    form: Form,
    prints_empty: bool,
    key: Vec<String>,
    context: Mutex<Option<SinkContext>>,
    staged: Staging<Part>,
}

/// What a partition has to print.
#[derive(Debug)]
enum Part {
    Table(TablePart),
    Lines(Vec<u8>),
}

impl ConsoleSink {
    /// A sink that prints tables of at most 20 rows, texts cut at 20 characters.
    pub fn new(writer: SharedWriter) -> Self {
        ConsoleSink {
            writer,
            form: Form::Table(TableStyle::default()),
            prints_empty: false,
            key: Vec::new(),
            context: Mutex::new(None),
            staged: Staging::default(),
        }
    }

    /// A sink that prints one JSON object a row.
    pub fn json(writer: SharedWriter) -> Self {
        ConsoleSink {
            form: Form::Lines(FormatSpec::named("json")),
            ..ConsoleSink::new(writer)
        }
    }

    fn context(&self) -> Result<SinkContext> {
        let context = self.context.lock().clone();
        context.ok_or_else(|| Error::internal("a console sink was written before it was opened"))
    }

    /// Gathers the rows to show. Where that is all of them, what is more than a table is printed at
    /// once, so that an epoch of any size needs little memory.
    async fn write_table(
        &self,
        style: TableStyle,
        epoch: EpochId,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<(u64, TablePart)> {
        let context = self.context()?;
        let mut part = TablePart::default();
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows() as u64;
            part.add(&batch, style)?;
            let full = style.rows.is_none().then(|| part.take_full()).flatten();
            if let Some(full) = full {
                self.print(table::draw(epoch, &context.schema, &full, style).as_bytes())?;
            }
        }
        Ok((count, part))
    }

    /// Gathers lines; what is more than the buffer is printed at once, in whole lines. Partitions
    /// may then take turns.
    async fn write_lines(
        &self,
        format: &FormatSpec,
        epoch: EpochId,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<(u64, Vec<u8>)> {
        let context = self.context()?;
        let mut lines = RowLines::try_new(format, epoch, &context)?;
        while let Some(batch) = rows.try_next().await? {
            lines.add(&batch)?;
            if let Some(full) = lines.take_full() {
                self.print(&full)?;
            }
        }
        Ok(lines.finish())
    }

    fn print(&self, text: &[u8]) -> Result<()> {
        let mut writer = self.writer.lock();
        let written = writer.write_all(text).and_then(|()| writer.flush());
        written.map_err(|error| {
            // Nobody comes back to a closed pipe, so this is not tried again.
            let failed = match error.kind() {
                io::ErrorKind::BrokenPipe => {
                    Error::resource("nobody reads the console output any more")
                }
                _ => Error::sink_failed("could not write to the console"),
            };
            failed.with_source(error)
        })
    }
}

impl fmt::Debug for ConsoleSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleSink")
            .field("form", &self.form)
            .field("prints_empty", &self.prints_empty)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for ConsoleSink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: vec![OutputMode::Append, OutputMode::Update, OutputMode::Complete],
            key: self.key.clone(),
            loses_null_keys: false,
            takes_deletes: true,
            is_idempotent: false,
            overlaps: false,
        }
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn publication(&self) -> Publication {
        Publication::AfterRecord
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        Ok(None)
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        self.staged.discard_after(context.last_committed);
        *self.context.lock() = Some(context.clone());
        match &self.form {
            Form::Table(_) => Ok(()),
            Form::Lines(format) => {
                // A format that cannot hold the rows is refused before the first one comes.
                RowLines::try_new(format, EpochId(0), context)?;
                self.print(&lines::names(format, context)?)
            }
        }
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let (rows, part) = match &self.form {
            Form::Table(style) => {
                let (rows, part) = self.write_table(*style, epoch, rows).await?;
                (rows, Part::Table(part))
            }
            Form::Lines(format) => {
                let (rows, lines) = self.write_lines(format, epoch, rows).await?;
                (rows, Part::Lines(lines))
            }
        };
        self.staged.put(epoch, partition, part);
        Ok(Staged {
            rows,
            ..Staged::default()
        })
    }

    async fn prepare(&self, epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        let parts = self.staged.take(epoch).unwrap_or_default();
        let mut whole = TablePart::default();
        let mut text = Vec::new();
        for part in parts {
            match part {
                Part::Table(part) => whole.append(part),
                Part::Lines(lines) => text.extend(lines),
            }
        }
        if let Form::Table(style) = &self.form
            && (whole.rows() > 0 || self.prints_empty)
        {
            let schema = self.context()?.schema;
            text = table::draw(epoch, &schema, &whole, *style).into_bytes();
        }
        if !text.is_empty() {
            self.print(&text)?;
        }
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, _epoch: EpochId, _token: CommitToken) -> Result<()> {
        Ok(())
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.staged.discard(epoch);
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
