//! MSGPACK: one map of MessagePack per record, whose members are columns by their names.
//!
//! ```text
//!   payload ──► Cursor (passes over all of it once) ──► the bytes of each wanted member
//!                                                            │
//!   declared columns ──► Reading (made once) ────────────────┴──► columns ──► rows + bad records
//! ```
//!
//! | column | MessagePack |
//! | --- | --- |
//! | integers | int, uint; a float without a fraction |
//! | DOUBLE, FLOAT | every number, NaN and infinity too |
//! | DECIMAL | every finite number; str with one; rounded half up |
//! | BOOLEAN | bool |
//! | VARCHAR | str, bin; both must be UTF-8 |
//! | BYTEA | bin; str of hexadecimal digits |
//! | DATE | str `YYYY-MM-DD` |
//! | TIMESTAMP | ext -1; str and numbers as [`crate::timestamp`] says |
//! | ARRAY, STRUCT, MAP | array, map, map with keys of str |
//!
//! So values go where JSON's go, and what JSON does not have where it belongs. Own code and not a
//! crate: a value is a byte of its kind and what follows, which is a page, and a crate would make
//! trees of values where the bytes of one column are wanted.
//!
//! Source: the MessagePack specification, with its timestamp extension.

mod cursor;
mod decoder;
mod reading;

pub(crate) use decoder::{MsgpackDecoder, can_hold};
