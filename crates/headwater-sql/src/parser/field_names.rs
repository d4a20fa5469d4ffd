//! `SELECT t.place.city` gives a column `city`, and `SELECT window(ts, '1 minute')` a column `window`,
//! as they do elsewhere.
//!
//! DataFusion names them after the whole expression, `t.place[city]`, which is then the name in a
//! sink's JSON. Where the short name would be there twice, or may be that of a column behind a
//! wildcard, or ORDER BY must find the expression again, the long one stays.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut,
};

use crate::ast::Name;
use crate::from_names::is_table;

use super::window_calls::{output_ident, struct_window_name};

/// Names the fields that the queries in a part of a statement select.
pub fn name_fields(part: &mut impl VisitMut) {
    let _ = VisitMut::visit(part, &mut Namer);
}

/// The same for one of DataFusion's statements, such as `CREATE VIEW`.
pub fn name_statement_fields(statement: &mut DFStatement) {
    match statement {
        DFStatement::Statement(statement) => name_fields(statement.as_mut()),
        DFStatement::Explain(explain) => name_statement_fields(&mut explain.statement),
        DFStatement::CreateExternalTable(_) | DFStatement::CopyTo(_) | DFStatement::Reset(_) => {}
    }
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let is_ordered = query.order_by.is_some();
        name_in(&mut query.body, is_ordered);
        ControlFlow::Continue(())
    }
}

fn name_in(body: &mut SetExpr, is_ordered: bool) {
    match body {
        SetExpr::Select(select) if select.distinct.is_none() || !is_ordered => name_items(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_in(left, is_ordered);
            name_in(right, is_ordered);
        }
        _ => {}
    }
}

fn name_items(select: &mut Select) {
    let names: Vec<Option<String>> = select.projection.iter().map(output_name).collect();
    if names.iter().any(Option::is_none) {
        return;
    }
    let fields: Vec<Option<Ident>> = select
        .projection
        .iter()
        .map(|item| field_of(item, select))
        .collect();
    for (index, field) in fields.into_iter().enumerate() {
        let is_alone = names.iter().filter(|name| **name == names[index]).count() == 1;
        if let (Some(field), SelectItem::UnnamedExpr(expr)) = (field, &select.projection[index])
            && is_alone
        {
            select.projection[index] = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: field,
            };
        }
    }
}

/// The name that an item would have; empty if it is that of an expression. `None` for a wildcard.
fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let name = short_name(expr);
            Some(name.map_or_else(String::new, |name| Name::from_ident(&name).value))
        }
        SelectItem::ExprWithAlias { alias, .. } => Some(Name::from_ident(alias).value),
        _ => None,
    }
}

fn short_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(part)) => Some(part.clone()),
            _ => None,
        },
        call => struct_window_name(call).map(output_ident),
    }
}

/// The name of the field, or of the window, that an item selects.
fn field_of(item: &SelectItem, select: &Select) -> Option<Ident> {
    let SelectItem::UnnamedExpr(expr) = item else {
        return None;
    };
    let is_field = match expr {
        Expr::Identifier(_) => false,
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [first, _] => !is_table(first, select),
            // `schema.table.column` is no field.
            [first, ..] => is_table(first, select),
            [] => false,
        },
        _ => true,
    };
    short_name(expr).filter(|_| is_field)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::dialect::HeadwaterDialect;

    #[test]
    fn a_field_has_its_own_name() {
        let cases = [
            (
                "SELECT place.city, t.place.city.zip FROM t",
                "SELECT place.city AS city, t.place.city.zip AS zip FROM t",
            ),
            (
                "SELECT f(a).city, xs[1].city.\"Zip\" FROM t",
                "SELECT f(a).city AS city, xs[1].city.\"Zip\" AS \"Zip\" FROM t",
            ),
            (
                "SELECT p.city FROM (SELECT t.place AS p FROM t) GROUP BY p.city ORDER BY p.city",
                "SELECT p.city AS city FROM (SELECT t.place AS p FROM t) GROUP BY p.city ORDER BY p.city",
            ),
            (
                "SELECT window(ts, '1 m'), window(ts, '1 m').start, window(ts, '1 m').end AS e FROM t",
                "SELECT window(ts, '1 m') AS \"window\", window(ts, '1 m').start AS start, window(ts, '1 m').end AS e FROM t",
            ),
            (
                "SELECT a.place.x, c FROM a JOIN b ON true UNION SELECT b.place.x, c FROM b",
                "SELECT a.place.x AS x, c FROM a JOIN b ON true UNION SELECT b.place.x AS x, c FROM b",
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(named(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_may_be_another_column_keeps_its_name() {
        for sql in [
            "SELECT t.a, b, s.t.a FROM t",
            "SELECT p.city, q.city FROM t",
            "SELECT p.city, city FROM t",
            "SELECT p.city, x AS city FROM t",
            "SELECT *, p.city FROM t",
            "SELECT start, window(ts, '1 m').start FROM t",
            "SELECT DISTINCT p.city FROM t ORDER BY p.city",
            "SELECT p['city'], p.city + 1 FROM t",
        ] {
            assert_eq!(named(sql), sql);
        }
    }

    fn named(sql: &str) -> String {
        let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
        let mut query = parser.parse_query().unwrap();
        name_fields(&mut query);
        query.to_string()
    }
}
