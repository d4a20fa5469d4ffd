//! Rows to messages: the payload by a format, or records as they are.
//!
//! | sink | key | value | headers |
//! | --- | --- | --- | --- |
//! | with a format | the key columns, with a format of their own or without | all columns, or those that are not in the key | none |
//! | without one | column `key` | column `value` | column `headers` |
//!
//! The second form is that of Spark's Kafka sink: what is written is what was selected, byte for byte.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, ListArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headwater_core::changes::DELETE;
use headwater_core::connector::SinkDefinition;
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::records::headers_type;
use headwater_core::{Error, Result};
use headwater_formats::{SinkFormat, check_messages, check_written, new_encoder, with_files};

use crate::chunk::{Header, headers_in};
use crate::key_names::{SinkKeyOptions, ValueColumns};
use crate::message_key::{KeyForm, KeyMaker, bytes_at, key_of};

const KEY: &str = "key";
const VALUE: &str = "value";
const HEADERS: &str = "headers";
/// In a sink of Spark it names the topic of every row.
const TOPIC: &str = "topic";

/// How rows of a sink become messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MessageForm {
    /// All columns by a format; these columns are the key.
    Encoded {
        format: FormatSpec,
        key_columns: Vec<String>,
        /// How these are encoded, if the sink was told.
        key: Option<KeyForm>,
        value_columns: ValueColumns,
    },
    /// The columns `key`, `value` and `headers` are those of the record.
    Record,
}

impl MessageForm {
    /// The form of a declared sink.
    ///
    /// # Errors
    /// If it has no format and its columns are not those of a record.
    pub(crate) fn declare(
        owner: &str,
        definition: &SinkDefinition,
        options: &SinkKeyOptions,
    ) -> Result<Self> {
        let key_columns = options.columns.as_slice();
        if let Some(format) = &definition.format {
            let format = with_files(format.clone(), owner)?;
            check_written(&format, owner)?;
            check_messages(&format, owner)?;
            let key = match &definition.key_format {
                Some(format) => {
                    let format = with_files(format.clone(), &key_of(owner))?;
                    check_written(&format, &key_of(owner))?;
                    check_messages(&format, &key_of(owner))?;
                    Some(KeyForm {
                        format,
                        prefix: options.prefix.clone(),
                    })
                }
                None => None,
            };
            return Ok(MessageForm::Encoded {
                format,
                key_columns: key_columns.to_vec(),
                key,
                value_columns: options.value_columns,
            });
        }
        if definition.key_format.is_some() {
            return Err(
                Error::configuration(format!("{owner} has a KEY FORMAT and no FORMAT"))
                    .with_hint("Add FORMAT JSON or another format for the value."),
            );
        }
        if let Some(schema) = &definition.schema {
            check_record_columns(owner, schema)?;
        }
        match key_columns {
            [] => Ok(MessageForm::Record),
            [only] if only == KEY => Ok(MessageForm::Record),
            [other, ..] => Err(Error::configuration(format!(
                "{owner} has no format, so its key is column \"{KEY}\" and not \"{other}\""
            ))
            .with_hint("Add a format such as FORMAT JSON, or select the key AS key.")),
        }
    }

    /// The formats, ready to write rows of a schema to a topic; `None` without one.
    pub(crate) async fn open(
        &self,
        owner: &str,
        topic: &str,
        rows: &SchemaRef,
    ) -> Result<Option<OpenFormats>> {
        let MessageForm::Encoded {
            format,
            key_columns,
            key,
            ..
        } = self
        else {
            return Ok(None);
        };
        let key = match key {
            None => None,
            Some(key) => {
                let (_, columns) = key.columns(owner, rows, key_columns)?;
                let (owner, subject) = (key_of(owner), format!("{topic}-key"));
                Some(SinkFormat::open(&key.format, &owner, &columns, &subject).await?)
            }
        };
        let values = match self.value_places(owner, rows)? {
            Some(places) => Arc::new(rows.project(&places)?),
            None => Arc::clone(rows),
        };
        let value = SinkFormat::open(format, owner, &values, &format!("{topic}-value")).await?;
        Ok(Some(OpenFormats { value, key }))
    }

