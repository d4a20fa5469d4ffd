//! The payloads of a batch in one contiguous buffer.

use arrow::array::BinaryArray;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use headwater_core::{Error, Result};

/// Payloads being written, one after the other.
#[derive(Debug)]
pub(crate) struct PayloadBuffer {
    /// Where the current payload is written.
    pub(crate) bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl PayloadBuffer {
    /// Room for some payloads.
    pub(crate) fn with_capacity(payloads: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(payloads + 1);
        ends.push(0);
        PayloadBuffer {
            bytes: Vec::with_capacity(bytes),
            ends,
        }
    }

    /// Ends the current payload.
    ///
    /// # Errors
    /// If all payloads together are larger than a batch can be, which is 2 GiB.
    pub(crate) fn end_payload(&mut self) -> Result<()> {
        let end = i32::try_from(self.bytes.len())
            .map_err(|_| Error::resource("the encoded rows of one batch are larger than 2 GiB"))?;
        self.ends.push(end);
        Ok(())
    }

    /// All payloads.
    ///
    /// # Errors
    /// Only for a bug: if the NULLs are not as many as the payloads.
    pub(crate) fn finish(self, nulls: Option<NullBuffer>) -> Result<BinaryArray> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        BinaryArray::try_new(offsets, Buffer::from_vec(self.bytes), nulls)
            .map_err(|e| Error::internal("could not build encoded payloads").with_source(e))
    }
}
