//! Every key has one group, whatever comes with it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, BinaryViewArray, Date32Array, Float64Array, Int64Array, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat;
use datafusion_common::ScalarValue;
use proptest::prelude::*;

use super::*;

fn table(keys: &[ArrayRef]) -> KeyTable {
    let fields = keys.iter().enumerate();
    let fields = fields.map(|(i, k)| Field::new(format!("k{i}"), k.data_type().clone(), true));
    KeyTable::try_new(&Schema::new(fields.collect::<Vec<_>>())).unwrap()
}

#[test]
fn what_a_batch_leaves_to_the_next_is_counted_as_memory() {
    let bytes = |rows: usize| {
        let keys: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1; rows]))];
        let mut table = table(&keys);
        table.intern(&keys, &mut vec![]).unwrap();
        table.memory_bytes()
    };
    let per_row = 2 * size_of::<u64>() + size_of::<u32>() + size_of::<usize>();
    assert!(bytes(BLOCK_ROWS) >= bytes(1) + BLOCK_ROWS * per_row / 2);
}

/// A key: what its text, its time and its number are made of.
type Key = (Option<u8>, Option<u8>, Option<u8>);

fn columns(keys: &[Key]) -> Vec<ArrayRef> {
    // Nothing, short and long texts.
    let text = |v: u8| "longer than twelve bytes. "[..v as usize % 26].to_string() + &v.to_string();
    let text = |v: u8| if v == 0 { String::new() } else { text(v) };
    let texts = keys.iter().map(|k| k.0.map(text));
    let bytes = keys.iter().map(|k| k.0.map(|v| vec![v; v as usize]));
    let times = keys.iter().map(|k| k.1.map(i64::from));
    let days = keys.iter().map(|k| k.1.map(i32::from));
    // Both zeros are one key.
    let zero = |v: u8| if v.is_multiple_of(2) { 0.0 } else { -0.0 };
    let number = |v: u8| if v < 4 { zero(v) } else { f64::from(v) };
    let numbers = keys.iter().map(|k| k.2.map(number));
    vec![
        Arc::new(StringViewArray::from_iter(texts)),
        Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC")),
        Arc::new(Float64Array::from_iter(numbers)),
        Arc::new(BinaryViewArray::from_iter(bytes)),
        Arc::new(Date32Array::from_iter(days)),
    ]
}

/// A row as one can compare it; −0 is 0.
fn row(columns: &[ArrayRef], row: usize) -> Vec<ScalarValue> {
    let value = |c: &ArrayRef| match ScalarValue::try_from_array(c, row).unwrap() {
        ScalarValue::Float64(Some(v)) => ScalarValue::Float64(Some(v + 0.0)),
        other => other,
    };
    columns.iter().map(value).collect()
}

fn key() -> impl Strategy<Value = Key> {
    let part = || prop::option::weighted(0.9, any::<u8>());
    (part(), part(), part())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn groups_are_numbered_as_their_keys_come(
        batches in prop::collection::vec(prop::collection::vec(key(), 0..3000), 1..5),
        which in prop::sample::subsequence((0..5usize).collect::<Vec<_>>(), 1..=5),
    ) {
        let batches: Vec<Vec<ArrayRef>> = batches
            .iter()
            .map(|keys| {
                let all = columns(keys);
                which.iter().map(|column| Arc::clone(&all[*column])).collect()
            })
            .collect();
        let mut table = table(&batches[0]);
        let (mut expected, mut keys) = (HashMap::new(), HashMap::new());
        // The groups and the tags of keys as they come.
        let (mut came, mut tags) = (vec![], vec![]);
        let mut groups = vec![];
        for batch in &batches {
            table.intern(batch, &mut groups).unwrap();
            prop_assert_eq!(groups.len(), batch[0].len());
            let mut scratch = Scratch { hashes: vec![0; groups.len()], ..Scratch::default() };
            create_hashes(batch, &table.hash, &mut scratch.hashes).unwrap();
            scratch.take_tags(0, groups.len());
            for (at, group) in groups.iter().enumerate() {
                let key = row(batch, at);
                let of_key = *expected.entry(key.clone()).or_insert_with(|| {
                    came.push(*group);
                    tags.push(scratch.tags[at]);
                    *group
                });
                prop_assert_eq!(*group, of_key);
                let of_group = keys.entry(*group).or_insert_with(|| key.clone());
                prop_assert_eq!(&*of_group, &key);
            }
            prop_assert_eq!(table.len(), expected.len());
        }
        tags.sort_unstable();
        // A key whose tag another one has is numbered after the others of its block.
        if tags.windows(2).all(|two| two[0] != two[1]) {
            prop_assert_eq!(came, (0..expected.len()).collect::<Vec<_>>());
        }
        let kept = table.into_keys();
        for group in 0..expected.len() {
            prop_assert_eq!(Some(&row(&kept, group)), keys.get(&group));
        }
    }
}

#[test]
fn keys_of_one_tag_are_told_apart() {
    const KEYS: i64 = 400_000;
    let keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..KEYS))];
    let mut table = table(&keys);
    let mut groups = vec![];
    table.intern(&keys, &mut groups).unwrap();

    let mut scratch = Scratch {
        hashes: vec![0; KEYS as usize],
        ..Scratch::default()
    };
    create_hashes(&keys, &table.hash, &mut scratch.hashes).unwrap();
    scratch.take_tags(0, KEYS as usize);
    scratch.tags.sort_unstable();
    let shared = scratch.tags.windows(2).filter(|two| two[0] == two[1]);
    assert!(shared.count() > 3, "the test has to have some");

    let mut seen = vec![false; KEYS as usize];
    for group in &groups {
        assert!(!std::mem::replace(&mut seen[*group], true));
    }
    let first = groups.clone();
    table.intern(&keys, &mut groups).unwrap();
    assert_eq!(groups, first);
    let kept = table.into_keys();
    let kept = concat(&[kept[0].as_ref()]).unwrap();
    for (key, group) in first.iter().enumerate() {
        let kept = ScalarValue::try_from_array(&kept, *group).unwrap();
        assert_eq!(kept, ScalarValue::Int64(Some(key as i64)));
    }
}

#[test]
fn nothing_and_an_empty_text_are_two_keys() {
    let text = |texts: &[Option<&str>]| -> Vec<ArrayRef> {
        vec![Arc::new(StringViewArray::from_iter(texts.iter().copied()))]
    };
    let mut table = table(&text(&[]));
    let mut groups = vec![];
    table.intern(&text(&[None, None]), &mut groups).unwrap();
    assert_eq!(groups, [0, 0]);
    table.intern(&text(&[Some("")]), &mut groups).unwrap();
    assert_eq!(groups, [1]);
    table.intern(&text(&[Some(""), None]), &mut groups).unwrap();
    assert_eq!(groups, [1, 0]);
}

#[test]
fn keys_of_rare_types_are_left_to_others() {
    let keys = Field::new("k", DataType::Boolean, true);
    assert!(KeyTable::try_new(&Schema::new(vec![keys])).is_none());
    assert!(KeyTable::try_new(&Schema::empty()).is_none());
}
