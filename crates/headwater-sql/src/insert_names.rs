//! Names that differ for what an INSERT selects: its columns go to the sink by place, and DataFusion
//! wants a projection's names to differ.
//!
//! ```text
//! INSERT INTO s SELECT 1, 1   ─►   SELECT 1, 1 AS column_2
//! ```
//!
//! Only a name that is there before is replaced, so that what other clauses mean by names stays.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr};

use crate::ast::Name;

/// Names the columns of a query apart, in all parts of a UNION.
pub(crate) fn name_apart(query: &mut Query) {
    name_parts_apart(&mut query.body);
}

fn name_parts_apart(body: &mut SetExpr) {
    match body {
        SetExpr::Query(query) => name_apart(query),
        SetExpr::SetOperation { left, right, .. } => {
            name_parts_apart(left);
            name_parts_apart(right);
        }
        SetExpr::Select(select) => name_items_apart(&mut select.projection),
        _ => {}
    }
}

fn name_items_apart(items: &mut [SelectItem]) {
    let mut names: Vec<String> = items.iter().map(name_of).collect();
    for (place, item) in items.iter_mut().enumerate() {
        let (before, after) = names.split_at(place);
        if !after.first().is_some_and(|name| before.contains(name)) {
            continue;
        }
        let expr = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.clone(),
            _ => continue,
        };
        let fresh = (place + 1..)
            .map(|n| format!("column_{n}"))
            .find(|fresh| !names.contains(fresh));
        let Some(fresh) = fresh else { continue };
        let alias = Ident::with_quote('"', &fresh);
        if let Some(name) = names.get_mut(place) {
            *name = fresh;
        }
        *item = SelectItem::ExprWithAlias { expr, alias };
    }
}

/// The name under which DataFusion knows a column; of two that are the same there, they are here.
fn name_of(item: &SelectItem) -> String {
    match item {
        SelectItem::UnnamedExpr(expr) => name_of_expr(expr),
        SelectItem::ExprWithAlias { alias, .. } => Name::from_ident(alias).value,
        // These stand for columns of which only DataFusion knows the names.
        SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_) => String::new(),
    }
}

fn name_of_expr(expr: &Expr) -> String {
    match expr {
        Expr::Nested(expr) | Expr::Cast { expr, .. } => name_of_expr(expr),
        Expr::Identifier(ident) => Name::from_ident(ident).value,
        Expr::CompoundIdentifier(idents) => match idents.last() {
            Some(ident) => Name::from_ident(ident).value,
            None => expr.to_string(),
        },
        _ => expr.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::dialect::HeadwaterDialect;

    use super::*;

    #[test]
    fn only_names_that_are_there_before_are_replaced() {
        let cases = [
            ("SELECT a, b AS x, 1", "SELECT a, b AS x, 1"),
            ("SELECT 1, 1", r#"SELECT 1, 1 AS "column_2""#),
            (
                "SELECT COUNT(*), count(*), a FROM t",
                r#"SELECT COUNT(*), count(*) AS "column_2", a FROM t"#,
            ),
            (
                "SELECT a, CAST(a AS VARCHAR), t.a, column_2 FROM t",
                r#"SELECT a, CAST(a AS VARCHAR) AS "column_3", t.a AS "column_4", column_2 FROM t"#,
            ),
            (
                "SELECT 1 AS x, 2 AS x UNION ALL SELECT 2, 2",
                r#"SELECT 1 AS x, 2 AS "column_2" UNION ALL SELECT 2, 2 AS "column_2""#,
            ),
            ("SELECT *, a, t.* FROM t", "SELECT *, a, t.* FROM t"),
            ("VALUES (1, 1)", "VALUES (1, 1)"),
        ];
        for (text, expected) in cases {
            let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(text).unwrap();
            let mut query = parser.parse_query().unwrap();
            name_apart(&mut query);
            assert_eq!(query.to_string(), expected);
        }
    }
}
