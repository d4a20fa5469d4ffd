//! Where bad records go: the sink that `dead_letter.sink` of a source names, and the form in which
//! it gets them.
//!
//! The columns of a sink are filled by their names:
//!
//! | column | what |
//! | --- | --- |
//! | `value`, `key` | the bytes of the record; as VARCHAR, what is no UTF-8 becomes U+FFFD |
//! | `headers` | its headers, and after them where it comes from, each named `headwater.…` |
//! | `source`, `reason`, `detail`, `place` | which source, why it is bad, what was found, and where |
//! | `topic`, `partition`, `offset`, `timestamp` | of Kafka's; NULL for other sources |
//! | `query`, `epoch` | who left it out, and when |
//!
//! Output: dead letters are part of their epoch. They are written after the plan has run, and staged,
//! committed and published with the result.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructBuilder, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use futures::{StreamExt, stream};

use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, SourceIndex};
use headwater_core::records::{DeadLetter, header_fields, headers_type};
use headwater_core::sink::{Sink, Staged};
use headwater_core::{Error, Result};
use headwater_exec::metrics::DeadLetters;

mod limit;

use limit::Fitted;
pub use limit::LetterLimit;

/// Letters in one batch, at most.
const BATCH_LETTERS_MAX: usize = 4096;

/// The sources that write to a sink, by their numbers in the query, with their names.
pub type LetterSources = Vec<(SourceIndex, String)>;

/// Where the bad records of some sources of a query go.
#[derive(Debug, Clone)]
pub struct DeadLetterSink {
    name: String,
    query: String,
    sink: Arc<dyn Sink>,
    schema: SchemaRef,
    sources: LetterSources,
    limit: Option<LetterLimit>,
}

/// A bad record, with all that is told of it.
struct Letter<'a> {
    query: &'a str,
    epoch: EpochId,
    source: &'a str,
    letter: Cow<'a, DeadLetter>,
    /// What of it is not written, in words.
    cut: Option<String>,
}

impl DeadLetterSink {
    /// What is known of a bad record: the columns of a sink that declares none.
    pub fn default_schema() -> SchemaRef {
        let text = |name: &str, is_nullable| Field::new(name, DataType::Utf8View, is_nullable);
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        Arc::new(Schema::new(vec![
            text("query", false),
            Field::new("epoch", DataType::Int64, false),
            text("source", false),
            text("place", false),
            text("reason", false),
            text("detail", true),
            Field::new("key", DataType::Binary, true),
            Field::new("value", DataType::Binary, true),
            text("topic", true),
            Field::new("partition", DataType::Int32, true),
            Field::new("offset", DataType::Int64, true),
            Field::new("timestamp", time, true),
            Field::new("headers", headers_type(), false),
        ]))
    }

    /// A sink, called `name`, for the bad records of some sources of `query`. Its columns are some of
    /// [`DeadLetterSink::default_schema`], in types that those can be cast to.
    pub fn new(
        name: String,
        query: String,
        sink: Arc<dyn Sink>,
        schema: SchemaRef,
        sources: LetterSources,
    ) -> Self {
        DeadLetterSink {
            name,
            query,
            sink,
            schema,
            sources,
            limit: None,
        }
    }

    /// The same letters, cut to what the sink takes.
    pub fn with_limit(self, limit: Option<LetterLimit>) -> Self {
        DeadLetterSink { limit, ..self }
    }

    /// The user's name of the sink.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sink.
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// The same letters in another sink, which takes what this one takes.
    pub fn with_sink(self, sink: Arc<dyn Sink>) -> Self {
        DeadLetterSink { sink, ..self }
    }

    /// Columns of the letters.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Hands the bad records of an epoch to the sink: those of `dead` that are of its sources.
    pub(crate) async fn write(&self, epoch: EpochId, dead: &[DeadLetters]) -> Result<Staged> {
        let letters: Vec<Letter<'_>> = dead
            .iter()
            .flat_map(|dead| self.letters_of(epoch, dead))
            .collect();
        let batches = letters.chunks(BATCH_LETTERS_MAX);
        let batches: Vec<_> = batches.map(|letters| self.batch(letters)).collect();
        self.sink
            .write(epoch, 0, stream::iter(batches).boxed())
            .await
    }

