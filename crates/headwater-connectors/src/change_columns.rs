//! Rows that say which epoch they come from and what they are: the options `with.epoch` and
//! `with.op` of sinks, as columns before those of the row.
//!
//! | mode | `op` |
//! | --- | --- |
//! | append, complete | `+I`: a new row, or a row of the whole result |
//! | update | `+U`: a row in its newest version, new or not; `-D`: a row that is gone, as it last was |
//!
//! Output: what the sink around which it stands makes of the rows. Replay: an epoch keeps its
//! number, so a re-run writes the same.
//! Source: Flink's `RowKind` names the kinds of rows so.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use headwater_core::around::SinkAround;
use headwater_core::changes::{INSERT, UPDATE, ops, split_ops};
use headwater_core::connector::DeclaredSink;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::options::OptionReader;
use headwater_core::sink::{Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, Result};

/// Name of the column that holds the epoch.
pub(crate) const EPOCH: &str = "epoch";
/// Name of the column that holds what a row is.
pub(crate) const OP: &str = "op";

/// What a row is, as far as its mode says.
pub(crate) fn op_of(mode: OutputMode) -> &'static str {
    match mode {
        OutputMode::Append | OutputMode::Complete => INSERT,
        OutputMode::Update => UPDATE,
    }
}

/// The columns that a sink was asked to add.
#[derive(Debug, Clone)]
pub(crate) struct ChangeColumns {
    epoch: bool,
    op: bool,
    /// Kind and quoted name of the sink, for messages.
    owner: String,
}

impl ChangeColumns {
    /// Takes `with.epoch` and `with.op`.
    pub(crate) fn take(options: &mut OptionReader) -> Result<Self> {
        Ok(ChangeColumns {
            epoch: options.take_bool("with.epoch", &[])?.unwrap_or(false),
            op: options.take_bool("with.op", &[])?.unwrap_or(false),
            owner: options.owner().to_string(),
        })
    }

    /// The columns of a sink whose rows have these.
    ///
    /// # Errors
    /// If a column of the rows has the name of one that is added.
    pub(crate) fn schema(&self, rows: &SchemaRef) -> Result<SchemaRef> {
        let mut fields: Vec<FieldRef> = Vec::with_capacity(rows.fields().len() + 2);
        if self.epoch {
            fields.push(Arc::new(Field::new(EPOCH, DataType::Int64, false)));
        }
        if self.op {
            fields.push(Arc::new(Field::new(OP, DataType::Utf8, false)));
        }
        for added in &fields {
            if rows.column_with_name(added.name()).is_some() {
                return Err(Error::plan(format!(
                    "the rows of {} have a column \"{}\" already",
                    self.owner,
                    added.name()
                ))
                .with_hint(format!(
                    "Name it otherwise, or leave out the option \"with.{}\".",
                    added.name()
                )));
            }
        }
        fields.extend(rows.fields().iter().cloned());
        Ok(Arc::new(Schema::new(fields)))
    }

    /// A declared sink whose rows get the columns.
    pub(crate) fn around(self, inner: Arc<dyn DeclaredSink>) -> Arc<dyn DeclaredSink> {
        if !self.epoch && !self.op {
            return inner;
        }
        Arc::new(DeclaredWithColumns {
            inner,
            columns: self,
        })
    }

    fn added_to(
        &self,
        batch: &RecordBatch,
        epoch: EpochId,
        opened: &Opened,
    ) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(opened.schema.fields().len());
        if self.epoch {
            let epoch = i64::try_from(epoch.0).unwrap_or(i64::MAX);
            columns.push(Arc::new(Int64Array::from_value(epoch, rows)));
        }
        if self.op {
            columns.push(match opened.has_ops {
                true => Arc::new(split_ops(batch)?.1),
                false => ops(opened.op, rows),
            });
        }
        columns.extend(batch.columns().iter().cloned());
        Ok(RecordBatch::try_new(Arc::clone(&opened.schema), columns)?)
    }
}

#[derive(Debug)]
struct DeclaredWithColumns {
    inner: Arc<dyn DeclaredSink>,
    columns: ChangeColumns,
}

impl DeclaredSink for DeclaredWithColumns {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(SinkWithColumns {
            inner: self.inner.open()?,
            columns: self.columns.clone(),
            opened: Mutex::default(),
        }))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        self.inner.capabilities()
    }

    fn identity(&self) -> Result<Vec<(&'static str, String)>> {
        self.inner.identity()
    }
}

/// A sink around another one.
#[derive(Debug)]
struct SinkWithColumns {
    inner: Arc<dyn Sink>,
    columns: ChangeColumns,
    opened: Mutex<Option<Opened>>,
}

/// What the query said when it opened the sink.
#[derive(Debug, Clone)]
struct Opened {
    schema: SchemaRef,
    op: &'static str,
    /// Whether the rows say themselves what they are, in the last column; the sink sees it too.
    has_ops: bool,
}

