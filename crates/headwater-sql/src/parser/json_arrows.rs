//! `json -> 'key'` to what it gives where it stands.
//!
//! The functions of JSON have one that gives a value of any of JSON's types, as a union. Nothing can
//! compare, order, group or write such a union rightly: a comparison with a number looks at one
//! branch of it. So the arrow is that function only right below a CAST, which says the type; below
//! another arrow or a function of JSON the keys go on; elsewhere it is the JSON as text, as in other
//! systems.
//!
//! ```text
//! (j -> 'a')::DOUBLE       CAST(json_get(j, 'a') AS DOUBLE)
//! j -> 'a' -> 0 ->> 'b'    json_as_text(j, 'a', 0, 'b')
//! j -> 'a' = '1'           json_get_json(j, 'a') = '1'
//! ```
//! `json_get(j, 'a')` is the same as `j -> 'a'`.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Query, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use super::window_calls::call;

/// A value of any type.
const ANY: &str = "json_get";
/// JSON as text.
const JSON: &str = "json_get_json";
/// A text without its quotes, and all else as JSON.
const TEXT: &str = "json_as_text";
/// A value as JSON.
const WRITTEN: &str = "to_json";

/// Rewrites the arrows in a part of a statement.
pub fn rewrite_json_arrows(part: &mut impl VisitMut) {
    let _ = VisitMut::visit(part, &mut Arrows);
}

/// The same for one of DataFusion's statements, such as `CREATE VIEW`.
pub fn rewrite_statement_json_arrows(statement: &mut DFStatement) {
    match statement {
        DFStatement::Statement(statement) => rewrite_json_arrows(statement.as_mut()),
        DFStatement::Explain(explain) => rewrite_statement_json_arrows(&mut explain.statement),
        DFStatement::CreateExternalTable(_) | DFStatement::CopyTo(_) | DFStatement::Reset(_) => {}
    }
}

struct Arrows;

impl VisitorMut for Arrows {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let is_ordered = query.order_by.is_some();
        name_arrows(&mut query.body, is_ordered);
        ControlFlow::Continue(())
    }

    /// What is below has been rewritten.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let new = match expr {
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::Arrow => Some(with_key(JSON, left, right)),
                BinaryOperator::LongArrow => Some(with_key(TEXT, left, right)),
                _ => None,
            },
            Expr::Cast { expr: inner, .. } => {
                if let Some(function) = json_call(inner) {
                    function.name = name(ANY);
                }
                None
            }
            Expr::Function(function) if is_named(function, ANY) => {
                function.name = name(JSON);
                None
            }
            // It is JSON already.
            Expr::Function(function) if is_named(function, WRITTEN) => {
                match arguments(function).as_mut_slice() {
                    [only] => json_call(only).map(|json| Expr::Function(json.clone())),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(new) = new {
            *expr = new;
        }
        ControlFlow::Continue(())
    }
}

/// A column keeps the name of what was written, unless ORDER BY must find the expression again.
fn name_arrows(body: &mut SetExpr, is_ordered: bool) {
    match body {
        SetExpr::Select(select) if select.distinct.is_none() || !is_ordered => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) = item
                    && is_arrow(expr)
                {
                    let alias = Ident::with_quote('"', expr.to_string());
                    let expr = expr.clone();
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            name_arrows(left, is_ordered);
            name_arrows(right, is_ordered);
        }
        _ => {}
    }
}

fn is_arrow(expr: &Expr) -> bool {
    let is = |op: &BinaryOperator| matches!(op, BinaryOperator::Arrow | BinaryOperator::LongArrow);
    matches!(expr, Expr::BinaryOp { op, .. } if is(op))
}

/// `function(json, keys …, key)`; the keys of an arrow on the left come first.
fn with_key(function: &str, left: &mut Expr, key: &Expr) -> Expr {
    let mut args = match json_call(left) {
        Some(function) => arguments(function),
        None => vec![left.clone()],
    };
    args.push(key.clone());
    call(function, args)
}

/// The call that an arrow has become, in parentheses or without.
fn json_call(expr: &mut Expr) -> Option<&mut Function> {
    match expr {
        Expr::Nested(inner) => json_call(inner),
        Expr::Function(function) => Some(function).filter(|function| is_named(function, JSON)),
        _ => None,
    }
}

fn is_named(function: &Function, of: &str) -> bool {
    matches!(function.name.0.as_slice(), [part] if part
        .as_ident()
        .is_some_and(|ident| ident.value.eq_ignore_ascii_case(of)))
}

fn name(of: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(of)])
}

fn arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return vec![];
    };
    let exprs = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    exprs.collect()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::dialect::HeadwaterDialect;

    #[test]
    fn an_arrow_is_what_its_place_takes() {
        let cases = [
            ("j -> 'a' > 5", "json_get_json(j, 'a') > 5"),
            ("j ->> 'a' || 'z'", "json_as_text(j, 'a') || 'z'"),
            ("j -> 'a' -> 0 ->> 'b'", "json_as_text(j, 'a', 0, 'b')"),
            ("(j -> 'a') -> 0", "json_get_json(j, 'a', 0)"),
            ("(j -> 'a')::DOUBLE", "(json_get(j, 'a'))::DOUBLE"),
            ("j -> 'a' -> 'b'::INT", "json_get(j, 'a', 'b')::INT"),
            (
                "CAST(json_get(j, 'a') AS INT)",
                "CAST(json_get(j, 'a') AS INT)",
            ),
            ("to_json(j -> 'a')", "json_get_json(j, 'a')"),
            ("to_json(j ->> 'a')", "to_json(json_as_text(j, 'a'))"),
            ("max(json_get(j, 'a'))", "max(json_get_json(j, 'a'))"),
            (
                "json_length(j -> 'a')",
                "json_length(json_get_json(j, 'a'))",
            ),
            (
                "(j -> 'a' = 'x')::INT",
                "(json_get_json(j, 'a') = 'x')::INT",
            ),
        ];
        for (sql, expected) in cases {
            let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
            let mut expr = parser.parse_expr().unwrap();
            rewrite_json_arrows(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }

    #[test]
    fn a_column_keeps_its_name() {
        let sql = "SELECT j -> 'a', j ->> 'b' AS b FROM t UNION SELECT j ->> 'a', 1 FROM t";
        let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
        let mut query = parser.parse_query().unwrap();
        rewrite_json_arrows(&mut query);
        assert_eq!(
            query.to_string(),
            "SELECT json_get_json(j, 'a') AS \"j -> 'a'\", json_as_text(j, 'b') AS b FROM t \
             UNION SELECT json_as_text(j, 'a') AS \"j ->> 'a'\", 1 FROM t"
        );
    }
}
