//! Modes, replacement, restarts and the bound on history of memory sinks.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::Schema;

use headwater_core::changes::op_field;

use super::*;
use crate::test_support::{ints, rows_of, sink_context, table};

fn pairs(rows: &[(i64, i64)]) -> RecordBatch {
    let column = |f: fn(&(i64, i64)) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(f).collect::<Int64Array>())
    };
    RecordBatch::try_from_iter([("k", column(|r| r.0)), ("v", column(|r| r.1))]).unwrap()
}

async fn open(
    sink: &MemorySink,
    schema: SchemaRef,
    mode: OutputMode,
    last: Option<u64>,
) -> Arc<dyn Sink> {
    let opened = sink.declared().open().unwrap();
    opened
        .open(&sink_context(schema, mode, last))
        .await
        .unwrap();
    opened
}

async fn write(sink: &Arc<dyn Sink>, epoch: u64, batch: RecordBatch) {
    sink.write(EpochId(epoch), 0, rows_of([batch]))
        .await
        .unwrap();
}

async fn commit(sink: &Arc<dyn Sink>, epoch: u64) {
    let token = sink.prepare(EpochId(epoch), vec![]).await.unwrap();
    sink.commit(EpochId(epoch), token.clone()).await.unwrap();
    sink.commit(EpochId(epoch), token).await.unwrap();
}

#[tokio::test]
async fn append_accumulates_what_is_committed() {
    let sink = MemorySink::new();
    let opened = open(&sink, ints(&[]).schema(), OutputMode::Append, None).await;
    write(&opened, 0, ints(&[9])).await;
    write(&opened, 0, ints(&[1])).await;
    assert!(sink.rows().is_empty());
    commit(&opened, 0).await;
    write(&opened, 1, ints(&[2])).await;
    opened.abort(EpochId(1)).await.unwrap();
    commit(&opened, 1).await;
    write(&opened, 1, ints(&[3])).await;
    commit(&opened, 1).await;
    assert_eq!(sink.rows(), [ints(&[1]), ints(&[3])]);
    let epochs = [
        (EpochId(0), vec![ints(&[1])]),
        (EpochId(1), vec![ints(&[3])]),
    ];
    assert_eq!(sink.epochs(), epochs);
    sink.wait_for_epoch(EpochId(1)).await;
}

#[tokio::test]
async fn complete_replaces() {
    let sink = MemorySink::new();
    let opened = open(&sink, ints(&[]).schema(), OutputMode::Complete, None).await;
    for epoch in 0..3 {
        write(&opened, epoch, ints(&[epoch as i64])).await;
        commit(&opened, epoch).await;
    }
    assert_eq!(sink.rows(), [ints(&[2])]);
    assert_eq!(sink.epochs().len(), 3);
}

#[tokio::test]
async fn update_keeps_the_newest_row_of_every_key_and_folds_old_epochs() {
    let sink = MemorySink::with_key(vec!["k".to_string()]).with_history(2);
    let opened = open(&sink, pairs(&[]).schema(), OutputMode::Update, None).await;
    for epoch in 0..9 {
        write(
            &opened,
            epoch,
            pairs(&[(epoch as i64 % 3, epoch as i64), (9, 0)]),
        )
        .await;
        commit(&opened, epoch).await;
    }
    let expected = pairs(&[(0, 6), (9, 0), (1, 7), (2, 8)]);
    assert_eq!(table(&sink.rows()), table(std::slice::from_ref(&expected)));
    assert!(sink.epochs().len() <= 4);
    write(&opened, 0, pairs(&[(0, 77)])).await;
    commit(&opened, 0).await;
    assert_eq!(table(&sink.rows()), table(&[expected]));
}

/// Rows of `pairs` with what they do.
fn doing(ops: &[&str], rows: &[(i64, i64)]) -> RecordBatch {
    let rows = pairs(rows);
    let mut fields = rows.schema().fields().to_vec();
    fields.push(op_field());
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(ops.to_vec())));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn rows_that_are_gone_are_not_shown_before_and_after_folding() {
    let sink = MemorySink::with_key(vec!["k".to_string()]).with_history(1);
    let schema = doing(&[], &[]).schema();
    let opened = open(&sink, schema, OutputMode::Update, None).await;
    let epochs = [
        doing(&["+U", "+U", "+U"], &[(1, 1), (2, 2), (3, 3)]),
        doing(&["-D", "+U"], &[(1, 1), (2, 20)]),
        doing(&["+U", "-D"], &[(1, 7), (3, 3)]),
        doing(&["-D"], &[(2, 20)]),
    ];
    let mut shown = vec![];
    for (epoch, rows) in (0..).zip(epochs) {
        write(&opened, epoch, rows).await;
        commit(&opened, epoch).await;
        shown.push(table(&sink.rows()));
    }
    let expected = [
        pairs(&[(1, 1), (2, 2), (3, 3)]),
        pairs(&[(2, 20), (3, 3)]),
        pairs(&[(2, 20), (1, 7)]),
        pairs(&[(1, 7)]),
    ];
    assert_eq!(shown, expected.map(|rows| table(&[rows])));
    assert!(sink.epochs().len() <= 2);
    assert_eq!(sink.schema().unwrap(), pairs(&[]).schema());
}

#[tokio::test]
async fn a_resumed_query_keeps_its_rows_and_a_new_one_starts_empty() {
    let sink = MemorySink::new();
    let schema = ints(&[]).schema();
    let opened = open(&sink, Arc::clone(&schema), OutputMode::Append, None).await;
    for epoch in 0..3 {
        write(&opened, epoch, ints(&[epoch as i64])).await;
        commit(&opened, epoch).await;
    }
    let opened = open(&sink, Arc::clone(&schema), OutputMode::Append, Some(1)).await;
    assert_eq!(sink.rows(), [ints(&[0]), ints(&[1])]);
    write(&opened, 2, ints(&[22])).await;
    commit(&opened, 2).await;
    assert_eq!(sink.rows().last(), Some(&ints(&[22])));
    open(&sink, schema, OutputMode::Append, None).await;
    assert!(sink.rows().is_empty());
}

#[tokio::test]
async fn a_key_that_is_no_column_is_refused() {
    let sink = MemorySink::with_key(vec!["x".to_string()]);
    let context = sink_context(ints(&[]).schema(), OutputMode::Update, None);
    let error = Sink::open(&sink, &context).await.unwrap_err();
    assert_eq!(
        error.message(),
        "key column \"x\" is not among the sink's columns"
    );
}
