//! Window functions in FROM: `tumble(orders, ts, size)`, `HOP(TABLE t, DESCRIPTOR(ts), …)` and
//! `TABLE(TUMBLE(…))`, with arguments by place or by name.
//!
//! DataFusion collects the tables of a statement before it plans, by a visitor that sees
//! relations and subqueries but no names among arguments. [`name_input_table`] therefore turns
//! the first argument `orders` into `(SELECT * FROM orders)`, as the dialect does for
//! `TABLE orders`, and [`window_table_function`] takes it apart again.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query,
    SetExpr, Spanned, TableAlias, TableFactor,
};
use headwater_core::error::Span;
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;
use crate::dialect::select_all_from;

/// The window functions that stand in FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Windows side by side.
    Tumble,
    /// Windows of one size that begin every slide.
    Hop,
    /// Windows that close when nothing has come for a while.
    Session,
    /// Windows that grow by steps up to a size, then begin anew.
    Cumulate,
}

/// A call of a window function in FROM, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowTableFunction {
    /// Which function.
    pub kind: WindowKind,
    /// The rows: a table by its name, or a subquery.
    pub input: TableFactor,
    /// The event-time column.
    pub time_column: Ident,
    /// Size of a window; the gap of a session, the greatest size of a cumulating window.
    pub size: Expr,
    /// Distance of the beginnings of hopping windows; the step of a cumulating window.
    pub slide: Option<Expr>,
    /// How far windows are moved against the epoch.
    pub offset: Option<Expr>,
    /// The time zone whose days and months they are.
    pub time_zone: Option<Expr>,
    /// `PARTITION BY` of a session's table; else empty.
    pub partition_by: Vec<Expr>,
    /// The alias of the whole.
    pub alias: Option<TableAlias>,
    /// Where the function's name stands.
    pub span: Span,
}

/// An argument: the name messages use, and the names that are accepted.
struct Parameter {
    name: &'static str,
    aliases: &'static [&'static str],
    given: Given,
}

/// How an argument may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// It must be, by place or by name.
    Always,
    /// It may be, by place or by name.
    IfWanted,
    /// It may be, by name.
    ByName,
}

const DATA: Parameter = required("data", &["input", "table"]);
const TIME_COLUMN: Parameter = required("timecol", &["time_column", "time_col", "ts"]);
const SIZE: Parameter = required("size", &["max", "max_size"]);
const SLIDE: Parameter = required("slide", &[]);
const STEP: Parameter = required("step", &[]);
const GAP: Parameter = required("gap", &[]);
const OFFSET: Parameter = Parameter {
    name: "offset",
    aliases: &[],
    given: Given::IfWanted,
};
const TIME_ZONE: Parameter = Parameter {
    name: "time_zone",
    aliases: &["timezone"],
    given: Given::ByName,
};

const fn required(name: &'static str, aliases: &'static [&'static str]) -> Parameter {
    Parameter {
        name,
        aliases,
        given: Given::Always,
    }
}

impl WindowKind {
    /// All of them.
    pub const ALL: [WindowKind; 4] = [
        WindowKind::Tumble,
        WindowKind::Hop,
        WindowKind::Session,
        WindowKind::Cumulate,
    ];

    fn from_name(name: &ObjectName) -> Option<Self> {
        let [part] = name.0.as_slice() else {
            return None;
        };
        match part.as_ident()?.value.to_ascii_lowercase().as_str() {
            "tumble" => Some(WindowKind::Tumble),
            "hop" => Some(WindowKind::Hop),
            "session" => Some(WindowKind::Session),
            "cumulate" => Some(WindowKind::Cumulate),
            _ => None,
        }
    }

    /// The function's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            WindowKind::Tumble => "tumble",
            WindowKind::Hop => "hop",
            WindowKind::Session => "session",
            WindowKind::Cumulate => "cumulate",
        }
    }

    /// Parameters in the order of arguments without names.
    fn parameters(self) -> &'static [Parameter] {
        match self {
            WindowKind::Tumble => &[DATA, TIME_COLUMN, SIZE, OFFSET, TIME_ZONE],
            WindowKind::Hop => &[DATA, TIME_COLUMN, SLIDE, SIZE, OFFSET, TIME_ZONE],
            WindowKind::Session => &[DATA, TIME_COLUMN, GAP],
            WindowKind::Cumulate => &[DATA, TIME_COLUMN, STEP, SIZE, OFFSET, TIME_ZONE],
        }
    }

    fn usage(self) -> &'static str {
        match self {
            WindowKind::Tumble => {
                "Write tumble(table, time column, size[, offset][, time_zone => name])."
            }
            WindowKind::Hop => {
                "Write hop(table, time column, slide, size[, offset][, time_zone => name])."
            }
            WindowKind::Session => {
                "Write session(table, time column, gap), or with keys session(TABLE name PARTITION BY (a, b), time column, gap)."
            }
            WindowKind::Cumulate => {
                "Write cumulate(table, time column, step, greatest size[, offset][, time_zone => name])."
            }
        }
    }
}

