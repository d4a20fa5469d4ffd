//! The plan for records that are events of changes.

use arrow::datatypes::{DataType, Fields};

use super::{Placed, Problem, Resolver, RootReading, placed};
use crate::avro::event::{EventField, EventPart, EventPlaces, EventReading};
use crate::avro::reading::Reading;
use crate::avro::schema::{RecordField, Shape, TypeId};

impl Resolver<'_> {
    /// As [`Resolver::root`], for events; a topic may have several envelopes.
    pub(super) fn event_root(
        &mut self,
        id: TypeId,
        reader: Option<TypeId>,
        columns: &Fields,
        places: EventPlaces,
    ) -> RootReading {
        match self.writer.shape(id) {
            Shape::Record(_) => self.event(id, reader, columns, places),
            Shape::Union(branches) => {
                let branches = branches.clone();
                let roots = branches.iter();
                let roots = roots.map(|id| self.event_root(*id, reader, columns, places));
                RootReading::Union(roots.collect())
            }
            _ => self.root(id, reader, &[]),
        }
    }

    fn event(
        &mut self,
        id: TypeId,
        reader: Option<TypeId>,
        columns: &Fields,
        places: EventPlaces,
    ) -> RootReading {
        let written = self.writer.fields(id).unwrap_or_default().to_vec();
        let fields = written.iter().map(|field| EventField {
            type_id: field.type_id,
            part: EventPart::of(&field.name),
        });
        let fields: Vec<EventField> = fields.collect();
        if !fields.iter().any(|field| field.part == EventPart::Op) {
            let names = written.iter().map(|field| field.name.clone());
            self.problems.push(Problem::NoEvent(names.collect()));
            return RootReading::NoEvent;
        }
        let reader = reader.and_then(|reader| self.like(reader, id));
        let in_row = placed(columns).into_iter();
        let in_row: Vec<Placed> = in_row.filter(|(place, _)| !places.holds(*place)).collect();
        let event = EventReading {
            places,
            before_row: self.row(&written, reader, "before", &in_row),
            after_row: self.row(&written, reader, "after", &in_row),
            before: self.part(&written, reader, "before", place_in(columns, places.before)),
            source: self.part(&written, reader, "source", place_in(columns, places.source)),
            fields,
        };
        RootReading::Event(Box::new(event))
    }

    /// A row in an event, if the event has a field for it.
    fn row(
        &mut self,
        written: &[RecordField],
        reader: Option<TypeId>,
        name: &str,
        columns: &[Placed],
    ) -> Option<RootReading> {
        let field = written.iter().find(|field| field.name == name)?;
        let reader = reader.and_then(|reader| self.reader_field(reader, name));
        let reader = reader.map(|field| field.type_id);
        let known = self.problems.len();
        let row = self.root(field.type_id, reader, columns);
        // The branch of no row is none to complain about.
        let is_null = |problem: &Problem| *problem == Problem::NoRecord("a null".to_string());
        let found = self.problems.split_off(known);
        self.problems
            .extend(found.into_iter().filter(|problem| !is_null(problem)));
        Some(row)
    }

    /// A part of an event as a column, which there may not be.
    fn part(
        &mut self,
        written: &[RecordField],
        reader: Option<TypeId>,
        name: &str,
        column: Option<&DataType>,
    ) -> Reading {
        let field = written.iter().find(|field| field.name == name);
        let (Some(field), Some(data_type)) = (field, column) else {
            return Reading::Null;
        };
        let reader = reader.and_then(|reader| self.reader_field(reader, name));
        let reader = reader.map(|field| field.type_id);
        self.value(field.type_id, reader, data_type, name)
    }
}

/// The type of the column at a place.
fn place_in(columns: &Fields, place: Option<usize>) -> Option<&DataType> {
    columns.get(place?).map(|column| column.data_type())
}
