//! Which numbers a filter lets through: `rn <= 3`, `rn IN (1, 3)`, `rn = 1 OR rn = 2`.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// The greatest value that a column may have.
pub(super) struct Bound<'a> {
    pub(super) column: &'a Column,
    pub(super) limit: u64,
    /// Whether the bound is all that the expression says.
    pub(super) is_all: bool,
}

impl<'a> Bound<'a> {
    /// The bound that an expression is, if it lets no greater numbers through than some.
    pub(super) fn of(expr: &'a Expr) -> Option<Self> {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Or,
                right,
            }) => {
                let (left, right) = (Bound::of(left)?, Bound::of(right)?);
                let limit = left.limit.max(right.limit);
                (left.column == right.column).then_some(left.in_part(limit))
            }
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => match (Bound::of(left), Bound::of(right)) {
                (Some(left), Some(right)) if left.column == right.column => {
                    let limit = left.limit.min(right.limit);
                    Some(left.in_part(limit))
                }
                (Some(bound), _) | (None, Some(bound)) => {
                    let limit = bound.limit;
                    Some(bound.in_part(limit))
                }
                (None, None) => None,
            },
            Expr::InList(list) if !list.negated => {
                let numbers = list.list.iter().map(number_of);
                let numbers = numbers.collect::<Option<Vec<u64>>>()?;
                let limit = numbers.into_iter().max()?;
                Some(Bound {
                    column: column_of(&list.expr)?,
                    limit,
                    is_all: limit == 1,
                })
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (column, op, number) = match (column_of(left), number_of(right)) {
                    (Some(column), Some(number)) => (column, *op, number),
                    _ => (column_of(right)?, op.swap()?, number_of(left)?),
                };
                let limit = match op {
                    Operator::Eq | Operator::LtEq => number,
                    Operator::Lt => number.checked_sub(1)?,
                    _ => return None,
                };
                Some(Bound {
                    column,
                    limit,
                    is_all: op != Operator::Eq || number == 1,
                })
            }
            Expr::Between(between) if !between.negated => Some(Bound {
                column: column_of(&between.expr)?,
                limit: number_of(&between.high)?,
                is_all: number_of(&between.low)? <= 1,
            }),
            _ => None,
        }
        .filter(|bound| bound.limit > 0)
    }

    /// A bound of the same column that is not all that is said.
    fn in_part(self, limit: u64) -> Self {
        Bound {
            limit,
            is_all: false,
            ..self
        }
    }
}

fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}

fn number_of(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Literal(ScalarValue::UInt64(number), _) => *number,
        Expr::Literal(ScalarValue::Int64(number), _) => u64::try_from((*number)?).ok(),
        Expr::Literal(ScalarValue::Int32(number), _) => u64::try_from((*number)?).ok(),
        Expr::Cast(cast) => number_of(&cast.expr),
        _ => None,
    }
}
