//! Builders of JSON columns that hold values in values: STRUCT, ARRAY and MAP.
//!
//! They recurse as deep as the declared type and no deeper. A value that does not fit its type
//! anywhere inside makes the whole column's value bad.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, NullBufferBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;
use headwater_core::{Error, Result};

use crate::builder::Builder;
use crate::column::scalar_column;
use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::json::cell::JsonCell;
use crate::json::object_shape::ObjectShape;
use crate::json::scanner::Scanner;
use crate::json::walk::walk_members;
use crate::row_collector::Cell;
use crate::timestamp::TimestampOptions;

/// The builder of a JSON column; `None` if JSON cannot hold the type.
///
/// Elements of arrays and values of maps must be nullable, as SQL declares them, and keys of maps
/// must be strings.
pub(crate) fn json_column(field: &Field, timestamps: &TimestampOptions) -> Option<Builder> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let children = fields
                .iter()
                .map(|child| json_column(child, timestamps))
                .collect::<Option<Vec<_>>>()?;
            Some(Builder::other(StructColumn {
                fields: fields.clone(),
                shape: ObjectShape::of_columns((0..).zip(fields), timestamps),
                children,
                nulls: NullBufferBuilder::new(0),
            }))
        }
        DataType::List(element) if element.is_nullable() => Some(Builder::other(ListColumn {
            element: Arc::clone(element),
            values: json_column(element, timestamps)?,
            spans: Spans::new(),
        })),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return None;
            };
            let [key, value] = fields.as_ref() else {
                return None;
            };
            let has_string_keys = matches!(key.data_type(), DataType::Utf8 | DataType::Utf8View);
            if !has_string_keys || !value.is_nullable() {
                return None;
            }
            Some(Builder::other(MapColumn {
                entries: Arc::clone(entries),
                fields: fields.clone(),
                keys: scalar_column(key, timestamps)?,
                values: json_column(value, timestamps)?,
                spans: Spans::new(),
            }))
        }
        _ => scalar_column(field, timestamps),
    }
}

struct StructColumn {
    fields: Fields,
    shape: ObjectShape,
    children: Vec<Builder>,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder for StructColumn {
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let mut cells = vec![JsonCell::Null; self.fields.len()];
        let read = match value {
            Value::Object(text) => self.shape.read(&mut Scanner::new(text), &mut cells),
            _ => {
                self.append_null();
                return Err(Mismatch);
            }
        };
        let mut is_right = read.is_ok();
        let children = self.children.iter_mut().zip(self.fields.iter());
        for ((child, field), cell) in children.zip(&cells) {
            is_right &= cell.append_to(child).is_ok();
            is_right &= field.is_nullable() || !cell.is_null();
        }
        self.nulls.append(is_right);
        if is_right { Ok(()) } else { Err(Mismatch) }
    }

    fn append_null(&mut self) {
        for child in &mut self.children {
            child.append_null();
        }
        self.nulls.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let mut arrays = Vec::with_capacity(self.children.len());
        for child in &mut self.children {
            arrays.push(child.finish()?);
        }
        let length = self.nulls.len();
        let nulls = self.nulls.finish();
        let array = StructArray::try_new_with_length(self.fields.clone(), arrays, nulls, length);
        Ok(Arc::new(array.map_err(not_built)?))
    }
}

/// Where the elements of each value end, and which values are NULL.
struct Spans {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Spans {
    fn new() -> Self {
        Spans {
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Ends a value that has `elements` more elements. What a bad value has left behind stays as
    /// elements of a NULL.
    fn push(&mut self, elements: i32, is_valid: bool) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end.saturating_add(elements));
        self.nulls.append(is_valid);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<arrow::buffer::NullBuffer>) {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        (offsets, self.nulls.finish())
    }
}

struct ListColumn {
    element: FieldRef,
    values: Builder,
    spans: Spans,
}

impl ListColumn {
    /// Appends the elements of an array; the count of those appended, and whether all fitted.
    fn append_elements(&mut self, text: &str) -> (i32, bool) {
        let mut scanner = Scanner::new(text);
        let mut elements = 0;
        scanner.next_byte();
        scanner.skip_space();
        if scanner.take("]") {
            return (elements, true);
        }
        loop {
            let Ok(cell) = scanner.value() else {
                return (elements, false);
            };
            elements += 1;
            if cell.append_to(&mut self.values).is_err() {
                return (elements, false);
            }
            scanner.skip_space();
            match scanner.next_byte() {
                Some(b',') => scanner.skip_space(),
                last => return (elements, last == Some(b']')),
            }
        }
    }
}

impl ColumnBuilder for ListColumn {
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let (elements, is_right) = match value {
            Value::List(text) => self.append_elements(text),
            _ => (0, false),
        };
        self.spans.push(elements, is_right);
        if is_right { Ok(()) } else { Err(Mismatch) }
    }

    fn append_null(&mut self) {
        self.spans.push(0, false);
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let (offsets, nulls) = self.spans.finish();
        let element = Arc::clone(&self.element);
        let array = ListArray::try_new(element, offsets, self.values.finish()?, nulls);
        Ok(Arc::new(array.map_err(not_built)?))
    }
}

struct MapColumn {
    entries: FieldRef,
    fields: Fields,
    keys: Builder,
    values: Builder,
    spans: Spans,
}

impl MapColumn {
    /// Appends the members of an object in their order; the count of those appended, and whether
    /// all fitted. A key that comes twice counts once, with its last value.
    fn append_members(&mut self, text: &str) -> (i32, bool) {
        let Some(members) = read_members(text) else {
            return (0, false);
        };
        let mut elements = 0;
        let mut is_right = true;
        for (key, cell) in members {
            elements += 1;
            is_right &= self.keys.append(Value::String(&key)).is_ok();
            is_right &= cell.append_to(&mut self.values).is_ok();
        }
        (elements, is_right)
    }
}

/// The members of an object, by their first places; `None` if a key is not Unicode.
fn read_members(text: &str) -> Option<Vec<(String, JsonCell<'_>)>> {
    let mut members: Vec<(String, JsonCell<'_>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut is_unicode = true;
    let read = walk_members(text, |key, cell| {
        let Some(key) = key else {
            is_unicode = false;
            return;
        };
        let place = *places.entry(key.clone()).or_insert(members.len());
        match members.get_mut(place) {
            Some((_, earlier)) => *earlier = cell,
            None => members.push((key, cell)),
        }
    });
    (read.is_ok() && is_unicode).then_some(members)
}

impl ColumnBuilder for MapColumn {
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        let (elements, is_right) = match value {
            Value::Object(text) => self.append_members(text),
            _ => (0, false),
        };
        self.spans.push(elements, is_right);
        if is_right { Ok(()) } else { Err(Mismatch) }
    }

    fn append_null(&mut self) {
        self.spans.push(0, false);
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let (offsets, nulls) = self.spans.finish();
        let arrays = vec![self.keys.finish()?, self.values.finish()?];
        let entries = StructArray::try_new(self.fields.clone(), arrays, None).map_err(not_built)?;
        let map = MapArray::try_new(Arc::clone(&self.entries), offsets, entries, nulls, false);
        Ok(Arc::new(map.map_err(not_built)?))
    }
}

fn not_built(error: ArrowError) -> Error {
    Error::internal("could not build a nested column").with_source(error)
}