    /// The places of the columns that are in the value, if not all are.
    fn value_places(&self, owner: &str, rows: &SchemaRef) -> Result<Option<Vec<usize>>> {
        let MessageForm::Encoded {
            key_columns,
            value_columns: ValueColumns::ExceptKey,
            ..
        } = self
        else {
            return Ok(None);
        };
        let fields = rows.fields().iter().enumerate();
        let left = fields.filter(|(_, field)| !key_columns.contains(field.name()));
        let left: Vec<usize> = left.map(|(place, _)| place).collect();
        match left.is_empty() {
            true => Err(Error::configuration(format!(
                "{owner} has every column in its key, and the value would hold none"
            ))
            .with_hint("Leave \"value.columns\" out, or name fewer \"key.columns\".")),
            false => Ok(Some(left)),
        }
    }

    /// The columns of a record.
    pub(crate) fn record_schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(KEY, DataType::Binary, true),
            Field::new(VALUE, DataType::Binary, true),
            Field::new(HEADERS, headers_type(), true),
        ]))
    }
}

/// The formats of a sink that is open.
#[derive(Debug, Clone)]
pub(crate) struct OpenFormats {
    value: SinkFormat,
    key: Option<SinkFormat>,
}

/// Refuses a column that would choose the topic of a row.
fn refuse_topic_column(owner: &str, schema: &Schema) -> Result<()> {
    if schema.index_of(TOPIC).is_err() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "{owner} has a column \"{TOPIC}\", and writes all rows to the one topic of its option"
    ))
    .with_detail("No column chooses the topic of a row, as one does in Spark.")
    .with_hint(
        "Declare a sink for each topic, and write to each what WHERE says, without the column.",
    ))
}

/// Refuses more columns than a format of one value holds.
fn refuse_columns_of_record(owner: &str, format: &FormatSpec, values: &Schema) -> Result<()> {
    let name = format.name.to_ascii_lowercase();
    if !["raw", "text"].contains(&name.as_str()) || values.fields().len() < 2 {
        return Ok(());
    }
    refuse_topic_column(owner, values)?;
    let has = |name| values.index_of(name).is_ok();
    if !has(VALUE) || !(has(KEY) || has(HEADERS)) {
        return Ok(());
    }
    let written = name.to_ascii_uppercase();
    Err(Error::configuration(format!(
        "format \"{name}\" of {owner} holds one column, and the sink has {}",
        values.fields().len()
    ))
    .with_hint(format!(
        "Leave FORMAT {written} out: without a format the columns {KEY}, {VALUE} and {HEADERS} are \
         those of the record, as they are."
    )))
}

/// Refuses columns that are no part of a record.
fn check_record_columns(owner: &str, schema: &Schema) -> Result<()> {
    refuse_topic_column(owner, schema)?;
    let known = MessageForm::record_schema();
    let hint = "Add FORMAT JSON or another format, or give the columns of a record as it is \
                written: value and, if there are any, key and headers.";
    for field in schema.fields() {
        let name = field.name();
        let Ok(own) = known.field_with_name(name) else {
            let message = format!("{owner} has no format for the payload");
            let detail = format!("Column \"{name}\" is no part of a record without one.");
            return Err(Error::configuration(message)
                .with_detail(detail)
                .with_hint(hint));
        };
        if !is_held(own, field.data_type()) {
            return Err(Error::configuration(format!(
                "column \"{name}\" of {owner} is not what a record has there"
            ))
            .with_hint(match name.as_str() {
                HEADERS => "It is STRUCT<key VARCHAR, value BYTEA>[].",
                _ => "It is BYTEA or VARCHAR.",
            }));
        }
    }
    if schema.index_of(VALUE).is_err() {
        return Err(Error::configuration(format!(
            "{owner} has no format for the payload and no column \"{VALUE}\""
        ))
        .with_hint(hint));
    }
    Ok(())
}

