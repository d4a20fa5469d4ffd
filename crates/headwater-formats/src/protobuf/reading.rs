//! Runs a plan over a record: fields in any order, any number of times, into columns.
//!
//! ```text
//!   scan   the bytes once; a slot per planned field keeps where its value is
//!   fill   every column gets one value, from the slot of its field
//! ```
//!
//! A message is scanned to its end before any column gets a value of it, because only then is it
//! known which value counts: the last one of a field, all of a list, all parts of a message. Slots
//! live in a [`Scratch`] that all records share, so that a record allocates nothing, but for the keys
//! of a map with several and for JSON.
//!
//! # Contract
//! A message that is read adds one value to each of its columns, whatever becomes of it.

mod entries;
mod times;

use arrow::datatypes::Fields;

use crate::protobuf::json_text::json_text;
use crate::protobuf::message_plan::{
    Absent, FieldPlan, MapKey, MessagePlan, Number, Reading, Shape,
};
use crate::protobuf::number::{push_number, whole};
use crate::protobuf::reading::times::in_units;
use crate::protobuf::wire::{Broken, Raw, Span, Tag, Wire, WireType};
use crate::typed_column::{Column, ListColumn, MapColumn, StructColumn};
use crate::typed_value::{
    Outcome, append_null, lost, misfit, push_bytes, push_decimal, push_integer,
};

/// Ends a chain.
const NONE: u32 = u32::MAX;

/// Where the values of the messages that are being read are.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    slots: Vec<Slot>,
    links: Vec<Link>,
}

/// What has come of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Absent,
    One(Raw),
    /// Several values: the first and the last link.
    Chain(u32, u32),
    /// A value of another wire type than the field's.
    Wrong,
}

/// One of several values of a field.
#[derive(Debug, Clone, Copy)]
struct Link {
    raw: Raw,
    next: u32,
}

/// The parts of a message.
#[derive(Debug, Clone, Copy)]
enum Parts {
    None,
    One(Span),
    Chain(u32),
}

/// The first column that is wrong, and what was found for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongColumn {
    pub(crate) column: usize,
    pub(crate) outcome: Outcome,
    pub(crate) found: Slot,
}

/// Reads one record.
#[derive(Debug)]
pub(crate) struct Reader<'r> {
    record: &'r [u8],
    scratch: &'r mut Scratch,
    /// What was broken first inside of a field.
    broken_inside: Option<Broken>,
}

impl<'r> Reader<'r> {
    /// A reader of a record.
    pub(crate) fn new(record: &'r [u8], scratch: &'r mut Scratch) -> Self {
        Reader {
            record,
            scratch,
            broken_inside: None,
        }
    }

    /// What was broken first inside of a field.
    pub(crate) fn broken_inside(&self) -> Option<Broken> {
        self.broken_inside
    }

    /// Reads the whole record into columns of these fields. Gives the first column that does not
    /// fit.
    pub(crate) fn read(
        &mut self,
        plan: &MessagePlan,
        columns: &mut [Column],
        fields: &Fields,
    ) -> Result<Option<WrongColumn>, Broken> {
        let whole = Span {
            start: 0,
            end: self.record.len(),
        };
        self.read_message(plan, Parts::One(whole), columns, Some(fields))
    }

    fn read_message(
        &mut self,
        plan: &MessagePlan,
        parts: Parts,
        columns: &mut [Column],
        fields: Option<&Fields>,
    ) -> Result<Option<WrongColumn>, Broken> {
        let first_slot = self.scratch.slots.len();
        let first_link = self.scratch.links.len();
        let slots = first_slot + plan.fields.len();
        self.scratch.slots.resize(slots, Slot::Absent);
        let scanned = self.scan(plan, parts, first_slot);
        let read = match scanned {
            Ok(()) => Ok(self.fill(plan, first_slot, columns, fields)),
            Err(broken) => {
                for column in columns {
                    lost(column);
                }
                Err(broken)
            }
        };
        self.scratch.slots.truncate(first_slot);
        self.scratch.links.truncate(first_link);
        read
    }

