//! The JSON text of an Avro schema to [`AvroSchema`].
//!
//! Own code and not the crate `apache-avro`, which brings twenty crates for what is a walk over
//! JSON here. Read are: all types, names with namespaces, aliases and defaults of fields, defaults
//! of enums, logical types. Attributes that are not known are skipped, as the specification asks.

use std::collections::{HashMap, HashSet};

use arrow::datatypes::TimeUnit;
use serde_json::{Map, Value as Json};

use crate::avro::connect_name::meaning_by_name;
use crate::avro::schema::{AvroSchema, AvroType, Meaning, RecordField, Shape, Symbols, TypeId};
use crate::avro::schema_check::{check_field_name, check_symbols, check_type_name, check_types};

/// Longest text of a schema.
pub(crate) const MAX_SCHEMA_BYTES: usize = 4 * 1024 * 1024;
/// Most digits of a decimal that a column holds.
const MAX_PRECISION: u64 = 38;

/// What is wrong with a schema, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaFlaw(pub(crate) String);

impl SchemaFlaw {
    fn new(text: impl Into<String>) -> Self {
        SchemaFlaw(text.into())
    }
}

/// Reads a schema; `references` are texts of schemas whose names it uses, those first that others
/// use.
pub(crate) fn parse_schema(text: &str, references: &[String]) -> Result<AvroSchema, SchemaFlaw> {
    let mut parser = Parser::default();
    for reference in references {
        parser.parse_text(reference)?;
    }
    let root = parser.parse_text(text)?;
    Ok(AvroSchema::new(parser.types, root))
}

/// Reads a schema that a user gives, and holds it to the specification.
pub(crate) fn parse_given_schema(text: &str) -> Result<AvroSchema, SchemaFlaw> {
    let mut parser = Parser {
        is_strict: true,
        ..Parser::default()
    };
    let root = parser.parse_text(text)?;
    let schema = AvroSchema::new(parser.types, root);
    check_types(&schema)?;
    Ok(schema)
}

#[derive(Default)]
struct Parser {
    /// Whether names must be valid.
    is_strict: bool,
    types: Vec<AvroType>,
    /// Types by full name.
    names: HashMap<String, TypeId>,
}

