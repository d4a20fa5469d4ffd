//! What the buffer promises about offsets with gaps, cuts in the middle of chunks, repeated
//! slices and memory.

use super::*;
use crate::chunk::tests::record;

fn buffer(from: i64) -> (Arc<PartitionBuffer>, Arc<Budget>) {
    let budget = Arc::new(Budget::new(1 << 20));
    let partition = Partition::new("t", 0);
    let kept = Kept {
        key: true,
        ..Kept::default()
    };
    let buffer = PartitionBuffer::new(partition, from, kept, Arc::clone(&budget));
    buffer.lock().moved_to(from);
    (Arc::new(buffer), budget)
}

fn push(buffer: &PartitionBuffer, offsets: &[i64]) {
    let mut state = buffer.lock();
    for offset in offsets {
        buffer.push(&mut state, &record(*offset, Some(b"abc")));
    }
    buffer.count(&mut state);
}

fn take(buffer: &PartitionBuffer, end: i64) -> String {
    let mut seen = Vec::new();
    loop {
        match buffer.take(end, 100).unwrap() {
            Taken::Records(chunk) => seen.extend(chunk.offsets.values().iter().copied()),
            Taken::End => return format!("{seen:?} end"),
            Taken::NotYet => return format!("{seen:?} not yet"),
        }
    }
}

/// Position and records.
fn reach(buffer: &PartitionBuffer, from: i64) -> (i64, u64) {
    let reach = buffer.reach(from).unwrap();
    (reach.position, reach.records)
}

#[test]
fn a_slice_cuts_a_chunk_in_the_middle() {
    let (buffer, budget) = buffer(0);
    push(&buffer, &[0, 1, 2, 3, 4]);
    assert_eq!(take(&buffer, 2), "[0, 1] end");
    push(&buffer, &[5]);
    assert_eq!(take(&buffer, 6), "[2, 3, 4, 5] end");
    assert_eq!(take(&buffer, 7), "[] not yet");
    assert_eq!((buffer.held_bytes(), budget.held_bytes()), (0, 0));
}

#[test]
fn the_end_of_the_partition_closes_a_gap() {
    let (buffer, _) = buffer(0);
    push(&buffer, &[0, 1]);
    assert_eq!(reach(&buffer, 0), (2, 2));
    buffer.lock().reached_end(5);
    assert_eq!(reach(&buffer, 0), (5, 2));
    assert_eq!(take(&buffer, 4), "[0, 1] end");
    assert_eq!(reach(&buffer, 4), (5, 0));
}

#[test]
fn a_number_of_records_ends_after_the_last_of_them() {
    let (buffer, _) = buffer(0);
    push(&buffer, &[2, 4, 6, 8]);
    assert_eq!(buffer.offset_after(0, 2), 5);
    assert_eq!(buffer.offset_after(3, 2), 7);
    assert_eq!(buffer.offset_after(0, 9), 9);
    assert_eq!(take(&buffer, 5), "[2, 4] end");
    // What was taken can be asked for again: as many offsets as there may be records.
    assert_eq!(reach(&buffer, 2), (9, 3 + 2));
    assert_eq!(buffer.offset_after(2, 2), 4);
    assert_eq!(buffer.offset_after(2, 4), 7);
}

#[test]
fn reading_again_starts_fetching_anew() {
    let (buffer, budget) = buffer(0);
    push(&buffer, &[0, 1, 2, 3]);
    assert_eq!(take(&buffer, 2), "[0, 1] end");
    assert!(!buffer.prepare(2), "the next slice is here");
    assert!(!buffer.prepare(3), "so is a later one");
    assert_eq!(take(&buffer, 4), "[3] end");
    assert!(buffer.prepare(0), "an earlier one is not");
    assert_eq!(budget.held_bytes(), 0);
    push(&buffer, &[4]);
    assert_eq!(take(&buffer, 4), "[] not yet");
    assert_eq!(reach(&buffer, 0), (0, 0));
    buffer.lock().moved_to(0);
    push(&buffer, &[0, 1]);
    assert_eq!(take(&buffer, 2), "[0, 1] end");
}

#[test]
fn a_gap_at_the_end_is_read_without_fetching_again() {
    let (buffer, _) = buffer(0);
    push(&buffer, &[0, 1]);
    assert_eq!(take(&buffer, 2), "[0, 1] end");
    // The end of a transaction, which is no record.
    buffer.lock().reached_end(3);
    assert_eq!(reach(&buffer, 2), (3, 0));
    assert!(!buffer.prepare(2));
    assert_eq!(take(&buffer, 3), "[] end");
    assert!(!buffer.prepare(3));
}

#[test]
fn committed_records_that_were_not_read_are_freed() {
    let (buffer, budget) = buffer(0);
    push(&buffer, &[0, 1, 2, 3]);
    let one = budget.held_bytes() / 4;
    buffer.forget_below(3);
    assert_eq!((budget.held_bytes(), buffer.held_bytes()), (one, one));
    buffer.forget_below(9);
    assert_eq!(budget.held_bytes(), 0);
    push(&buffer, &[4]);
    assert!(!buffer.prepare(4));
    assert_eq!(take(&buffer, 5), "[4] end");
    push(&buffer, &[5]);
    let claim = buffer.claim().unwrap();
    buffer.forget_below(6);
    assert_eq!(budget.held_bytes(), one, "not under a reader");
    drop(claim);
}

#[test]
fn a_failure_is_told_after_the_records_before_it() {
    let (buffer, _) = buffer(0);
    push(&buffer, &[0]);
    let failure = Failure::out_of_range(buffer.partition(), 1, 5, 9);
    buffer.lock().fail(failure);
    assert_eq!(reach(&buffer, 0), (1, 1));
    assert!(!buffer.prepare(0), "what is here is not fetched again");
    assert_eq!(take(&buffer, 1), "[0] end");
    assert!(buffer.reach(1).is_err());
    // What comes after it need not follow.
    push(&buffer, &[1, 2]);
    buffer.lock().reached_end(5);
    assert!(buffer.reach(1).is_err());
    let error = buffer.take(2, 10).unwrap_err();
    assert_eq!(
        error.message(),
        "partition 0 of topic \"t\" holds offsets 5 to 8, but offset 1 is wanted"
    );
}

#[test]
fn a_partition_has_one_reader() {
    let (buffer, _) = buffer(0);
    let claim = buffer.claim().unwrap();
    assert!(buffer.claim().is_err());
    drop(claim);
    assert!(buffer.claim().is_ok());
}

#[test]
fn what_a_query_is_past_is_dropped_wherever_fetching_is() {
    for fetched in [6, 9] {
        let (buffer, budget) = buffer(0);
        push(&buffer, &(0..fetched).collect::<Vec<_>>());
        assert!(!buffer.skip_to(6));
        assert_eq!(reach(&buffer, 6), (fetched, (fetched - 6) as u64));
        assert_eq!(buffer.held_bytes(), budget.held_bytes());
        assert_eq!(buffer.held_bytes() == 0, fetched == 6);
    }
    // Fetching has not come there: it goes there.
    let (buffer, budget) = buffer(0);
    push(&buffer, &[0, 1]);
    assert!(buffer.skip_to(6));
    assert_eq!(budget.held_bytes(), 0);
}
