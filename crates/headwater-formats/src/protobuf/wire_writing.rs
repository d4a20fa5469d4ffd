//! Writes the values of Protobuf's wire format; `wire.rs` reads them.

/// Writes a varint.
#[inline]
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits")]
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "fewer than eight bits")]
    out.push(value as u8);
}

/// The zigzag in which small negative numbers are short.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Writes bytes after their length.
pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Writes something after its length, which is known only then.
pub(crate) fn write_with_length<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let start = out.len();
    // Most messages are shorter than 128 bytes, and their length is one byte.
    out.push(0);
    let written = write(out);
    let length = u64::try_from(out.len() - start - 1).unwrap_or(u64::MAX);
    match (u8::try_from(length), out.get_mut(start)) {
        (Ok(short), Some(place)) if short < 0x80 => *place = short,
        _ => {
            let mut prefix = Vec::with_capacity(5);
            write_varint(length, &mut prefix);
            out.splice(start..=start, prefix);
        }
    }
    written
}
