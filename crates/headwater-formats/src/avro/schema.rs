//! An Avro schema as a list of types that name each other by their places, so that a type may hold
//! itself.

use arrow::datatypes::TimeUnit;
use serde_json::Value as Json;

/// The place of a type in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TypeId(pub(crate) usize);

/// A schema, with every name in it resolved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroSchema {
    types: Vec<AvroType>,
    root: TypeId,
    /// For every type whether each of its values takes a byte at least.
    takes_bytes: Vec<bool>,
}

/// A type: how it is written, and what is meant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AvroType {
    pub(crate) shape: Shape,
    pub(crate) meaning: Meaning,
}

/// How values are written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Symbols),
    Array(TypeId),
    Map(TypeId),
    Record(Vec<RecordField>),
    Union(Vec<TypeId>),
}

/// What values mean: the logical type, or a name of Kafka Connect. One that is not known is no meaning, as the specification
/// asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Plain,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Time(TimeUnit),
    Timestamp(TimeUnit),
    /// A text with a time and its offset.
    ZonedTimestamp,
    Uuid,
}

/// The symbols of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbols {
    pub(crate) names: Vec<String>,
    /// What a reader takes for a symbol that it does not know.
    pub(crate) default: Option<String>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordField {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) type_id: TypeId,
    pub(crate) default: Option<Json>,
}

/// What is meant by a place that names no type, which a parser does not give.
const NOTHING: AvroType = AvroType {
    shape: Shape::Null,
    meaning: Meaning::Plain,
};

impl AvroSchema {
    /// A schema of types that hold each other.
    pub(crate) fn new(types: Vec<AvroType>, root: TypeId) -> Self {
        AvroSchema {
            takes_bytes: find_takes_bytes(&types),
            types,
            root,
        }
    }

    /// The type of a whole datum.
    pub(crate) fn root(&self) -> TypeId {
        self.root
    }

    /// The places of all types.
    pub(crate) fn type_ids(&self) -> impl Iterator<Item = TypeId> {
        (0..self.types.len()).map(TypeId)
    }

    /// A type.
    pub(crate) fn get(&self, id: TypeId) -> &AvroType {
        self.types.get(id.0).unwrap_or(&NOTHING)
    }

    /// How values of a type are written.
    pub(crate) fn shape(&self, id: TypeId) -> &Shape {
        &self.get(id).shape
    }

    /// Whether each value of a type takes a byte at least.
    pub(crate) fn takes_bytes(&self, id: TypeId) -> bool {
        self.takes_bytes.get(id.0).copied().unwrap_or(false)
    }

    /// The fields, if the type is a record.
    pub(crate) fn fields(&self, id: TypeId) -> Option<&[RecordField]> {
        match self.shape(id) {
            Shape::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The type's name for messages: `a long`, `a bytes of logical type decimal(10,2)`, `a union of
    /// null and string`.
    pub(crate) fn describe(&self, id: TypeId) -> String {
        let name = self.name(id);
        let article = if name.starts_with(['a', 'e', 'i']) {
            "an"
        } else {
            "a"
        };
        format!("{article} {name}")
    }

    fn name(&self, id: TypeId) -> String {
        let found = self.get(id);
        let shape = match &found.shape {
            Shape::Null => "null",
            Shape::Boolean => "boolean",
            Shape::Int => "int",
            Shape::Long => "long",
            Shape::Float => "float",
            Shape::Double => "double",
            Shape::Bytes => "bytes",
            Shape::String => "string",
            Shape::Fixed(size) => return format!("fixed({size}){}", found.meaning.suffix()),
            Shape::Enum(_) => "enum",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Record(_) => "record",
            Shape::Union(branches) => {
                let names = branches.iter().map(|branch| self.branch_name(*branch));
                let names: Vec<String> = names.collect();
                return format!("union of {}", names.join(" and "));
            }
        };
        format!("{shape}{}", found.meaning.suffix())
    }

    /// As [`AvroSchema::name`], without a union's branches: a schema made by hand may put one in
    /// itself.
    fn branch_name(&self, id: TypeId) -> String {
        match self.shape(id) {
            Shape::Union(_) => "union".to_string(),
            _ => self.name(id),
        }
    }
}

impl Meaning {
    fn suffix(self) -> String {
        let name = match self {
            Meaning::Plain => return String::new(),
            Meaning::Decimal { precision, scale } => {
                return format!(" of logical type decimal({precision},{scale})");
            }
            Meaning::Date => "date",
            Meaning::Time(TimeUnit::Millisecond) => "time-millis",
            Meaning::Time(TimeUnit::Nanosecond) => "time-nanos",
            Meaning::Time(_) => "time-micros",
            Meaning::Timestamp(TimeUnit::Nanosecond) => "timestamp-nanos",
            Meaning::Timestamp(TimeUnit::Microsecond) => "timestamp-micros",
            Meaning::Timestamp(_) => "timestamp-millis",
            Meaning::ZonedTimestamp => "zoned timestamp",
            Meaning::Uuid => "uuid",
        };
        format!(" of logical type {name}")
    }
}

/// Whether a value takes a byte depends on the types inside, which come later in the list, or
/// earlier if they are named. So the list is walked from both ends until nothing new is found.
fn find_takes_bytes(types: &[AvroType]) -> Vec<bool> {
    let mut found = vec![false; types.len()];
    loop {
        let mut is_new = false;
        for place in (0..types.len()).rev().chain(0..types.len()) {
            let takes = types
                .get(place)
                .is_some_and(|avro_type| match &avro_type.shape {
                    Shape::Null => false,
                    Shape::Fixed(size) => *size > 0,
                    Shape::Record(fields) => fields
                        .iter()
                        .any(|field| found.get(field.type_id.0).copied().unwrap_or(false)),
                    _ => true,
                });
            if let Some(known) = found.get_mut(place)
                && takes
                && !*known
            {
                *known = true;
                is_new = true;
            }
        }
        if !is_new {
            return found;
        }
    }
}