    fn scan(&mut self, plan: &MessagePlan, mut parts: Parts, first: usize) -> Result<(), Broken> {
        while let Some((span, rest)) = self.next_part(parts) {
            let mut wire = Wire::new(self.record, span);
            while let Some(tag) = wire.tag()? {
                let raw = wire.value(tag)?;
                if let Some(place) = plan.find(tag.number)
                    && let Some(field) = plan.fields.get(place)
                {
                    self.note(field, tag, raw, first, place);
                }
            }
            parts = rest;
        }
        Ok(())
    }

    fn next_part(&self, parts: Parts) -> Option<(Span, Parts)> {
        match parts {
            Parts::None => None,
            Parts::One(span) => Some((span, Parts::None)),
            Parts::Chain(at) => match self.link(at)? {
                Link {
                    raw: Raw::Span(span),
                    next,
                } => Some((span, Parts::Chain(next))),
                Link { .. } => None,
            },
        }
    }

    fn link(&self, at: u32) -> Option<Link> {
        let at = usize::try_from(at).ok()?;
        self.scratch.links.get(at).copied()
    }

    /// Keeps a value of a field.
    #[inline]
    fn note(&mut self, field: &FieldPlan, tag: Tag, raw: Raw, first: usize, place: usize) {
        let can_be_packed = field.shape == Shape::Repeated && is_number(field.wire);
        let is_packed = tag.wire == WireType::Bytes && can_be_packed;
        let fits = tag.wire == field.wire || is_packed;
        for rival in &field.rivals {
            if let Some(slot) = self.scratch.slots.get_mut(first + rival)
                && *slot != Slot::Wrong
            {
                *slot = Slot::Absent;
            }
        }
        let Scratch { slots, links } = &mut *self.scratch;
        let Some(slot) = slots.get_mut(first + place) else {
            return;
        };
        *slot = match (*slot, field.shape) {
            (Slot::Wrong, _) => Slot::Wrong,
            _ if !fits => Slot::Wrong,
            (_, Shape::Single) => Slot::One(raw),
            (before, Shape::Message | Shape::Repeated | Shape::Map(_)) => {
                let at = u32::try_from(links.len()).unwrap_or(NONE);
                links.push(Link { raw, next: NONE });
                match before {
                    Slot::Chain(start, last) => {
                        let last = usize::try_from(last).unwrap_or(usize::MAX);
                        if let Some(last) = links.get_mut(last) {
                            last.next = at;
                        }
                        Slot::Chain(start, at)
                    }
                    _ => Slot::Chain(at, at),
                }
            }
        };
    }

    fn fill(
        &mut self,
        plan: &MessagePlan,
        first_slot: usize,
        columns: &mut [Column],
        fields: Option<&Fields>,
    ) -> Option<WrongColumn> {
        let mut wrong: Option<WrongColumn> = None;
        let mut judge = |column: usize, outcome: Outcome, found: Slot| {
            let is_nullable = || {
                fields
                    .and_then(|f| f.get(column))
                    .is_none_or(|f| f.is_nullable())
            };
            let is_right = match outcome {
                Outcome::Value => true,
                Outcome::Null => is_nullable(),
                Outcome::Misfit => false,
            };
            if !is_right && wrong.is_none_or(|wrong| column < wrong.column) {
                wrong = Some(WrongColumn {
                    column,
                    outcome,
                    found,
                });
            }
        };
        for (place, field) in plan.fields.iter().enumerate() {
            if let Some(at) = field.column
                && let Some(column) = columns.get_mut(at)
            {
                let slot = self.scratch.slots.get(first_slot + place).copied();
                let slot = slot.unwrap_or(Slot::Absent);
                judge(at, self.append(field, slot, column), slot);
            }
        }
        for at in &plan.missing {
            if let Some(column) = columns.get_mut(*at) {
                judge(*at, append_null(column), Slot::Absent);
            }
        }
        wrong
    }

