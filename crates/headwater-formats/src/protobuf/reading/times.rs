//! `google.protobuf.Timestamp` and `Duration`: seconds and nanoseconds as one number.

use crate::protobuf::number::low_32;
use crate::protobuf::reading::{Parts, Reader};
use crate::protobuf::wire::{Broken, Raw, Wire, WireType};

impl Reader<'_> {
    /// The fields of a `Timestamp` or a `Duration`; `None` if one has another type.
    pub(super) fn seconds_and_nanos(&self, mut parts: Parts) -> Result<Option<(i64, i64)>, Broken> {
        let mut found = (0_i64, 0_i64);
        while let Some((span, rest)) = self.next_part(parts) {
            parts = rest;
            let mut wire = Wire::new(self.record, span);
            while let Some(tag) = wire.tag()? {
                match (tag.number, tag.wire, wire.value(tag)?) {
                    (1, WireType::Varint, Raw::Number(raw)) => found.0 = raw.cast_signed(),
                    (2, WireType::Varint, Raw::Number(raw)) => found.1 = low_32(raw).into(),
                    (1 | 2, ..) => return Ok(None),
                    _ => {}
                }
            }
        }
        Ok(Some(found))
    }
}

/// So many units of a second; `None` if there are too many, or nanoseconds out of their range.
pub(super) fn in_units(found: (i64, i64), per_second: i64, least_nanos: i64) -> Option<i64> {
    let (seconds, nanos) = found;
    if nanos < least_nanos || nanos > 999_999_999 {
        return None;
    }
    let rest = nanos / (1_000_000_000 / per_second);
    seconds.checked_mul(per_second)?.checked_add(rest)
}