    fn letters_of<'a>(
        &'a self,
        epoch: EpochId,
        dead: &'a DeadLetters,
    ) -> impl Iterator<Item = Letter<'a>> {
        let mut sources = self.sources.iter();
        let source = sources.find(|(index, _)| *index == dead.source);
        source.into_iter().flat_map(move |(_, source)| {
            dead.letters
                .iter()
                .map(move |letter| self.fitted(epoch, source, letter))
        })
    }

    /// A letter that the sink takes.
    fn fitted<'a>(&'a self, epoch: EpochId, source: &'a str, letter: &'a DeadLetter) -> Letter<'a> {
        let whole = Letter {
            query: &self.query,
            epoch,
            source,
            letter: Cow::Borrowed(letter),
            cut: None,
        };
        let value = self.schema.field_with_name("value");
        let is_text = value.is_ok_and(|field| is_text(field.data_type()));
        // The names of headers and columns, and what stands in them, but for what the limit counts.
        let names = provenance(&whole);
        let around = names
            .iter()
            .map(|(name, value)| name.len() + value.len() + 40);
        let around = around.sum::<usize>() + self.schema.fields().len() * 40;
        match self
            .limit
            .and_then(|limit| limit.fit(letter, around, is_text))
        {
            None => whole,
            Some(Fitted { letter, cut }) => Letter {
                letter: Cow::Owned(letter),
                cut: Some(cut),
                ..whole
            },
        }
    }

    fn batch(&self, letters: &[Letter<'_>]) -> Result<RecordBatch> {
        let fields = self.schema.fields().iter();
        let columns: Result<Vec<_>> = fields.map(|field| column(field, letters)).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns?)?)
    }
}

fn column(field: &FieldRef, letters: &[Letter<'_>]) -> Result<ArrayRef> {
    let is_text = is_text(field.data_type());
    let each = letters.iter();
    let made: ArrayRef = match field.name().as_str() {
        "query" => texts(each.map(|l| Some(l.query))),
        "epoch" => Arc::new(
            each.map(|l| i64::try_from(l.epoch.0).ok())
                .collect::<Int64Array>(),
        ),
        "source" => texts(each.map(|l| Some(l.source))),
        "place" => texts(each.map(|l| Some(l.letter.place.as_str()))),
        "reason" => texts(each.map(|l| Some(l.letter.reason.as_str()))),
        "detail" => texts(each.map(|l| Some(l.letter.detail.as_str()).filter(|d| !d.is_empty()))),
        "key" => bytes(each.map(|l| l.letter.record.key.as_deref()), is_text),
        "value" => bytes(each.map(|l| l.letter.record.value.as_deref()), is_text),
        "topic" => texts(each.map(|l| l.letter.record.topic.as_deref())),
        "partition" => Arc::new(
            each.map(|l| l.letter.record.partition)
                .collect::<Int32Array>(),
        ),
        "offset" => Arc::new(each.map(|l| l.letter.record.offset).collect::<Int64Array>()),
        "timestamp" => {
            let time = |l: &Letter<'_>| {
                let ms = l.letter.record.timestamp_ms?;
                Some(EventTime::from_millis(ms).0)
            };
            Arc::new(each.map(time).collect::<TimestampMicrosecondArray>())
        }
        "headers" => headers(letters),
        other => {
            return Err(Error::internal(format!(
                "a dead letter has no column \"{other}\""
            )));
        }
    };
    // What does not fit is NULL: nothing about a bad record may stop a query that was told to go on.
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    Ok(cast_with_options(&made, field.data_type(), &options)?)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// Bytes as they are, or as a text that can always be made.
fn bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>, is_text: bool) -> ArrayRef {
    if is_text {
        let lossy = values.map(|value| value.map(String::from_utf8_lossy));
        return Arc::new(lossy.collect::<StringArray>());
    }
    Arc::new(values.collect::<BinaryArray>())
}

