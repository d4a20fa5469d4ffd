//! Values that own their bytes.
//!
//! A row of a view array (`Utf8View`, `BinaryView`) points into buffers that it shares with the batch
//! it was taken from, and `take`, `concat` and `interleave` keep these buffers whole. State
//! outlives batches: one key of a batch would hold the text of all its rows, for ever. So what is
//! kept is copied into buffers of its own. A slice of any array holds the whole array: rows that are
//! kept of a batch are copied as well.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take_record_batch;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use crate::keyed_runs::batch_of;

/// The same values, with no buffer shared with another array. Arrays without views, which are
/// copied by every kernel anyway, are handed through.
pub(crate) fn owning(array: ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        DataType::List(item) if has_views(item.data_type()) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
            let (first, length) = (first as usize, (last - first) as usize);
            let values = owning(list.values().slice(first, length))?;
            let lengths = list.offsets().lengths();
            Arc::new(ListArray::try_new(
                Arc::clone(item),
                OffsetBuffer::from_lengths(lengths),
                values,
                list.nulls().cloned(),
            )?)
        }
        DataType::Map(entries, is_sorted) if has_views(entries.data_type()) => {
            let map = array.as_map();
            let (first, last) = (map.value_offsets()[0], map.value_offsets()[map.len()]);
            let (first, length) = (first as usize, (last - first) as usize);
            let pairs: ArrayRef = Arc::new(map.entries().slice(first, length));
            Arc::new(MapArray::try_new(
                Arc::clone(entries),
                OffsetBuffer::from_lengths(map.offsets().lengths()),
                owning(pairs)?.as_struct().clone(),
                map.nulls().cloned(),
                *is_sorted,
            )?)
        }
        DataType::Struct(fields) if fields.iter().any(|f| has_views(f.data_type())) => {
            let parts = array.as_struct();
            let columns = parts.columns().iter().map(|c| owning(Arc::clone(c)));
            Arc::new(StructArray::try_new(
                fields.clone(),
                columns.collect::<Result<_>>()?,
                parts.nulls().cloned(),
            )?)
        }
        _ => array,
    })
}

/// The same rows, with no buffer shared with the batch that they are a part of.
pub(crate) fn owning_rows(part: &RecordBatch) -> Result<RecordBatch> {
    let all = UInt32Array::from_iter_values(0..part.num_rows() as u32);
    let (schema, columns, _) = take_record_batch(part, &all)?.into_parts();
    let columns = columns.into_iter().map(|column| {
        let mut column = owning(column)?;
        // What is taken of lists has room for all of them.
        column.shrink_to_fit();
        Ok(column)
    });
    let columns = columns.collect::<Result<_>>()?;
    batch_of(&schema, columns, part.num_rows())
}

fn has_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(item) | DataType::Map(item, _) => has_views(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_views(f.data_type())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Int64Builder, ListBuilder, MapBuilder, StringArray, StringBuilder, StringViewArray,
        StringViewBuilder,
    };

    use super::*;

    #[test]
    fn what_is_kept_does_not_hold_the_batch_it_came_from() {
        let text = |i: usize| format!("a text of more than twelve bytes, number {i}");
        let batch: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1000).map(text)));
        let kept = owning(batch.slice(500, 2)).unwrap();
        assert_eq!(kept.as_ref(), batch.slice(500, 2).as_ref());
        assert!(kept.get_array_memory_size() < 500);

        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for i in 0..1000 {
            lists.append_value([Some(text(i)), None]);
        }
        lists.append_null();
        let batch: ArrayRef = Arc::new(lists.finish());
        let kept = owning(batch.slice(999, 2)).unwrap();
        assert_eq!(kept.as_ref(), batch.slice(999, 2).as_ref());
        assert!(kept.get_array_memory_size() < 1000);

        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringViewBuilder::new());
        for i in 0..1000 {
            maps.keys().append_value("k");
            maps.values().append_value(text(i));
            maps.append(true).unwrap();
        }
        maps.append(false).unwrap();
        let batch: ArrayRef = Arc::new(maps.finish());
        let mut kept = owning(batch.slice(999, 2)).unwrap();
        kept.shrink_to_fit();
        assert_eq!(kept.as_ref(), batch.slice(999, 2).as_ref());
        // The keys are no views: the slice holds all of them.
        let values = kept.as_map().values();
        assert!(values.get_array_memory_size() < 500);
    }

    #[test]
    fn rows_that_are_kept_of_a_batch_do_not_hold_the_others() {
        let text = |i: usize| format!("a text of more than twelve bytes, number {i}");
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..1000).map(text)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(text)));
        let mut lists = ListBuilder::new(Int64Builder::new());
        (0..1000).for_each(|i| lists.append_value([Some(i), None, Some(i)]));
        let lists: ArrayRef = Arc::new(lists.finish());
        let columns = [("v", views), ("t", texts), ("l", lists)];
        let part = RecordBatch::try_from_iter(columns).unwrap().slice(500, 2);
        let kept = owning_rows(&part).unwrap();
        assert_eq!(kept, part);
        for column in kept.columns() {
            let bytes = column.get_array_memory_size();
            assert!(bytes < 1000, "{bytes} of {:?}", column.data_type());
        }
    }
}
