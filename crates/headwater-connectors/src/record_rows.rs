//! What sources of lines have in common: the definition of their rows, from format, columns,
//! metadata and the policy for bad records.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};

use headwater_core::connector::{MetadataColumn, SourceDefinition};
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::options::{OptionReader, nearest};
use headwater_core::records::{BatchRecords, RawRecord, Records};
use headwater_core::{Error, Result};
use headwater_formats::{
    RowAssembler, RowDefinition, check_file_header, check_format, check_lines, has_header,
};

use crate::lines::PassedOver;
use crate::options;

/// A kind of metadata that a connector knows: its name and its type before a cast.
pub(crate) type KnownMetadata = (&'static str, DataType);

/// Records of bytes, whose places `place` names.
pub(crate) fn records_of(
    payloads: BinaryArray,
    place: impl Fn(usize) -> String + Send + Sync + 'static,
) -> BatchRecords {
    BatchRecords::new(Payloads { payloads, place })
}

struct Payloads<F> {
    payloads: BinaryArray,
    place: F,
}

impl<F: Fn(usize) -> String + Send + Sync> Records for Payloads<F> {
    fn place(&self, record: usize) -> String {
        (self.place)(record)
    }

    fn raw(&self, record: usize) -> RawRecord {
        let is_there = record < self.payloads.len() && self.payloads.is_valid(record);
        RawRecord {
            value: is_there.then(|| self.payloads.value(record).to_vec()),
            ..RawRecord::default()
        }
    }
}

/// How records become rows.
#[derive(Debug, Clone)]
pub(crate) struct RecordRows {
    owner: String,
    payload: SchemaRef,
    metadata: Vec<MetadataColumn>,
    format: FormatSpec,
    bad_data: BadDataPolicy,
    schema: SchemaRef,
    has_header: bool,
}

impl RecordRows {
    /// Checks a definition whose records are lines; without a format they are text.
    ///
    /// # Errors
    /// If the format, a column or a metadata column does not fit.
    pub(crate) fn try_new(
        definition: SourceDefinition,
        known: &[KnownMetadata],
        options: &mut OptionReader,
    ) -> Result<Self> {
        let format = options::take_format(definition.format.clone(), options, "text")?;
        Self::of_format(definition, format, known, options.owner())
    }

    /// Checks a definition whose records are lines of a format; `owner` is the object's kind and
    /// quoted name.
    ///
    /// # Errors
    /// If the format, a column or a metadata column does not fit.
    pub(crate) fn of_format(
        definition: SourceDefinition,
        format: FormatSpec,
        known: &[KnownMetadata],
        owner: &str,
    ) -> Result<Self> {
        let payload = options::payload_schema(definition.payload, &format, owner)?;
        check_format(&format, owner, &payload)?;
        check_lines(&format, owner)?;
        check_metadata(&definition.metadata, known, owner)?;
        let metadata = definition.metadata.iter().map(|m| &m.field);
        let fields: Vec<FieldRef> = payload.fields().iter().chain(metadata).cloned().collect();
        Ok(RecordRows {
            has_header: has_header(&format, owner)?,
            schema: Arc::new(Schema::new(fields)),
            owner: owner.to_string(),
            payload,
            metadata: definition.metadata,
            format,
            bad_data: definition.bad_data,
        })
    }

    /// The object's kind and quoted name.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// Payload columns, then metadata columns.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Whether the first line of a file names the columns.
    pub(crate) fn has_header(&self) -> bool {
        self.has_header
    }

    /// Checks the first line of a file that has a header; `place` is the file's kind and quoted
    /// name.
    ///
    /// # Errors
    /// If it does not name the columns of the payload in their order.
    pub(crate) fn check_header(&self, header: &[u8], place: &str) -> Result<()> {
        check_file_header(&self.format, &self.owner, &self.payload, place, header)
    }

    /// Which lines hold no record.
    pub(crate) fn passed_over(&self) -> PassedOver {
        passed_over(&self.format)
    }

    /// An assembler for some of the columns of [`RecordRows::schema`].
    pub(crate) fn assembler(&self, projection: &[usize]) -> Result<RowAssembler> {
        let definition = RowDefinition {
            keys: None,
            payload: Arc::clone(&self.payload),
            metadata: self.metadata.iter().map(|m| Arc::clone(&m.field)).collect(),
            projection: projection.to_vec(),
            format: self.format.clone(),
            bad_data: self.bad_data,
        };
        RowAssembler::try_new(&definition, &self.owner)
    }

    /// The metadata column of an index, from what `make` gives for its kind, in its declared type.
    pub(crate) fn metadata_column(
        &self,
        index: usize,
        make: impl FnOnce(&str) -> ArrayRef,
    ) -> Result<ArrayRef> {
        let column = self.metadata.get(index).ok_or_else(|| {
            Error::internal(format!("{} has no metadata column {index}", self.owner))
        })?;
        Ok(cast(&make(&column.from), column.field.data_type())?)
    }
}

/// Refuses metadata that the connector does not have, or not in the declared type.
pub(crate) fn check_metadata(
    metadata: &[MetadataColumn],
    known: &[KnownMetadata],
    owner: &str,
) -> Result<()> {
    for column in metadata {
        let name = column.field.name();
        let Some((_, given)) = known.iter().find(|(from, _)| *from == column.from) else {
            let names: Vec<&str> = known.iter().map(|(from, _)| *from).collect();
            let hint = match nearest(&column.from, names.iter().copied()) {
                Some(near) => format!("Did you mean '{near}'?"),
                None if names.is_empty() => "This connector has no metadata.".to_string(),
                None => format!("There is {}.", names.join(", ")),
            };
            return Err(Error::plan(format!(
                "column \"{name}\" of {owner} takes unknown metadata \"{}\"",
                column.from
            ))
            .with_hint(hint));
        };
        if !can_cast_types(given, column.field.data_type()) {
            return Err(Error::plan(format!(
                "column \"{name}\" of {owner} takes metadata \"{}\", which cannot be a {}",
                column.from,
                column.field.data_type()
            )));
        }
    }
    Ok(())
}

/// Which lines hold no record: those that could be none in the format.
pub(crate) fn passed_over(format: &FormatSpec) -> PassedOver {
    match format.name.as_str() {
        "json" | "csv" | "debezium" | "debezium-json" => PassedOver::Blank,
        "influx" => PassedOver::BlankAndComments,
        _ => PassedOver::Nothing,
    }
}
