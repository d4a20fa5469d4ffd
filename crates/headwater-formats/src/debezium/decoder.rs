//! Records of one event each, to rows.
//!
//! An event is read by the JSON decoder's parts, an object after the other: the record, the event
//! in it if it comes with its schema, and the row in the event. What is inside is passed over once
//! for every object around it, and converted only where a column wants it.

use arrow::array::BinaryArray;
use arrow::datatypes::SchemaRef;
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::builder::Builder;
use crate::debezium::change::{NO_AFTER, NO_BEFORE, NO_OP, known_op};
use crate::debezium::event_columns::Part;
use crate::debezium::options::{DebeziumOptions, EventPlace};
use crate::json::{JsonCell, ObjectShape, Scanner, read_object, unescape};
use crate::row_collector::{Flaw, RowCollector};
use headwater_core::excerpt::excerpt;

/// Members of an event, or of the record around it, by their places.
const MEMBERS: [&str; 5] = ["payload", "op", "before", "after", "source"];

/// What was found for [`MEMBERS`].
pub(crate) type Members<'a> = [JsonCell<'a>; MEMBERS.len()];

/// Decodes DEBEZIUM JSON.
///
/// Keys of rows are matched as those of JSON are. A record without a value, which Kafka needs
/// after a delete to forget the key, is bad as in JSON, and so is an event that is no row.
#[derive(Debug)]
pub(crate) struct DebeziumDecoder {
    events: EventReader,
    rows: RowCollector,
}

/// Finds the event of a record.
#[derive(Debug)]
pub(crate) struct EventFinder {
    place: EventPlace,
    /// The members of a record.
    record: ObjectShape,
    /// The members of an event in a record.
    event: ObjectShape,
}

/// Where the parts of an event go.
#[derive(Debug)]
struct EventReader {
    events: EventFinder,
    row: ObjectShape,
    op: Option<usize>,
    before: Option<usize>,
    source: Option<usize>,
}

impl DebeziumDecoder {
    /// A decoder for the columns of `schema`, with one builder per column.
    pub(crate) fn new(
        options: &DebeziumOptions,
        schema: SchemaRef,
        builders: Vec<Builder>,
    ) -> Self {
        let fields = schema.fields();
        let place_of = |part| {
            fields
                .iter()
                .position(|f| options.columns.part_of(f) == part)
        };
        let values = (0..).zip(fields.iter());
        let values = values.filter(|(_, field)| options.columns.part_of(field) == Part::Value);
        let events = EventReader {
            events: EventFinder::new(options.place),
            row: ObjectShape::of_columns(values, options.timestamps()),
            op: place_of(Part::Op),
            before: place_of(Part::Before),
            source: place_of(Part::Source),
        };
        DebeziumDecoder {
            events,
            rows: RowCollector::new(schema, builders),
        }
    }
}

impl Decoder for DebeziumDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut cells = vec![JsonCell::Null; self.rows.schema().fields().len()];
        for payload in payloads {
            match self.events.read_record(payload, &mut cells) {
                Ok(()) => self.rows.push_row(&cells),
                Err(flaw) => self.rows.push_flaw(flaw),
            }
        }
        self.rows.finish()
    }
}

impl EventFinder {
    /// Looks for events where they are.
    pub(crate) fn new(place: EventPlace) -> Self {
        let members = || {
            let names = MEMBERS.iter().map(ToString::to_string);
            ObjectShape::new(names.zip(0..))
        };
        EventFinder {
            place,
            record: members(),
            event: members(),
        }
    }

    /// The members of the event of a record, and the text that holds them.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find<'a>(
        &mut self,
        payload: Option<&'a [u8]>,
    ) -> Result<(Members<'a>, &'a [u8]), Flaw> {
        let mut members: Members<'a> = [JsonCell::Null; MEMBERS.len()];
        read_object(&mut self.record, payload, &mut members)?;
        let mut found = payload.unwrap_or_default();
        let [inner, ..] = members;
        let is_inside = match self.place {
            EventPlace::Found => !matches!(inner, JsonCell::Null),
            EventPlace::InPayload => true,
            EventPlace::Whole => false,
        };
        if is_inside {
            let JsonCell::Object(text) = inner else {
                return Err(flaw("no event: \"payload\" is not an object", found));
            };
            found = text.as_bytes();
            let read = self.event.read(&mut Scanner::new(text), &mut members);
            read.map_err(|_| flaw("not JSON", found))?;
        }
        Ok((members, found))
    }
}

impl EventReader {
    fn read_record<'a>(
        &mut self,
        payload: Option<&'a [u8]>,
        cells: &mut [JsonCell<'a>],
    ) -> Result<(), Flaw> {
        let (members, found) = self.events.find(payload)?;
        self.read_event(&members, cells)
            .map_err(|reason| flaw(reason, found))
    }

    /// Takes the row out of an event.
    fn read_event<'a>(
        &mut self,
        members: &Members<'a>,
        cells: &mut [JsonCell<'a>],
    ) -> Result<(), &'static str> {
        let [_, op, before, after, source] = *members;
        let op = op_of(op)?;
        let row = match (op, before, after) {
            ("d", JsonCell::Object(text), _) | ("c" | "r" | "u", _, JsonCell::Object(text)) => text,
            ("d", JsonCell::Null, _) => return Err(NO_BEFORE),
            ("d", _, _) => return Err("\"before\" is not an object"),
            (_, _, JsonCell::Null) => return Err(NO_AFTER),
            _ => return Err("\"after\" is not an object"),
        };
        let read = self.row.read(&mut Scanner::new(row), cells);
        read.map_err(|_| "not JSON")?;
        let op = JsonCell::String {
            text: op,
            has_escapes: false,
        };
        for (column, cell) in [(self.op, op), (self.before, before), (self.source, source)] {
            if let Some(place) = column.and_then(|column| cells.get_mut(column)) {
                *place = cell;
            }
        }
        Ok(())
    }
}

/// What has happened, if it gives a row.
fn op_of(cell: JsonCell<'_>) -> Result<&'static str, &'static str> {
    let JsonCell::String { text, has_escapes } = cell else {
        return Err(NO_OP);
    };
    let unescaped = has_escapes.then(|| unescape(text)).flatten();
    known_op(unescaped.as_deref().unwrap_or(text))
}

fn flaw(reason: &'static str, bytes: &[u8]) -> Flaw {
    Flaw {
        reason,
        detail: excerpt(bytes),
    }
}