impl Parser {
    fn parse_text(&mut self, text: &str) -> Result<TypeId, SchemaFlaw> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaFlaw::new("It is longer than 4 MiB."));
        }
        // serde_json refuses what is nested more than 128 deep, so the walk is bounded.
        let json = serde_json::from_str::<Json>(text)
            .map_err(|error| SchemaFlaw(format!("It is not JSON: {error}.")))?;
        self.parse(&json, "")
    }

    fn parse(&mut self, json: &Json, namespace: &str) -> Result<TypeId, SchemaFlaw> {
        match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(object) => self.object(object, namespace),
            _ => Err(SchemaFlaw(format!("{} is no type.", shown(json)))),
        }
    }

    fn add(&mut self, shape: Shape, meaning: Meaning) -> TypeId {
        self.types.push(AvroType { shape, meaning });
        TypeId(self.types.len() - 1)
    }

    /// A primitive type or one that was named before.
    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, SchemaFlaw> {
        if let Some(shape) = primitive(name) {
            return Ok(self.add(shape, Meaning::Plain));
        }
        let full = full_name(name, namespace);
        let found = self.names.get(&full).or_else(|| self.names.get(name));
        found
            .copied()
            .ok_or_else(|| SchemaFlaw(format!("There is no type \"{name}\".")))
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<TypeId, SchemaFlaw> {
        let id = self.add(Shape::Union(Vec::new()), Meaning::Plain);
        let mut ids = Vec::with_capacity(branches.len());
        for branch in branches {
            if branch.is_array() {
                return Err(SchemaFlaw::new("A union holds a union."));
            }
            ids.push(self.parse(branch, namespace)?);
        }
        if ids.is_empty() {
            return Err(SchemaFlaw::new("A union has no branches."));
        }
        self.set(id, Shape::Union(ids));
        Ok(id)
    }

    fn set(&mut self, id: TypeId, shape: Shape) {
        if let Some(found) = self.types.get_mut(id.0) {
            found.shape = shape;
        }
    }

    fn object(
        &mut self,
        object: &Map<String, Json>,
        namespace: &str,
    ) -> Result<TypeId, SchemaFlaw> {
        let Some(kind) = object.get("type") else {
            return Err(SchemaFlaw::new("A type has no \"type\"."));
        };
        let Json::String(kind) = kind else {
            // {"type": {"type": "string"}} is what is inside.
            return self.parse(kind, namespace);
        };
        match kind.as_str() {
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let (full, _) = declared_name(object, namespace)?;
                let symbols = parse_symbols(object, &full)?;
                if self.is_strict {
                    check_symbols(&symbols, &full)?;
                }
                let id = self.add(Shape::Enum(symbols), Meaning::Plain);
                self.define(full, id)?;
                Ok(id)
            }
            "fixed" => {
                let (full, _) = declared_name(object, namespace)?;
                let size = object.get("size").and_then(Json::as_u64);
                let size = size.and_then(|size| usize::try_from(size).ok());
                let Some(size) = size.filter(|size| *size <= MAX_SCHEMA_BYTES) else {
                    return Err(SchemaFlaw(format!("Fixed \"{full}\" has no size.")));
                };
                let shape = Shape::Fixed(size);
                let meaning = meaning(&shape, object);
                let id = self.add(shape, meaning);
                self.define(full, id)?;
                Ok(id)
            }
            "array" => self.container(object, namespace, "items", Shape::Array),
            "map" => self.container(object, namespace, "values", Shape::Map),
            name => match primitive(name) {
                Some(shape) => {
                    let meaning = meaning(&shape, object);
                    Ok(self.add(shape, meaning))
                }
                None => self.named(name, namespace),
            },
        }
    }

    fn container(
        &mut self,
        object: &Map<String, Json>,
        namespace: &str,
        key: &str,
        shape: fn(TypeId) -> Shape,
    ) -> Result<TypeId, SchemaFlaw> {
        let Some(inner) = object.get(key) else {
            return Err(SchemaFlaw(format!("A type has no \"{key}\".")));
        };
        let id = self.add(Shape::Null, Meaning::Plain);
        let inner = self.parse(inner, namespace)?;
        self.set(id, shape(inner));
        Ok(id)
    }

    fn record(
        &mut self,
        object: &Map<String, Json>,
        namespace: &str,
    ) -> Result<TypeId, SchemaFlaw> {
        let (full, namespace) = declared_name(object, namespace)?;
        let id = self.add(Shape::Record(Vec::new()), Meaning::Plain);
        self.define(full.clone(), id)?;
        let Some(Json::Array(declared)) = object.get("fields") else {
            return Err(SchemaFlaw(format!("Record \"{full}\" has no fields.")));
        };
        let mut fields: Vec<RecordField> = Vec::with_capacity(declared.len());
        let mut names = HashSet::with_capacity(declared.len());
        for field in declared {
            let (name, inner) = match (text_of(field, "name"), field.get("type")) {
                (Some(name), Some(inner)) => (name, inner),
                _ => {
                    return Err(SchemaFlaw(format!(
                        "A field of record \"{full}\" has no name or no type."
                    )));
                }
            };
            if !names.insert(name) {
                return Err(SchemaFlaw(format!(
                    "Record \"{full}\" has two fields \"{name}\"."
                )));
            }
            if self.is_strict {
                check_field_name(name, &full)?;
            }
            fields.push(RecordField {
                name: name.to_string(),
                aliases: texts_of(field.get("aliases")),
                type_id: self.parse(inner, &namespace)?,
                default: field.get("default").cloned(),
            });
        }
        self.set(id, Shape::Record(fields));
        Ok(id)
    }

    fn define(&mut self, full: String, id: TypeId) -> Result<(), SchemaFlaw> {
        if self.names.contains_key(&full) {
            return Err(SchemaFlaw(format!("There are two types \"{full}\".")));
        }
        if self.is_strict {
            check_type_name(&full)?;
        }
        self.names.insert(full, id);
        Ok(())
    }
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_string()
    } else {
        format!("{namespace}.{name}")
    }
}

