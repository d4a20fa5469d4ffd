//! Our reader and writer against those of `prost-reflect`, on random messages and on damaged ones.

use proptest::collection::vec;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost::bytes::Bytes;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::*;
use crate::protobuf::{Raw, Span, Wire};

/// [`ALL`] without the messages whose values have rules of their own.
fn plain() -> String {
    let own = ["google.", "import"];
    let lines = ALL
        .lines()
        .filter(|line| !own.iter().any(|own| line.trim().starts_with(own)));
    lines.collect::<Vec<_>>().join("\n")
}

fn descriptor(text: &str) -> MessageDescriptor {
    let mut pool = DescriptorPool::new();
    let file = protox::file::File::from_source("all.proto", text).unwrap();
    pool.add_file_descriptor_proto(file.file_descriptor_proto().clone())
        .unwrap();
    pool.get_message_by_name("shop.Order").unwrap()
}

/// A column of the type that holds all values of a field.
fn column(field: &FieldDescriptor) -> Field {
    let data_type = match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let value = column(&entry.map_entry_value_field());
            match entry.map_entry_key_field().kind() {
                Kind::String => map_of(value.data_type().clone()),
                _ => list_of(DataType::Struct(columns(&entry))),
            }
        }
        kind => {
            let one = one_of(&kind);
            if field.is_list() { list_of(one) } else { one }
        }
    };
    Field::new(field.name(), data_type, true)
}

fn one_of(kind: &Kind) -> DataType {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => DataType::Int64,
        Kind::Uint32 | Kind::Fixed32 => DataType::UInt32,
        Kind::Uint64 | Kind::Fixed64 => DataType::UInt64,
        Kind::Bool => DataType::Boolean,
        Kind::Float => DataType::Float32,
        Kind::Double => DataType::Float64,
        Kind::String | Kind::Enum(_) => DataType::Utf8View,
        Kind::Bytes => DataType::BinaryView,
        Kind::Message(message) => DataType::Struct(columns(message)),
    }
}

fn columns(message: &MessageDescriptor) -> Fields {
    message.fields().map(|field| column(&field)).collect()
}

fn value(kind: &Kind, next: &mut impl FnMut() -> u64) -> Value {
    // Small numbers and large ones.
    let bits = next() >> (next() % 64);
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(bits as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(bits as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(bits),
        Kind::Bool => Value::Bool(bits.is_multiple_of(2)),
        Kind::Float => Value::F32(bits as f32),
        Kind::Double => Value::F64(bits as f64 / 8.0),
        Kind::String => Value::String("é".repeat((bits % 80) as usize)),
        Kind::Bytes => Value::Bytes(Bytes::copy_from_slice(
            &bits.to_le_bytes()[..(bits % 9) as usize],
        )),
        Kind::Enum(_) => Value::EnumNumber((bits % 6) as i32 - 2),
        Kind::Message(message) => Value::Message(message_of(message, next)),
    }
}

fn map_key(kind: &Kind, next: &mut impl FnMut() -> u64) -> MapKey {
    match kind {
        Kind::String => MapKey::String(format!("k{}", next() % 4)),
        _ => MapKey::I32((next() % 4) as i32 - 2),
    }
}

fn message_of(message: &MessageDescriptor, next: &mut impl FnMut() -> u64) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if next().is_multiple_of(3) {
            continue;
        }
        let count = next() % 4;
        let value = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, of_value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
                let entries =
                    (0..count).map(|_| (map_key(&key.kind(), next), value(&of_value.kind(), next)));
                Value::Map(entries.collect())
            }
            kind if field.is_list() => {
                Value::List((0..count).map(|_| value(&kind, next)).collect())
            }
            kind => value(&kind, next),
        };
        made.set_field(&field, value);
    }
    made
}

/// Whether a field comes twice anywhere, if everything is a message that can be one. Of several
/// values we look at the last one only.
fn has_twice(bytes: &[u8]) -> bool {
    let whole = Span {
        start: 0,
        end: bytes.len(),
    };
    let mut wire = Wire::new(bytes, whole);
    let mut seen = std::collections::BTreeSet::new();
    while let Ok(Some(tag)) = wire.tag() {
        // Fields of one oneof take each other's place.
        let number = if (21..=23).contains(&tag.number) {
            21
        } else {
            tag.number
        };
        let is_new = seen.insert(number);
        match wire.value(tag) {
            Ok(Raw::Span(span)) if has_twice(span.of(bytes)) => return true,
            Ok(_) if is_new => {}
            _ => return !is_new,
        }
    }
    false
}

