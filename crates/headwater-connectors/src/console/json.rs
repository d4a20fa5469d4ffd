//! One JSON object a row: `{"epoch":3,"op":"+I","row":{"symbol":"EPE","count":3}}`.
//!
//! `op` is `+I` for a row that is new (append) or part of the whole result (complete), and `+U`
//! for a row in its newest version (update).

use arrow::array::{Array, RecordBatch};

use headwater_core::Result;
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::SinkContext;
use headwater_formats::new_encoder;

/// Lines are held up to this many bytes.
const FULL_BYTES: usize = 8 << 20;

/// The lines of one partition of an epoch.
#[derive(Debug)]
pub(super) struct JsonLines {
    encoder: Box<dyn Encoder>,
    head: String,
    lines: Vec<u8>,
    rows: u64,
}

impl JsonLines {
    /// Lines for rows of the sink's schema.
    pub(super) fn try_new(epoch: EpochId, context: &SinkContext) -> Result<Self> {
        let op = match context.mode {
            OutputMode::Append | OutputMode::Complete => "+I",
            OutputMode::Update => "+U",
        };
        let owner = format!("the console of query \"{}\"", context.query_name);
        Ok(JsonLines {
            encoder: new_encoder(&FormatSpec::named("json"), &owner, &context.schema)?,
            head: format!("{{\"epoch\":{epoch},\"op\":\"{op}\",\"row\":"),
            lines: Vec::new(),
            rows: 0,
        })
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let objects = self.encoder.encode(batch)?;
        let each_bytes = self.head.len() + 2;
        self.lines
            .reserve(objects.value_data().len() + objects.len() * each_bytes);
        for object in objects.iter().flatten() {
            self.lines.extend_from_slice(self.head.as_bytes());
            self.lines.extend_from_slice(object);
            self.lines.extend_from_slice(b"}\n");
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The lines so far, if there are as many as should be held.
    pub(super) fn take_full(&mut self) -> Option<Vec<u8>> {
        (self.lines.len() >= FULL_BYTES).then(|| std::mem::take(&mut self.lines))
    }

    /// The number of all rows added, and the lines that were not taken.
    pub(super) fn finish(self) -> (u64, Vec<u8>) {
        (self.rows, self.lines)
    }
}
