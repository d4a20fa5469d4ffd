//! The contract of operator state, with a logic that keeps the rows of a key until a time in them.

use arrow::array::{AsArray, Int64Array, StringViewArray};

use super::*;
use crate::changelog::WatermarkStep;
use headwater_core::event_time::EventTime;

/// Which rows of a key are its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    All,
    /// That of the latest time, as a session that goes on.
    Latest,
}

/// Rows `k, at`: a run is rows of a key, and is emitted and forgotten when the watermark is at its
/// earliest time.
#[derive(Debug)]
struct UntilDue {
    schema: SchemaRef,
    keeps: Keeps,
}

#[derive(Debug)]
struct New {
    schema: SchemaRef,
    keeps: Keeps,
    rows: Vec<(u32, i64)>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("at", DataType::Int64, false),
    ]))
}

fn times(rows: &RecordBatch) -> &[i64] {
    let times = rows.column(1).as_primitive::<arrow::datatypes::Int64Type>();
    times.values()
}

impl RunLogic for UntilDue {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn new_rows(&self, _: &EpochStart) -> Result<Box<dyn NewRows>> {
        Ok(Box::new(New {
            schema: Arc::clone(&self.schema),
            keeps: self.keeps,
            rows: vec![],
        }))
    }

    fn due(&self, rows: &RecordBatch, _: i64) -> Result<Vec<i64>> {
        Ok(times(rows).to_vec())
    }

    fn all(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        Ok(vec![rows.clone()])
    }
}

impl NewRows for New {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        let rows = slots.iter().copied().zip(times(batch).iter().copied());
        self.rows.extend(rows);
        Ok(())
    }

    fn finish(self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let mut runs = vec![vec![]; slots.old_lengths.len()];
        let old = slots
            .old_slots()
            .into_iter()
            .zip(times(&slots.old).to_vec());
        for (slot, at) in old.chain(self.rows) {
            runs[slot as usize].push(at);
        }
        if self.keeps == Keeps::Latest {
            let latest = |run: &Vec<i64>| run.iter().copied().max().into_iter().collect();
            runs = runs.iter().map(latest).collect();
        }
        let after = end.step.after.micros();
        let evicts = end.mode != OutputMode::Complete;
        let is_due = |run: &Vec<i64>| evicts && run.iter().any(|at| *at <= after);
        let due: Vec<u32> = (0..runs.len() as u32)
            .filter(|slot| is_due(&runs[*slot as usize]))
            .collect();
        let keys = take(&slots.keys[0], &UInt32Array::from(due.clone()), None)?;
        let counts = due.iter().map(|slot| runs[*slot as usize].len() as i64);
        let counts: Int64Array = counts.collect();
        let output = RecordBatch::try_new(Arc::clone(&self.schema), vec![keys, Arc::new(counts)])?;
        for slot in due {
            runs[slot as usize].clear();
        }
        Ok(Advance {
            lengths: runs.iter().map(|run| Some(run.len() as u32)).collect(),
            values: vec![Arc::new(Int64Array::from(runs.concat()))],
            output: vec![output],
            ..Advance::default()
        })
    }
}

fn state() -> RunState {
    state_that_keeps(Keeps::All)
}

fn state_that_keeps(keeps: Keeps) -> RunState {
    let keys = Arc::new(Schema::new(vec![schema().field(0).clone()]));
    let schema = schema();
    let logic = Arc::new(UntilDue { schema, keeps });
    RunState::try_new(logic, keys, None).unwrap()
}

fn watermark(us: i64) -> Watermark {
    Watermark::at(EventTime(us))
}

/// Runs an epoch up to its end; gives `k count` of the runs that were due.
fn run(state: &mut RunState, epoch: u64, rows: &[(&str, i64)], after: i64) -> Vec<String> {
    run_in(OutputMode::Append, state, epoch, rows, after)
}

