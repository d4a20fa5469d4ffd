//! The table's chunks: how many there are, how many rows of them are dead, what undoing leaves.

use arrow::array::AsArray;
use arrow::array::{Int64Array, StringViewArray};
use arrow::datatypes::Int64Type;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::*;
use crate::testing::aggregates::{Kind, value_fields};

fn spec() -> AggregateSpec {
    let mut fields = vec![Field::new("k", DataType::Utf8View, true)];
    fields.extend(value_fields());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let keys = vec![Arc::clone(&schema.fields()[0])];
    AggregateSpec::try_new(keys, vec![Kind::Count.aggregate(&schema)]).unwrap()
}

fn add(table: &mut GroupTable, spec: &AggregateSpec, keys: impl Iterator<Item = usize>) {
    let keys = keys.map(|k| format!("a key of more than twelve bytes: {k}"));
    let keys: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys));
    let ones: ArrayRef = Arc::new(Int64Array::from_value(1, keys.len()));
    let rows = Rows::Raw {
        arguments: &[vec![ones]],
        filters: &[None],
    };
    table
        .add(spec, &[Arc::clone(&keys)], keys.len(), &rows)
        .unwrap();
}

/// Live rows as (key, count), sorted.
fn content(table: &GroupTable, spec: &AggregateSpec) -> Vec<(String, i64)> {
    let columns = table.live_rows(spec).unwrap();
    let counts = columns[1].as_primitive::<Int64Type>();
    let keys = columns[0]
        .as_string_view()
        .iter()
        .flatten()
        .map(str::to_string);
    let mut content: Vec<_> = keys.zip(counts.values().iter().copied()).collect();
    content.sort();
    content
}

fn check_chunks(table: &GroupTable) {
    let sizes: Vec<_> = table.chunks.iter().map(|c| c.groups.len()).collect();
    for pair in sizes.windows(2) {
        assert!(pair[1] * 2 < pair[0], "chunks of {sizes:?} rows");
    }
    let rows: usize = sizes.iter().sum();
    assert!(
        rows <= table.live * 2,
        "{} live rows in chunks of {sizes:?}",
        table.live
    );
    for (chunk, groups) in table.chunks.iter().map(|c| &c.groups).enumerate() {
        assert_eq!(groups.len(), table.chunks[chunk].rows.num_rows());
    }
    let placed = table.places.iter().filter(|p| !p.is_none()).count();
    assert_eq!(placed, table.live);
}

#[test]
fn chunks_halve_and_dead_rows_are_fewer_than_live_ones() {
    let spec = spec();
    let mut table = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    let mut expected = std::collections::BTreeMap::new();
    for epoch in 0..200usize {
        // Deltas of all sizes over keys near and far, some undone and run again.
        let keys = || (0..1 + epoch * 7 % 40).map(move |i| (epoch * 31 + i * i) % 500);
        if epoch % 3 == 0 {
            let before = content(&table, &spec);
            add(&mut table, &spec, keys());
            let (_, undo) = table.finish(&spec).unwrap().unwrap();
            table.undo(undo);
            assert_eq!(content(&table, &spec), before, "epoch {epoch} undone");
        }
        add(&mut table, &spec, keys());
        table.finish(&spec).unwrap();
        table.compact(&spec).unwrap();
        check_chunks(&table);
        for key in keys() {
            *expected
                .entry(format!("a key of more than twelve bytes: {key}"))
                .or_default() += 1;
        }
        let expected: Vec<(String, i64)> = expected.clone().into_iter().collect();
        assert_eq!(content(&table, &spec), expected, "epoch {epoch}");
    }
}

#[test]
fn compaction_copies_each_row_a_logarithmic_number_of_times() {
    let spec = spec();
    let mut table = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    let (epochs, delta) = (256, 8);
    let mut copied = 0;
    for epoch in 0..epochs {
        add(&mut table, &spec, epoch * delta..(epoch + 1) * delta);
        table.finish(&spec).unwrap();
        let before = table.chunks.len();
        table.compact(&spec).unwrap();
        if table.chunks.len() < before {
            copied += table.chunks.last().unwrap().groups.len();
        }
    }
    let rows = epochs * delta;
    assert!(copied <= rows * 9, "{copied} rows copied for {rows}");
}

#[test]
fn what_was_abandoned_can_be_touched_again() {
    let spec = spec();
    let mut table = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    add(&mut table, &spec, 0..5);
    table.abandon();
    assert!(table.finish(&spec).unwrap().is_none());
    add(&mut table, &spec, 3..8);
    table.finish(&spec).unwrap();
    assert_eq!(table.live_groups(), 5);
    assert!(content(&table, &spec).iter().all(|(_, count)| *count == 1));
}

#[test]
fn looking_keys_up_does_not_make_groups() {
    let spec = spec();
    let mut table = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    add(&mut table, &spec, 0..2);
    table.finish(&spec).unwrap();
    let wanted: ArrayRef = Arc::new(StringViewArray::from_iter_values([
        "nobody",
        "a key of more than twelve bytes: 1",
    ]));
    let (states, which) = table.states_of(&spec, &[wanted], 2, None).unwrap();
    assert_eq!(which, [1]);
    assert_eq!(states[0].as_primitive::<Int64Type>().values(), &[1]);
    assert_eq!(table.live_groups(), 2);
    assert_eq!(content(&table, &spec).len(), 2);
}

#[test]
fn restored_rows_replace_earlier_ones() {
    let spec = spec();
    let mut table = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    add(&mut table, &spec, 0..4);
    let (first, _) = table.finish(&spec).unwrap().unwrap();
    add(&mut table, &spec, 2..6);
    let (second, _) = table.finish(&spec).unwrap().unwrap();
    let mut restored = GroupTable::try_new(&spec, KnownGroups::Touched, None).unwrap();
    restored.restore(&spec, &first, &[]).unwrap();
    restored.restore(&spec, &second, &[]).unwrap();
    check_chunks(&restored);
    assert_eq!(content(&restored, &spec), content(&table, &spec));
}
