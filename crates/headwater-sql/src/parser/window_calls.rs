//! Rewrites of window functions in a query's syntax tree, before DataFusion plans it.
//!
//! Spark names the column of `GROUP BY window(ts, '10 minutes')` `window`, and its parts
//! `window.start` and `window.end`. DataFusion knows no such column, but finds the group's own
//! expression again wherever it is repeated, so names become repetitions:
//!
//! ```text
//! SELECT window.start, count(*) FROM t GROUP BY window(ts, '10 minutes')
//! SELECT get_field(window(ts, '10 minutes'), 'start') AS start, count(*) FROM t GROUP BY …
//! ```
//! The name is that of the function, or one that the SELECT gives it (`GROUP BY w`, `GROUP BY 1`).
//! Every SELECT is its own world: a name means the window of the SELECT it stands in, and
//! subqueries are rewritten for themselves.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArguments, GroupByExpr, Ident, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableFactor, Value, Visit,
    VisitMut, Visitor, VisitorMut,
};
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;

use super::set_operations::refuse_bags;
use super::window_tables::{name_input_table, window_table_function};
pub(super) use group_windows::call;
use group_windows::{canonicalize, canonicalize_item};

mod group_windows;

/// Calls in GROUP BY whose result is a struct of start and end, named like the function.
const STRUCT_WINDOWS: &[&str] = &["window", "session_window"];

/// Rewrites the window functions of a query and of all queries in it.
///
/// # Errors
/// If a window function in FROM is called with arguments it does not take.
pub fn rewrite_windows(query: &mut Query) -> Result<()> {
    into_result(query.visit(&mut WindowRewriter))
}

/// Rewrites the window functions of all queries of one of DataFusion's statements, such as
/// `CREATE VIEW`.
///
/// # Errors
/// If a window function in FROM is called with arguments it does not take.
pub fn rewrite_statement_windows(statement: &mut DFStatement) -> Result<()> {
    match statement {
        DFStatement::Statement(statement) => into_result(statement.visit(&mut WindowRewriter)),
        DFStatement::Explain(explain) => rewrite_statement_windows(&mut explain.statement),
        DFStatement::CreateExternalTable(_) | DFStatement::CopyTo(_) | DFStatement::Reset(_) => {
            Ok(())
        }
    }
}

fn into_result(flow: ControlFlow<Error>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct WindowRewriter;

impl VisitorMut for WindowRewriter {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        name_input_table(factor);
        // Wrong arguments are refused here, where the error still has its place.
        match window_table_function(factor) {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match rewrite_query(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn rewrite_query(query: &mut Query) -> Result<()> {
    canonicalize_selects(&mut query.body)?;
    if let SetExpr::Select(select) = query.body.as_ref() {
        let windows = struct_windows(select);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order_by.kind
        {
            for order in exprs {
                canonicalize(&mut order.expr)?;
                replace_names(&mut order.expr, &windows);
            }
        }
    }
    rewrite_selects(&mut query.body);
    Ok(())
}

/// Gives the window functions of all spellings one spelling.
fn canonicalize_selects(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => {
            select
                .projection
                .iter_mut()
                .try_for_each(canonicalize_item)?;
            if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
                groups.iter_mut().try_for_each(canonicalize)?;
            }
            let clauses = [&mut select.having, &mut select.qualify];
            clauses.into_iter().flatten().try_for_each(canonicalize)
        }
        SetExpr::SetOperation {
            op,
            set_quantifier,
            left,
            right,
        } => {
            refuse_bags(*op, *set_quantifier, right)?;
            canonicalize_selects(left)?;
            canonicalize_selects(right)
        }
        _ => Ok(()),
    }
}

/// Rewrites the SELECTs of a set operation; queries in parentheses are visited as queries.
fn rewrite_selects(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => rewrite_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            rewrite_selects(left);
            rewrite_selects(right);
        }
        _ => {}
    }
}