fn run_in(
    mode: OutputMode,
    state: &mut RunState,
    epoch: u64,
    rows: &[(&str, i64)],
    after: i64,
) -> Vec<String> {
    let start = EpochStart {
        before: Watermark::MIN,
        keeps_late_rows: false,
    };
    state.begin(EpochId(epoch), start).unwrap();
    let keys: StringViewArray = rows.iter().map(|(k, _)| Some(*k)).collect();
    let times: Int64Array = rows.iter().map(|(_, at)| Some(*at)).collect();
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(times)]).unwrap();
    state.add(&batch.columns()[..1], &batch).unwrap();
    let step = WatermarkStep {
        before: Watermark::MIN,
        after: watermark(after),
    };
    let end = EpochEnd { mode, step };
    let (output, _) = state.finish(EpochId(epoch), &end).unwrap();
    let mut lines: Vec<String> = output.iter().flat_map(lines).collect();
    lines.sort();
    lines
}

fn lines(rows: &RecordBatch) -> Vec<String> {
    let keys = rows.column(0).as_string_view();
    let each = keys.iter().zip(times(rows));
    each.map(|(key, n)| format!("{} {n}", key.unwrap_or("NULL")))
        .collect()
}

#[test]
fn a_run_is_emitted_by_the_watermark_alone() {
    let mut state = state();
    assert!(run(&mut state, 0, &[("a", 10), ("b", 20), ("a", 30)], 5).is_empty());
    state.committed(EpochId(0)).unwrap();
    assert_eq!(run(&mut state, 1, &[("c", 40)], 10), ["a 2"]);
    state.committed(EpochId(1)).unwrap();
    assert_eq!(run(&mut state, 2, &[], 40), ["b 1", "c 1"]);
    assert_eq!(state.rows(), 0);
}

/// A second attempt gives what the first gave, whether it failed before or after its end.
#[test]
fn an_epoch_can_be_undone_and_run_again() {
    let mut state = state();
    run(&mut state, 0, &[("a", 10), ("b", 20)], 5);
    state.committed(EpochId(0)).unwrap();
    let rows = [("a", 50), ("d", 60)];
    let first = run(&mut state, 1, &rows, 10);
    assert_eq!(first, ["a 2"]);
    let snapshot = state.snapshot().unwrap();
    state.rollback(Some(EpochId(0))).unwrap();
    assert_eq!(state.rows(), 2);
    assert_eq!(run(&mut state, 1, &rows, 10), first);
    assert_eq!(state.snapshot().unwrap(), snapshot);
    assert!(
        state.rollback(None).is_err(),
        "only the newest epoch can be undone"
    );
}

/// Deltas and snapshots give the state they were taken from: it goes on the same.
#[test]
fn chunks_give_the_state_they_were_taken_from() {
    let mut original = state();
    let mut chunks = vec![];
    let epochs: [(&[(&str, i64)], i64); 4] = [
        (&[("a", 10), ("b", 20), ("c", 99)], 5),
        (&[("a", 50)], 10),
        (&[("b", 21), ("a", 77)], 12),
        (&[("e", 60)], 20),
    ];
    for (number, (rows, after)) in epochs.into_iter().enumerate() {
        let epoch = EpochId(number as u64);
        run(&mut original, epoch.0, rows, after);
        if number == 2 {
            chunks = vec![original.snapshot().unwrap()];
        } else {
            chunks.push(original.delta(epoch).unwrap());
        }
        original.committed(epoch).unwrap();
        let mut restored = state();
        restored.restore(&chunks, Some(epoch)).unwrap();
        assert_eq!(restored.rows(), original.rows(), "after {epoch}");
        let next = epoch.0 + 1;
        let expected = run(&mut original, next, &[("f", 1)], 1_000);
        assert_eq!(run(&mut restored, next, &[("f", 1)], 1_000), expected);
        original.rollback(Some(epoch)).unwrap();
    }
}

/// Keys come and go, and neither rows nor bytes grow with the number of keys ever seen.
#[test]
fn state_is_bounded_by_what_is_alive() {
    let mut state = state();
    let (mut most_rows, mut bytes) = (0, vec![]);
    for epoch in 0..200u64 {
        let at = epoch as i64 * 10;
        let names: Vec<String> = (0..100).map(|i| format!("key {epoch} {i}")).collect();
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), at + 20)).collect();
        run(&mut state, epoch, &rows, at);
        state.committed(EpochId(epoch)).unwrap();
        most_rows = most_rows.max(state.rows());
        bytes.push(state.memory_bytes());
    }
    assert!(most_rows <= 300, "{most_rows} rows");
    let early = bytes[50..100].iter().max().unwrap();
    let late = bytes[150..].iter().max().unwrap();
    assert!(late <= &(early * 2), "{early} bytes, then {late}");
}

