//! Versions, failures and bounds of the state.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, new_null_array};

use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::{ChunkKind, OperatorState};
use headwater_core::watermark::Watermark;

use super::super::AggregateState;
use super::run::{input_schema, result_rows};
use crate::aggregate_spec::AggregateSpec;
use crate::changelog::WatermarkStep;
use crate::testing::aggregates::{Kind, evaluated};
use crate::window::WindowSpec;

const STAY: WatermarkStep = WatermarkStep {
    before: Watermark::MIN,
    after: Watermark::MIN,
};

fn spec(keys: usize, kinds: &[Kind]) -> Arc<AggregateSpec> {
    let schema = input_schema();
    let aggregates = kinds.iter().map(|k| k.aggregate(&schema)).collect();
    let keys = schema.fields()[..keys].to_vec();
    Arc::new(AggregateSpec::try_new(keys, aggregates).unwrap())
}

/// `count(*)` by `k`.
fn counts(window: Option<WindowSpec>) -> AggregateState {
    AggregateState::new(spec(1, &[Kind::Count]), window)
}

fn tumble(us: u64) -> WindowSpec {
    WindowSpec::tumble(Duration::from_micros(us), 0).unwrap()
}

fn step(before: i64, after: i64) -> WatermarkStep {
    WatermarkStep {
        before: Watermark::at(EventTime(before)),
        after: Watermark::at(EventTime(after)),
    }
}

fn count(state: &mut AggregateState, pane: Option<i64>, keys: &[&str]) {
    let ones: ArrayRef = Arc::new(Int64Array::from_value(1, keys.len()));
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys));
    state
        .update(pane, &[column], keys.len(), &[vec![ones]], &[None])
        .unwrap();
}

fn finish(state: &mut AggregateState, epoch: u64, mode: OutputMode) -> Vec<String> {
    let results = state.finish(EpochId(epoch), mode, STAY).unwrap();
    let rows = results.iter().flat_map(result_rows);
    let mut rows: Vec<_> = rows
        .map(|(_, key, values)| format!("{} {}", key.join(" "), values.join(" ")))
        .collect();
    rows.sort();
    rows
}

fn run(state: &mut AggregateState, epoch: u64, keys: &[&str]) -> Vec<String> {
    state.begin(EpochId(epoch)).unwrap();
    count(state, None, keys);
    finish(state, epoch, OutputMode::Update)
}

#[test]
fn an_epoch_begins_on_the_version_before_it() {
    let mut state = counts(None);
    assert!(state.begin(EpochId(1)).is_err());
    run(&mut state, 0, &["a"]);
    assert!(
        state.begin(EpochId(0)).is_err(),
        "it has that epoch already"
    );
    assert!(state.begin(EpochId(2)).is_err());
    state.begin(EpochId(1)).unwrap();

    state.restore(&[], Some(EpochId(6))).unwrap();
    assert!(state.begin(EpochId(6)).is_err());
    state.begin(EpochId(7)).unwrap();
}

#[test]
fn only_the_newest_version_can_be_asked_for_and_undone() {
    let mut state = counts(None);
    assert!(state.delta(EpochId(0)).is_err());
    run(&mut state, 0, &["a"]);
    assert!(state.committed(EpochId(1)).is_err());
    assert!(state.delta(EpochId(1)).is_err());
    assert_eq!(state.delta(EpochId(0)).unwrap().kind, ChunkKind::Delta);
    state.committed(EpochId(0)).unwrap();
    assert!(state.rollback(None).is_err(), "it is durable");

    run(&mut state, 1, &["a", "b"]);
    assert!(state.rollback(None).is_err(), "two versions back");
    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(state.rows(), 1);
    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(run(&mut state, 1, &["a"]), ["a 2"]);
}