    /// Adds what has come of a field to its column.
    #[inline]
    fn append(&mut self, field: &FieldPlan, slot: Slot, column: &mut Column) -> Outcome {
        match (slot, field.shape) {
            (Slot::Wrong, _) => lost(column),
            (Slot::One(raw), _) => self.value(&field.reading, raw, column),
            (slot, Shape::Repeated) => self.list(field, chain_of(slot), column),
            (slot, Shape::Map(key)) => self.map(field, key, chain_of(slot), column),
            (Slot::Chain(at, _), _) => self.message(&field.reading, Parts::Chain(at), column),
            (Slot::Absent, _) => match (&field.absent, &field.reading) {
                (Absent::Null, _) => append_null(column),
                (Absent::Number(number), reading) => {
                    self.value(reading, Raw::Number(*number), column)
                }
                (Absent::Text(text), Reading::Bytes) => push_bytes(column, text),
                (Absent::EmptyMessage, reading) => self.message(reading, Parts::None, column),
                (Absent::Text(_), _) => misfit(column),
            },
        }
    }

    /// Adds one value.
    #[inline]
    fn value(&mut self, reading: &Reading, raw: Raw, column: &mut Column) -> Outcome {
        match (reading, raw) {
            (Reading::Number(number), Raw::Number(raw)) => push_number(column, *number, raw),
            (Reading::Decimal(number, factor), Raw::Number(raw)) => {
                let value = whole(*number, raw).and_then(|value| value.checked_mul(*factor));
                push_decimal(column, value)
            }
            (Reading::Enum(names), Raw::Number(raw)) => {
                let number = whole(Number::Int32, raw).and_then(|n| i32::try_from(n).ok());
                let number = number.unwrap_or(0);
                match names.name(number) {
                    Some(name) => push_bytes(column, name.as_bytes()),
                    None => push_bytes(column, number.to_string().as_bytes()),
                }
            }
            (Reading::Bytes, Raw::Span(span)) => push_bytes(column, span.of(self.record)),
            (reading, Raw::Span(span)) => self.message(reading, Parts::One(span), column),
            (_, Raw::Number(_)) => misfit(column),
        }
    }

    fn message(&mut self, reading: &Reading, parts: Parts, column: &mut Column) -> Outcome {
        match reading {
            Reading::Message(plan) => self.structure(plan, parts, column),
            Reading::Wrapper(plan) => {
                let columns = std::slice::from_mut(column);
                match self.read_message(plan, parts, columns, None) {
                    Ok(None) => Outcome::Value,
                    Ok(Some(wrong)) => wrong.outcome,
                    Err(broken) => self.note_broken(broken),
                }
            }
            Reading::Timestamp(per_second) => self.time(parts, *per_second, 0, column),
            // A duration below zero has nanoseconds below zero.
            Reading::Duration => self.time(parts, 1_000_000, -999_999_999, column),
            Reading::Json(kind) => {
                let spans = self.spans(parts);
                match json_text(*kind, self.record, &spans) {
                    Ok(Some(text)) => push_bytes(column, text.as_bytes()),
                    Ok(None) => misfit(column),
                    Err(broken) => {
                        misfit(column);
                        self.note_broken(broken)
                    }
                }
            }
            Reading::Number(_)
            | Reading::Decimal(..)
            | Reading::Enum(_)
            | Reading::Bytes
            | Reading::Misfit => misfit(column),
        }
    }

    /// Adds a `Timestamp` or a `Duration` as a number of units.
    fn time(&mut self, parts: Parts, units: i64, least_nanos: i64, column: &mut Column) -> Outcome {
        match self.seconds_and_nanos(parts) {
            Ok(found) => push_integer(
                column,
                found.and_then(|found| in_units(found, units, least_nanos)),
            ),
            Err(broken) => {
                misfit(column);
                self.note_broken(broken)
            }
        }
    }

