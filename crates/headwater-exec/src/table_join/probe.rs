//! A batch of the stream against a table: what it finds, a part at a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, filter_record_batch, take};
use datafusion_common::cast::as_boolean_array;
use datafusion_common::{JoinSide, NullEquality, Result};
use datafusion_physical_plan::joins::utils::{ColumnIndex, JoinFilter, JoinKeyComparator};

use super::table::{Table, evaluate, hashes, null_keys};
use super::{Gives, TableJoin};

/// Pairs of a row of the stream and a row of the table that fit.
#[derive(Debug, Default)]
struct Pairs {
    stream: Vec<u32>,
    table: Vec<u32>,
}

/// A batch on its way through the join. An iterator over the batches that come of it, none of
/// which has more rows than a batch may have.
pub(super) struct Probe {
    join: Arc<TableJoin>,
    table: Arc<Table>,
    batch: RecordBatch,
    /// Rows that have a NULL in a key, if they find nothing.
    lost: Option<NullBuffer>,
    hashes: Vec<u64>,
    is_same: Option<JoinKeyComparator>,
    /// Which rows of the batch have found something.
    matched: Vec<bool>,
    /// The row that is looked up, and where in the table.
    row: usize,
    candidate: Option<u32>,
    is_finished: bool,
    most_rows: usize,
}

impl Probe {
    pub(super) fn try_new(
        join: Arc<TableJoin>,
        table: Arc<Table>,
        batch: RecordBatch,
        most_rows: usize,
    ) -> Result<Self> {
        let exprs: Vec<_> = join
            .on
            .iter()
            .map(|(stream, _)| Arc::clone(stream))
            .collect();
        let keys = evaluate(&exprs, &batch)?;
        let hashes = hashes(&keys, batch.num_rows())?;
        let is_same = match keys.is_empty() {
            true => None,
            false => {
                let options = vec![SortOptions::default(); keys.len()];
                let nulls = join.null_equality;
                Some(JoinKeyComparator::new(&keys, &table.keys, &options, nulls)?)
            }
        };
        let lost = null_keys(&keys);
        let lost = lost.filter(|_| join.null_equality == NullEquality::NullEqualsNothing);
        let mut probe = Probe {
            matched: vec![false; batch.num_rows()],
            join,
            table,
            batch,
            lost,
            hashes,
            is_same,
            row: 0,
            candidate: None,
            is_finished: false,
            most_rows: most_rows.max(1),
        };
        probe.candidate = probe.first_candidate();
        Ok(probe)
    }

