//! Groups that are forgotten and come back, in chunks that are written again meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use headwater_core::event_time::EventTime;

/// 64 microseconds: what is noted of a group is exact.
const TTL_US: i64 = 64;

/// Count and time of the last row, by key.
type Model = BTreeMap<String, (i64, i64)>;

fn table(spec: &AggregateSpec, known: KnownGroups) -> GroupTable {
    let ttl = StateTtl::new(Duration::from_micros(TTL_US as u64));
    let mut table = GroupTable::try_new(spec, known, Some(ttl)).unwrap();
    table.chunks.full_at(64);
    table
}

fn counts(columns: &[ArrayRef]) -> Vec<(String, i64)> {
    let counts = columns[1].as_primitive::<Int64Type>();
    let keys = columns[0].as_string_view().iter().flatten();
    let mut counts: Vec<_> = keys
        .map(str::to_string)
        .zip(counts.values().iter().copied())
        .collect();
    counts.sort();
    counts
}

fn expected(model: &Model) -> Vec<(String, i64)> {
    let counts = model.iter().map(|(key, (count, _))| (key.clone(), *count));
    counts.collect()
}

fn name(key: usize) -> String {
    format!("a key of more than twelve bytes: {key}")
}

/// Keys of an epoch: of all sizes, near and far, so that some are touched all the time and some
/// come back after their time.
fn keys(epoch: usize) -> Vec<usize> {
    let count = 1 + epoch * 7 % 90;
    let mut keys: Vec<usize> = (0..count)
        .map(|i| match i % 3 {
            0 => i,
            1 => 100 + (epoch * 31 + i * i) % 500,
            _ => 1_000 + epoch * 90 + i,
        })
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Forgets, adds, finishes: gives the rows before the epoch of the groups that it touched.
fn run(
    table: &mut GroupTable,
    spec: &AggregateSpec,
    now: i64,
    keys: &[usize],
) -> (RecordBatch, TableUndo, IdleChange) {
    table.expire(EventTime(now));
    add(table, spec, keys.iter().copied());
    let (rows, undo) = table.finish(spec).unwrap().unwrap();
    let idle = table.finish_idle(spec).unwrap().unwrap();
    (rows, undo, idle)
}

#[test]
fn groups_are_forgotten_and_brought_back_whatever_is_written_again() {
    let spec = spec();
    let mut original = table(&spec, KnownGroups::Touched);
    let mut restored = table(&spec, KnownGroups::Touched);
    let (mut model, mut now, mut forgot) = (Model::new(), 0, 0);
    for epoch in 0..400usize {
        // Now and then most of the groups are forgotten at once.
        now += if epoch % 50 == 49 {
            70
        } else {
            epoch as i64 % 5
        };
        let keys = keys(epoch);
        let before = expected(&model);
        if epoch % 2 == 0 {
            original.expire(EventTime(now));
            add(&mut original, &spec, keys.iter().copied());
            original.abandon();
            assert_eq!(content(&original, &spec), before, "epoch {epoch} abandoned");
            check_counts(&original);
        }
        if epoch % 3 == 0 {
            let (_, undo, idle) = run(&mut original, &spec, now, &keys);
            original.undo(undo);
            original.undo_idle(idle);
            assert_eq!(content(&original, &spec), before, "epoch {epoch} undone");
            check_counts(&original);
        }
        let known = model.len();
        model.retain(|_, (_, touched)| *touched + 1 + TTL_US > now);
        forgot += known - model.len();
        let (rows, undo, idle) = run(&mut original, &spec, now, &keys);

        // What HAVING looks at: the rows that the touched groups had, where they still are.
        let (columns, which) = original.rows_before(&spec, &undo).unwrap();
        let touched = keys.iter().map(|key| name(*key));
        let had: Model = touched
            .filter_map(|key| Some((key.clone(), *model.get(&key)?)))
            .collect();
        assert_eq!(which.len(), had.len(), "epoch {epoch}");
        assert_eq!(counts(&columns), expected(&had), "before epoch {epoch}");

        for key in &keys {
            let (count, touched) = model.entry(name(*key)).or_default();
            (*count, *touched) = (*count + 1, now);
        }
        assert_eq!(content(&original, &spec), expected(&model), "epoch {epoch}");
        original.compact().unwrap();
        original.drop_forgotten(&spec).unwrap();
        original.chunks.full_at(64);
        check_counts(&original);
        assert_eq!(content(&original, &spec), expected(&model), "epoch {epoch}");

        restored.drop_buckets(&idle.dropped);
        let noted = vec![idle.now_us; rows.num_rows()];
        restored.restore(&spec, &rows, &noted).unwrap();
        check_counts(&restored);
        assert_eq!(content(&restored, &spec), expected(&model), "epoch {epoch}");
    }
    assert!(forgot > 1_000, "{forgot} groups were forgotten");
    let stored: usize = original.chunks.sizes().iter().map(|size| size.0).sum();
    assert!(stored < 2_000, "{} live rows of {stored}", original.live);
}

/// Without aggregates a known group is not touched: its row stays where it is and is noted again.
#[test]
fn groups_that_are_left_alone_keep_their_rows_while_others_are_forgotten() {
    let spec = spec();
    let mut table = table(&spec, KnownGroups::LeftAlone);
    for epoch in 0..100usize {
        let keys = (0..10).chain(100 + epoch * 20..120 + epoch * 20);
        table.expire(EventTime(epoch as i64 * 8));
        add(&mut table, &spec, keys);
        table.finish(&spec).unwrap();
        table.finish_idle(&spec).unwrap();
        table.compact().unwrap();
        check_counts(&table);
        let kept = content(&table, &spec);
        let steady = (0..10).map(|key| (name(key), 1));
        let missing = steady.filter(|row| !kept.contains(row)).count();
        assert_eq!(missing, 0, "epoch {epoch}");
    }
    assert!(table.live < 10 + 20 * 10, "{table:?}");
}

fn check_counts(table: &GroupTable) {
    assert!(table.chunks.are_counted(table.live_by_chunk()), "{table:?}");
    assert_eq!(table.live_by_chunk().count(), table.live);
}
