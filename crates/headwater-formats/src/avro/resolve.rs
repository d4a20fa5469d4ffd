//! From the schema of a writer to declared columns, by Avro's rules of resolution: fields by name
//! or by an alias of the reader's, numbers widened, text and bytes as each other, defaults for what
//! was not written.
//!
//! ```text
//!   writer's schema ──┐
//!   reader's schema ──┼──► Reading  (run for every record)
//!   declared columns ─┘    problems (refused when a source is declared)
//! ```
//!
//! The reader's schema is there if the user gave one. It decides names, aliases and defaults; types
//! go straight from the writer's to the column's. Names of records, enums and fixeds are not
//! compared: the columns they are read into have none.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};

use crate::avro::default_value::default_bytes;
use crate::avro::event::{EventPlaces, EventReading};
use crate::avro::reading::{Constant, Factor, Reading, RecordReading, Rescale, Step};
use crate::avro::schema::{AvroSchema, Meaning, RecordField, Shape, Symbols, TypeId};
use crate::time::per_second;

mod event;

/// Why records of a schema cannot fill the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The whole schema, described, is no record.
    NoRecord(String),
    /// It is a record of these fields, and none of them says what has happened.
    NoEvent(Vec<String>),
    /// There is no field of a column's name; with the names that there are.
    Missing { column: String, fields: Vec<String> },
    /// A field's type, described, does not fit its column's.
    Type {
        column: String,
        found: String,
        wanted: DataType,
    },
}

/// How a datum as a whole is read.
#[derive(Debug, Clone)]
pub(crate) enum RootReading {
    Record(RecordReading),
    /// A topic whose records are of several types.
    Union(Vec<RootReading>),
    /// An event of a change.
    Event(Box<EventReading>),
    /// A record that is no event.
    NoEvent,
    /// No record: passed over.
    Other(TypeId),
}

/// The plan for records of a schema.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) schema: Arc<AvroSchema>,
    pub(crate) root: RootReading,
}

/// What records are read for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// A row of the fields of a record.
    Row,
    /// The row of an event of a change, and what else is in the event.
    Event(EventPlaces),
}

/// Makes the plan for records of `writer` in columns, and says what will not work.
pub(crate) fn resolve(
    writer: &Arc<AvroSchema>,
    reader: Option<&Arc<AvroSchema>>,
    columns: &Fields,
    wanted: Wanted,
) -> (Plan, Vec<Problem>) {
    let mut resolver = Resolver {
        writer,
        reader,
        problems: Vec::new(),
    };
    let of_reader = reader.map(|reader| reader.root());
    let root = match wanted {
        Wanted::Row => resolver.root(writer.root(), of_reader, &placed(columns)),
        Wanted::Event(places) => resolver.event_root(writer.root(), of_reader, columns, places),
    };
    let plan = Plan {
        schema: Arc::clone(writer),
        root,
    };
    (plan, resolver.problems)
}

/// A column and its place.
type Placed = (usize, FieldRef);

fn placed(columns: &Fields) -> Vec<Placed> {
    columns.iter().cloned().enumerate().collect()
}

