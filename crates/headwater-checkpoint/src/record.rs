//! The frame around every recovery file: what it is, how long, and whether it is whole.
//!
//! ```text
//! headwater <kind> v<version> <query> <length> <crc32c>\n   ASCII; length in bytes, decimal;
//! <payload>                                              checksum of query and payload, hex
//! ```
//!
//! The query is the id in `metadata.json`, so that a file of another query's checkpoint is known
//! for what it is; in `metadata.json` itself and in `lock` it is `-`.
//!
//! The header is text so that `head -1` shows what a file is, and so that the JSON records can be
//! read by a person and by `tail -n +2 file | jq`. There is exactly one way to write a header, and
//! a reader accepts nothing else: every flipped bit is found.

use std::fmt;

use headwater_core::id::QueryId;
use headwater_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file_store::{FileStore, file_label};

/// Version of the frame and of all payloads. It counts up when an older headwater could
/// misunderstand a file.
pub const FORMAT_VERSION: u32 = 1;

/// A header is shorter than this.
const MAX_HEADER_BYTES: usize = 160;

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

/// In place of a query's id where a file is of none.
const NO_QUERY: &str = "-";

/// The header line of a payload of `length` bytes with the given checksum.
pub(crate) fn header(
    kind: RecordKind,
    query: Option<&QueryId>,
    length: usize,
    checksum: u32,
) -> String {
    header_line(
        kind,
        query.map_or(NO_QUERY, QueryId::as_str),
        length,
        checksum,
    )
}

fn header_line(kind: RecordKind, query: &str, length: usize, checksum: u32) -> String {
    format!("headwater {kind} v{FORMAT_VERSION} {query} {length} {checksum:08x}\n")
}

/// The checksum to go on from with the payload.
pub(crate) fn checksum_of(query: Option<&QueryId>) -> u32 {
    query.map_or(0, |query| crc32c::crc32c(query.as_str().as_bytes()))
}

/// Frames a payload.
pub(crate) fn encode_record(kind: RecordKind, query: Option<&QueryId>, payload: &[u8]) -> Vec<u8> {
    let checksum = crc32c::crc32c_append(checksum_of(query), payload);
    let mut bytes = header(kind, query, payload.len(), checksum).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// [`decode_record`] for a file that must be a query's, if one is given.
///
/// # Errors
/// Checkpoint, saying what is wrong with the file, or whose it is.
pub(crate) fn decode_owned<'a>(
    kind: RecordKind,
    query: Option<&QueryId>,
    file: &str,
    bytes: &'a [u8],
) -> Result<&'a [u8]> {
    let (found, payload) = decode_frame(kind, file, bytes)?;
    match query {
        Some(query) if query.as_str() != found => Err(Error::checkpoint(format!(
            "file \"{file}\" is not of this checkpoint: it is of query \"{found}\", and \
             \"metadata.json\" says query \"{query}\""
        ))
        .with_detail("Files of two checkpoints were mixed.")
        .with_hint(
            "Restore the checkpoint folder from a copy, or start the query with a new one.",
        )),
        _ => Ok(payload),
    }
}

/// Checks a frame of any query and gives its payload. `file` names the file in messages.
///
/// # Errors
/// Checkpoint, saying what is wrong with the file.
pub fn decode_record<'a>(kind: RecordKind, file: &str, bytes: &'a [u8]) -> Result<&'a [u8]> {
    decode_frame(kind, file, bytes).map(|(_, payload)| payload)
}

/// The query of a frame, and its payload.
fn decode_frame<'a>(kind: RecordKind, file: &str, bytes: &'a [u8]) -> Result<(&'a str, &'a [u8])> {
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
    let (query, length) =
        declared(line).ok_or_else(|| damaged(file, "its first line is not headwater's"))?;
    if payload.len() != length {
        let found = payload.len();
        let what = format!("it should hold {length} bytes after the first line and holds {found}");
        return Err(damaged(file, &what));
    }
    let start = match query {
        NO_QUERY => 0,
        query => crc32c::crc32c(query.as_bytes()),
    };
    let checksum = crc32c::crc32c_append(start, payload);
    if line != header_line(kind, query, length, checksum).as_bytes() {
        return Err(damaged(file, "its checksum does not match its content"));
    }
    Ok((query, payload))
}

