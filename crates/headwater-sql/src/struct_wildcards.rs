//! `data.*` of a STRUCT: all of its fields, each as a column, as in Spark.
//!
//! DataFusion reads a name before `.*` as that of a table. Which fields a column has is known once
//! what is below it is planned, so the innermost SELECT with such a name is found, its column is
//! planned alone, and the fields are written in its place; then the next one.
//!
//! ```text
//! SELECT data.* FROM (SELECT from_json(value, 'a INT, b STRING') AS data FROM t)
//! SELECT data FROM (SELECT from_json(value, 'a INT, b STRING') AS data FROM t)     what is planned
//! SELECT data['a'] AS a, data['b'] AS b FROM (…)                                   what is put in
//! ```
//! A name that is no STRUCT either is left to DataFusion, which refuses it.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Cte, Expr, Ident, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, Statement as SqlStatement, Subscript, Value, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions, With,
};

use crate::ast::Name;
use crate::from_names::is_table;

/// So many names that are of no struct are passed over; each was planned.
const PASSED_MAX: usize = 50;

/// Writes the fields of structs in the places of their wildcards.
pub(crate) async fn expand_struct_wildcards(part: &mut (impl Visit + VisitMut), of: &SessionState) {
    // Wildcards that were found before and are of no struct.
    let mut passed = 0;
    while passed < PASSED_MAX && has_places(part) {
        let Some(probe) = find(part, passed) else {
            return;
        };
        let probe = SqlStatement::Query(Box::new(probe));
        let probe = DFStatement::Statement(Box::new(probe));
        // What is wrong with it is told when the whole query is planned.
        let plan = of.statement_to_plan(probe).await.ok();
        let fields = plan.and_then(|plan| match plan.schema().fields().first()?.data_type() {
            DataType::Struct(fields) => Some(fields.clone()),
            _ => None,
        });
        match fields {
            Some(fields) => {
                let _ = VisitMut::visit(part, &mut Replace { passed, fields });
            }
            None => passed += 1,
        }
    }
}

/// The query that selects the column of a wildcard, after those that are passed over.
fn find(part: &impl Visit, passed: usize) -> Option<Query> {
    let mut search = Search {
        around: vec![],
        passed,
        found: None,
    };
    let _ = part.visit(&mut search);
    search.found
}

/// Finds the first wildcard that may be of a struct, and makes the query that selects its column.
/// Queries are looked at after those that are in them.
struct Search {
    /// The queries around the place, the innermost last.
    around: Vec<Around>,
    /// How many wildcards are still passed over.
    passed: usize,
    found: Option<Query>,
}

impl Visitor for Search {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(outer) = self.around.last_mut() {
            outer.enter(query);
        }
        self.around.push(Around::of(query));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let mut places = places(&query.body);
        if self.passed >= places.len() {
            self.passed -= places.len();
            self.around.pop();
            return ControlFlow::Continue(());
        }
        let (select, column) = places.swap_remove(self.passed);
        let mut select = select.clone();
        select.projection = vec![SelectItem::UnnamedExpr(column)];
        self.found = Some(Query {
            with: self.visible(),
            body: Box::new(SetExpr::Select(Box::new(select))),
            order_by: None,
            limit_clause: None,
            ..query.clone()
        });
        ControlFlow::Break(())
    }
}

impl Search {
    /// The tables of all WITHs that can be read at the place.
    fn visible(&self) -> Option<With> {
        let mut all: Option<With> = None;
        for around in &self.around {
            let Some(mut with) = around.with.clone() else {
                continue;
            };
            with.cte_tables.truncate(around.visible);
            let Some(all) = &mut all else {
                all = Some(with);
                continue;
            };
            let name = |cte: &Cte| Name::from_ident(&cte.alias.name).value;
            let inner: Vec<String> = with.cte_tables.iter().map(name).collect();
            all.cte_tables.retain(|cte| !inner.contains(&name(cte)));
            all.cte_tables.extend(with.cte_tables);
            all.recursive |= with.recursive;
        }
        all.filter(|with| !with.cte_tables.is_empty())
    }
}

