//! The columns of Avro records: the fields of the schema that the user gave, or of the schemas that
//! a registry has under the ids of the records.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion_common_runtime::SpawnedTask;
use headwater_core::{Error, ErrorKind, Result};

use crate::avro::columns_of_schema::map_of;
use crate::avro::event::EventPart;
use crate::avro::framed_decoder::schema_id;
use crate::avro::options::AvroOptions;
use crate::avro::registry_client::{RegistryClient, WriterSchema};
use crate::avro::schema::{AvroSchema, Meaning, RecordField, Shape, TypeId};
use crate::debezium::{DebeziumAvroOptions, Part};
use crate::infer::{Found, InferredColumn, MAX_DEPTH, add_special};

/// Members that are left out and that the note of their column names.
const MAX_NOTED: usize = 3;
/// Schemas of a registry that are looked at.
const MAX_SCHEMAS: usize = 100;

/// Finds the columns of records.
///
/// # Errors
/// If the registry does not answer, or no schema is one of records.
pub(crate) async fn infer_avro(
    options: &AvroOptions,
    owner: &str,
    payloads: &BinaryArray,
) -> Result<Found> {
    let mut found = Found::default();
    for schema in &schemas_of(options, owner, payloads).await? {
        add_root(schema, schema.root(), &mut found);
    }
    if found.columns.is_empty() && found.left_out.is_empty() {
        return Err(nothing_found(owner, "a record"));
    }
    Ok(found)
}

/// Finds the columns of events of changes: those of the rows, and what else is in an event.
///
/// # Errors
/// If the registry does not answer, or no schema is one of events.
pub(crate) async fn infer_events(
    options: &DebeziumAvroOptions,
    owner: &str,
    payloads: &BinaryArray,
) -> Result<Found> {
    let mut found = Found::default();
    let mut parts = Found::default();
    for schema in &schemas_of(&options.avro, owner, payloads).await? {
        for field in schema.fields(schema.root()).unwrap_or_default() {
            match EventPart::of(&field.name) {
                EventPart::Before | EventPart::Source => add_field(schema, field, &mut parts),
                EventPart::After | EventPart::Op | EventPart::Other => {}
            }
            if matches!(
                EventPart::of(&field.name),
                EventPart::Before | EventPart::After
            ) {
                add_root(schema, field.type_id, &mut found);
            }
        }
    }
    if found.columns.is_empty() && found.left_out.is_empty() {
        return Err(nothing_found(owner, "events of changes"));
    }
    let (rows, special) = std::mem::take(&mut found.columns)
        .into_iter()
        .partition(|column| {
            let field = Field::new(&column.name, column.data_type.clone(), true);
            options.columns.part_of(&field) == Part::Value
        });
    found.columns = rows;
    let taken: Vec<InferredColumn> = special;
    let why = "the format has a column of its own under this name";
    let taken = taken
        .into_iter()
        .map(|column| (column.name, why.to_string()));
    found.left_out.extend(taken);
    let type_of = |name: &str| {
        let column = parts.columns.iter().find(|column| column.name == name)?;
        Some(column.data_type.clone())
    };
    add_special(
        &options.columns,
        type_of("before"),
        type_of("source"),
        &mut found,
    );
    Ok(found)
}

fn nothing_found(owner: &str, what: &str) -> Error {
    Error::bad_data(format!(
        "the columns of {owner} cannot be inferred: its records have no Avro schema of {what}"
    ))
    .with_hint("Declare the columns, or name the schema's file with the option \"schema.file\".")
}

/// The schema that the user gave, or those that a registry has under the ids of the records.
async fn schemas_of(
    options: &AvroOptions,
    owner: &str,
    payloads: &BinaryArray,
) -> Result<Vec<Arc<AvroSchema>>> {
    match (options.given(), &options.registry) {
        (Some(given), _) => Ok(vec![Arc::clone(given)]),
        (None, Some(address)) => {
            let ids: BTreeSet<u32> = payloads.iter().flatten().filter_map(schema_id).collect();
            let client = RegistryClient::new(address.clone(), owner, ErrorKind::Source);
            written_with(client, ids).await
        }
        (None, None) => Err(Error::internal("options of Avro without a schema")),
    }
}

/// The Avro schemas that a registry has under ids.
async fn written_with(client: RegistryClient, ids: BTreeSet<u32>) -> Result<Vec<Arc<AvroSchema>>> {
    let ask = move || {
        let mut schemas = Vec::new();
        for id in ids.into_iter().take(MAX_SCHEMAS) {
            if let WriterSchema::Avro(schema) = client.schema(id)? {
                schemas.push(schema);
            }
        }
        Ok(schemas)
    };
    SpawnedTask::spawn_blocking(ask).await.map_err(|e| {
        Error::internal("the call of a schema registry did not finish").with_source(e)
    })?
}

/// Adds the fields of a record, or of every record of a union.
fn add_root(schema: &AvroSchema, id: TypeId, found: &mut Found) {
    match schema.shape(id) {
        Shape::Record(fields) => fields
            .iter()
            .for_each(|field| add_field(schema, field, found)),
        Shape::Union(branches) => {
            for branch in branches {
                if let Shape::Record(fields) = schema.shape(*branch) {
                    fields
                        .iter()
                        .for_each(|field| add_field(schema, field, found));
                }
            }
        }
        _ => {}
    }
}

