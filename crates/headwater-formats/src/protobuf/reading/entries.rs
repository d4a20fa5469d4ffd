//! Which entries of a map count: keys that come again take the place of those before.

use std::collections::HashMap;

use crate::protobuf::message_plan::MapKey;
use crate::protobuf::number::whole;
use crate::protobuf::reading::{Parts, Reader};
use crate::protobuf::wire::{Raw, Span, Wire};

/// The key of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'r> {
    Text(&'r [u8]),
    Number(i128),
}

impl<'r> Reader<'r> {
    /// The entries that count: of every key the last one.
    pub(super) fn entries(&self, key: MapKey, first: u32) -> Vec<Span> {
        let mut entries = self.spans(Parts::Chain(first));
        if entries.len() < 2 {
            return entries;
        }
        let keys: Vec<Option<Key<'r>>> = entries.iter().map(|e| self.key_of(key, *e)).collect();
        let last: HashMap<Option<Key<'r>>, usize> = keys.iter().copied().zip(0..).collect();
        let mut at = 0..;
        let mut keys = keys.iter();
        entries.retain(|_| match (at.next(), keys.next()) {
            // One that is broken has no key, and is found broken when it is read.
            (_, Some(None)) => true,
            (Some(at), Some(key)) => last.get(key) == Some(&at),
            _ => true,
        });
        entries
    }

    /// The key of an entry; `None` if the entry is broken.
    fn key_of(&self, key: MapKey, entry: Span) -> Option<Key<'r>> {
        let mut found = match key {
            MapKey::Text => Key::Text(&[]),
            MapKey::Number(..) => Key::Number(0),
        };
        let mut wire = Wire::new(self.record, entry);
        while let Some(tag) = wire.tag().ok()? {
            let raw = wire.value(tag).ok()?;
            if tag.number != 1 {
                continue;
            }
            found = match (key, raw) {
                (MapKey::Text, Raw::Span(span)) => Key::Text(span.of(self.record)),
                (MapKey::Number(_, number), Raw::Number(raw)) => Key::Number(whole(number, raw)?),
                _ => return None,
            };
        }
        Some(found)
    }
}