/// Refuses the windows of other engines that stand in GROUP BY and are not read. They would be
/// taken for unknown functions.
///
/// # Errors
/// If the query, or a query in it, groups by one.
pub fn refuse_group_windows(query: &Query) -> Result<()> {
    into_result(query.visit(&mut GroupWindows))
}

struct GroupWindows;

impl Visitor for GroupWindows {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        match refused_group_window(&query.body) {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }
}

fn refused_group_window(body: &SetExpr) -> Option<Error> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { left, right, .. } => {
            return refused_group_window(left).or_else(|| refused_group_window(right));
        }
        _ => return None,
    };
    let GroupByExpr::Expressions(groups, _) = &select.group_by else {
        return None;
    };
    groups.iter().find_map(|group| {
        let Expr::Function(function) = group else {
            return None;
        };
        let [part] = function.name.0.as_slice() else {
            return None;
        };
        let name = part.as_ident()?.value.to_ascii_lowercase();
        (name == "cumulate").then(|| {
            Error::unsupported(format!("{name}() in GROUP BY is not there yet"))
                .with_span(Some(span_from_tokens(function.name.span())))
                .with_hint("Write it in FROM: cumulate(table, time column, step, greatest size).")
        })
    })
}

/// A call in GROUP BY and the name of its column.
struct StructWindow {
    name: String,
    call: Expr,
}

/// The struct windows a SELECT groups by. Two of one kind would share a name, so the first one
/// has it.
fn struct_windows(select: &Select) -> Vec<StructWindow> {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else {
        return Vec::new();
    };
    let mut windows: Vec<StructWindow> = Vec::new();
    for group in groups.iter().flat_map(grouped) {
        let found = match struct_window_name(group) {
            Some(name) => Some((name.to_string(), group.clone())),
            None => selected_window(group, &select.projection),
        };
        if let Some((name, call)) = found
            && windows.iter().all(|w| w.name != name)
        {
            windows.push(StructWindow { name, call });
        }
    }
    windows
}

/// What an expression of GROUP BY groups by: those of its sets, if it has any.
fn grouped(group: &Expr) -> Vec<&Expr> {
    match group {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter().flatten().collect()
        }
        group => vec![group],
    }
}

/// The window that a group means by the name or the place of a selected item.
fn selected_window(group: &Expr, items: &[SelectItem]) -> Option<(String, Expr)> {
    let named = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } => Some((alias.value.clone(), expr.clone())),
        SelectItem::UnnamedExpr(expr) => {
            struct_window_name(expr).map(|name| (name.to_string(), expr.clone()))
        }
        _ => None,
    };
    let found =
        match group {
            Expr::Identifier(ident) => items.iter().filter_map(named).find(|(name, _)| match ident
                .quote_style
            {
                Some(_) => *name == ident.value,
                None => name.eq_ignore_ascii_case(&ident.value),
            }),
            Expr::Value(value) => match &value.value {
                Value::Number(place, _) => {
                    let place = place.parse::<usize>().ok()?.checked_sub(1)?;
                    items.get(place).and_then(named)
                }
                _ => None,
            },
            _ => None,
        };
    found.filter(|(_, expr)| struct_window_name(expr).is_some())
}

pub(super) fn struct_window_name(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    let name = &part.as_ident()?.value;
    let known = STRUCT_WINDOWS.iter().find(|w| name.eq_ignore_ascii_case(w));
    known.filter(|_| list.args.len() >= 2).copied()
}

fn rewrite_select(select: &mut Select) {
    let windows = struct_windows(select);
    if windows.is_empty() {
        return;
    }
    let items = std::mem::take(&mut select.projection);
    for item in items {
        rewrite_item(item, &windows, &mut select.projection);
    }
    let clauses = [&mut select.having, &mut select.qualify];
    for expr in clauses.into_iter().flatten() {
        replace_names(expr, &windows);
    }
}

