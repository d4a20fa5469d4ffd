//! What an incremental aggregation computes: keys, aggregates, and the layout of a state row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_empty_array, new_null_array};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_common::utils::normalize_float_zero;
use datafusion_expr::{EmitTo, GroupsAccumulator};
use datafusion_physical_expr::GroupsAccumulatorAdapter;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;
use datafusion_physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion_physical_plan::aggregates::order::GroupOrdering;

use headwater_core::Error;

use crate::key_table::KeyTable;

/// Keys and aggregates of one operator; shared by all its shards and panes.
///
/// A state row is laid out as `key columns ++ state columns of aggregate 0 ++ of aggregate 1 …`.
#[derive(Debug)]
pub struct AggregateSpec {
    key_schema: SchemaRef,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    state_schema: SchemaRef,
    state_widths: Vec<usize>,
}

/// The scratch accumulators of one table, one per aggregate.
pub(crate) type Accumulators = Vec<Box<dyn GroupsAccumulator>>;

impl AggregateSpec {
    /// A specification.
    ///
    /// # Errors
    /// If an aggregate cannot say what its state is, or keeps another than it says.
    pub fn try_new(
        keys: Vec<FieldRef>,
        aggregates: Vec<Arc<AggregateFunctionExpr>>,
    ) -> Result<Self> {
        let mut fields = keys.clone();
        let mut state_widths = Vec::with_capacity(aggregates.len());
        for aggregate in &aggregates {
            let state = aggregate.state_fields()?;
            check_state(aggregate, &state)?;
            state_widths.push(state.len());
            // Some functions declare a state that cannot be NULL, and give NULL for no values.
            let nullable = |field: FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
            fields.extend(state.into_iter().map(nullable));
        }
        Ok(AggregateSpec {
            key_schema: Arc::new(Schema::new(keys)),
            aggregates,
            state_schema: Arc::new(Schema::new(fields)),
            state_widths,
        })
    }

    /// The aggregates.
    pub fn aggregates(&self) -> &[Arc<AggregateFunctionExpr>] {
        &self.aggregates
    }

    /// Schema of the keys.
    pub fn key_schema(&self) -> &SchemaRef {
        &self.key_schema
    }

    /// Schema of a state row.
    pub fn state_schema(&self) -> &SchemaRef {
        &self.state_schema
    }

    /// Number of key columns.
    pub fn key_count(&self) -> usize {
        self.key_schema.fields().len()
    }

