//! GROUPING SETS, ROLLUP and CUBE: which columns a GROUP BY has, and which of its sets leave out
//! which column.
//!
//! ```text
//! GROUP BY w, ROLLUP(a, b)      columns   w  a  b     grouping id
//!                               set 0     w  a  b     000
//!                               set 1     w  a  ·     001
//!                               set 2     w  ·  ·     011
//! ```
//!
//! The grouping id is DataFusion's: the bit of a column that a set leaves out is 1, the last column
//! has the lowest bit, and a set that stands there again has its number above them. `grouping()`
//! reads it. Every row is in every set, so a key of the state is a row of the columns with its id.

use std::collections::HashMap;

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};

/// The columns of a GROUP BY, and its grouping sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupedBy {
    /// What it groups by, in the order of the result's columns.
    pub(crate) columns: Vec<Expr>,
    /// Per set, whether it leaves out each column; `None` if there are no sets.
    pub(crate) left_out: Option<Vec<Vec<bool>>>,
}

impl GroupedBy {
    /// What an aggregation groups by.
    pub(crate) fn of(aggregate: &Aggregate) -> Result<Self> {
        let [Expr::GroupingSet(set)] = aggregate.group_expr.as_slice() else {
            return Ok(GroupedBy {
                columns: aggregate.group_expr.clone(),
                left_out: None,
            });
        };
        let columns = grouping_set_to_exprlist(&aggregate.group_expr)?;
        let columns: Vec<Expr> = columns.into_iter().cloned().collect();
        let left_out = sets(set)
            .into_iter()
            .map(|set| columns.iter().map(|c| !set.contains(&c)).collect())
            .collect();
        Ok(GroupedBy {
            columns,
            left_out: Some(left_out),
        })
    }

    /// The column at a position of the result, if every row shows it.
    pub(crate) fn shown(&self, position: usize) -> Option<&Expr> {
        let is_left_out = |set: &Vec<bool>| set.get(position).copied().unwrap_or(true);
        let is_shown = !self.left_out.iter().flatten().any(is_left_out);
        self.columns.get(position).filter(|_| is_shown)
    }

    /// The expressions of an aggregation like this one that groups by others, set by set.
    pub(crate) fn map_sets(
        &self,
        aggregate: &Aggregate,
        map: impl Fn(Vec<&Expr>) -> Vec<Expr>,
    ) -> Vec<Expr> {
        match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(set)] => {
                let sets = sets(set).into_iter().map(map).collect();
                vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets))]
            }
            _ => map(self.columns.iter().collect()),
        }
    }

    /// The grouping id of every set.
    ///
    /// # Errors
    /// If it has more bits than a number.
    pub(crate) fn ids(&self) -> Result<Vec<u64>> {
        grouping_ids(self.left_out.as_deref().unwrap_or_default())
    }
}

/// The grouping ids of sets that leave columns out.
///
/// # Errors
/// If there are more columns and repeated sets than the id has bits.
pub(crate) fn grouping_ids(left_out: &[Vec<bool>]) -> Result<Vec<u64>> {
    let mut seen: HashMap<&[bool], u64> = HashMap::new();
    let each = left_out.iter().map(|set| {
        let again = seen.entry(set).or_default();
        let number = *again;
        *again += 1;
        let number_bits = u64::BITS - number.leading_zeros();
        if set.len() + number_bits as usize > u64::BITS as usize {
            return plan_err!(
                "GROUPING SETS, ROLLUP and CUBE can name 64 columns, and these name {}",
                set.len()
            );
        }
        let bits = set.iter().fold(0, |id, out| (id << 1) | u64::from(*out));
        Ok(bits | number.checked_shl(set.len() as u32).unwrap_or(0))
    });
    each.collect()
}

/// The sets, each with the columns it groups by.
fn sets(set: &GroupingSet) -> Vec<Vec<&Expr>> {
    match set {
        GroupingSet::GroupingSets(sets) => sets.iter().map(|set| set.iter().collect()).collect(),
        GroupingSet::Rollup(columns) => {
            let lengths = (0..=columns.len()).rev();
            lengths.map(|n| columns[..n].iter().collect()).collect()
        }
        GroupingSet::Cube(columns) => columns.iter().rev().fold(vec![vec![]], |sets, column| {
            let with = sets.iter().map(|set: &Vec<&Expr>| {
                let first = std::iter::once(column);
                first.chain(set.iter().copied()).collect()
            });
            with.chain(sets.iter().cloned()).collect()
        }),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::col;

    use super::*;

    fn ids_of(set: &GroupingSet, columns: &[Expr]) -> Vec<u64> {
        let left_out: Vec<Vec<bool>> = sets(set)
            .into_iter()
            .map(|set| columns.iter().map(|c| !set.contains(&c)).collect())
            .collect();
        grouping_ids(&left_out).unwrap()
    }

    #[test]
    fn a_bit_for_every_column_that_is_left_out() {
        let columns = [col("a"), col("b")];
        let rollup = GroupingSet::Rollup(columns.to_vec());
        assert_eq!(ids_of(&rollup, &columns), [0b00, 0b01, 0b11]);
        let cube = GroupingSet::Cube(columns.to_vec());
        assert_eq!(ids_of(&cube, &columns), [0b00, 0b01, 0b10, 0b11]);
        let twice = GroupingSet::GroupingSets(vec![vec![col("a")], vec![], vec![col("a")]]);
        assert_eq!(ids_of(&twice, &columns[..1]), [0b0, 0b1, 0b10]);
        let nothing = GroupingSet::GroupingSets(vec![vec![]]);
        assert_eq!(ids_of(&nothing, &[]), [0]);
    }

    #[test]
    fn ids_have_64_bits() {
        assert_eq!(grouping_ids(&[vec![true; 64]]).unwrap(), [u64::MAX]);
        assert!(grouping_ids(&[vec![true; 65]]).is_err());
        assert!(grouping_ids(&[vec![true; 64], vec![true; 64]]).is_err());
    }
}
