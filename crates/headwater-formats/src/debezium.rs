//! DEBEZIUM JSON: an event of a change per record, as Debezium writes it to Kafka.
//!
//! ```text
//!   {"schema": …, "payload": {"before": {…}, "after": {…}, "op": "u", "source": {…}, "ts_ms": 1}}
//!   └────── may be left out ─┘ └ of u, d ──┘  └ of c, r, u ┘
//! ```
//!
//! An event is a row that is only ever added: the columns are taken from `after`, of a delete from
//! `before`, and the column `op` says what has happened. The change is not applied to anything: what
//! it means for a row that was read earlier is for the query to say.
//!
//! A truncate event has no row and is bad, and so is an event whose `op` is not known: passing over
//! it would lose a change without a sign of it.

mod decoder;
mod options;

pub(crate) use decoder::{DebeziumDecoder, EventFinder};
pub(crate) use options::DebeziumOptions;
