//! DEBEZIUM JSON and DEBEZIUM AVRO: an event of a change per record, as Debezium writes it to Kafka.
//!
//! ```text
//!   {"schema": …, "payload": {"before": {…}, "after": {…}, "op": "u", "source": {…}, "ts_ms": 1}}
//!   └────── may be left out ─┘ └ of u, d ──┘  └ of c, r, u ┘
//!
//!   registry's frame │ before │ after │ source │ op │ …         the same as a record of Avro
//! ```
//!
//! An event is a row that is only ever added: the columns are taken from `after`, of a delete from
//! `before`, and the column `op` says what has happened. The change is not applied to anything: what
//! it means for a row that was read earlier is for the query to say.
//!
//! A truncate event has no row and is bad, and so is an event whose `op` is not known: passing over
//! it would lose a change without a sign of it.
//!
//! Events of JSON are read here, with the parts of the JSON decoder; those of Avro by the Avro
//! decoder, which is told what is to become of an event (`avro/event.rs`).

mod change;
mod decoder;
mod event_columns;
mod options;

pub(crate) use change::{NO_AFTER, NO_BEFORE, NO_OP, known_op};
pub(crate) use decoder::{DebeziumDecoder, EventFinder};
pub(crate) use event_columns::{EventColumns, Part};
pub(crate) use options::{DebeziumAvroOptions, DebeziumOptions, FORMAT, WrittenAs};