    /// The state columns of every aggregate, cut out of the columns of state rows.
    pub(crate) fn states<'a>(&self, columns: &'a [ArrayRef]) -> Vec<&'a [ArrayRef]> {
        let mut rest = columns;
        self.state_widths
            .iter()
            .map(|width| {
                let (head, tail) = rest.split_at((*width).min(rest.len()));
                rest = tail;
                head
            })
            .collect()
    }

    /// Fresh accumulators.
    pub(crate) fn accumulators(&self) -> Result<Accumulators> {
        self.aggregates.iter().map(accumulator).collect()
    }

    /// Merges state columns (those after the keys) into accumulators, row `i` into group
    /// `groups[i]`.
    pub(crate) fn merge(
        &self,
        into: &mut Accumulators,
        state_columns: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> Result<()> {
        for (accumulator, states) in into.iter_mut().zip(self.states(state_columns)) {
            accumulator.merge_batch(states, groups, total)?;
        }
        Ok(())
    }

    /// Takes the state columns of all groups, which are that many, out of accumulators.
    pub(crate) fn take_states(
        &self,
        from: &mut Accumulators,
        groups: usize,
    ) -> Result<Vec<ArrayRef>> {
        // Some accumulators cannot give the states of no group.
        if groups == 0 {
            let states = self.state_schema.fields().iter().skip(self.key_count());
            return Ok(states.map(|s| new_empty_array(s.data_type())).collect());
        }
        let mut columns = Vec::with_capacity(self.state_schema.fields().len());
        for accumulator in from {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        Ok(columns)
    }

    /// The state columns of one group over no rows, for aggregates over an input.
    ///
    /// # Errors
    /// If an accumulator cannot give the state of such a group.
    pub fn states_over_nothing(&self, input: &Schema) -> Result<Vec<ArrayRef>> {
        let mut accumulators = self.accumulators()?;
        // The one row is filtered out.
        let none = BooleanArray::from(vec![false]);
        for (aggregate, accumulator) in self.aggregates.iter().zip(&mut accumulators) {
            let all = aggregate.all_expressions();
            let all = all.args.iter().chain(&all.order_by_exprs);
            let arguments = all.map(|e| Ok(new_null_array(&e.data_type(input)?, 1)));
            let arguments = arguments.collect::<Result<Vec<_>>>()?;
            accumulator.update_batch(&arguments, &[0], Some(&none), 1)?;
        }
        self.take_states(&mut accumulators, 1)
    }

    /// The results of all groups, which are that many; consumes the accumulators.
    pub(crate) fn evaluate(
        &self,
        mut accumulators: Accumulators,
        groups: usize,
    ) -> Result<Vec<ArrayRef>> {
        if groups == 0 {
            let results = self.aggregates.iter().map(|a| a.field());
            return Ok(results.map(|r| new_empty_array(r.data_type())).collect());
        }
        accumulators
            .iter_mut()
            .map(|a| a.evaluate(EmitTo::All))
            .collect()
    }

    /// A batch of state rows.
    pub(crate) fn state_batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.state_schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// Refuses an aggregate whose accumulator gives other state columns than the function declares,
/// as that of `bit_xor(DISTINCT …)` does: they could not be kept, and would be wrong.
fn check_state(aggregate: &AggregateFunctionExpr, declared: &[FieldRef]) -> Result<()> {
    if !aggregate.groups_accumulator_supported() {
        return Ok(());
    }
    // Those that cannot give the states of no group say nothing.
    let Ok(found) = aggregate.create_groups_accumulator()?.state(EmitTo::All) else {
        return Ok(());
    };
    let types = |d: &FieldRef| d.data_type().clone();
    let declared: Vec<_> = declared.iter().map(types).collect();
    let found: Vec<_> = found.iter().map(|f| f.data_type().clone()).collect();
    if declared == found {
        return Ok(());
    }
    let name = aggregate.name();
    Err(
        Error::unsupported(format!("{name} cannot be kept between epochs"))
            .with_detail(format!(
                "The function declares {declared:?} as its state, and gives {found:?}."
            ))
            .with_hint("Run it as a bounded read: SELECT without STREAM.")
            .into(),
    )
}

/// DataFusion's own choice between a vectorised accumulator and the adapter, which is not public.
fn accumulator(aggregate: &Arc<AggregateFunctionExpr>) -> Result<Box<dyn GroupsAccumulator>> {
    if aggregate.groups_accumulator_supported() {
        return aggregate.create_groups_accumulator();
    }
    let aggregate = Arc::clone(aggregate);
    Ok(Box::new(GroupsAccumulatorAdapter::new(move || {
        aggregate.create_accumulator()
    })))
}

/// Keys as their groups are shown: zero without a sign. Zeros of both signs are one group, whose key
/// must not depend on which of them comes first in an epoch. DataFusion groups and shows zeros in the
/// same way; within structs and lists it tells them apart, and NaN from NaN with other bits.
pub(crate) fn canonical_keys(keys: &[ArrayRef]) -> Vec<ArrayRef> {
    keys.iter().map(normalize_float_zero).collect()
}

/// Keys to dense group ids; a global aggregate has one group and no keys.
pub(crate) enum Interner {
    Global {
        seen: bool,
    },
    Keys(Box<KeyTable>),
    /// Keys of types that are rare, by DataFusion's own table.
    Other(Box<dyn GroupValues>),
}

impl Interner {
    pub(crate) fn try_new(key_schema: &SchemaRef) -> Result<Self> {
        if key_schema.fields().is_empty() {
            return Ok(Interner::Global { seen: false });
        }
        if let Some(keys) = KeyTable::try_new(key_schema) {
            return Ok(Interner::Keys(Box::new(keys)));
        }
        let other = new_group_values(Arc::clone(key_schema), &GroupOrdering::None)?;
        Ok(Interner::Other(other))
    }

    /// Group ids of `rows` rows, in `groups`.
    pub(crate) fn intern(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        groups: &mut Vec<usize>,
    ) -> Result<()> {
        match self {
            Interner::Global { seen } => {
                *seen |= rows > 0;
                groups.clear();
                groups.resize(rows, 0);
                Ok(())
            }
            Interner::Keys(table) => table.intern(keys, groups),
            Interner::Other(values) => values.intern(keys, groups),
        }
    }

    /// Number of groups seen.
    pub(crate) fn len(&self) -> usize {
        match self {
            Interner::Global { seen } => usize::from(*seen),
            Interner::Keys(table) => table.len(),
            Interner::Other(values) => values.len(),
        }
    }

    /// Takes the keys of all groups out, in order of their ids.
    pub(crate) fn take_keys(self) -> Result<Vec<ArrayRef>> {
        match self {
            Interner::Global { .. } => Ok(vec![]),
            Interner::Keys(table) => Ok(table.into_keys()),
            Interner::Other(mut values) => values.emit(EmitTo::All),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Interner::Global { .. } => 0,
            Interner::Keys(table) => table.memory_bytes(),
            Interner::Other(values) => values.size(),
        }
    }
}

impl std::fmt::Debug for Interner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interner({} groups)", self.len())
    }
}