struct Resolver<'a> {
    writer: &'a Arc<AvroSchema>,
    reader: Option<&'a Arc<AvroSchema>>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn root(&mut self, id: TypeId, reader: Option<TypeId>, columns: &[Placed]) -> RootReading {
        match self.writer.shape(id) {
            Shape::Record(_) => RootReading::Record(self.record(id, reader, columns, "")),
            Shape::Union(branches) => {
                let branches = branches.clone();
                let roots = branches.iter().map(|id| self.root(*id, reader, columns));
                RootReading::Union(roots.collect())
            }
            _ => {
                self.problems
                    .push(Problem::NoRecord(self.writer.describe(id)));
                RootReading::Other(id)
            }
        }
    }

    fn record(
        &mut self,
        id: TypeId,
        reader: Option<TypeId>,
        columns: &[Placed],
        path: &str,
    ) -> RecordReading {
        let written = self.writer.fields(id).unwrap_or_default().to_vec();
        let reader = reader.and_then(|reader| self.like(reader, id));
        let mut steps: Vec<Step> = written.iter().map(|f| Step::Skip(f.type_id)).collect();
        let mut absent = Vec::new();
        for (place, column) in columns {
            let place = *place;
            let path = join(path, column.name());
            let wanted = reader.and_then(|reader| self.reader_field(reader, column.name()));
            let found = find_field(&written, column.name(), wanted.as_ref());
            let step = found.and_then(|found| steps.get_mut(found));
            match (found.and_then(|found| written.get(found)), step) {
                (Some(field), Some(step @ Step::Skip(_))) => {
                    let wanted = wanted.map(|wanted| wanted.type_id);
                    let reading = self.value(field.type_id, wanted, column.data_type(), &path);
                    *step = Step::Read(place, reading);
                }
                _ => {
                    let default =
                        wanted.and_then(|wanted| self.default(&wanted, column.data_type()));
                    if default.is_none() {
                        self.problems.push(Problem::Missing {
                            column: path,
                            fields: written.iter().map(|f| f.name.clone()).collect(),
                        });
                    }
                    absent.push((place, default.unwrap_or(Reading::Null)));
                }
            }
        }
        RecordReading { steps, absent }
    }

    fn reader_field(&self, record: TypeId, name: &str) -> Option<RecordField> {
        let fields = self.reader?.fields(record)?;
        fields.iter().find(|field| field.name == name).cloned()
    }

    /// The reader's type or the branch of it that is written as the writer's type is.
    fn like(&self, reader: TypeId, writer: TypeId) -> Option<TypeId> {
        let schema = self.reader?;
        let kind = std::mem::discriminant(self.writer.shape(writer));
        let is_like = |id: &TypeId| std::mem::discriminant(schema.shape(*id)) == kind;
        match schema.shape(reader) {
            Shape::Union(branches) => branches.iter().copied().find(is_like),
            _ => Some(reader).filter(is_like),
        }
    }

    /// What a column holds whose field was not written.
    fn default(&self, field: &RecordField, data_type: &DataType) -> Option<Reading> {
        let schema = self.reader?;
        let bytes = default_bytes(schema, field.type_id, field.default.as_ref()?)?;
        let mut resolver = Resolver {
            writer: schema,
            reader: None,
            problems: Vec::new(),
        };
        let reading = resolver.value(field.type_id, None, data_type, "");
        Some(Reading::Constant(Arc::new(Constant {
            schema: Arc::clone(schema),
            bytes,
            reading,
        })))
    }

    fn value(
        &mut self,
        id: TypeId,
        reader: Option<TypeId>,
        data_type: &DataType,
        path: &str,
    ) -> Reading {
        let found = match (self.writer.shape(id), data_type) {
            (Shape::Null, _) => Some(Reading::Null),
            (Shape::Union(branches), _) => {
                let branches = branches.clone();
                let of_branch = |id: &TypeId| self.value(*id, reader, data_type, path);
                Some(Reading::Union(branches.iter().map(of_branch).collect()))
            }
            (Shape::Record(_), DataType::Struct(fields)) => Some(Reading::Struct(self.record(
                id,
                reader,
                &placed(fields),
                path,
            ))),
            (Shape::Array(item), DataType::List(element)) => {
                let item = *item;
                let inner = reader.and_then(|reader| self.inside(reader, id));
                let reading = self.value(item, inner, element.data_type(), path);
                let takes_bytes = self.writer.takes_bytes(item);
                Some(Reading::List(Box::new(reading), takes_bytes))
            }
            (Shape::Map(value), DataType::Map(entries, _)) => {
                let value = *value;
                let inner = reader.and_then(|reader| self.inside(reader, id));
                value_type(entries.data_type()).map(|data_type| {
                    Reading::Map(Box::new(self.value(value, inner, data_type, path)))
                })
            }
            (Shape::Enum(symbols), DataType::Utf8 | DataType::Utf8View) => {
                Some(Reading::Symbols(self.symbols(symbols, id, reader)))
            }
            _ => scalar(self.writer, id, data_type),
        };
        found.unwrap_or_else(|| {
            self.problems.push(Problem::Type {
                column: path.to_string(),
                found: self.writer.describe(id),
                wanted: data_type.clone(),
            });
            Reading::Misfit(id)
        })
    }

    /// The items or the values of the reader's type, if it is written as the writer's.
    fn inside(&self, reader: TypeId, writer: TypeId) -> Option<TypeId> {
        match self.reader?.shape(self.like(reader, writer)?) {
            Shape::Array(inner) | Shape::Map(inner) => Some(*inner),
            _ => None,
        }
    }

    fn symbols(
        &self,
        written: &Symbols,
        id: TypeId,
        reader: Option<TypeId>,
    ) -> Vec<Option<String>> {
        let like = reader.and_then(|reader| self.like(reader, id));
        let known = like.and_then(|like| match self.reader?.shape(like) {
            Shape::Enum(symbols) => Some(symbols),
            _ => None,
        });
        let taken = |symbol: &String| match known {
            Some(known) if !known.names.contains(symbol) => known.default.clone(),
            _ => Some(symbol.clone()),
        };
        written.names.iter().map(taken).collect()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

/// The place of the field of a column: by its name, or by one of the aliases that the reader has
/// for it.
fn find_field(written: &[RecordField], name: &str, wanted: Option<&RecordField>) -> Option<usize> {
    let aliases = wanted.into_iter().flat_map(|wanted| &wanted.aliases);
    let mut names = std::iter::once(name).chain(aliases.map(String::as_str));
    names.find_map(|name| written.iter().position(|field| field.name == name))
}

/// The type of the values of a MAP.
fn value_type(entries: &DataType) -> Option<&DataType> {
    match entries {
        DataType::Struct(fields) => fields.get(1).map(|value| value.data_type()),
        _ => None,
    }
}

/// The reading of a type without types inside; `None` if it does not fit.
fn scalar(schema: &AvroSchema, id: TypeId, data_type: &DataType) -> Option<Reading> {
    let found = schema.get(id);
    let is_text = matches!(data_type, DataType::Utf8 | DataType::Utf8View);
    let is_bytes = matches!(data_type, DataType::Binary | DataType::BinaryView);
    match (&found.shape, found.meaning) {
        (Shape::Boolean, _) => (*data_type == DataType::Boolean).then_some(Reading::Boolean),
        (Shape::Int, meaning) => int_factor(meaning, data_type).map(Reading::Int),
        (Shape::Long, meaning) => long_factor(meaning, data_type).map(Reading::Long),
        (Shape::Float, _) => data_type.is_floating().then_some(Reading::Float),
        (Shape::Double, _) => (*data_type == DataType::Float64).then_some(Reading::Double),
        (Shape::Bytes, Meaning::Decimal { scale, .. }) if is_decimal(data_type) => {
            Some(Reading::Decimal(None, rescale(scale, data_type)?))
        }
        (Shape::Fixed(size), Meaning::Decimal { scale, .. }) if is_decimal(data_type) => {
            Some(Reading::Decimal(Some(*size), rescale(scale, data_type)?))
        }
        // The digits of a decimal are no text.
        (Shape::Bytes, Meaning::Decimal { .. }) => is_bytes.then_some(Reading::Bytes),
        (Shape::String, Meaning::ZonedTimestamp) if !is_text && !is_bytes => match data_type {
            DataType::Timestamp(unit, _) => Some(Reading::TimeText(*unit)),
            _ => None,
        },
        (Shape::Bytes | Shape::String, _) => (is_text || is_bytes).then_some(Reading::Bytes),
        (Shape::Fixed(_), Meaning::Uuid) if is_text => Some(Reading::UuidBytes),
        (Shape::Fixed(size), _) => is_bytes.then_some(Reading::Fixed(*size)),
        (
            Shape::Null
            | Shape::Enum(_)
            | Shape::Array(_)
            | Shape::Map(_)
            | Shape::Record(_)
            | Shape::Union(_),
            _,
        ) => None,
    }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..))
}