/// Rewrites one selected item. An item that is nothing but a name keeps that name.
fn rewrite_item(mut item: SelectItem, windows: &[StructWindow], out: &mut Vec<SelectItem>) {
    match &mut item {
        SelectItem::UnnamedExpr(expr) => {
            let name = output_name(expr, windows);
            replace_names(expr, windows);
            if let Some(alias) = name {
                let expr = expr.clone();
                item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::ExprWithAliases { expr, .. } => {
            replace_names(expr, windows);
        }
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let window = match name.0.as_slice() {
                [part] => part.as_ident().and_then(|ident| find(ident, windows)),
                _ => None,
            };
            if let Some(window) = window {
                out.extend(["start", "end"].map(|field| SelectItem::ExprWithAlias {
                    expr: field_of(&window.call, field),
                    alias: output_ident(field),
                }));
                return;
            }
        }
        SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {}
    }
    out.push(item);
}

/// The name Spark gives to `window`, `window.start` and `window(…).start`.
fn output_name(expr: &Expr, windows: &[StructWindow]) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => find(ident, windows).map(|w| output_ident(&w.name)),
        Expr::Function(function) => {
            let is_time = function
                .name
                .to_string()
                .eq_ignore_ascii_case("window_time");
            if is_time && !windows.is_empty() {
                return Some(output_ident("window_time"));
            }
            let window = windows.iter().find(|w| w.call == *expr);
            window.map(|w| output_ident(&w.name))
        }
        _ => field_access(expr, windows).map(|(_, field)| output_ident(field)),
    }
}

/// `end` is a keyword, so names are quoted.
pub(super) fn output_ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn find<'w>(ident: &Ident, windows: &'w [StructWindow]) -> Option<&'w StructWindow> {
    windows.iter().find(|w| match ident.quote_style {
        Some(_) => ident.value == w.name,
        None => ident.value.eq_ignore_ascii_case(&w.name),
    })
}

/// Whether an expression is `window.start` or `window(…).start`, or the same with `end`.
fn field_access<'w>(
    expr: &Expr,
    windows: &'w [StructWindow],
) -> Option<(&'w StructWindow, &'static str)> {
    match expr {
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [window, field] => Some((find(window, windows)?, field_name(field)?)),
            _ => None,
        },
        Expr::CompoundFieldAccess { root, access_chain } => {
            let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice() else {
                return None;
            };
            let window = windows.iter().find(|w| w.call == **root)?;
            Some((window, field_name(field)?))
        }
        _ => None,
    }
}

fn field_name(ident: &Ident) -> Option<&'static str> {
    let is = |name: &&&str| ident.value.eq_ignore_ascii_case(name);
    ["start", "end"].iter().find(is).copied()
}

/// `get_field(call, 'field')`.
fn field_of(window: &Expr, field: &str) -> Expr {
    let name = Value::SingleQuotedString(field.to_string());
    call(
        "get_field",
        vec![window.clone(), Expr::Value(name.with_empty_span())],
    )
}

/// Replaces the names of windows in an expression by the calls they stand for.
fn replace_names(expr: &mut Expr, windows: &[StructWindow]) {
    if windows.is_empty() {
        return;
    }
    let mut replacer = NameReplacer {
        windows,
        queries: 0,
        calls: 0,
    };
    let _ = expr.visit(&mut replacer);
}

/// Replaces on the way back, so that what is put in is not visited itself; leaves out subqueries
/// and the calls, whose arguments speak of the input.
struct NameReplacer<'w> {
    windows: &'w [StructWindow],
    queries: usize,
    calls: usize,
}

impl NameReplacer<'_> {
    fn is_call(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Function(_)) && self.windows.iter().any(|w| w.call == *expr)
    }
}

impl VisitorMut for NameReplacer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries == 0 && self.is_call(expr) {
            self.calls += 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries > 0 {
            return ControlFlow::Continue(());
        }
        if self.is_call(expr) {
            self.calls -= 1;
            return ControlFlow::Continue(());
        }
        if self.calls > 0 {
            return ControlFlow::Continue(());
        }
        if let Some((window, field)) = field_access(expr, self.windows) {
            *expr = field_of(&window.call, field);
        } else if let Expr::Identifier(ident) = expr
            && let Some(window) = find(ident, self.windows)
        {
            *expr = window.call.clone();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