#[test]
fn an_epoch_that_fails_at_its_end_leaves_the_state_as_it_was() {
    let mut state = counts(None);
    run(&mut state, 0, &["a"]);
    state.committed(EpochId(0)).unwrap();
    state.begin(EpochId(1)).unwrap();
    count(&mut state, None, &["a", "b"]);
    // The plan check refuses this; here it stands for any error after the rows are in.
    assert!(state.finish(EpochId(1), OutputMode::Append, STAY).is_err());
    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(run(&mut state, 1, &["b", "a"]), ["a 2", "b 1"]);
}

#[test]
fn states_that_do_not_fit_the_schema_leave_no_trace() {
    let mut state = counts(None);
    run(&mut state, 0, &["a"]);
    state.committed(EpochId(0)).unwrap();
    state.begin(EpochId(1)).unwrap();
    let key: ArrayRef = Arc::new(StringViewArray::from_iter_values(["b"]));
    let wrong: ArrayRef = Arc::new(StringViewArray::from_iter_values(["one"]));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        state.merge(None, &[key], 1, &[wrong]).is_err()
    }));
    assert!(failed.unwrap_or(true));
    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(run(&mut state, 1, &["b"]), ["b 1"]);
}

#[test]
fn a_global_aggregate_over_no_rows_is_what_batch_says() {
    let kinds = Kind::ALL;
    let nothing: Vec<_> = kinds.iter().map(|k| k.by_hand(&[])).collect();
    for mode in [OutputMode::Complete, OutputMode::Update] {
        let mut state = AggregateState::new(spec(0, &kinds), None);
        state.begin(EpochId(0)).unwrap();
        let row = input_schema()
            .fields()
            .iter()
            .map(|f| new_null_array(f.data_type(), 1))
            .collect();
        let (arguments, _) = evaluated(&kinds, &RecordBatch::try_new(input_schema(), row).unwrap());
        state.ensure_global_group(&arguments).unwrap();
        let rows = finish(&mut state, 0, mode);
        assert_eq!(rows, [format!(" {}", nothing.join(" "))]);
    }
}

#[test]
fn keys_that_are_all_gone_again_give_a_complete_result_of_no_rows() {
    let mut state = counts(None);
    run(&mut state, 0, &["a"]);
    state.rollback(None).unwrap();
    state.begin(EpochId(0)).unwrap();
    assert!(finish(&mut state, 0, OutputMode::Complete).is_empty());
    assert_eq!(state.snapshot().unwrap().rows.num_rows(), 0);
}

#[test]
fn an_append_query_holds_the_open_windows_and_no_more() {
    let window = tumble(10);
    let mut state = counts(Some(window));
    let mut bytes = Vec::new();
    for epoch in 0..100u64 {
        let start = epoch as i64 * 10;
        let keys: Vec<_> = (0..50)
            .map(|k| format!("a key of window {start}: {k}"))
            .collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        state.begin(EpochId(epoch)).unwrap();
        count(&mut state, Some(start), &keys);
        let step = step(start - 10, start);
        let results = state
            .finish(EpochId(epoch), OutputMode::Append, step)
            .unwrap();
        let emitted: usize = results.iter().map(|r| r.rows).sum();
        assert_eq!(emitted, if epoch == 0 { 0 } else { 50 });
        state.committed(EpochId(epoch)).unwrap();
        assert_eq!(state.rows(), 50, "after epoch {epoch}");
        bytes.push(state.memory_bytes());
    }
    let most = bytes.iter().max().unwrap();
    assert!(*most <= bytes[10] * 11 / 10, "bytes grew: {bytes:?}");
}