/// An `int` fits every whole number, which is looked at if it is narrower.
fn int_factor(meaning: Meaning, data_type: &DataType) -> Option<Factor> {
    match (meaning, data_type) {
        (Meaning::Date, DataType::Date32) => Some(Factor::Same),
        (Meaning::Time(unit), DataType::Time32(to) | DataType::Time64(to)) => {
            Some(time_factor(unit, *to))
        }
        (_, data_type) if data_type.is_integer() => Some(Factor::Same),
        (Meaning::Plain, DataType::Float32 | DataType::Float64) => Some(Factor::Same),
        _ => None,
    }
}

/// A `long` fits no column of fewer bits, but UNSIGNED INT, for which Avro has nothing else.
fn long_factor(meaning: Meaning, data_type: &DataType) -> Option<Factor> {
    match (meaning, data_type) {
        (Meaning::Timestamp(unit), DataType::Timestamp(to, _)) => Some(time_factor(unit, *to)),
        (Meaning::Time(unit), DataType::Time32(to) | DataType::Time64(to)) => {
            Some(time_factor(unit, *to))
        }
        (_, DataType::Int64 | DataType::UInt32 | DataType::UInt64) => Some(Factor::Same),
        (Meaning::Plain, DataType::Float32 | DataType::Float64) => Some(Factor::Same),
        _ => None,
    }
}

/// What a time of one unit becomes in another.
pub(crate) fn time_factor(from: TimeUnit, to: TimeUnit) -> Factor {
    let (from, to) = (per_second(from), per_second(to));
    match to.cmp(&from) {
        std::cmp::Ordering::Equal => Factor::Same,
        std::cmp::Ordering::Greater => Factor::Times(to / from),
        std::cmp::Ordering::Less => Factor::Over(from / to),
    }
}

fn rescale(from: i8, data_type: &DataType) -> Option<Rescale> {
    let DataType::Decimal128(_, to) = data_type else {
        return None;
    };
    let digits = i32::from(*to) - i32::from(from);
    let power = 10_i128.checked_pow(digits.unsigned_abs())?;
    Some(match digits {
        0 => Rescale::Same,
        1.. => Rescale::Times(power),
        _ => Rescale::Over(power),
    })
}