/// Whether the tag of a map may be there with another wire type than that of bytes, such as the end
/// of a group: prost-reflect reads entries of maps whatever their wire type.
fn has_odd_map(bytes: &[u8]) -> bool {
    const BYTES: u8 = 2;
    // Fields 20 and 300.
    let tags = [(0xa0, 0x01), (0xe0, 0x12)];
    bytes.windows(2).any(|pair| {
        let (wire, low) = (pair[0] & 7, pair[0] & !7);
        wire != BYTES && tags.contains(&(low, pair[1]))
    })
}

proptest! {
    #[test]
    fn what_others_write_comes_back(seed in any::<u64>()) {
        let text = plain();
        let message = descriptor(&text);
        let format = protobuf(&text);
        let columns: SchemaRef = Arc::new(Schema::new(columns(&message)));
        let mut next = generator(seed);
        let written: Vec<DynamicMessage> = (0..4).map(|_| message_of(&message, &mut next)).collect();
        let payloads: Vec<Vec<u8>> = written.iter().map(|m| m.encode_to_vec()).collect();
        let decoded = decode(&format, &columns, &records(&payloads));
        prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
        let again = encoder.encode(&decoded.rows).unwrap();
        for (ours, theirs) in again.iter().zip(&payloads) {
            let ours = DynamicMessage::decode(message.clone(), ours.unwrap()).unwrap();
            let theirs = DynamicMessage::decode(message.clone(), theirs.as_slice()).unwrap();
            prop_assert_eq!(ours, theirs);
        }
        // Two messages one after the other are one, put together.
        for pair in payloads.chunks(2) {
            let both = pair.concat();
            let rows = decode(&format, &columns, &records(&[&both])).rows;
            let ours = encoder.encode(&rows).unwrap();
            let ours = DynamicMessage::decode(message.clone(), ours.value(0)).unwrap();
            let theirs = DynamicMessage::decode(message.clone(), both.as_slice()).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn damaged_messages_are_bad_where_others_find_them_bad(
        seed in any::<u64>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..20),
        noise in vec(vec(any::<u8>(), 0..24), 0..8),
        wanted in proptest::sample::subsequence((0..24_usize).collect::<Vec<_>>(), 0..24),
    ) {
        let text = plain();
        let message = descriptor(&text);
        let format = protobuf(&text);
        let columns: SchemaRef = Arc::new(Schema::new(columns(&message)));
        let mut next = generator(seed);
        let good = message_of(&message, &mut next).encode_to_vec();
        let mut payloads = noise;
        for (at, byte, is_cut) in damage {
            let mut bytes = good.clone();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                if is_cut { bytes.truncate(at) } else { bytes[at] = byte }
            }
            payloads.push(bytes);
            payloads.push(good.clone());
        }
        let together = outcomes(&decode(&format, &columns, &records(&payloads)));
        for (bytes, ours) in payloads.iter().zip(&together) {
            let alone = outcomes(&decode(&format, &columns, &records(&[bytes])));
            prop_assert_eq!(&alone[0], ours);
            prop_assert!(*bytes != good || !ours.starts_with("bad"), "{}", ours);
            let theirs = DynamicMessage::decode(message.clone(), bytes.as_slice());
            let is_map = ["props", "by_id"].iter().any(|map| ours.contains(&format!("\"{map}\"")))
                || has_odd_map(bytes);
            match (&theirs, ours.starts_with("bad")) {
                (Ok(_), true) => prop_assert!(is_map, "{}: {:02x?}", ours, bytes),
                (Err(error), false) => prop_assert!(has_twice(bytes), "{}: {:02x?}", error, bytes),
                _ => {}
            }
        }
        // Whatever is read, what is broken is broken.
        let mut decoder = new_decoder(&format, OWNER, &columns, &wanted).unwrap();
        let some = outcomes(&decoder.decode(&records(&payloads)).unwrap());
        for (some, all) in some.iter().zip(&together) {
            let is_broken = |o: &str| o.starts_with("bad") && !o.starts_with("bad: column");
            prop_assert_eq!(is_broken(some), is_broken(all));
        }
    }
}