/// A hundred keys whose runs are due later with every epoch, long before the watermark is there.
/// What they cost does not grow with the epochs; in complete mode nothing is due at all.
#[test]
fn runs_that_go_on_leave_nothing_behind() {
    for mode in [OutputMode::Append, OutputMode::Update, OutputMode::Complete] {
        let mut state = state_that_keeps(Keeps::Latest);
        let names: Vec<String> = (0..100).map(|i| format!("key {i}")).collect();
        let mut bytes = vec![];
        for epoch in 0..100u64 {
            let at = epoch as i64 * 1_000;
            let rows = names.iter().zip(at + 1_000_000..);
            let rows: Vec<_> = rows.map(|(name, at)| (name.as_str(), at)).collect();
            run_in(mode, &mut state, epoch, &rows, at);
            if epoch % 3 == 0 {
                state.rollback(EpochId(epoch).previous()).unwrap();
                run_in(mode, &mut state, epoch, &rows, at);
            }
            state.committed(EpochId(epoch)).unwrap();
            assert_eq!(state.rows(), 100);
            bytes.push(state.memory_bytes());
            let queued = state.table.queued();
            let expected = if mode == OutputMode::Complete { 0 } else { 100 };
            assert_eq!(queued, expected, "in {mode:?} mode after epoch {epoch}");
        }
        let (early, late) = (&bytes[20..50], &bytes[70..]);
        let (early, late) = (early.iter().max().unwrap(), late.iter().max().unwrap());
        assert!(late <= early, "{mode:?}: {early} bytes, then {late}");
        if mode != OutputMode::Complete {
            let last = 99_000 + 1_000_000;
            let due = run_in(mode, &mut state, 100, &[], last + 49);
            assert_eq!(due.len(), 50, "in {mode:?} mode");
            assert_eq!(state.table.queued(), 100, "the epoch may be undone");
            state.committed(EpochId(100)).unwrap();
            assert_eq!(state.table.queued(), 50);
        }
    }
}

/// A state of complete mode that is read back is due as little as it was.
#[test]
fn what_complete_mode_reads_back_is_not_due() {
    let mut original = state();
    run_in(OutputMode::Complete, &mut original, 0, &[("a", 10)], 5);
    let mut restored = state();
    let chunks = [original.delta(EpochId(0)).unwrap()];
    restored.restore(&chunks, Some(EpochId(0))).unwrap();
    run_in(OutputMode::Complete, &mut restored, 1, &[("b", 20)], 50);
    assert_eq!(restored.table.queued(), 0);
    restored.rollback(Some(EpochId(0))).unwrap();
    run_in(OutputMode::Complete, &mut restored, 1, &[("b", 20)], 50);
    restored.committed(EpochId(1)).unwrap();
    assert_eq!((restored.rows(), restored.table.queued()), (2, 0));
}

/// A row that is read back with the keys of runs that are gone does not hold their text.
#[test]
fn what_is_read_back_does_not_hold_what_is_gone() {
    let bytes = |length: usize| {
        let mut original = state();
        let names: Vec<String> = (0..500).map(|i| format!("{i:0length$}")).collect();
        let rows: Vec<_> = names.iter().map(|name| (name.as_str(), 10)).collect();
        run(&mut original, 0, &rows, 5);
        original.committed(EpochId(0)).unwrap();
        run(&mut original, 1, &[("a key that is kept", 90)], 50);
        let delta = original.delta(EpochId(1)).unwrap();
        assert_eq!(delta.rows.num_rows(), 501);
        let mut restored = state();
        restored.restore(&[delta], Some(EpochId(1))).unwrap();
        assert_eq!(restored.rows(), 1);
        restored.table.chunk_bytes()
    };
    let (short, long) = (bytes(3), bytes(1_000));
    assert_eq!(short, long);
}
