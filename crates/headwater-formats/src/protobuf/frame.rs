//! What stands before a message of a registry, as Confluent's serializers write it.
//!
//! ```text
//!   0x00 │ schema id, 4 bytes, the highest first │ indexes │ message
//!
//!   indexes   how many, then so many places: of the message among those of the file, of one inside
//!             it among those inside, and so on; all of them zigzag varints
//!             [0], the first message, is one byte of zero instead
//! ```

use crate::protobuf::wire::{Span, Wire, unzigzag};
use crate::protobuf::wire_writing::{write_varint, zigzag};

/// Messages inside each other; protoc allows 32.
const MAX_INDEXES: i64 = 64;
const ID_BYTES: usize = 5;

/// A record, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framed<'a> {
    /// The frame, which says the type of the message, and the message.
    Message(&'a [u8], &'a [u8]),
    Empty,
    /// Without a first byte of zero, or too short.
    NoId,
    /// Without places of the message.
    NoIndex,
}

/// Takes a record apart.
pub(crate) fn take_apart(payload: &[u8]) -> Framed<'_> {
    match payload {
        [] => return Framed::Empty,
        [0, _, _, _, _, ..] => {}
        _ => return Framed::NoId,
    }
    // Almost every record is of the first message.
    if payload.get(ID_BYTES) == Some(&0) {
        let (frame, message) = payload.split_at(ID_BYTES + 1);
        return Framed::Message(frame, message);
    }
    match indexes(payload) {
        Some((_, end)) => {
            let (frame, message) = payload.split_at(end);
            Framed::Message(frame, message)
        }
        None => Framed::NoIndex,
    }
}

/// The schema id of a frame, and the place of its message.
pub(crate) fn id_and_path(frame: &[u8]) -> Option<(u32, Vec<usize>)> {
    let [_, id @ ..] = frame.first_chunk::<ID_BYTES>()?;
    let (path, _) = indexes(frame)?;
    Some((u32::from_be_bytes(*id), path))
}

/// The indexes, and where they end.
fn indexes(payload: &[u8]) -> Option<(Vec<usize>, usize)> {
    let whole = Span {
        start: ID_BYTES,
        end: payload.len(),
    };
    let mut wire = Wire::new(payload, whole);
    let count = unzigzag(wire.varint().ok()?);
    let mut path = Vec::new();
    if count == 0 {
        path.push(0);
    } else if !(1..=MAX_INDEXES).contains(&count) {
        return None;
    }
    for _ in 0..count {
        path.push(usize::try_from(unzigzag(wire.varint().ok()?)).ok()?);
    }
    Some((path, wire.place()))
}

/// The frame of messages of a schema.
pub(crate) fn frame(id: u32, path: &[usize]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(id.to_be_bytes());
    if path == [0] {
        frame.push(0);
        return frame;
    }
    let signed = |place: usize| zigzag(i64::try_from(place).unwrap_or(i64::MAX));
    write_varint(signed(path.len()), &mut frame);
    for place in path {
        write_varint(signed(*place), &mut frame);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back() {
        for path in [vec![0], vec![1], vec![0, 0], vec![2, 0, 300]] {
            let frame = frame(7, &path);
            let record = [frame.as_slice(), b"rest"].concat();
            assert_eq!(take_apart(&record), Framed::Message(&frame, b"rest"));
            assert_eq!(id_and_path(&frame), Some((7, path)));
        }
        assert_eq!(frame(258, &[0]), [0, 0, 0, 1, 2, 0]);
        assert_eq!(frame(258, &[1]), [0, 0, 0, 1, 2, 2, 2]);
        // The long form of the first message.
        assert_eq!(id_and_path(&[0, 0, 0, 0, 1, 2, 0]), Some((1, vec![0])));
    }

    #[test]
    fn what_is_no_frame_is_found() {
        let cases: [(&[u8], Framed); 7] = [
            (&[], Framed::Empty),
            (&[0, 0, 0, 1], Framed::NoId),
            (&[1, 0, 0, 0, 1, 0], Framed::NoId),
            (&[0, 0, 0, 0, 1], Framed::NoIndex),
            (&[0, 0, 0, 0, 1, 4, 0], Framed::NoIndex),
            (&[0, 0, 0, 0, 1, 1], Framed::NoIndex),
            (&[0, 0, 0, 0, 1, 2, 1], Framed::NoIndex),
        ];
        for (payload, expected) in cases {
            assert_eq!(take_apart(payload), expected, "{payload:?}");
        }
    }
}