    fn note_broken(&mut self, broken: Broken) -> Outcome {
        self.broken_inside.get_or_insert(broken);
        Outcome::Misfit
    }

    fn spans(&self, mut parts: Parts) -> Vec<Span> {
        let mut spans = Vec::new();
        while let Some((span, rest)) = self.next_part(parts) {
            spans.push(span);
            parts = rest;
        }
        spans
    }

    fn structure(&mut self, plan: &MessagePlan, parts: Parts, column: &mut Column) -> Outcome {
        let Column::Struct(StructColumn {
            fields,
            children,
            nulls,
        }) = column
        else {
            return misfit(column);
        };
        let read = self.read_message(plan, parts, children, Some(fields));
        nulls.append(read == Ok(None));
        match read {
            Ok(None) => Outcome::Value,
            Ok(Some(_)) => Outcome::Misfit,
            Err(broken) => self.note_broken(broken),
        }
    }

    fn list(&mut self, field: &FieldPlan, mut at: u32, column: &mut Column) -> Outcome {
        let Column::List(ListColumn { values, spans, .. }) = column else {
            return misfit(column);
        };
        let before = values.len();
        let mut is_right = true;
        while let Some(link) = self.link(at) {
            at = link.next;
            is_right &= match link.raw {
                Raw::Span(span) if is_number(field.wire) => self.packed(field, span, values),
                raw => self.value(&field.reading, raw, values) == Outcome::Value,
            };
        }
        spans.push(elements(values.len() - before), is_right);
        value_if(is_right)
    }

    /// Adds numbers that are written side by side; whether all of them fit.
    fn packed(&mut self, field: &FieldPlan, span: Span, values: &mut Column) -> bool {
        let mut wire = Wire::new(self.record, span);
        let mut is_right = true;
        while !wire.is_at_end() {
            match wire.number(field.wire) {
                Ok(raw) => {
                    let outcome = self.value(&field.reading, Raw::Number(raw), values);
                    is_right &= outcome == Outcome::Value;
                }
                Err(broken) => {
                    self.note_broken(broken);
                    return false;
                }
            }
        }
        is_right
    }

    /// Adds entries, as a MAP or as a list of them.
    fn map(&mut self, field: &FieldPlan, key: MapKey, first: u32, column: &mut Column) -> Outcome {
        let Reading::Message(plan) = &field.reading else {
            return misfit(column);
        };
        let entries = self.entries(key, first);
        let mut is_right = true;
        match column {
            Column::Map(MapColumn { parts, spans, .. }) => {
                for entry in &entries {
                    let read = self.read_message(plan, Parts::One(*entry), parts.as_mut(), None);
                    is_right &= read == Ok(None);
                    if let Err(broken) = read {
                        self.note_broken(broken);
                    }
                }
                spans.push(elements(entries.len()), is_right);
            }
            Column::List(ListColumn { values, spans, .. }) => {
                for entry in &entries {
                    let outcome = self.structure(plan, Parts::One(*entry), values);
                    is_right &= outcome == Outcome::Value;
                }
                spans.push(elements(entries.len()), is_right);
            }
            other => return misfit(other),
        }
        value_if(is_right)
    }
}

fn is_number(wire: WireType) -> bool {
    match wire {
        WireType::Varint | WireType::Fixed32 | WireType::Fixed64 => true,
        WireType::Bytes | WireType::Group => false,
    }
}

/// The first link of a slot.
fn chain_of(slot: Slot) -> u32 {
    match slot {
        Slot::Chain(first, _) => first,
        Slot::Absent | Slot::One(_) | Slot::Wrong => NONE,
    }
}

/// A number of elements. It is bounded by the bytes of a chunk, which are fewer.
fn elements(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn value_if(is_right: bool) -> Outcome {
    if is_right {
        Outcome::Value
    } else {
        Outcome::Misfit
    }
}