/// Whether a part of a record can be a column of a type.
fn is_held(own: &Field, data_type: &DataType) -> bool {
    match own.data_type() {
        DataType::Binary => {
            data_type.is_binary()
                || matches!(
                    data_type,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                )
        }
        list => {
            let entry = match data_type {
                DataType::List(entry) => entry.data_type(),
                _ => return false,
            };
            let DataType::Struct(fields) = entry else {
                return false;
            };
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            names == ["key", "value"] && arrow::compute::can_cast_types(data_type, list)
        }
    }
}

/// Keys, values and headers of rows of one schema.
pub(crate) struct RowEncoder {
    keys: KeyMaker,
    values: Values,
}

enum Values {
    /// Of these columns, if not of all.
    Encoded(Box<dyn Encoder>, Option<Vec<usize>>),
    /// Places of the columns.
    Record {
        value: usize,
        headers: Option<usize>,
    },
}

/// The rows of a batch as Kafka takes them.
pub(crate) struct Messages {
    pub(crate) keys: Option<BinaryArray>,
    values: BinaryArray,
    headers: Option<ListArray>,
    /// Rows that are to be deleted.
    pub(crate) gone: Vec<bool>,
}

impl Messages {
    /// The key of a row.
    pub(crate) fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.as_ref().and_then(|keys| bytes_at(keys, row))
    }

    /// The payload of a row; none if it is to be deleted.
    pub(crate) fn value(&self, row: usize) -> Option<&[u8]> {
        match self.gone.get(row) {
            Some(true) => None,
            _ => bytes_at(&self.values, row),
        }
    }

    /// The headers of a row.
    pub(crate) fn headers(&self, row: usize) -> Vec<Header> {
        match &self.headers {
            Some(headers) if headers.is_valid(row) => headers_in(&headers.value(row)),
            _ => vec![],
        }
    }
}

impl RowEncoder {
    /// An encoder of rows, without the column of the operations; `owner` is the sink's kind and
    /// quoted name, and `opened` the format of a sink that is open. Without it, it only checks.
    pub(crate) fn try_new(
        owner: &str,
        form: &MessageForm,
        opened: Option<&OpenFormats>,
        schema: &SchemaRef,
    ) -> Result<Self> {
        match form {
            MessageForm::Encoded {
                format,
                key_columns,
                key,
                ..
            } => {
                let places = form.value_places(owner, schema)?;
                if places.is_none() {
                    refuse_columns_of_record(owner, format, schema)?;
                }
                let encoder = match (opened, &places) {
                    (Some(opened), _) => opened.value.encoder()?,
                    (None, None) => new_encoder(format, owner, schema)?,
                    (None, Some(places)) => {
                        new_encoder(format, owner, &Arc::new(schema.project(places)?))?
                    }
                };
                let open_key = opened.and_then(|opened| opened.key.as_ref());
                Ok(RowEncoder {
                    keys: match key {
                        None => KeyMaker::try_new(owner, schema, key_columns)?,
                        Some(key) => KeyMaker::encoded(owner, schema, key_columns, key, open_key)?,
                    },
                    values: Values::Encoded(encoder, places),
                })
            }
            MessageForm::Record => {
                check_record_columns(owner, schema)?;
                let key = schema.index_of(KEY).is_ok().then(|| KEY.to_string());
                Ok(RowEncoder {
                    keys: KeyMaker::try_new(owner, schema, key.as_slice())?,
                    values: Values::Record {
                        value: schema.index_of(VALUE)?,
                        headers: schema.index_of(HEADERS).ok(),
                    },
                })
            }
        }
    }

