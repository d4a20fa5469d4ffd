//! The table's chunks: how many there are, how many rows of them are dead, what undoing leaves.

use arrow::array::AsArray;
use arrow::array::{Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::datatypes::{Float64Type, Int64Type};

use super::*;
use crate::testing::aggregates::{Kind, value_fields};

mod forgotten;

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

/// A table whose chunks are full with 64 rows.
fn table(spec: &AggregateSpec) -> GroupTable {
    let mut table = GroupTable::try_new(spec, KnownGroups::Touched, None).unwrap();
    table.chunks.full_at(64);
    table
}

#[test]
fn the_groups_of_a_batch_are_counted_as_memory() {
    let spec = spec();
    let bytes = |rows| {
        let mut table = table(&spec);
        add(&mut table, &spec, std::iter::repeat_n(1, rows));
        table.memory_bytes()
    };
    let rows = 10_000;
    assert!(bytes(rows) >= bytes(1) + (rows - 1) * size_of::<usize>());
}

#[test]
fn room_for_groups_is_counted_as_memory() {
    let spec = spec();
    let mut table = table(&spec);
    let before = table.memory_bytes();
    table.groups.reserve(1_000);
    assert!(table.memory_bytes() >= before + 1_000 * size_of::<Group>());
}

/// The key of a group is the same in every epoch, whichever of its zeros comes first.
#[test]
fn zeros_of_both_signs_are_one_key() {
    let mut fields = vec![Field::new("k", DataType::Float64, true)];
    fields.extend(value_fields());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let keys = vec![Arc::clone(&schema.fields()[0])];
    let spec = AggregateSpec::try_new(keys, vec![Kind::Count.aggregate(&schema)]).unwrap();
    let mut table = table(&spec);
    for (epoch, key) in [0.0, -0.0, 0.0, -0.0].into_iter().enumerate() {
        let keys: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![key, -key]))];
        let ones: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
        let rows = Rows::Raw {
            arguments: &[vec![ones]],
            filters: &[None],
        };
        table.add(&spec, &keys, 2, &rows).unwrap();
        let (changed, _) = table.finish(&spec).unwrap().unwrap();
        let keys = changed.column(0).as_primitive::<Float64Type>();
        assert_eq!(keys.len(), 1);
        assert!(keys.value(0).is_sign_positive(), "in epoch {epoch}");
        let counts = changed.column(1).as_primitive::<Int64Type>();
        assert_eq!(counts.value(0), 2 * (epoch as i64 + 1));
    }
}

fn check_chunks(table: &GroupTable) {
    let sizes = table.chunks.sizes();
    assert!(table.chunks.are_counted(table.live_by_chunk()), "{sizes:?}");
    assert_eq!(table.live_by_chunk().count(), table.live);
    let open = sizes.iter().filter(|size| (1..64).contains(&size.0));
    assert!(open.count() < 24, "chunks of {sizes:?} rows");
}

/// Compacts and gives the number of rows that were written again.
fn compact(table: &mut GroupTable) -> usize {
    let mut copied = 0;
    while let Some(rewrite) = table.chunks.rewrite() {
        let parts = rewrite.parts.iter().map(|part| table.chunks.part(*part));
        let parts: Vec<(u32, Vec<u32>)> = parts.map(|(c, _, g)| (c, g.to_vec())).collect();
        let is_live = |chunk: u32, group: u32| table.groups[group as usize].place.chunk == chunk;
        for (chunk, groups) in parts {
            copied += groups.iter().filter(|g| is_live(chunk, **g)).count();
        }
        table.write_again(&rewrite).unwrap();
    }
    table.chunks.settle();
    copied
}

#[test]
fn every_group_has_its_newest_row_whatever_is_written_again() {
    let spec = spec();
    let mut table = table(&spec);
    let mut expected = std::collections::BTreeMap::new();
    for epoch in 0..200usize {
        // Deltas of all sizes over keys near and far, some undone and run again.
        let keys = || (0..1 + epoch * 7 % 90).map(move |i| (epoch * 31 + i * i) % 500);
        if epoch % 3 == 0 {
            let before = content(&table, &spec);
            add(&mut table, &spec, keys());
            let (_, undo) = table.finish(&spec).unwrap().unwrap();
            table.undo(undo);
            assert_eq!(content(&table, &spec), before, "epoch {epoch} undone");
        }
        add(&mut table, &spec, keys());
        table.finish(&spec).unwrap();
        table.compact().unwrap();
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
fn new_rows_are_written_again_until_their_chunk_is_full() {
    let spec = spec();
    let mut table = table(&spec);
    let (epochs, delta) = (256, 4);
    let mut copied = 0;
    for epoch in 0..epochs {
        add(&mut table, &spec, epoch * delta..(epoch + 1) * delta);
        table.finish(&spec).unwrap();
        copied += compact(&mut table);
    }
    // Four rows, 32, 256.
    assert!(copied <= epochs * delta * 2, "{copied} rows copied");
}

#[test]
fn what_an_epoch_writes_again_follows_its_rows_and_not_the_table() {
    let spec = spec();
    let copied = |live: usize| {
        let mut table = table(&spec);
        add(&mut table, &spec, 0..live);
        table.finish(&spec).unwrap();
        compact(&mut table);
        let (mut copied, mut most) = (0, 0);
        for epoch in 0..2000usize {
            let keys = (0..8).map(|i| (epoch * 8 + i) * 7919 % live);
            add(&mut table, &spec, keys);
            table.finish(&spec).unwrap();
            let now = compact(&mut table);
            (copied, most) = (copied + now, most.max(now));
            check_chunks(&table);
        }
        let stored: usize = table.chunks.sizes().iter().map(|size| size.0).sum();
        assert!(stored <= 3 * live, "{live} live rows of {stored}");
        (copied / 2000, most)
    };
    for live in [1_000, 5_000] {
        let (mean, most) = copied(live);
        assert!(mean <= 4 * 8, "{mean} rows an epoch beside {live}");
        assert!(most <= 6 * 64, "{most} rows in one epoch beside {live}");
    }
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
