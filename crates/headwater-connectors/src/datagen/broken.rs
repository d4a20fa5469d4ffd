//! Generated records of which some are broken: rows are encoded, spoiled and decoded again, so
//! that they meet the source's policy for bad records as a producer's would.

use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::{DataType, SchemaRef};

use headwater_core::connector::SourceDefinition;
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::offset::Partition;
use headwater_core::options::OptionReader;
use headwater_core::source::{ReadCounters, SourceBatch};
use headwater_core::{Error, Result};
use headwater_formats::{RowAssembler, RowDefinition, check_format, new_encoder};

use super::rows::{RowMaker, RowNumbers};
use crate::options::take_format;
use crate::record_rows::records_of;
use crate::seeded::Draws;

const BAD_STREAM: u64 = 0x0062_6164;

/// How many records are broken, and in what format they are.
#[derive(Debug)]
pub(super) struct BrokenRows {
    fraction: f64,
    seed: u64,
    owner: String,
    payload: SchemaRef,
    format: FormatSpec,
    bad_data: BadDataPolicy,
}

impl BrokenRows {
    /// Reads the format; `None` if no record is broken, and rows need not pass through it.
    pub(super) fn take(
        definition: SourceDefinition,
        maker: &RowMaker,
        fraction: f64,
        options: &mut OptionReader,
    ) -> Result<Option<Self>> {
        let format = take_format(definition.format, options, "json")?;
        let owner = options.owner().to_string();
        let payload = maker.schema();
        check_format(&format, &owner, &payload)?;
        if fraction <= 0.0 {
            return Ok(None);
        }
        if !matches!(format.name.as_str(), "json" | "csv") {
            return Err(Error::unsupported(format!(
                "{owner} cannot break records of format \"{}\": every one of them is good",
                format.name
            ))
            .with_hint("Use format json or csv, or leave out 'bad.fraction'."));
        }
        new_encoder(&format, &owner, &payload)?;
        Ok(Some(BrokenRows {
            fraction,
            seed: maker.seed(),
            owner,
            payload,
            format,
            bad_data: definition.bad_data,
        }))
    }

    /// An assembler for some of the columns.
    pub(super) fn assembler(&self, projection: &[usize]) -> Result<RowAssembler> {
        let definition = RowDefinition {
            keys: None,
            payload: Arc::clone(&self.payload),
            metadata: Vec::new(),
            projection: projection.to_vec(),
            format: self.format.clone(),
            bad_data: self.bad_data,
        };
        RowAssembler::try_new(&definition, &self.owner)
    }

    /// Makes rows of records, some of them broken.
    pub(super) fn batch(
        &self,
        maker: &RowMaker,
        (partition, rows): (Partition, RowNumbers),
        assembler: &mut RowAssembler,
        counters: &ReadCounters,
    ) -> Result<SourceBatch> {
        let all: Vec<usize> = (0..self.payload.fields().len()).collect();
        let good = maker.batch(rows, &all)?;
        let mut encoder = new_encoder(&self.format, &self.owner, &self.payload)?;
        let records = self.spoil(&encoder.encode(&good)?, rows);
        let no_metadata = |_| Err(Error::internal("a generator has no metadata columns"));
        let locate = |record: usize| place_of(rows, record);
        let assembled = assembler.assemble(&records, None, &no_metadata, &locate, counters)?;
        let records = records_of(records, move |record| place_of(rows, record));
        Ok(assembled.into_batch(partition, records))
    }

    fn spoil(&self, records: &BinaryArray, rows: RowNumbers) -> BinaryArray {
        let wrong = self.wrong_type();
        let spoiled = records.iter().zip(rows.iter()).map(|(record, row)| {
            let record = record.unwrap_or_default();
            let mut draws = Draws::new(self.seed, BAD_STREAM, row);
            if !draws.chance(self.fraction) {
                return record;
            }
            match draws.below(2) {
                0 => self.truncated(record),
                _ => wrong.as_slice(),
            }
        });
        BinaryArray::from_iter_values(spoiled)
    }

    /// The record without its end. Of CSV what is left must have too few fields.
    fn truncated<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        let end = match self.format.name.as_str() {
            "csv" => record.iter().position(|byte| *byte == b',').unwrap_or(0),
            _ => record.len() / 2,
        };
        record.get(..end).unwrap_or(record)
    }

    /// A record with a text where a number or a time should be; where there are only texts, an
    /// object.
    fn wrong_type(&self) -> Vec<u8> {
        let is_text = |data_type: &DataType| {
            matches!(
                data_type,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        };
        if self.format.name == "csv" {
            let wrong = vec!["?"; self.payload.fields().len()];
            return wrong.join(",").into_bytes();
        }
        let mut fields = self.payload.fields().iter();
        let record = match fields.find(|field| !is_text(field.data_type())) {
            Some(field) => serde_json::json!({ field.name(): "?" }),
            None => serde_json::json!([]),
        };
        record.to_string().into_bytes()
    }
}

/// The place of one of the rows that are made.
fn place_of(rows: RowNumbers, record: usize) -> String {
    let row = rows.first + record as u64 * rows.step;
    format!("generated row {row}")
}
