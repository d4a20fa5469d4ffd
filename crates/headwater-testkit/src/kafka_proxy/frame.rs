//! The protocol's frames: a length of four bytes, then that many bytes.
//!
//! ```text
//! request   length │ API key 2 │ API version 2 │ correlation id 4 │ …
//! answer    length │ correlation id 4 │ …
//! ```

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Frames longer than this are taken for nonsense.
const FRAME_BYTES_MAX: usize = 128 << 20;

/// What the first bytes of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

/// The next frame without its length.
///
/// # Errors
/// If the stream ends, also inside the frame, or if this is no frame.
pub(super) async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_i32().await?;
    let length = usize::try_from(length).map_err(|_| not_a_frame())?;
    if length > FRAME_BYTES_MAX {
        return Err(not_a_frame());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

/// A frame with its length before it.
///
/// # Errors
/// If it is too long.
pub(super) fn with_length(frame: &[u8]) -> io::Result<Vec<u8>> {
    let length = i32::try_from(frame.len()).map_err(|_| not_a_frame())?;
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
    Ok(bytes)
}

/// The head of a request, if it is one.
pub(super) fn request_head(frame: &[u8]) -> Option<RequestHead> {
    Some(RequestHead {
        api_key: i16::from_be_bytes(frame.get(..2)?.try_into().ok()?),
        version: i16::from_be_bytes(frame.get(2..4)?.try_into().ok()?),
        correlation: i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?),
    })
}

/// The correlation id of an answer, if it is one.
pub(super) fn answer_correlation(frame: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(..4)?.try_into().ok()?))
}

fn not_a_frame() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "not a frame of the Kafka protocol")
}