/// The error of a file that cannot be trusted.
pub(crate) fn damaged(file: &str, what: &str) -> Error {
    Error::checkpoint(format!("file \"{file}\" is damaged: {what}"))
        .with_detail("`headwater checkpoint verify` looks at every file of the folder.")
        .with_hint(
            "Restore the checkpoint folder from a copy, go back with `headwater checkpoint \
             rewind`, or start the query with a new one.",
        )
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

/// Query and length.
fn declared(line: &[u8]) -> Option<(&str, usize)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split_ascii_whitespace().skip(3);
    Some((words.next()?, words.next()?.parse().ok()?))
}

/// Frames a value as JSON on one line.
pub(crate) fn encode_json<T: Serialize>(
    kind: RecordKind,
    query: Option<&QueryId>,
    value: &T,
) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(value).map_err(|e| {
        Error::internal(format!("a {kind} record has no JSON form: {e}")).with_source(e)
    })?;
    json.push(b'\n');
    Ok(encode_record(kind, query, &json))
}

/// Reads a value framed by [`encode_json`].
pub(crate) fn decode_json<T: DeserializeOwned>(
    kind: RecordKind,
    query: Option<&QueryId>,
    file: &str,
    bytes: &[u8],
) -> Result<T> {
    let json = decode_owned(kind, query, file, bytes)?;
    serde_json::from_slice(json)
        .map_err(|e| damaged(file, &format!("it does not hold a {kind} record: {e}")))
}

/// Reads a JSON record of a store; `None` if the file does not exist.
pub(crate) fn read_json<T: DeserializeOwned>(
    store: &dyn FileStore,
    kind: RecordKind,
    query: Option<&QueryId>,
    path: &str,
) -> Result<Option<T>> {
    match store.read(path)? {
        Some(bytes) => decode_json(kind, query, &file_label(store, path), &bytes).map(Some),
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
        let bytes = encode_json(RecordKind::Epoch, None, &vec![1, 2]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "headwater epoch v1 - 6 8ec5c811\n[1,2]\n");
    }

    #[test]
    fn messages_name_the_file_and_what_is_wrong() {
        let good = encode_record(RecordKind::Epoch, Some(&QueryId::new("q")), b"{}");
        let cases: [(&[u8], &str); 8] = [
            (b"", "it is empty"),
            (b"headwater epo", "its first line is cut off"),
            (b"{\"a\":1}\n", "its first line is not headwater's"),
            (
                b"headwater epoch v2 q 2 00000000\n{}",
                "written by a newer headwater",
            ),
            (
                b"headwater epoch v0 q 2 00000000\n{}",
                "format version is not known",
            ),
            (
                b"headwater commit v1 q 2 00000000\n{}",
                "is of kind \"commit\"",
            ),
            (
                b"headwater epoch v1 q 2 00000000\n{}",
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

    #[test]
    fn a_file_of_another_query_is_told_from_a_damaged_one() {
        let query = QueryId::new("q");
        let bytes = encode_record(RecordKind::Epoch, Some(&query), b"{}");
        let decode = |bytes: &[u8], id: &str| {
            let payload = decode_owned(RecordKind::Epoch, Some(&QueryId::new(id)), "x", bytes);
            payload.map(<[u8]>::to_vec)
        };
        assert_eq!(decode(&bytes, "q").unwrap(), b"{}");
        let error = decode(&bytes, "r").unwrap_err();
        assert!(error.message().contains("is of query \"q\""), "{error}");
        let renamed = String::from_utf8(bytes).unwrap().replace(" q ", " r ");
        let error = decode(renamed.as_bytes(), "r").unwrap_err();
        assert!(error.message().contains("checksum"), "{error}");
        let unowned = encode_record(RecordKind::Epoch, None, b"{}");
        assert!(decode(&unowned, "q").is_err());
    }

    proptest! {
        #[test]
        fn any_payload_survives(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            id in "[!-~]{2,40}",
        ) {
            let bytes = encode_record(RecordKind::State, Some(&QueryId::new(id)), &payload);
            prop_assert_eq!(decode_record(RecordKind::State, "x", &bytes).unwrap(), &payload[..]);
        }

        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode_record(RecordKind::State, "x", &bytes).is_err());
        }
    }
}
