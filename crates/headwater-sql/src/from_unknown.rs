//! Names in FROM that are nothing that can be read: what they are instead, or which one was meant.

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Spanned, TableFactor, Visit, Visitor};

use headwater_core::options::nearest;
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;
use crate::catalog::Catalog;
use crate::parser::WindowKind;

/// Refuses a call in FROM of what is no table function, at its name. DataFusion would look at the
/// arguments first, and miss a column of the name of the table.
///
/// # Errors
/// If there is one; names the nearest.
pub(crate) fn refuse_unknown_functions(part: &impl Visit, state: &SessionState) -> Result<()> {
    match part.visit(&mut Calls { state }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Calls<'a> {
    state: &'a SessionState,
}

impl Visitor for Calls<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        match called(factor) {
            Some(name) => self.check(name),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Calls<'_> {
    fn check(&self, name: &ObjectName) -> ControlFlow<Error> {
        let text = name.to_string().to_ascii_lowercase();
        let known = self.state.table_functions();
        let is_window = WindowKind::ALL.iter().any(|kind| kind.name() == text);
        if is_window || known.keys().any(|known| known.eq_ignore_ascii_case(&text)) {
            return ControlFlow::Continue(());
        }
        let mut names: Vec<&str> = WindowKind::ALL.iter().map(|kind| kind.name()).collect();
        let windows = names.len();
        names.extend(known.keys().map(String::as_str));
        if let Some(rest) = names.get_mut(windows..) {
            rest.sort_unstable();
        }
        let error = Error::plan(format!("table function \"{text}\" does not exist"))
            .with_span(Some(span_from_tokens(name.span())).filter(|span| span.line > 0));
        ControlFlow::Break(match nearest(&text, names.iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(format!("The table functions are {}.", names.join(", "))),
        })
    }
}

/// The function that is called in FROM.
fn called(factor: &TableFactor) -> Option<&ObjectName> {
    match factor {
        TableFactor::Table {
            name,
            args: Some(_),
            ..
        }
        | TableFactor::Function { name, .. } => Some(name),
        TableFactor::TableFunction {
            expr: Expr::Function(function),
            ..
        } => Some(&function.name),
        _ => None,
    }
}

/// The error over a table that is not there, with what has its name or the nearest name.
pub(crate) fn explain_missing_table(
    error: Error,
    catalog: &Catalog,
    state: &SessionState,
) -> Error {
    let name = error.message().strip_prefix("table \"");
    let name = name.and_then(|rest| rest.strip_suffix("\" does not exist"));
    let (Some(name), None) = (name.map(ToString::to_string), error.hint()) else {
        return error;
    };
    if catalog.sink(&name).is_ok() {
        return Error::plan(format!("\"{name}\" is a sink and cannot be read"))
            .with_span(error.span())
            .with_hint(
                "Read what its rows are made of, or declare a source where the sink writes, with \
                 CREATE SOURCE.",
            );
    }
    let schema = state.schema_for_ref(TableReference::bare(name.as_str()));
    let mut tables = schema
        .map(|schema| schema.table_names())
        .unwrap_or_default();
    tables.sort_unstable();
    match nearest(&name, tables.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error,
    }
}
