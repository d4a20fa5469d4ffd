//! Batches of records that no producer makes: their bytes are put together here, and sent as they are.
//!
//! Source: the message format and the request `Produce` of Kafka's protocol, version 7.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The bits of a batch that say how it is compressed.
pub(crate) const ZSTD: i16 = 4;
/// The first number that is no compression.
pub(crate) const NO_CODEC: i16 = 5;
/// The bit that says that the time is the broker's.
pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
/// The time of records that have none.
pub(crate) const NO_TIME: i64 = -1;

/// A batch of records with values alone.
pub(crate) struct RawBatch<'a> {
    pub(crate) attributes: i16,
    /// Of the first record; the others have the same.
    pub(crate) time_ms: i64,
    pub(crate) values: &'a [&'a str],
    /// Takes the place of the records, as if they were compressed.
    pub(crate) body: Option<&'a [u8]>,
}

impl Default for RawBatch<'_> {
    fn default() -> Self {
        RawBatch {
            attributes: 0,
            time_ms: 1,
            values: &["{\"n\":1}"],
            body: None,
        }
    }
}

impl RawBatch<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        for (place, value) in (0..).zip(self.values) {
            let mut record = vec![0];
            varint(0, &mut record);
            varint(place, &mut record);
            varint(-1, &mut record);
            varint(i64::try_from(value.len()).unwrap(), &mut record);
            record.extend(value.as_bytes());
            varint(0, &mut record);
            varint(i64::try_from(record.len()).unwrap(), &mut records);
            records.extend(record);
        }
        let count = i32::try_from(self.values.len()).unwrap();
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend((count - 1).to_be_bytes());
        checked.extend(self.time_ms.to_be_bytes());
        checked.extend(self.time_ms.to_be_bytes());
        // No producer, of no epoch, and no sequence.
        checked.extend((-1_i64).to_be_bytes());
        checked.extend((-1_i16).to_be_bytes());
        checked.extend((-1_i32).to_be_bytes());
        checked.extend(count.to_be_bytes());
        checked.extend(self.body.unwrap_or(&records));
        let mut batch = 0_i64.to_be_bytes().to_vec();
        // The epoch of the leader, the version and the checksum are counted.
        batch.extend(length(checked.len() + 9));
        batch.extend(0_i32.to_be_bytes());
        batch.push(2);
        batch.extend(crc32c(&checked).to_be_bytes());
        batch.extend(checked);
        batch
    }
}

/// Writes a batch to partition 0 of a topic.
pub(crate) fn put_raw(servers: &str, topic: &str, batch: &RawBatch<'_>) {
    let batch = batch.bytes();
    let mut request = Vec::new();
    // Produce, version 7, the first request, of nobody.
    for part in [0_i16.to_be_bytes(), 7_i16.to_be_bytes()] {
        request.extend(part);
    }
    request.extend(1_i32.to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    // No transaction, all replicas, ten seconds.
    request.extend((-1_i16).to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend(length(batch.len()));
    request.extend(batch);
    let mut stream = TcpStream::connect(servers).unwrap();
    stream.write_all(&length(request.len())).unwrap();
    stream.write_all(&request).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // The number of the request, of topics, the topic, the number of partitions, and the partition.
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[error..error + 2], [0, 0], "{answer:?}");
}

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap().to_be_bytes()
}

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap());
}

/// The checksum of a batch, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let is_odd = crc & 1 == 1;
            crc >>= 1;
            if is_odd {
                crc ^= 0x82f6_3b78;
            }
        }
    }
    !crc
}
