//! A source that says what it was told to: batches per partition, offsets are row numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use headwater_core::Result;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};

/// Partition `index` of the scripted source.
pub(crate) fn partition(index: i32) -> Partition {
    Partition::new("scripted", index)
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct ScriptedSource {
    schema: SchemaRef,
    rows: BTreeMap<Partition, RecordBatch>,
    bad_rows: Vec<usize>,
}

impl ScriptedSource {
    /// A source whose partition `i` holds the rows of `batches[i]`.
    pub(crate) fn new(batches: Vec<RecordBatch>) -> Self {
        let schema = batches[0].schema();
        let numbered = batches.into_iter().enumerate();
        let rows = numbered
            .map(|(i, rows)| (partition(i as i32), rows))
            .collect();
        ScriptedSource {
            schema,
            rows,
            bad_rows: vec![],
        }
    }

    /// Says that these rows of every batch stand for bad records.
    pub(crate) fn with_bad_rows(self, bad_rows: Vec<usize>) -> Self {
        ScriptedSource { bad_rows, ..self }
    }

    /// Everything it has.
    pub(crate) fn whole(&self) -> Slice {
        Slice::between(&Offsets::new(), &self.end())
    }

    fn end(&self) -> Offsets {
        let rows = self.rows.iter();
        rows.map(|(p, rows)| (p.clone(), rows.num_rows() as i64))
            .collect()
    }
}

#[async_trait]
impl Source for ScriptedSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn is_replayable(&self) -> bool {
        true
    }

    async fn initial(&self) -> Result<Offsets> {
        Ok(self.rows.keys().map(|p| (p.clone(), 0)).collect())
    }

    async fn check_resume(&self, _point: ResumePoint<'_>) -> Result<()> {
        Ok(())
    }

    fn fingerprints(&self, _up_to: &Offsets) -> Fingerprints {
        Fingerprints::default()
    }

    fn has_ended(&self, _from: &Offsets) -> bool {
        false
    }

    async fn latest(&self) -> Result<Offsets> {
        Ok(self.end())
    }

    async fn narrow(&self, slice: Slice, _: &ReadBounds) -> Result<Slice> {
        Ok(slice)
    }

    async fn available(&self, _: &Offsets, _: &EpochLimits) -> Result<Offsets> {
        Ok(self.end())
    }

    async fn wait_ready(&self, _: &Offsets) -> Result<()> {
        Ok(())
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let mut batches = Vec::new();
        for (partition, start, end) in request.slice.ranges() {
            let rows = self.rows[partition].project(&request.projection).unwrap();
            for at in (start..end).step_by(request.batch_rows) {
                let length = (end - at).min(request.batch_rows as i64);
                let rows = rows.slice(at as usize, length as usize);
                request.counters.add_records(length as u64, 0);
                let partition = partition.clone();
                batches.push(Ok(SourceBatch {
                    bad_rows: self.bad_rows.clone(),
                    ..SourceBatch::new(partition, rows)
                }));
            }
        }
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn committed(&self, _: &Offsets) -> Result<()> {
        Ok(())
    }
}
