//! The parts of a key that a grouping id tells: of which grouping set a row is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan};

use super::{Teller, Tells};
use crate::rule::grouping_sets::GroupedBy;

/// What a part of the key has of a grouping id: whether a set leaves out a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupingBits {
    ids: Arc<[u64]>,
    bits: u64,
}

/// The parts of a key that say of which grouping set a row is. A column that is never NULL in the
/// input says itself whether a set leaves it out.
pub(super) fn grouping_parts(
    aggregate: &Aggregate,
    grouped: &GroupedBy,
    id: &Column,
) -> Result<Vec<Vec<Teller>>> {
    let ids: Arc<[u64]> = grouped.ids()?.into();
    let count = grouped.columns.len();
    let told_by_id = |bits: u64| {
        let bits = GroupingBits {
            ids: Arc::clone(&ids),
            bits,
        };
        bits.vary().then(|| Teller {
            column: id.clone(),
            tells: Tells::AsGroupingId(bits),
        })
    };
    let mut parts = Vec::new();
    for (position, expr) in grouped.columns.iter().enumerate() {
        let Some(teller) = told_by_id(1 << (count - 1 - position)) else {
            continue;
        };
        let mut part = vec![teller];
        if !expr.nullable(aggregate.input.schema())? {
            let column = aggregate.schema.qualified_field(position);
            part.insert(0, Teller::plain(Column::from(column)));
        }
        parts.push(part);
    }
    let repeated = u64::MAX.checked_shl(count as u32).unwrap_or(0);
    parts.extend(told_by_id(repeated).map(|teller| vec![teller]));
    Ok(parts)
}

impl GroupingBits {
    fn of(&self, id: u64) -> u64 {
        id & self.bits
    }

    /// Whether sets differ in them.
    fn vary(&self) -> bool {
        let mut found = self.ids.iter().map(|id| self.of(*id));
        let first = found.next();
        found.any(|bits| Some(bits) != first)
    }

    /// Whether an expression of the grouping id, such as `grouping(a)`, has different values where
    /// these differ.
    fn are_told_by(&self, expr: &Expr, id: &Column, input: &LogicalPlan) -> Result<bool> {
        let field = input.schema().field_from_column(id)?;
        let ids: ArrayRef = Arc::new(UInt64Array::from(self.ids.to_vec()));
        let fields = vec![(id.relation.clone(), Arc::clone(field))];
        let schema = DFSchema::new_with_metadata(fields, HashMap::new())?;
        let ids = cast(&ids, field.data_type())?;
        let ids = RecordBatch::try_new(Arc::clone(schema.inner()), vec![ids])?;
        let values = SessionContext::new()
            .create_physical_expr(expr.clone(), &schema)?
            .evaluate(&ids)?
            .into_array(ids.num_rows())?;
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for (row, id) in self.ids.iter().enumerate() {
            let value = ScalarValue::try_from_array(&values, row)?.to_string();
            let bits = self.of(*id);
            if *told.entry(value).or_insert(bits) != bits {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether an expression of the grouping id tells a part that bits of it tell.
pub(super) fn is_told_by_bits(expr: &Expr, part: &[Teller], input: &LogicalPlan) -> bool {
    let bits = part.iter().find_map(|teller| match &teller.tells {
        Tells::AsGroupingId(bits) => Some((bits, &teller.column)),
        Tells::AsValue | Tells::AsStruct | Tells::InPart | Tells::AsExpr(_) => None,
    });
    let Some((bits, id)) = bits.filter(|_| !matches!(expr, Expr::Column(_) | Expr::Alias(_)))
    else {
        return false;
    };
    let mut columns = expr.column_refs().into_iter();
    columns.all(|column| column == id) && bits.are_told_by(expr, id, input).unwrap_or(false)
}