#[test]
fn a_running_query_over_the_same_keys_does_not_grow() {
    let spec = spec(1, &[Kind::Count, Kind::MaxS, Kind::CountDistinctS]);
    let mut state = AggregateState::new(spec, None);
    let mut bytes = Vec::new();
    for epoch in 0..300u64 {
        // Every batch has text of its own, of which one row in a hundred stays.
        let text = |i: u64| format!("a long text that comes in every epoch, {i}");
        let keys = (0..1000).map(|i| text(if i % 100 == 0 { i + epoch % 100 } else { 0 }));
        let keys: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys));
        let ones: ArrayRef = Arc::new(Int64Array::from_value(1, 1000));
        let s: ArrayRef = Arc::new(StringViewArray::from_iter_values(
            (0..1000).map(|i| text(i % 5)),
        ));
        let arguments = [vec![ones], vec![Arc::clone(&s)], vec![s]];
        state.begin(EpochId(epoch)).unwrap();
        state
            .update(None, &[keys], 1000, &arguments, &[None, None, None])
            .unwrap();
        state
            .finish(EpochId(epoch), OutputMode::Update, STAY)
            .unwrap();
        state.committed(EpochId(epoch)).unwrap();
        bytes.push(state.memory_bytes());
    }
    // A state row that held on to the batch of its key would hold 40 kB.
    let bytes_per_row = bytes[299] / state.rows();
    assert!(bytes_per_row < 1000, "{bytes_per_row} bytes per row");
    let (middle, last) = (bytes[100..200].iter().max().unwrap(), bytes[299]);
    assert!(last <= middle * 3 / 2, "{middle} bytes have become {last}");
}

#[test]
fn a_delta_is_the_changed_rows_and_the_dropped_panes() {
    let mut state = counts(Some(tumble(10)));
    state.begin(EpochId(0)).unwrap();
    count(&mut state, Some(0), &["a", "b"]);
    count(&mut state, Some(10), &["a"]);
    state
        .finish(EpochId(0), OutputMode::Update, step(0, 5))
        .unwrap();
    state.committed(EpochId(0)).unwrap();
    state.begin(EpochId(1)).unwrap();
    count(&mut state, Some(0), &["b"]);
    count(&mut state, Some(10), &["b"]);
    state
        .finish(EpochId(1), OutputMode::Update, step(5, 10))
        .unwrap();
    let delta = state.delta(EpochId(1)).unwrap();
    assert_eq!(delta.dropped_panes, [0]);
    assert_eq!(
        delta.rows.num_rows(),
        1,
        "rows of a dropped pane are not written"
    );
    assert_eq!(state.snapshot().unwrap().rows.num_rows(), 2);
    assert_eq!(
        delta,
        state.delta(EpochId(1)).unwrap(),
        "asking changes nothing"
    );

    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(state.rows(), 3, "the dropped pane is back");
}

#[test]
fn state_of_another_query_is_refused() {
    let mut other = AggregateState::new(spec(2, &[Kind::Count]), None);
    let snapshot = other.snapshot().unwrap();
    let error = counts(None)
        .restore(&[snapshot], Some(EpochId(0)))
        .unwrap_err();
    assert!(
        error.to_string().contains("does not fit the query"),
        "{error}"
    );
    let mut other = AggregateState::new(spec(1, &[Kind::AvgY]), None);
    let snapshot = other.snapshot().unwrap();
    assert!(counts(None).restore(&[snapshot], Some(EpochId(0))).is_err());
}

/// The panes of a snapshot lie side by side: none of them holds the text of the others.
#[test]
fn panes_that_are_read_back_are_as_large_as_they_were() {
    let mut original = counts(Some(tumble(10)));
    original.begin(EpochId(0)).unwrap();
    for pane in 0..20 {
        let keys: Vec<String> = (0..50)
            .map(|i| format!("a key of more than twelve bytes: {pane} {i}"))
            .collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        count(&mut original, Some(pane * 10), &keys);
    }
    finish(&mut original, 0, OutputMode::Update);
    original.committed(EpochId(0)).unwrap();
    let snapshot = original.snapshot().unwrap();
    let mut restored = counts(Some(tumble(10)));
    restored.restore(&[snapshot], Some(EpochId(0))).unwrap();
    assert_eq!(restored.rows(), original.rows());
    let (before, after) = (original.memory_bytes(), restored.memory_bytes());
    assert!(after <= before, "{before} bytes, then {after}");
}
