//! Set operations that would be answered wrongly: EXCEPT ALL and INTERSECT ALL count how often a row
//! is there, and DataFusion plans both as joins that do not.

use datafusion::sql::sqlparser::ast::{SetExpr, SetOperator, SetQuantifier, Spanned};

use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;

/// Refuses EXCEPT ALL and INTERSECT ALL; the place is that of the second operand.
pub(super) fn refuse_bags(
    op: SetOperator,
    quantifier: SetQuantifier,
    right: &SetExpr,
) -> Result<()> {
    let counts = matches!(quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    let name = match op {
        SetOperator::Except | SetOperator::Minus => "EXCEPT",
        SetOperator::Intersect => "INTERSECT",
        SetOperator::Union => return Ok(()),
    };
    if !counts {
        return Ok(());
    }
    Err(Error::unsupported(format!("{name} ALL is not supported"))
        .with_detail("It depends on how often a row is there, which is not counted.")
        .with_hint(format!(
            "Write {name} without ALL, which gives every row once, or count the rows of both sides \
             with GROUP BY and join them."
        ))
        .with_span(Some(span_from_tokens(right.span()))))
}
