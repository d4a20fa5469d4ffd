//! The frame around every recovery file: what it is, how long, and whether it is whole.
//!
//! ```text
//! headwater <kind> v<version> <length> <crc32c>\n      ASCII; length in bytes, decimal;
//! <payload>                                            checksum of the payload, 8 hex digits
//! ```
//!
//! The header is text so that `head -1` shows what a file is, and so that the JSON records can be
//! read by a person and by `tail -n +2 file | jq`. There is exactly one way to write a header, and
//! a reader accepts nothing else: every flipped bit is found.

use std::fmt;

use headwater_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file_store::{FileStore, file_label};

/// Version of the frame and of all payloads. It counts up when an older headwater could
/// misunderstand a file.
pub const FORMAT_VERSION: u32 = 1;

/// A header is shorter than this.
const MAX_HEADER_BYTES: usize = 96;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// `metadata.json`.
    Metadata,
    /// `lock`.
    Lock,
    /// A record of the epoch log.
    Epoch,
    /// A record of the commit log.
    Commit,
    /// A pack of operator state.
    State,
    /// A part of a source's journal.
    Journal,
}

impl RecordKind {
    /// The name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordKind::Metadata => "metadata",
            RecordKind::Lock => "lock",
            RecordKind::Epoch => "epoch",
            RecordKind::Commit => "commit",
            RecordKind::State => "state",
            RecordKind::Journal => "journal",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The header line of a payload of `length` bytes with the given checksum.
pub fn header(kind: RecordKind, length: usize, crc: u32) -> String {
    format!("headwater {kind} v{FORMAT_VERSION} {length} {crc:08x}\n")
}

/// Frames a payload.
pub fn encode_record(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, payload.len(), crc32c::crc32c(payload)).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Checks a frame and gives its payload. `file` names the file in messages.
///
/// # Errors
/// Checkpoint, saying what is wrong with the file.
pub fn decode_record<'a>(kind: RecordKind, file: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    if bytes.is_empty() {
        return Err(damaged(file, "it is empty"));
    }
    let line_end = bytes
        .iter()
        .take(MAX_HEADER_BYTES)
        .position(|b| *b == b'\n');
    let Some(line_end) = line_end else {
        return Err(damaged(
            file,
            "its first line is cut off or not headwater's",
        ));
    };
    let (line, payload) = bytes.split_at(line_end + 1);
    check_version_and_kind(kind, file, line)?;
    let length =
        declared_length(line).ok_or_else(|| damaged(file, "its first line is not headwater's"))?;
    if payload.len() != length {
        let found = payload.len();
        let what = format!("it should hold {length} bytes after the first line and holds {found}");
        return Err(damaged(file, &what));
    }
    if line != header(kind, length, crc32c::crc32c(payload)).as_bytes() {
        return Err(damaged(file, "its checksum does not match its content"));
    }
    Ok(payload)
}

/// The error of a file that cannot be trusted.
pub(crate) fn damaged(file: &str, what: &str) -> Error {
    Error::checkpoint(format!("file \"{file}\" is damaged: {what}"))
        .with_hint("Restore the checkpoint folder from a copy, or start the query with a new one.")
}

fn check_version_and_kind(kind: RecordKind, file: &str, line: &[u8]) -> Result<()> {
    let words: Vec<&str> = match std::str::from_utf8(line) {
        Ok(text) => text.split_ascii_whitespace().collect(),
        Err(_) => Vec::new(),
    };
    let ["headwater", found_kind, version, ..] = words.as_slice() else {
        return Err(damaged(file, "its first line is not headwater's"));
    };
    match version.strip_prefix('v').map(str::parse::<u32>) {
        Some(Ok(FORMAT_VERSION)) => {}
        Some(Ok(newer)) if newer > FORMAT_VERSION => return Err(newer_version(file, newer)),
        _ => return Err(damaged(file, "its format version is not known")),
    }
    if *found_kind != kind.as_str() {
        let found_kind: String = found_kind.escape_debug().collect();
        let what = format!("it should be of kind \"{kind}\" and is of kind \"{found_kind}\"");
        return Err(damaged(file, &what));
    }
    Ok(())
}

/// The error of a file from the future.
pub(crate) fn newer_version(file: &str, version: u32) -> Error {
    Error::checkpoint(format!(
        "file \"{file}\" was written by a newer headwater: its format version is {version} and \
         this one reads up to {FORMAT_VERSION}"
    ))
    .with_hint("Run the query with the version of headwater that wrote the checkpoint.")
}

fn declared_length(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    text.split_ascii_whitespace().nth(3)?.parse().ok()
}

/// Frames a value as JSON on one line.
pub(crate) fn encode_json<T: Serialize>(kind: RecordKind, value: &T) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(value).map_err(|e| {
        Error::internal(format!("a {kind} record has no JSON form: {e}")).with_source(e)
    })?;
    json.push(b'\n');
    Ok(encode_record(kind, &json))
}

/// Reads a value framed by [`encode_json`].
pub(crate) fn decode_json<T: DeserializeOwned>(
    kind: RecordKind,
    file: &str,
    bytes: &[u8],
) -> Result<T> {
    let json = decode_record(kind, file, bytes)?;
    serde_json::from_slice(json)
        .map_err(|e| damaged(file, &format!("it does not hold a {kind} record: {e}")))
}

/// Reads a JSON record of a store; `None` if the file does not exist.
pub(crate) fn read_json<T: DeserializeOwned>(
    store: &dyn FileStore,
    kind: RecordKind,
    path: &str,
) -> Result<Option<T>> {
    match store.read(path)? {
        Some(bytes) => decode_json(kind, &file_label(store, path), &bytes).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_text_with_a_header() {
        let bytes = encode_json(RecordKind::Epoch, &vec![1, 2]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "headwater epoch v1 6 8ec5c811\n[1,2]\n");
    }

    #[test]
    fn messages_name_the_file_and_what_is_wrong() {
        let good = encode_record(RecordKind::Epoch, b"{}");
        let cases: [(&[u8], &str); 8] = [
            (b"", "it is empty"),
            (b"headwater epo", "its first line is cut off"),
            (b"{\"a\":1}\n", "its first line is not headwater's"),
            (
                b"headwater epoch v2 2 00000000\n{}",
                "written by a newer headwater",
            ),
            (
                b"headwater epoch v0 2 00000000\n{}",
                "format version is not known",
            ),
            (
                b"headwater commit v1 2 00000000\n{}",
                "is of kind \"commit\"",
            ),
            (
                b"headwater epoch v1 2 00000000\n{}",
                "its checksum does not match",
            ),
            (
                &good[..good.len() - 1],
                "should hold 2 bytes after the first line and holds 1",
            ),
        ];
        for (bytes, what) in cases {
            let error = decode_record(RecordKind::Epoch, "c/epochs/1.json", bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
            assert!(error.message().contains("c/epochs/1.json"), "{error}");
            assert!(error.message().contains(what), "{error} lacks {what}");
        }
        assert_eq!(decode_record(RecordKind::Epoch, "x", &good).unwrap(), b"{}");
    }

    proptest! {
        #[test]
        fn any_payload_survives(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = encode_record(RecordKind::State, &payload);
            prop_assert_eq!(decode_record(RecordKind::State, "x", &bytes).unwrap(), &payload[..]);
        }

        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode_record(RecordKind::State, "x", &bytes).is_err());
        }
    }
}
