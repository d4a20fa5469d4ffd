//! Reads Avro records into the columns of a chunk.

use arrow::datatypes::SchemaRef;
use headwater_core::Result;
use headwater_core::format::Decoded;

use crate::avro::cursor::{Broken, Cursor};
use crate::avro::reading::{Reader, WrongColumn};
use crate::avro::resolve::{Plan, RootReading};
use crate::avro::schema::Shape;
use crate::row_collector::Flaw;
use crate::typed_rows::{TypedRows, shown_bytes};

/// The rows of the chunk that is being decoded.
#[derive(Debug)]
pub(crate) struct AvroRows(TypedRows);

/// Why a record gives no row.
enum Bad<'a> {
    Broken(Broken),
    NoRecord,
    NoValue,
    Column(WrongColumn<'a>),
}

impl AvroRows {
    /// Collects rows of a schema; `None` if Avro cannot hold one of its columns.
    pub(crate) fn new(schema: SchemaRef) -> Option<Self> {
        TypedRows::new(schema).map(AvroRows)
    }

    /// The columns of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    /// Adds a record of a schema.
    pub(crate) fn push(&mut self, plan: &Plan, bytes: &[u8]) {
        if bytes.is_empty() && plan.schema.takes_bytes(plan.schema.root()) {
            self.push_flaw(Flaw {
                reason: "empty value",
                detail: String::new(),
            });
            return;
        }
        let mut cursor = Cursor::new(bytes);
        let mut bad = self.read(plan, &plan.root, &mut cursor).err();
        if !matches!(bad, Some(Bad::Broken(_) | Bad::NoRecord)) && !cursor.left().is_empty() {
            bad = Some(Bad::Broken(Broken::More));
        }
        match bad {
            None => self.0.end_good(),
            Some(Bad::Broken(broken)) => self.0.end_bad(broken.reason(), shown_bytes(bytes)),
            Some(Bad::NoRecord) => self.0.end_bad("not an Avro record", shown_bytes(bytes)),
            Some(Bad::NoValue) => self.0.end_bad("no value", shown_bytes(bytes)),
            Some(Bad::Column(wrong)) => {
                let found = shown_bytes(wrong.bytes);
                self.0.end_wrong(wrong.column, wrong.outcome, found);
            }
        }
    }

    /// Reads a record; gives every column a value, whatever it returns.
    fn read<'a>(
        &mut self,
        plan: &Plan,
        root: &RootReading,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), Bad<'a>> {
        let bad = match root {
            RootReading::Record(record) => {
                let reader = Reader {
                    schema: &plan.schema,
                };
                let (fields, columns) = self.0.columns();
                let is_nullable =
                    |column: usize| fields.get(column).is_none_or(|f| f.is_nullable());
                let read = reader.read_record(record, columns, is_nullable, cursor);
                return match read {
                    Ok(None) => Ok(()),
                    Ok(Some(wrong)) => Err(Bad::Column(wrong)),
                    Err(broken) => Err(Bad::Broken(broken)),
                };
            }
            RootReading::Union(branches) => {
                let branch = cursor.choice(branches.len(), Broken::Branch);
                match branch.map(|branch| branches.get(branch)) {
                    Ok(Some(root)) => return self.read(plan, root, cursor),
                    Ok(None) => Bad::NoRecord,
                    Err(broken) => Bad::Broken(broken),
                }
            }
            RootReading::Other(id) => match plan.schema.shape(*id) {
                Shape::Null => Bad::NoValue,
                _ => Bad::NoRecord,
            },
        };
        self.0.append_nulls();
        Err(bad)
    }

    /// Adds a record that gives no values.
    pub(crate) fn push_flaw(&mut self, flaw: Flaw) {
        self.0.push_flaw(flaw);
    }

    /// Ends the chunk and starts the next.
    ///
    /// # Errors
    /// Only for a bug: if a column is of another length than agreed.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        self.0.finish()
    }
}