    /// The messages of rows; `ops` says which of them are to be deleted.
    pub(crate) fn encode(
        &mut self,
        rows: &RecordBatch,
        ops: Option<&StringArray>,
    ) -> Result<Messages> {
        let keys = self.keys.keys(rows)?;
        let (values, headers) = match &mut self.values {
            Values::Encoded(encoder, None) => (encoder.encode(rows)?, None),
            Values::Encoded(encoder, Some(places)) => {
                (encoder.encode(&rows.project(places)?)?, None)
            }
            Values::Record { value, headers } => {
                let values = cast(rows.column(*value), &DataType::Binary)?;
                let headers = headers.map(|headers| cast(rows.column(headers), &headers_type()));
                let headers = headers.transpose()?;
                let headers = headers.map(|headers| headers.as_list::<i32>().clone());
                (values.as_binary::<i32>().clone(), headers)
            }
        };
        let is_gone = |row: usize| ops.is_some_and(|ops| ops.value(row) == DELETE);
        Ok(Messages {
            keys,
            values,
            headers,
            gone: (0..rows.num_rows()).map(is_gone).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(columns: &[&str]) -> SinkKeyOptions {
        SinkKeyOptions {
            columns: columns.iter().map(|column| (*column).to_string()).collect(),
            prefix: String::new(),
            value_columns: ValueColumns::All,
        }
    }

    const OWNER: &str = "sink \"out\"";

    fn definition(columns: &[(&str, DataType)], format: Option<&str>) -> SinkDefinition {
        let fields = columns.iter();
        let fields = fields.map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        SinkDefinition {
            name: "out".into(),
            schema: Some(Arc::new(Schema::new(fields.collect::<Vec<_>>()))),
            primary_key: vec![],
            partitioned_by: vec![],
            format: format.map(FormatSpec::named),
            key_format: None,
        }
    }

    #[test]
    fn without_a_format_the_columns_are_those_of_a_record() {
        let text = DataType::Utf8View;
        let record = definition(&[("value", text.clone()), ("key", DataType::Int64)], None);
        let error = MessageForm::declare(OWNER, &record, &keyed(&[])).unwrap_err();
        assert_eq!(
            error.message(),
            "column \"key\" of sink \"out\" is not what a record has there"
        );
        let record = definition(&[("value", text.clone()), ("key", text.clone())], None);
        let form = MessageForm::declare(OWNER, &record, &keyed(&["key"])).unwrap();
        assert_eq!(form, MessageForm::Record);
        let error = MessageForm::declare(OWNER, &record, &keyed(&["value"])).unwrap_err();
        assert!(error.message().contains("its key is column \"key\""));

        let other = definition(&[("value", text.clone()), ("price", text.clone())], None);
        let error = MessageForm::declare(OWNER, &other, &keyed(&[])).unwrap_err();
        assert_eq!(
            error.message(),
            "sink \"out\" has no format for the payload"
        );
        // Also where no column is declared.
        let sources_only = SinkDefinition {
            schema: None,
            ..definition(&[], Some("influx"))
        };
        let error = MessageForm::declare(OWNER, &sources_only, &keyed(&[])).unwrap_err();
        assert!(error.message().contains("is for sources"), "{error}");
        let without = definition(&[("key", text)], None);
        let error = MessageForm::declare(OWNER, &without, &keyed(&[])).unwrap_err();
        assert!(error.message().ends_with("no column \"value\""));
    }

    #[test]
    fn records_are_written_as_they_are() {
        let schema = MessageForm::record_schema();
        let headers = {
            let entries = arrow::array::StructArray::new(
                headwater_core::records::header_fields(),
                vec![
                    Arc::new(StringArray::from(vec!["a", "b"])),
                    Arc::new(BinaryArray::from_opt_vec(vec![Some(b"1"), None])),
                ],
                None,
            );
            let DataType::List(entry) = headers_type() else {
                unreachable!()
            };
            let ends = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
            ListArray::new(entry, ends, Arc::new(entries), None)
        };
        let rows = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(BinaryArray::from_opt_vec(vec![Some(b"k"), None])),
                Arc::new(BinaryArray::from_opt_vec(vec![None, Some(b"\xff")])),
                Arc::new(headers),
            ],
        )
        .unwrap();
        let mut encoder = RowEncoder::try_new(OWNER, &MessageForm::Record, None, &schema).unwrap();
        let messages = encoder.encode(&rows, None).unwrap();
        assert_eq!(messages.key(0), Some(&b"k"[..]));
        assert_eq!((messages.value(0), messages.key(1)), (None, None));
        assert_eq!(messages.value(1), Some(&b"\xff"[..]));
        let expected = [
            ("a".to_string(), Some(b"1".to_vec())),
            ("b".to_string(), None),
        ];
        assert_eq!(messages.headers(0), expected);
        assert!(messages.headers(1).is_empty());
    }
}