/// Takes a table factor apart if it is a call of a window function.
///
/// # Errors
/// If it is one and its arguments are not what the function takes.
pub fn window_table_function(factor: &TableFactor) -> Result<Option<WindowTableFunction>> {
    let Some((kind, span, arguments, alias)) = call_of(factor) else {
        return Ok(None);
    };
    let mut bound = bind(kind, span, arguments)?;
    let mut take = |parameter: &Parameter| {
        let at = bound.iter().position(|(name, _)| *name == parameter.name);
        at.map(|at| bound.swap_remove(at).1)
    };
    let missing = |parameter: &Parameter| {
        refusal(
            kind,
            &format!("needs the argument \"{}\"", parameter.name),
            span,
        )
    };
    let data = take(&DATA).ok_or_else(|| missing(&DATA))?;
    let time_column = take(&TIME_COLUMN).ok_or_else(|| missing(&TIME_COLUMN))?;
    let (offset, time_zone) = (take(&OFFSET), take(&TIME_ZONE));
    let slide = take(&SLIDE).or_else(|| take(&STEP));
    let size = take(&SIZE).or_else(|| take(&GAP));
    let (input, partition_by) = input_of(kind, data, span)?;
    Ok(Some(WindowTableFunction {
        kind,
        input,
        time_column: time_column_of(kind, &time_column)?,
        size: size.ok_or_else(|| missing(&SIZE))?,
        slide,
        offset,
        time_zone,
        partition_by,
        alias: alias.cloned(),
        span,
    }))
}

/// Turns the first argument of a window function, if it is a bare name, into a subquery.
pub(super) fn name_input_table(factor: &mut TableFactor) {
    if call_of(factor).is_none() {
        return;
    }
    let arguments = match factor {
        TableFactor::Table {
            args: Some(args), ..
        } => &mut args.args,
        TableFactor::Function { args, .. } => args,
        TableFactor::TableFunction {
            expr:
                Expr::Function(Function {
                    args: FunctionArguments::List(list),
                    ..
                }),
            ..
        } => &mut list.args,
        _ => return,
    };
    let mut place = 0;
    for argument in arguments {
        let value = match argument {
            FunctionArg::Named { name, arg, .. } if is_named(&DATA, name) => arg,
            FunctionArg::Unnamed(arg) => {
                place += 1;
                if place > 1 {
                    continue;
                }
                arg
            }
            FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => continue,
        };
        let name = match value {
            FunctionArgExpr::Expr(Expr::Identifier(ident)) => vec![ident.clone()],
            FunctionArgExpr::Expr(Expr::CompoundIdentifier(idents)) => idents.clone(),
            _ => continue,
        };
        let query = select_all_from(ObjectName::from(name), Vec::new());
        *value = FunctionArgExpr::Expr(Expr::Subquery(Box::new(query)));
    }
}

type Call<'a> = (WindowKind, Span, &'a [FunctionArg], Option<&'a TableAlias>);

fn call_of(factor: &TableFactor) -> Option<Call<'_>> {
    let (name, arguments, alias) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } => (name, args.args.as_slice(), alias),
        TableFactor::Function {
            name, args, alias, ..
        } => (name, args.as_slice(), alias),
        TableFactor::TableFunction {
            expr: Expr::Function(function),
            alias,
        } => match &function.args {
            FunctionArguments::List(list) => (&function.name, list.args.as_slice(), alias),
            FunctionArguments::None | FunctionArguments::Subquery(_) => return None,
        },
        _ => return None,
    };
    let kind = WindowKind::from_name(name)?;
    Some((
        kind,
        span_from_tokens(name.span()),
        arguments,
        alias.as_ref(),
    ))
}

fn is_named(parameter: &Parameter, name: &Ident) -> bool {
    let is = |word: &str| name.value.eq_ignore_ascii_case(word);
    is(parameter.name) || parameter.aliases.iter().any(|alias| is(alias))
}

