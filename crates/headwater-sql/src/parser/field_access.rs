//! `f(x).field` and `list[1].field`: DataFusion reads a dot behind an expression only if a quoted text
//! follows, so a name becomes one.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Spanned, Value, VisitMut, visit_expressions_mut,
};

use crate::ast::Name;

/// Rewrites the fields in a part of a statement that are named behind a dot.
pub fn rewrite_field_access(part: &mut impl VisitMut) {
    let _ = visit_expressions_mut(part, |expr| {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            access_chain.iter_mut().for_each(quote_name);
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The same for one of DataFusion's statements, such as `CREATE VIEW`.
pub fn rewrite_statement_field_access(statement: &mut DFStatement) {
    match statement {
        DFStatement::Statement(statement) => rewrite_field_access(statement.as_mut()),
        DFStatement::Explain(explain) => rewrite_statement_field_access(&mut explain.statement),
        DFStatement::CreateExternalTable(_) | DFStatement::CopyTo(_) | DFStatement::Reset(_) => {}
    }
}

fn quote_name(access: &mut AccessExpr) {
    if let AccessExpr::Dot(field) = access
        && let Expr::Identifier(ident) = field
    {
        let name = Value::SingleQuotedString(Name::from_ident(ident).value);
        let span = field.span();
        *field = Expr::Value(name.with_span(span));
    }
}