/// The full name of a type and the namespace that it opens.
fn declared_name(
    object: &Map<String, Json>,
    namespace: &str,
) -> Result<(String, String), SchemaFlaw> {
    let Some(Json::String(name)) = object.get("name") else {
        return Err(SchemaFlaw::new(
            "A record, an enum or a fixed has no \"name\".",
        ));
    };
    if let Some((own, _)) = name.rsplit_once('.') {
        return Ok((name.clone(), own.to_string()));
    }
    let own = match object.get("namespace") {
        Some(Json::String(own)) => own,
        _ => namespace,
    };
    Ok((full_name(name, own), own.to_string()))
}

fn parse_symbols(object: &Map<String, Json>, full: &str) -> Result<Symbols, SchemaFlaw> {
    let names = texts_of(object.get("symbols"));
    if names.is_empty() {
        return Err(SchemaFlaw(format!("Enum \"{full}\" has no symbols.")));
    }
    let default = object.get("default").and_then(Json::as_str);
    if let Some(default) = default
        && !names.iter().any(|name| name == default)
    {
        return Err(SchemaFlaw(format!(
            "The default of enum \"{full}\" is none of its symbols."
        )));
    }
    Ok(Symbols {
        default: default.map(ToString::to_string),
        names,
    })
}

/// The logical type, if it fits what it is on, or what Kafka Connect means by it.
fn meaning(shape: &Shape, object: &Map<String, Json>) -> Meaning {
    match logical_type(shape, object) {
        Meaning::Plain => meaning_by_name(shape, object).unwrap_or(Meaning::Plain),
        meaning => meaning,
    }
}

fn logical_type(shape: &Shape, object: &Map<String, Json>) -> Meaning {
    let Some(Json::String(logical)) = object.get("logicalType") else {
        return Meaning::Plain;
    };
    let millis = TimeUnit::Millisecond;
    match (logical.as_str(), shape) {
        ("decimal", Shape::Bytes | Shape::Fixed(_)) => decimal(object),
        ("date", Shape::Int) => Meaning::Date,
        ("time-millis", Shape::Int) => Meaning::Time(millis),
        ("time-micros", Shape::Long) => Meaning::Time(TimeUnit::Microsecond),
        ("timestamp-millis" | "local-timestamp-millis", Shape::Long) => Meaning::Timestamp(millis),
        ("timestamp-micros" | "local-timestamp-micros", Shape::Long) => {
            Meaning::Timestamp(TimeUnit::Microsecond)
        }
        ("timestamp-nanos" | "local-timestamp-nanos", Shape::Long) => {
            Meaning::Timestamp(TimeUnit::Nanosecond)
        }
        ("uuid", Shape::String | Shape::Fixed(16)) => Meaning::Uuid,
        _ => Meaning::Plain,
    }
}

fn decimal(object: &Map<String, Json>) -> Meaning {
    let precision = object.get("precision").and_then(Json::as_u64);
    let scale = match object.get("scale") {
        None => Some(0),
        Some(scale) => scale.as_u64(),
    };
    match (precision, scale) {
        (Some(precision @ 1..=MAX_PRECISION), Some(scale)) if scale <= precision => {
            match (u8::try_from(precision), i8::try_from(scale)) {
                (Ok(precision), Ok(scale)) => Meaning::Decimal { precision, scale },
                _ => Meaning::Plain,
            }
        }
        _ => Meaning::Plain,
    }
}

fn text_of<'a>(json: &'a Json, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Json::as_str)
}

fn texts_of(json: Option<&Json>) -> Vec<String> {
    let list = json.and_then(Json::as_array).into_iter().flatten();
    let texts = list.filter_map(Json::as_str);
    texts.map(ToString::to_string).collect()
}

/// A piece of JSON, cut to a length for a message.
fn shown(json: &Json) -> String {
    json.to_string().chars().take(60).collect()
}