/// Gives every argument its parameter's name.
fn bind(
    kind: WindowKind,
    span: Span,
    arguments: &[FunctionArg],
) -> Result<Vec<(&'static str, Expr)>> {
    let parameters = kind.parameters();
    let mut bound: Vec<(&'static str, Expr)> = Vec::new();
    let mut by_place = parameters.iter().filter(|p| p.given != Given::ByName);
    let places = by_place.clone().count();
    for argument in arguments {
        let (parameter, value) = match argument {
            FunctionArg::Named { name, arg, .. } => {
                let found = parameters.iter().find(|p| is_named(p, name));
                let unknown = || {
                    let what = format!("has no argument \"{}\"", name.value);
                    refusal(kind, &what, span_from_tokens(name.span))
                };
                (found.ok_or_else(unknown)?, arg)
            }
            FunctionArg::Unnamed(arg) => {
                let next = by_place.next();
                let too_many = || {
                    let what = format!("takes at most {places} arguments");
                    refusal(kind, &what, span)
                };
                (next.ok_or_else(too_many)?, arg)
            }
            FunctionArg::ExprNamed { .. } => {
                return Err(refusal(kind, "takes plain names of arguments", span));
            }
        };
        let FunctionArgExpr::Expr(value) = value else {
            return Err(refusal(kind, "does not take \"*\"", span));
        };
        if bound.iter().any(|(name, _)| *name == parameter.name) {
            let what = format!("is given the argument \"{}\" twice", parameter.name);
            return Err(refusal(kind, &what, span));
        }
        bound.push((parameter.name, value.clone()));
    }
    let is_missing =
        |p: &&Parameter| p.given == Given::Always && !bound.iter().any(|(n, _)| *n == p.name);
    match parameters.iter().find(is_missing) {
        None => Ok(bound),
        Some(parameter) => {
            let what = format!("needs the argument \"{}\"", parameter.name);
            Err(refusal(kind, &what, span))
        }
    }
}

/// The rows a window function reads, and the columns they are partitioned by.
fn input_of(kind: WindowKind, data: Expr, span: Span) -> Result<(TableFactor, Vec<Expr>)> {
    let subquery = match data {
        Expr::Subquery(query) => query,
        Expr::Identifier(ident) => {
            Box::new(select_all_from(ObjectName::from(vec![ident]), Vec::new()))
        }
        Expr::CompoundIdentifier(idents) => {
            Box::new(select_all_from(ObjectName::from(idents), Vec::new()))
        }
        other => {
            let what = format!("needs a table or a subquery first, not \"{other}\"");
            return Err(refusal(kind, &what, place_of(&other).unwrap_or(span)));
        }
    };
    let Some((table, partition_by)) = whole_table(&subquery) else {
        let derived = TableFactor::Derived {
            lateral: false,
            subquery,
            alias: None,
            sample: None,
        };
        return Ok((derived, Vec::new()));
    };
    if !partition_by.is_empty() && kind != WindowKind::Session {
        let what = "takes no PARTITION BY: only session windows depend on it";
        return Err(refusal(kind, what, span));
    }
    Ok((table.clone(), partition_by.to_vec()))
}

/// The table of a query that is `SELECT * FROM table [DISTRIBUTE BY …]` and nothing else.
fn whole_table(query: &Query) -> Option<(&TableFactor, &[Expr])> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    let TableFactor::Table { name, .. } = &from.relation else {
        return None;
    };
    let plain = select_all_from(name.clone(), select.distribute_by.clone());
    (plain == *query).then_some((&from.relation, select.distribute_by.as_slice()))
}

/// The column that `ts`, `t.ts` or `DESCRIPTOR(ts)` names.
fn time_column_of(kind: WindowKind, expr: &Expr) -> Result<Ident> {
    let refuse = || {
        let what = format!("needs the name of the event-time column, not \"{expr}\"");
        refusal(kind, &what, span_from_tokens(expr.span()))
    };
    match expr {
        Expr::Identifier(ident) => Ok(ident.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().cloned().ok_or_else(refuse),
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else {
                return Err(refuse());
            };
            let is_descriptor = function.name.to_string().eq_ignore_ascii_case("descriptor");
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))]
                    if is_descriptor && !matches!(column, Expr::Function(_)) =>
                {
                    time_column_of(kind, column)
                }
                _ => Err(refuse()),
            }
        }
        _ => Err(refuse()),
    }
}

fn place_of(expr: &Expr) -> Option<Span> {
    Some(span_from_tokens(expr.span())).filter(|span| span.line > 0)
}

fn refusal(kind: WindowKind, what: &str, span: Span) -> Error {
    Error::plan(format!("window function \"{}\" {what}", kind.name()))
        .with_span((span.line > 0).then_some(span))
        .with_hint(kind.usage())
}

#[cfg(test)]
mod tests;