/// A query around a place.
struct Around {
    with: Option<With>,
    /// The queries of its WITH, by their place in memory.
    queries: Vec<*const Query>,
    /// How many of them can be read at the place: in one of them those before it.
    visible: usize,
}

impl Around {
    fn of(query: &Query) -> Self {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let queries: Vec<_> = ctes.map(|cte| std::ptr::from_ref(&*cte.query)).collect();
        Around {
            with: query.with.clone(),
            visible: queries.len(),
            queries,
        }
    }

    /// Goes into a query that stands in this one.
    fn enter(&mut self, query: &Query) {
        let position = self.queries.iter().position(|of| std::ptr::eq(*of, query));
        self.visible = position.unwrap_or(self.queries.len());
    }
}

/// Whether there is a wildcard that may be of a struct.
fn has_places(part: &impl Visit) -> bool {
    struct Any;
    impl Visitor for Any {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            match places(&query.body).is_empty() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        }
    }
    part.visit(&mut Any).is_break()
}

/// Replaces a wildcard by the fields of its column. It counts as [`Search`] does.
struct Replace {
    passed: usize,
    fields: Fields,
}

impl VisitorMut for Replace {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.replace_in(&mut query.body)
    }
}

impl Replace {
    fn replace_in(&mut self, body: &mut SetExpr) -> ControlFlow<()> {
        let select = match body {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { left, right, .. } => {
                self.replace_in(left)?;
                return self.replace_in(right);
            }
            _ => return ControlFlow::Continue(()),
        };
        for index in 0..select.projection.len() {
            let Some(column) = column_of(&select.projection[index], select) else {
                continue;
            };
            if self.passed > 0 {
                self.passed -= 1;
                continue;
            }
            let items = self
                .fields
                .iter()
                .map(|field| field_item(&column, field.name()));
            select.projection.splice(index..=index, items);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// `column['name'] AS name`
fn field_item(column: &Expr, name: &str) -> SelectItem {
    let text = Value::SingleQuotedString(name.to_string());
    let index = Expr::Value(text.with_empty_span());
    SelectItem::ExprWithAlias {
        expr: Expr::CompoundFieldAccess {
            root: Box::new(column.clone()),
            access_chain: vec![AccessExpr::Subscript(Subscript::Index { index })],
        },
        alias: Ident::with_quote('"', name),
    }
}

/// The wildcards of a query's SELECTs that may be of a struct, and the column of each.
fn places(body: &SetExpr) -> Vec<(&Select, Expr)> {
    match body {
        SetExpr::Select(select) => {
            let items = select.projection.iter();
            let columns = items.filter_map(|item| column_of(item, select));
            columns.map(|column| (select.as_ref(), column)).collect()
        }
        SetExpr::SetOperation { left, right, .. } => {
            let mut all = places(left);
            all.extend(places(right));
            all
        }
        _ => vec![],
    }
}

/// The column before `.*`, or the field of one, if it is not a table's name.
fn column_of(item: &SelectItem, select: &Select) -> Option<Expr> {
    let SelectItem::QualifiedWildcard(of, options) = item else {
        return None;
    };
    if *options != WildcardAdditionalOptions::default() {
        return None;
    }
    let name = match of {
        SelectItemQualifiedWildcardKind::ObjectName(name) => name,
        SelectItemQualifiedWildcardKind::Expr(expr) => return Some(expr.clone()),
    };
    let parts = name.0.iter().map(|part| part.as_ident().cloned());
    let parts: Vec<Ident> = parts.collect::<Option<_>>()?;
    match parts.as_slice() {
        [one] if is_table(one, select) => None,
        [one] => Some(Expr::Identifier(one.clone())),
        _ => Some(Expr::CompoundIdentifier(parts)),
    }
}
