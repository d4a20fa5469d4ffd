//! Window expressions over all rows before: carried from epoch to epoch as a state of fixed size.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion_common::cast::as_boolean_array;
use datafusion_common::{Result, ScalarValue};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;

use crate::rank::Numbering;

/// A value over all rows of a key up to a row.
#[derive(Debug)]
pub enum Running {
    /// The number of the row.
    Number(Numbering),
    /// A value of the first row.
    First(Arc<dyn PhysicalExpr>),
    /// An aggregate.
    Aggregate {
        /// The function, without an order: rows come in order.
        function: Arc<AggregateFunctionExpr>,
        /// Its FILTER.
        filter: Option<Arc<dyn PhysicalExpr>>,
        /// Whether its frame ends at the row, and not behind the rows that are equal in the order.
        by_row: bool,
    },
}

/// How many rows, and how many of different places in the order, came before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) rows: u64,
    pub(super) peers: u64,
}

impl Running {
    /// Names and types of what is carried, all of them NULL before the first row.
    pub(super) fn state_fields(&self, number: usize, input: &Schema) -> Result<Vec<FieldRef>> {
        let name = |part: usize| format!("__running_{number}_{part}");
        let nullable = |part: usize, data_type: DataType| {
            Arc::new(Field::new(name(part), data_type, true)) as FieldRef
        };
        Ok(match self {
            Running::Number(_) => vec![],
            Running::First(value) => vec![nullable(0, value.data_type(input)?)],
            Running::Aggregate { function, .. } => {
                let fields = function.state_fields()?;
                let fields = fields.iter().enumerate();
                fields
                    .map(|(part, field)| nullable(part, field.data_type().clone()))
                    .collect()
            }
        })
    }

    /// The values of rows that follow what is carried, and what is carried after them. `peers` are
    /// the rows that are equal in the order.
    pub(super) fn advance(
        &self,
        carried: Option<&[ArrayRef]>,
        rows: &RecordBatch,
        peers: &[Range<usize>],
        before: Before,
    ) -> Result<(ArrayRef, Vec<ScalarValue>)> {
        match self {
            Running::Number(numbering) => {
                let number = |place: usize, peer: &Range<usize>, row: usize| match numbering {
                    Numbering::RowNumber => before.rows + row as u64 + 1,
                    Numbering::Rank => before.rows + peer.start as u64 + 1,
                    Numbering::DenseRank => before.peers + place as u64 + 1,
                };
                let each = peers.iter().enumerate();
                let numbers = each.flat_map(|(place, peer)| {
                    peer.clone().map(move |row| number(place, peer, row))
                });
                let numbers = UInt64Array::from_iter_values(numbers);
                Ok((Arc::new(numbers), vec![]))
            }
            Running::First(value) => {
                let first = match carried {
                    Some(carried) => ScalarValue::try_from_array(&carried[0], 0)?,
                    None => {
                        let values = value.evaluate(rows)?.into_array(rows.num_rows())?;
                        ScalarValue::try_from_array(&values, 0)?
                    }
                };
                Ok((first.to_array_of_size(rows.num_rows())?, vec![first]))
            }
            Running::Aggregate {
                function,
                filter,
                by_row,
            } => {
                let mut accumulator = function.create_accumulator()?;
                if let Some(carried) = carried {
                    accumulator.merge_batch(carried)?;
                }
                let arguments = function.expressions();
                let arguments = arguments.iter();
                let arguments = arguments.map(|a| a.evaluate(rows)?.into_array(rows.num_rows()));
                let arguments = arguments.collect::<Result<Vec<_>>>()?;
                let mask = filter
                    .as_ref()
                    .map(|f| f.evaluate(rows)?.into_array(rows.num_rows()));
                let mask = mask.transpose()?;
                let mut values = Vec::with_capacity(rows.num_rows());
                let single = (0..rows.num_rows()).map(|row| row..row + 1);
                let frames: Vec<Range<usize>> = match by_row {
                    true => single.collect(),
                    false => peers.to_vec(),
                };
                for frame in frames {
                    let added = arguments.iter().map(|a| a.slice(frame.start, frame.len()));
                    let added: Vec<ArrayRef> = added.collect();
                    let added = match &mask {
                        Some(mask) => passed(&added, &mask.slice(frame.start, frame.len()))?,
                        None => added,
                    };
                    accumulator.update_batch(&added)?;
                    let value = accumulator.evaluate()?;
                    values.extend(std::iter::repeat_n(value, frame.len()));
                }
                Ok((ScalarValue::iter_to_array(values)?, accumulator.state()?))
            }
        }
    }
}

/// The values where a mask is true.
fn passed(values: &[ArrayRef], mask: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let mask = as_boolean_array(mask)?;
    values.iter().map(|v| Ok(filter(v, mask)?)).collect()
}

/// Ranges of rows that are equal in an order, of which `starts` says where one begins.
pub(super) fn peers_of(starts: &[bool]) -> Vec<Range<usize>> {
    let firsts = (0..starts.len()).filter(|row| *row == 0 || starts[*row]);
    let firsts: Vec<usize> = firsts.collect();
    let ends = firsts.iter().skip(1).copied().chain([starts.len()]);
    firsts
        .iter()
        .copied()
        .zip(ends)
        .map(|(a, b)| a..b)
        .collect()
}

/// A number of a carried row.
pub(super) fn number_at(column: &ArrayRef, row: usize) -> u64 {
    let numbers = column.as_primitive::<arrow::datatypes::UInt64Type>();
    numbers.value(row)
}
