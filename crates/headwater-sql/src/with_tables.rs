//! How many tables a query reads when every WITH is written out where it is used.
//!
//! DataFusion plans a WITH anew at each place that names it. Levels that each use the one below
//! twice double the plan, so a text of thirty lines is a plan of a billion steps. The planner would
//! make all of them before anything could count them; here they are counted in the text.
//!
//! ```text
//! WITH a AS (SELECT * FROM t, u),                        a = 2
//!      b AS (SELECT * FROM a UNION ALL SELECT * FROM a)  b = 2a = 4
//! SELECT * FROM b, t                                     b + 1 = 5
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement as DFStatement};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, Visit, Visitor};

use headwater_core::{Error, Result};

use headwater_core::error::Span;

use crate::ast::{Name, span_from_tokens};

/// How many tables a query may read. Planning takes milliseconds for each in a release build, and more
/// in subqueries.
const MOST_TABLES: usize = 1_000;

/// Refuses a query that reads more than [`MOST_TABLES`] tables, at the name with which it does.
///
/// # Errors
/// If it does.
pub(crate) fn refuse_many_tables(part: &impl Visit) -> Result<()> {
    match part.visit(&mut Tables::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The same for a statement that a query is a part of.
///
/// # Errors
/// If it does.
pub(crate) fn refuse_many_tables_of(statement: &DFStatement) -> Result<()> {
    match statement {
        DFStatement::Statement(statement) => refuse_many_tables(statement.as_ref()),
        DFStatement::Explain(explain) => refuse_many_tables_of(&explain.statement),
        DFStatement::CopyTo(copy) => match &copy.source {
            CopyToSource::Query(query) => refuse_many_tables(query.as_ref()),
            CopyToSource::Relation(_) => Ok(()),
        },
        DFStatement::CreateExternalTable(_) | DFStatement::Reset(_) => Ok(()),
    }
}

/// The queries around the place that is being read, innermost last.
#[derive(Debug, Default)]
struct Tables {
    queries: Vec<Around>,
}

/// A query whose parts are being read.
#[derive(Debug, Default)]
struct Around {
    /// The queries of its WITH that are still to be read, by their place in memory, and their names.
    unread: HashMap<*const Query, String>,
    /// How many tables those read that have been.
    named: HashMap<String, usize>,
    tables: usize,
}

impl Visitor for Tables {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let unread = ctes.map(|cte| {
            let name = Name::from_ident(&cte.alias.name).value;
            (std::ptr::from_ref(cte.query.as_ref()), name)
        });
        self.queries.push(Around {
            unread: unread.collect(),
            ..Around::default()
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let tables = self.queries.pop().map_or(0, |read| read.tables);
        if let Some(outer) = self.queries.last_mut() {
            match outer.unread.remove(&std::ptr::from_ref(query)) {
                Some(name) => {
                    outer.named.insert(name, tables);
                }
                None => outer.tables = outer.tables.saturating_add(tables),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Error> {
        let tables = self.tables_of(relation);
        let Some(query) = self.queries.last_mut() else {
            return ControlFlow::Continue(());
        };
        query.tables = query.tables.saturating_add(tables);
        if query.tables <= MOST_TABLES {
            return ControlFlow::Continue(());
        }
        let span = span_from_tokens(relation.span());
        ControlFlow::Break(too_many(span))
    }
}

impl Tables {
    /// The tables that a name in a FROM stands for: those of the nearest WITH, or itself.
    fn tables_of(&self, relation: &ObjectName) -> usize {
        let [part] = relation.0.as_slice() else {
            return 1;
        };
        let Some(name) = part.as_ident().map(|ident| Name::from_ident(ident).value) else {
            return 1;
        };
        let nearest = self.queries.iter().rev();
        let mut nearest = nearest.filter_map(|query| query.named.get(&name));
        nearest.next().copied().map_or(1, |tables| tables.max(1))
    }
}

fn too_many(span: Span) -> Error {
    Error::unsupported(format!("more than {MOST_TABLES} tables in one query"))
        .with_detail("A WITH is planned anew wherever it is named.")
        .with_hint(
            "Compute a part of it in a query of its own, and write that to a topic or a table.",
        )
        .with_span(Some(span))
}