    /// The next rows; none if the batch is done.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.row < self.batch.num_rows() {
            let pairs = self.pairs();
            let pairs = self.filtered(pairs)?;
            for row in &pairs.stream {
                self.matched[*row as usize] = true;
            }
            let gives_pairs = matches!(self.join.gives, Gives::Pairs | Gives::PairsOrNulls);
            if gives_pairs && !pairs.stream.is_empty() {
                return self.paired(&pairs).map(Some);
            }
        }
        if std::mem::replace(&mut self.is_finished, true) {
            return Ok(None);
        }
        let rest = self.rest()?;
        Ok(Some(rest).filter(|rest| rest.num_rows() > 0))
    }

    fn first_candidate(&self) -> Option<u32> {
        let hash = self.hashes.get(self.row)?;
        let is_lost = self
            .lost
            .as_ref()
            .is_some_and(|nulls| nulls.is_null(self.row));
        if is_lost {
            None
        } else {
            self.table.first(*hash)
        }
    }

    fn next_row(&mut self) {
        self.row += 1;
        self.candidate = self.first_candidate();
    }

    /// Pairs with the same keys, at most as many as a batch may have rows.
    fn pairs(&mut self) -> Pairs {
        let mut pairs = Pairs::default();
        let one_is_enough = !matches!(self.join.gives, Gives::Pairs | Gives::PairsOrNulls);
        while self.row < self.batch.num_rows() && pairs.stream.len() < self.most_rows {
            let candidate = match self.candidate {
                Some(candidate) if !(one_is_enough && self.matched[self.row]) => candidate,
                _ => {
                    self.next_row();
                    continue;
                }
            };
            self.candidate = self.table.after(candidate);
            let same = &self.is_same;
            if same
                .as_ref()
                .is_none_or(|same| same.is_equal(self.row, candidate as usize))
            {
                pairs.stream.push(self.row as u32);
                pairs.table.push(candidate);
                if one_is_enough && self.join.filter.is_none() {
                    self.candidate = None;
                }
            }
        }
        pairs
    }

    fn filtered(&self, pairs: Pairs) -> Result<Pairs> {
        let Some(filter) = self
            .join
            .filter
            .as_ref()
            .filter(|_| !pairs.stream.is_empty())
        else {
            return Ok(pairs);
        };
        let passes = self.passes(filter, &pairs)?;
        let keep = |rows: Vec<u32>| {
            let kept = rows.into_iter().enumerate().filter(|(at, _)| passes(*at));
            kept.map(|(_, row)| row).collect()
        };
        Ok(Pairs {
            stream: keep(pairs.stream),
            table: keep(pairs.table),
        })
    }

    fn passes(&self, filter: &JoinFilter, pairs: &Pairs) -> Result<impl Fn(usize) -> bool + use<>> {
        let stream = UInt32Array::from(pairs.stream.clone());
        let table = UInt32Array::from(pairs.table.clone());
        let column = |column: &ColumnIndex| -> Result<ArrayRef> {
            Ok(if column.side == self.join.stream_side {
                take(self.batch.column(column.index), &stream, None)?
            } else {
                take(self.table.rows.column(column.index), &table, None)?
            })
        };
        let columns = filter.column_indices().iter().map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(stream.len()));
        let schema = Arc::clone(filter.schema());
        let seen = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let passed = filter.expression().evaluate(&seen)?;
        let passed = as_boolean_array(&passed.into_array(stream.len())?)?.clone();
        Ok(move |at| passed.is_valid(at) && passed.value(at))
    }

    fn paired(&self, pairs: &Pairs) -> Result<RecordBatch> {
        let table = UInt32Array::from(pairs.table.clone());
        self.beside(&UInt32Array::from(pairs.stream.clone()), &table)
    }

    /// Rows of the batch beside rows of the table; a NULL is a row of NULLs.
    fn beside(&self, stream: &UInt32Array, table: &UInt32Array) -> Result<RecordBatch> {
        let taken = |rows: &RecordBatch, at: &UInt32Array| -> Result<Vec<ArrayRef>> {
            let columns = rows.columns().iter();
            columns.map(|column| Ok(take(column, at, None)?)).collect()
        };
        let of_stream = taken(&self.batch, stream)?;
        let of_table = taken(&self.table.rows, table)?;
        let columns = match self.join.stream_side {
            JoinSide::Right => [of_table, of_stream].concat(),
            JoinSide::Left | JoinSide::None => [of_stream, of_table].concat(),
        };
        self.output(columns, stream.len())
    }

    fn output(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.join.schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    /// What is known of the rows when all have been looked up.
    fn rest(&self) -> Result<RecordBatch> {
        let matched = BooleanArray::from(self.matched.clone());
        match self.join.gives {
            Gives::Pairs => self.output_none(),
            Gives::PairsOrNulls => {
                let rows = 0u32..;
                let alone = rows.zip(&self.matched).filter(|(_, matched)| !**matched);
                let alone: UInt32Array = alone.map(|(row, _)| Some(row)).collect();
                self.beside(&alone, &UInt32Array::new_null(alone.len()))
            }
            Gives::Matched => self.of_batch(&matched),
            Gives::Unmatched => {
                let alone: BooleanArray = self.matched.iter().map(|m| Some(!m)).collect();
                self.of_batch(&alone)
            }
            Gives::UnmatchedUnlessNull => {
                let is_known = |row| match &self.lost {
                    Some(nulls) => nulls.is_valid(row),
                    None => true,
                };
                let is_empty = self.table.rows.num_rows() == 0;
                let passes = |(row, matched): (usize, &bool)| {
                    is_empty || (!self.table.has_null_key && is_known(row) && !matched)
                };
                let passing = self.matched.iter().enumerate().map(|row| Some(passes(row)));
                let passing: BooleanArray = passing.collect();
                self.of_batch(&passing)
            }
            Gives::Marks => {
                let mut columns = self.batch.columns().to_vec();
                columns.push(Arc::new(matched));
                self.output(columns, self.batch.num_rows())
            }
        }
    }

    fn of_batch(&self, keep: &BooleanArray) -> Result<RecordBatch> {
        let kept = filter_record_batch(&self.batch, keep)?;
        self.output(kept.columns().to_vec(), kept.num_rows())
    }

    fn output_none(&self) -> Result<RecordBatch> {
        Ok(RecordBatch::new_empty(Arc::clone(&self.join.schema)))
    }
}
