//! Records of one map each, to rows.

use arrow::array::BinaryArray;
use arrow::datatypes::{Field, SchemaRef};
use headwater_core::format::{Decoded, Decoder};
use headwater_core::{Error, Result};

use crate::msgpack::cursor::{Cursor, Head};
use crate::msgpack::reading::{Members, Reader, Reading};
use crate::row_collector::Flaw;
use crate::timestamp::TimestampOptions;
use crate::typed_column::Column;
use crate::typed_rows::{TypedRows, no_value, shown_bytes};

/// Decodes MSGPACK.
#[derive(Debug)]
pub(crate) struct MsgpackDecoder {
    members: Members,
    timestamps: TimestampOptions,
    rows: TypedRows,
}

/// Whether a column's type is one of values that MessagePack has.
pub(crate) fn can_hold(field: &Field) -> bool {
    Reading::of(field.data_type()).is_some() && Column::of(field.data_type()).is_some()
}

impl MsgpackDecoder {
    /// A decoder for the columns of `schema`.
    ///
    /// # Errors
    /// Only for a bug: if the columns were not checked.
    pub(crate) fn try_new(timestamps: TimestampOptions, schema: SchemaRef) -> Result<Self> {
        let not_checked = || Error::internal("a MessagePack column was not checked");
        Ok(MsgpackDecoder {
            members: Members::of(schema.fields()).ok_or_else(not_checked)?,
            timestamps,
            rows: TypedRows::new(schema).ok_or_else(not_checked)?,
        })
    }

    fn push(&mut self, payload: &[u8]) {
        let found = match self.find(payload) {
            Ok(found) => found,
            Err(reason) => {
                return self.rows.push_flaw(Flaw {
                    reason,
                    detail: shown_bytes(payload),
                });
            }
        };
        let reader = Reader {
            timestamps: &self.timestamps,
        };
        let (_, columns) = self.rows.columns();
        match reader.read_members(&self.members, &found, columns) {
            None => self.rows.end_good(),
            Some((column, outcome, bytes)) => {
                self.rows.end_wrong(column, outcome, shown_bytes(bytes));
            }
        }
    }

    /// The bytes of the wanted members of a record, or why it has none.
    fn find<'a>(&self, payload: &'a [u8]) -> Result<Vec<Option<&'a [u8]>>, &'static str> {
        if payload.is_empty() {
            return Err("empty value");
        }
        let mut whole = Cursor::new(payload);
        whole.value().map_err(|broken| broken.reason())?;
        let mut cursor = Cursor::new(payload);
        let head = cursor.head().map_err(|broken| broken.reason())?;
        let Head::Map(length) = head else {
            return Err("not a map of MessagePack");
        };
        if !whole.left().is_empty() {
            return Err("more after the map of MessagePack");
        }
        let found = self.members.find(length, &mut cursor);
        found.map_err(|broken| broken.reason())
    }
}

impl Decoder for MsgpackDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        for payload in payloads {
            match payload {
                Some(payload) => self.push(payload),
                None => self.rows.push_flaw(no_value()),
            }
        }
        self.rows.finish()
    }
}