/// Adds a field; one that other schemas have too gets a type that holds the values of all.
fn add_field(schema: &AvroSchema, field: &RecordField, found: &mut Found) {
    let name = &field.name;
    if found.left_out.iter().any(|(left_out, _)| left_out == name) {
        return;
    }
    let known = found.columns.iter().position(|column| column.name == *name);
    let known_type = known
        .and_then(|at| found.columns.get(at))
        .map(|c| c.data_type.clone());
    let mut types = Types {
        schema,
        left_out: Vec::new(),
    };
    let data_type = types.column_type(field.type_id, 1);
    let data_type = data_type.and_then(|new| match known_type {
        Some(known) => merged(known, &new, || "its schemas disagree".to_string()),
        None => Ok(new),
    });
    let without = types.left_out.iter().take(MAX_NOTED).cloned();
    let without = without.collect::<Vec<_>>().join("; ");
    let note = (!without.is_empty()).then(|| format!("without {without}"));
    match (data_type, known) {
        (Ok(data_type), Some(at)) => {
            if let Some(column) = found.columns.get_mut(at) {
                column.data_type = data_type;
            }
        }
        (Ok(data_type), None) => found.columns.push(InferredColumn {
            note,
            ..InferredColumn::new(name, data_type)
        }),
        (Err(why), known) => {
            if let Some(at) = known {
                found.columns.remove(at);
            }
            found.left_out.push((name.clone(), why));
        }
    }
}

/// The types of columns for a schema, with the members that none of them has.
struct Types<'a> {
    schema: &'a AvroSchema,
    left_out: Vec<String>,
}

impl Types<'_> {
    /// The column that holds values of a type, or why there is none.
    fn column_type(&mut self, id: TypeId, depth: usize) -> Result<DataType, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let schema = self.schema;
        let found = schema.get(id);
        Ok(match (&found.shape, found.meaning) {
            (Shape::Boolean, _) => DataType::Boolean,
            (Shape::Int, Meaning::Date) => DataType::Date32,
            (Shape::Int | Shape::Long, Meaning::Time(_)) => DataType::Time64(TimeUnit::Nanosecond),
            (Shape::Int, _) => DataType::Int32,
            (Shape::Long, Meaning::Timestamp(TimeUnit::Nanosecond)) => {
                DataType::Timestamp(TimeUnit::Nanosecond, None)
            }
            (Shape::Long, Meaning::Timestamp(_)) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            (Shape::Long, _) => DataType::Int64,
            (Shape::Float, _) => DataType::Float32,
            (Shape::Double, _) => DataType::Float64,
            (Shape::Bytes | Shape::Fixed(_), Meaning::Decimal { precision, scale }) => {
                DataType::Decimal128(precision, scale)
            }
            (Shape::Fixed(_), Meaning::Uuid) => DataType::Utf8View,
            (Shape::Bytes | Shape::Fixed(_), _) => DataType::Binary,
            (Shape::String, Meaning::ZonedTimestamp) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            (Shape::Null | Shape::String | Shape::Enum(_), _) => DataType::Utf8View,
            (Shape::Array(item), _) => {
                let item = self.column_type(*item, depth + 1)?;
                DataType::List(Arc::new(Field::new_list_field(item, true)))
            }
            (Shape::Map(value), _) => map_of(self.column_type(*value, depth + 1)?),
            (Shape::Record(fields), _) => self.struct_type(fields, depth)?,
            (Shape::Union(branches), _) => self.union_type(id, branches, depth)?,
        })
    }

    fn struct_type(&mut self, members: &[RecordField], depth: usize) -> Result<DataType, String> {
        let mut fields = Vec::with_capacity(members.len());
        for member in members {
            match self.column_type(member.type_id, depth + 1) {
                Ok(data_type) => fields.push(Field::new(&member.name, data_type, true)),
                Err(why) => self.left_out.push(format!("\"{}\" ({why})", member.name)),
            }
        }
        if fields.is_empty() {
            return Err("a record without a field that a column can hold".to_string());
        }
        Ok(DataType::Struct(Fields::from(fields)))
    }

    fn union_type(
        &mut self,
        id: TypeId,
        branches: &[TypeId],
        depth: usize,
    ) -> Result<DataType, String> {
        let mut known = None;
        for branch in branches {
            if *self.schema.shape(*branch) == Shape::Null {
                continue;
            }
            let next = self.column_type(*branch, depth + 1)?;
            known = Some(match known {
                Some(known) => merged(known, &next, || self.schema.describe(id))?,
                None => next,
            });
        }
        Ok(known.unwrap_or(DataType::Utf8View))
    }
}

/// The type that holds the values of two.
fn merged(known: DataType, new: &DataType, why: impl Fn() -> String) -> Result<DataType, String> {
    let is_number = |t: &DataType| {
        matches!(
            t,
            DataType::Int32 | DataType::Int64 | DataType::Float32 | DataType::Float64
        )
    };
    match (&known, new) {
        _ if known == *new => Ok(known),
        (DataType::Int32 | DataType::Int64, DataType::Int32 | DataType::Int64) => {
            Ok(DataType::Int64)
        }
        _ if is_number(&known) && is_number(new) => Ok(DataType::Float64),
        _ => Err(why()),
    }
}
