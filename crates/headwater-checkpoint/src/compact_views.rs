//! Makes view columns hold only the bytes that their rows point to.
//!
//! A view array keeps whole buffers alive, of which a slice or a filter may use next to nothing,
//! and the IPC writer writes the buffers as they are. A delta of ten rows could so drag megabytes
//! into every checkpoint.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow::array::{MapArray, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, FieldRef};
use headwater_core::Result;

/// The same rows without unused bytes behind views.
///
/// Views within structs, lists and maps are reached; within rarer types (unions, dictionaries) they
/// are written as they are, which is right and may be large.
pub(crate) fn compact_views(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Result<Vec<_>> = rows.columns().iter().map(compact).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        rows.schema(),
        columns?,
        &options,
    )?)
}

fn compact(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::Struct(fields) => {
            let structs = array.as_struct();
            let columns: Result<Vec<_>> = structs.columns().iter().map(compact).collect();
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns?,
                structs.nulls().cloned(),
                structs.len(),
            )?)
        }
        DataType::List(field) => compact_list::<i32>(array, field)?,
        DataType::LargeList(field) => compact_list::<i64>(array, field)?,
        DataType::Map(field, is_sorted) => {
            let maps = array.as_map();
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            Arc::new(MapArray::try_new(
                Arc::clone(field),
                maps.offsets().clone(),
                compact(&entries)?.as_struct().clone(),
                maps.nulls().cloned(),
                *is_sorted,
            )?)
        }
        _ => Arc::clone(array),
    })
}

fn compact_list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    let lists = array.as_list::<O>();
    Ok(Arc::new(GenericListArray::try_new(
        Arc::clone(field),
        lists.offsets().clone(),
        compact(lists.values())?,
        lists.nulls().cloned(),
    )?))
}