/// The headers of the records, with the provenance after their own.
fn headers(letters: &[Letter<'_>]) -> ArrayRef {
    let columns: Vec<Box<dyn arrow::array::ArrayBuilder>> = vec![
        Box::new(StringBuilder::new()),
        Box::new(BinaryBuilder::new()),
    ];
    let mut lists = ListBuilder::new(StructBuilder::new(header_fields(), columns));
    for letter in letters {
        let own = letter.letter.record.headers.iter();
        for (name, value) in own {
            push_header(lists.values(), name, value.as_deref());
        }
        for (name, value) in provenance(letter) {
            push_header(lists.values(), name, Some(value.as_bytes()));
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn push_header(headers: &mut StructBuilder, name: &str, value: Option<&[u8]>) {
    if let Some(names) = headers.field_builder::<StringBuilder>(0) {
        names.append_value(name);
    }
    if let Some(values) = headers.field_builder::<BinaryBuilder>(1) {
        values.append_option(value);
    }
    headers.append(true);
}

/// Where a record comes from, as headers.
fn provenance(letter: &Letter<'_>) -> Vec<(&'static str, String)> {
    let DeadLetter {
        place,
        reason,
        detail,
        record,
    } = letter.letter.as_ref();
    let mut headers = vec![
        ("headwater.query", letter.query.to_string()),
        ("headwater.epoch", letter.epoch.to_string()),
        ("headwater.source", letter.source.to_string()),
        ("headwater.place", place.clone()),
        ("headwater.reason", reason.clone()),
    ];
    let known = [
        (
            "headwater.detail",
            Some(detail.clone()).filter(|d| !d.is_empty()),
        ),
        ("headwater.topic", record.topic.clone()),
        (
            "headwater.partition",
            record.partition.map(|p| p.to_string()),
        ),
        ("headwater.offset", record.offset.map(|o| o.to_string())),
        (
            "headwater.timestamp",
            record.timestamp_ms.map(|ms| ms.to_string()),
        ),
        ("headwater.cut", letter.cut.clone()),
    ];
    let known = known.into_iter();
    headers.extend(known.filter_map(|(name, value)| Some((name, value?))));
    headers
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use headwater_core::records::RawRecord;

    use super::*;

    fn letters() -> Vec<DeadLetter> {
        let of_kafka = DeadLetter {
            place: "partition 0 of topic \"orders\" at offset 7".to_string(),
            reason: "not JSON".to_string(),
            detail: "{\"a\"".to_string(),
            record: RawRecord {
                value: Some(b"{\"a\"\xff".to_vec()),
                key: Some(b"k".to_vec()),
                topic: Some("orders".to_string()),
                partition: Some(0),
                offset: Some(7),
                timestamp_ms: Some(1_500),
                headers: vec![("trace".to_string(), Some(b"1".to_vec()))],
            },
        };
        let without_bytes = DeadLetter {
            place: "row 3 of file \"x\"".to_string(),
            reason: "no event time".to_string(),
            detail: String::new(),
            record: RawRecord::default(),
        };
        vec![of_kafka, without_bytes]
    }

    fn table(columns: &[(&str, DataType)]) -> String {
        let fields = columns.iter();
        let fields = fields.map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let letters = letters();
        let each: Vec<Letter<'_>> = letters
            .iter()
            .map(|letter| Letter {
                query: "q",
                epoch: EpochId(4),
                source: "orders",
                letter: Cow::Borrowed(letter),
                cut: None,
            })
            .collect();
        let columns = schema.fields().iter().map(|field| column(field, &each));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>().unwrap();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        pretty_format_batches(&[batch]).unwrap().to_string()
    }

    #[test]
    fn columns_are_filled_by_their_names() {
        let text = DataType::Utf8View;
        let shown = table(&[
            ("value", text.clone()),
            ("key", DataType::Binary),
            ("reason", text.clone()),
            ("offset", text.clone()),
            (
                "timestamp",
                DataType::Timestamp(TimeUnit::Microsecond, None),
            ),
            ("epoch", DataType::Int32),
        ]);
        let expected = "\
+-------+-----+---------------+--------+-------------------------+-------+
| value | key | reason        | offset | timestamp               | epoch |
+-------+-----+---------------+--------+-------------------------+-------+
| {\"a\"\u{fffd} | 6b  | not JSON      | 7      | 1970-01-01T00:00:01.500 | 4     |
|       |     | no event time |        |                         | 4     |
+-------+-----+---------------+--------+-------------------------+-------+";
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_default_column_can_be_filled() {
        let schema = DeadLetterSink::default_schema();
        let columns: Vec<(&str, DataType)> = schema
            .fields()
            .iter()
            .map(|field| (field.name().as_str(), field.data_type().clone()))
            .collect();
        let shown = table(&columns);
        for header in [
            "trace",
            "headwater.reason",
            "headwater.offset",
            "headwater.place",
        ] {
            assert!(shown.contains(header), "{header}: {shown}");
        }
    }
}
