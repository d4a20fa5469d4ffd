//! Runs that are replaced, undone and forgotten, in chunks that are written again meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::*;
use headwater_core::event_time::EventTime;

/// 64 microseconds: what is noted of a key is exact.
const TTL_US: i64 = 64;

/// Values and time of the last row, by key.
type Model = BTreeMap<String, (Vec<i64>, i64)>;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("v", DataType::Int64, false),
    ]))
}

fn table() -> RunTable {
    let keys = Arc::new(Schema::new(vec![schema().field(0).clone()]));
    let ttl = StateTtl::new(Duration::from_micros(TTL_US as u64));
    let mut table = RunTable::try_new(keys, schema(), Some(ttl)).unwrap();
    table.chunks.full_at(64);
    table
}

fn name(key: usize) -> String {
    format!("a key of more than twelve bytes: {key}")
}

fn rows(runs: &[(String, Vec<i64>)]) -> RecordBatch {
    let each = runs
        .iter()
        .flat_map(|(k, values)| values.iter().map(move |v| (k, *v)));
    let keys: StringViewArray = each.clone().map(|(k, _)| Some(k.as_str())).collect();
    let values: Int64Array = each.map(|(_, v)| Some(v)).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(values)]).unwrap()
}

/// Keys with their values and what is noted for them, of rows that lie side by side by key.
fn content(table: &RunTable) -> Model {
    let rows = table.all_rows().unwrap();
    let noted = table.touched_of_all();
    assert_eq!(noted.len(), rows.num_rows());
    let mut content = Model::new();
    let values = rows.column(1).as_primitive::<Int64Type>().values().iter();
    let keys = rows.column(0).as_string_view().iter().flatten();
    for ((key, value), noted) in keys.zip(values).zip(noted) {
        let (values, touched) = content.entry(key.to_string()).or_default();
        values.push(*value);
        // It is noted until when a key was touched at most.
        *touched = noted - 1;
    }
    content
}

fn check_counts(table: &RunTable) {
    assert!(table.chunks.are_counted(table.live_by_chunk()), "{table:?}");
    let live: usize = table.live_by_chunk().map(|(_, rows)| rows).sum();
    assert_eq!(live, table.live_rows);
    assert_eq!(table.live_by_chunk().count(), table.live_groups);
}

/// The runs of an epoch: of all sizes and none, of keys near and far.
fn runs(epoch: usize) -> Vec<(String, Vec<i64>)> {
    let count = 1 + epoch * 7 % 60;
    let mut keys: Vec<usize> = (0..count)
        .map(|i| match i % 3 {
            0 => i,
            1 => 100 + (epoch * 31 + i * i) % 500,
            _ => 1_000 + epoch * 60 + i,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let values = |key: usize| (0..(epoch + key) as i64 % 5).map(move |i| i + epoch as i64);
    let runs = keys
        .into_iter()
        .map(|key| (name(key), values(key).collect()));
    runs.collect()
}

fn forget(table: &mut RunTable, now: i64) {
    let past_us = i64::MAX - 1;
    let expired = table.expired(EventTime(now), past_us);
    let waits = vec![NEVER; expired.len()];
    table.forget(&expired, &waits, EventTime(now), past_us);
}

fn run(table: &mut RunTable, now: i64, runs: &[(String, Vec<i64>)]) -> RunUndo {
    forget(table, now);
    let keys = StringViewArray::from_iter_values(runs.iter().map(|(key, _)| key));
    let keys: [ArrayRef; 1] = [Arc::new(keys)];
    let groups = table.intern(&keys, runs.len()).unwrap();
    let groups: Vec<u32> = groups.into_iter().map(|group| group as u32).collect();
    let undo = table.replace(NewRuns {
        lengths: runs.iter().map(|(_, values)| values.len() as u32).collect(),
        due: vec![NEVER; runs.len()],
        rows: rows(runs),
        groups: groups.clone(),
        rescheduled: vec![],
    });
    for (group, (_, values)) in groups.into_iter().zip(runs) {
        if !values.is_empty() {
            table.touch(group);
        }
    }
    undo
}

#[test]
fn every_key_has_its_newest_run_whatever_is_written_again_and_forgotten() {
    let mut table = table();
    let (mut model, mut now, mut forgot) = (Model::new(), 0, 0);
    for epoch in 0..400usize {
        // Now and then most of the keys are forgotten at once.
        now += if epoch % 50 == 49 {
            70
        } else {
            epoch as i64 % 5
        };
        let runs = runs(epoch);
        if epoch % 2 == 0 {
            forget(&mut table, now);
            let idle = table.finish_idle();
            table.undo_idle(idle);
            assert_eq!(content(&table), model, "epoch {epoch} abandoned");
            check_counts(&table);
        }
        if epoch % 3 == 0 {
            let undo = run(&mut table, now, &runs);
            let idle = table.finish_idle();
            table.undo(undo);
            table.undo_idle(idle);
            assert_eq!(content(&table), model, "epoch {epoch} undone");
            check_counts(&table);
        }
        let known = model.len();
        model.retain(|_, (_, touched)| *touched + 1 + TTL_US > now);
        forgot += known - model.len();
        run(&mut table, now, &runs);
        table.finish_idle();
        for (key, values) in runs {
            if values.is_empty() {
                model.remove(&key);
            } else {
                model.insert(key, (values, now));
            }
        }
        assert_eq!(content(&table), model, "epoch {epoch}");
        table.compact(i64::MIN).unwrap();
        table.chunks.full_at(64);
        check_counts(&table);
        assert_eq!(content(&table), model, "epoch {epoch}");
    }
    assert!(forgot > 1_000, "{forgot} keys were forgotten");
    let stored: usize = table.chunks.sizes().iter().map(|size| size.0).sum();
    assert!(stored < 4_000, "{stored} rows for {table:?}");
}

#[test]
fn room_for_runs_is_counted_as_memory() {
    let mut table = table();
    let before = table.memory_bytes();
    table.runs.reserve(1_000);
    table.scratch.reserve(1_000);
    let room = 1_000 * (size_of::<Run>() + size_of::<usize>());
    assert!(table.memory_bytes() >= before + room);
}

/// A chunk that is read back may have a key twice; the later run counts, once.
#[test]
fn a_key_that_is_loaded_twice_has_its_later_run() {
    let mut table = table();
    let loaded = [("a", vec![1, 2]), ("b", vec![3]), ("a", vec![4, 5, 6])];
    let loaded = loaded.map(|(key, values)| (key.to_string(), values));
    table.load(rows(&loaded), &[NEVER; 6], &[1; 6]).unwrap();
    check_counts(&table);
    for epoch in 0..100 {
        table
            .load(rows(&[(name(epoch), vec![7])]), &[NEVER], &[1])
            .unwrap();
        table.compact(i64::MIN).unwrap();
        check_counts(&table);
    }
    let content = content(&table);
    assert_eq!(content["a"].0, [4, 5, 6]);
    assert_eq!(content["b"].0, [3]);
    assert_eq!(content.len(), 102);
}