#[async_trait]
impl SinkAround for SinkWithColumns {
    fn inner(&self) -> &dyn Sink {
        &*self.inner
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        let opened = Opened {
            schema: self.columns.schema(&context.schema)?,
            op: op_of(context.mode),
            has_ops: context.has_ops,
        };
        let context = SinkContext {
            schema: Arc::clone(&opened.schema),
            ..context.clone()
        };
        *self.opened.lock() = Some(opened);
        self.inner.open(&context).await
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let opened = self.opened.lock().clone();
        let opened =
            opened.ok_or_else(|| Error::internal("a sink was written before it was opened"))?;
        let columns = self.columns.clone();
        let rows = rows.map(move |batch| columns.added_to(&batch?, epoch, &opened));
        self.inner.write(epoch, partition, rows.boxed()).await
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::changes::OP_COLUMN;
    use headwater_core::options::Options;

    use super::*;
    use crate::memory::MemorySink;
    use crate::test_support::{ints, rows_of, sink_context, table};

    fn columns(options: &[(&str, &str)]) -> ChangeColumns {
        let options: Options = options.iter().copied().collect();
        let mut reader = OptionReader::new("sink \"s\"", &options);
        let columns = ChangeColumns::take(&mut reader).unwrap();
        reader.finish().unwrap();
        columns
    }

    async fn written(options: &[(&str, &str)], mode: OutputMode) -> String {
        let memory = MemorySink::new();
        let sink = columns(options).around(memory.declared()).open().unwrap();
        let context = sink_context(ints(&[]).schema(), mode, None);
        sink.open(&context).await.unwrap();
        for (epoch, value) in [(EpochId(0), 7), (EpochId(1), 8)] {
            let staged = sink
                .write(epoch, 0, rows_of([ints(&[value])]))
                .await
                .unwrap();
            let token = sink.prepare(epoch, vec![staged]).await.unwrap();
            sink.commit(epoch, token).await.unwrap();
        }
        table(&memory.rows())
    }

    #[tokio::test]
    async fn rows_say_their_epoch_and_what_they_are() {
        let both = [("with.epoch", "true"), ("with.op", "true")];
        assert_eq!(
            written(&both, OutputMode::Append).await,
            "\
+-------+----+---+
| epoch | op | n |
+-------+----+---+
| 0     | +I | 7 |
| 1     | +I | 8 |
+-------+----+---+"
        );
        let updated = written(&both, OutputMode::Update).await;
        assert!(updated.contains("| 1     | +U | 8 |"), "{updated}");
        let complete = written(&[("with.epoch", "true")], OutputMode::Complete).await;
        assert_eq!(
            complete,
            "\
+-------+---+
| epoch | n |
+-------+---+
| 1     | 8 |
+-------+---+"
        );
        let plain = written(&[("with.op", "false")], OutputMode::Append).await;
        assert!(plain.contains("| n |") && !plain.contains("op"), "{plain}");
    }

    #[tokio::test]
    async fn rows_that_say_what_they_do_are_asked() {
        let memory = MemorySink::with_key(vec!["n".to_string()]);
        let sink = columns(&[("with.op", "true")]).around(memory.declared());
        let sink = sink.open().unwrap();
        let rows = |ops: &[&str]| {
            let rows = ints(&[7, 8]);
            let ops = Arc::new(arrow::array::StringArray::from(ops.to_vec()));
            let columns: [(&str, ArrayRef); 2] =
                [("n", Arc::clone(rows.column(0))), (OP_COLUMN, ops)];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let context = sink_context(rows(&["", ""]).schema(), OutputMode::Update, None);
        sink.open(&context).await.unwrap();
        for (epoch, rows) in [
            (EpochId(0), rows(&["+U", "+U"])),
            (EpochId(1), rows(&["-D", "+U"])),
        ] {
            let staged = sink.write(epoch, 0, rows_of([rows])).await.unwrap();
            let token = sink.prepare(epoch, vec![staged]).await.unwrap();
            sink.commit(epoch, token).await.unwrap();
        }
        assert_eq!(
            table(&memory.rows()),
            "\
+----+---+
| op | n |
+----+---+
| +U | 8 |
+----+---+"
        );
        let last = memory.epochs().pop().unwrap().1;
        assert!(table(&last).contains("| -D | 7 | -D"), "{}", table(&last));
    }

    #[tokio::test]
    async fn a_column_of_the_same_name_is_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new(OP, DataType::Utf8, true)]));
        let memory = MemorySink::new();
        let tagged = columns(&[("with.op", "true")]).around(memory.declared());
        let sink = tagged.open().unwrap();
        let context = sink_context(schema, OutputMode::Append, None);
        let error = sink.open(&context).await.unwrap_err();
        assert_eq!(
            error.message(),
            "the rows of sink \"s\" have a column \"op\" already"
        );
    }
}
