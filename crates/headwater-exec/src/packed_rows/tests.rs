//! Whatever is packed comes back, in any order and in any columns.

use arrow::array::{
    BooleanArray, Decimal128Array, Float64Array, Int8Array, Int16Array, Int64Array, ListBuilder,
    StringBuilder, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Int32Type, Schema};
use proptest::prelude::*;

use super::*;

/// Whether a value is NULL, and of what it is made.
type Value = Option<i64>;

/// A batch with a column of every width, some of them of no fixed one.
fn batch(values: &[Value]) -> RecordBatch {
    let each = || values.iter().copied();
    let text = |v: i64| format!("a text of more than twelve bytes: {v}");
    let mut lists = ListBuilder::new(StringBuilder::new());
    for value in each() {
        lists.append_option(value.map(|v| [Some(text(v)), None]));
    }
    let decimals = Decimal128Array::from_iter(each().map(|v| v.map(i128::from)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from_iter(each().map(|v| v.map(|v| v as i8)))),
        Arc::new(StringViewArray::from_iter(each().map(|v| v.map(text)))),
        Arc::new(BooleanArray::from_iter(
            each().map(|v| v.map(|v| v % 2 == 0)),
        )),
        Arc::new(TimestampMicrosecondArray::from_iter(each()).with_timezone("Europe/Berlin")),
        Arc::new(decimals.with_precision_and_scale(30, 2).unwrap()),
        Arc::new(Int16Array::from_iter(each().map(|v| v.map(|v| v as i16)))),
        Arc::new(lists.finish()),
        Arc::new(UInt32Array::from_iter(each().map(|v| v.map(|v| v as u32)))),
        Arc::new(Float64Array::from_iter(
            each().map(|v| v.map(|v| v as f64 / 3.0)),
        )),
        // No value of it is NULL.
        Arc::new(Int64Array::from_iter_values(
            each().map(|v| v.unwrap_or_default()),
        )),
    ];
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns).unwrap()
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(prop::option::weighted(0.8, any::<i64>()), 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_comes_back(
        pieces in prop::collection::vec((values(), 0usize..20), 1..4),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..700),
        columns in (0usize..=10, 0usize..=10),
    ) {
        // Slices, as batches of a source often are.
        let pieces: Vec<RecordBatch> = pieces
            .iter()
            .map(|(values, skip)| {
                let skip = (*skip).min(values.len() - 1);
                batch(values).slice(skip, values.len() - skip)
            })
            .collect();
        let layout = RowLayout::new(pieces[0].schema());
        let packed: Vec<PackedRows> = pieces.iter().map(|p| layout.pack(p)).collect();
        let packed: Vec<&PackedRows> = packed.iter().collect();

        let places: Vec<(usize, usize)> = picks
            .iter()
            .map(|(chunk, row)| {
                let chunk = chunk.index(pieces.len());
                (chunk, row.index(pieces[chunk].num_rows()))
            })
            .collect();
        let starts: Vec<usize> = pieces
            .iter()
            .scan(0, |end, p| Some(std::mem::replace(end, *end + p.num_rows())))
            .collect();
        let rows = places.iter().map(|(chunk, row)| (starts[*chunk] + row) as i32);
        let rows = arrow::array::PrimitiveArray::<Int32Type>::from_iter_values(rows);
        let all = concat_batches(&pieces[0].schema(), &pieces).unwrap();
        let expected = take_record_batch(&all, &rows).unwrap();

        let range = columns.0.min(columns.1)..columns.0.max(columns.1);
        let gathered = layout.gather(range.clone(), &packed, &places).unwrap();
        prop_assert_eq!(gathered.as_slice(), &expected.columns()[range]);

        let picked = layout.pick(&packed, &places).unwrap();
        prop_assert_eq!(picked.len(), places.len());
        prop_assert_eq!(layout.unpack(&picked).unwrap(), expected.columns());
        prop_assert_eq!(layout.unpack(packed[0]).unwrap(), pieces[0].columns());
    }
}

#[test]
fn rows_take_the_room_of_their_values() {
    let long = batch(&[Some(1)]);
    let layout = RowLayout::new(long.schema());
    // Eight columns of fixed width: a byte of bits, and 16 + 8 + 8 + 8 + 4 + 2 + 1 + 1 bytes.
    assert_eq!(layout.stride, 56);
    let none = RowLayout::new(Arc::new(Schema::empty()));
    let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&none.schema), vec![], &rows).unwrap();
    assert_eq!((none.stride, none.pack(&rows).len()), (0, 3));
}
