//! Reads Avro records into the columns of a chunk.

use arrow::datatypes::SchemaRef;
use headwater_core::Result;
use headwater_core::format::Decoded;

use crate::avro::cursor::{Broken, Cursor};
use crate::avro::event::{EventBytes, EventReading};
use crate::avro::reading::{Reader, WrongColumn};
use crate::avro::resolve::{Plan, RootReading};
use crate::avro::schema::Shape;
use crate::debezium::{NO_AFTER, NO_BEFORE, NO_OP};
use crate::row_collector::Flaw;
use crate::typed_rows::{TypedRows, shown_bytes};
use crate::typed_value::{Outcome, push_bytes};

/// The rows of the chunk that is being decoded.
#[derive(Debug)]
pub(crate) struct AvroRows(TypedRows);

/// Why a record gives no row.
enum Bad<'a> {
    Broken(Broken),
    NoRecord,
    NoValue,
    /// An event that is no row, and why.
    Event(&'static str),
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
        let is_passed = !matches!(bad, Some(Bad::Broken(_) | Bad::NoRecord));
        if is_passed && !cursor.left().is_empty() {
            bad = Some(Bad::Broken(Broken::More));
        }
        match bad {
            None => self.0.end_good(),
            Some(Bad::Broken(broken)) => self.0.end_bad(broken.reason(), shown_bytes(bytes)),
            Some(Bad::NoRecord) => self.0.end_bad("not an Avro record", shown_bytes(bytes)),
            Some(Bad::Event(reason)) => self.0.end_bad(reason, shown_bytes(bytes)),
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
            RootReading::Event(event) => return self.read_event(plan, event, cursor),
            RootReading::NoEvent => {
                cursor.pass_all();
                Bad::Event(NO_OP)
            }
            RootReading::Other(id) => match plan.schema.shape(*id) {
                Shape::Null => Bad::NoValue,
                _ => Bad::NoRecord,
            },
        };
        self.0.append_nulls();
        Err(bad)
    }

    /// Reads an event; gives every column a value, whatever it returns.
    fn read_event<'a>(
        &mut self,
        plan: &Plan,
        event: &EventReading,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), Bad<'a>> {
        let parts = match event.take_apart(&plan.schema, cursor) {
            Ok(parts) => parts,
            Err(broken) => {
                self.0.append_nulls();
                return Err(Bad::Broken(broken));
            }
        };
        let (op, row, bytes) = match event.row_of(&parts) {
            Ok(found) => found,
            Err(reason) => {
                self.0.append_nulls();
                return Err(Bad::Event(reason));
            }
        };
        let wrong = match self.read(plan, row, &mut Cursor::new(bytes)) {
            Ok(()) => None,
            Err(Bad::Column(wrong)) => Some(wrong),
            Err(Bad::NoValue) if op == "d" => return Err(Bad::Event(NO_BEFORE)),
            Err(Bad::NoValue) => return Err(Bad::Event(NO_AFTER)),
            Err(other) => return Err(other),
        };
        match [wrong, self.read_parts(plan, event, op, &parts)]
            .into_iter()
            .flatten()
            .min_by_key(|wrong| wrong.column)
        {
            None => Ok(()),
            Some(wrong) => Err(Bad::Column(wrong)),
        }
    }

    /// Reads what else is in an event. Gives the first column that does not fit.
    fn read_parts<'a>(
        &mut self,
        plan: &Plan,
        event: &EventReading,
        op: &'static str,
        parts: &EventBytes<'a>,
    ) -> Option<WrongColumn<'a>> {
        let reader = Reader {
            schema: &plan.schema,
        };
        let places = event.places;
        let (fields, columns) = self.0.columns();
        let mut wrong: Option<WrongColumn<'a>> = None;
        let mut judge = |column: usize, outcome: Outcome, bytes: &'a [u8]| {
            let may_be_null = fields.get(column).is_none_or(|field| field.is_nullable());
            let is_right = match outcome {
                Outcome::Value => true,
                Outcome::Null => may_be_null,
                Outcome::Misfit => false,
            };
            if !is_right && wrong.is_none_or(|wrong| column < wrong.column) {
                wrong = Some(WrongColumn {
                    column,
                    outcome,
                    bytes,
                });
            }
        };
        if let Some((place, column)) = places.op.and_then(|at| Some((at, columns.get_mut(at)?))) {
            judge(place, push_bytes(column, op.as_bytes()), &[]);
        }
        let structs = [
            (places.before, &event.before, parts.before),
            (places.source, &event.source, parts.source),
        ];
        for (place, reading, bytes) in structs {
            if let Some((place, column)) = place.and_then(|at| Some((at, columns.get_mut(at)?))) {
                // What was passed over without a fault has none now.
                let read = reader.read(reading, column, &mut Cursor::new(bytes));
                judge(place, read.unwrap_or(Outcome::Misfit), bytes);
            }
        }
        wrong
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
