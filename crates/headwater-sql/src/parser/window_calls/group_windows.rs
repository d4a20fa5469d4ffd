//! Window functions of other engines in SELECT and GROUP BY, to Spark's `window()` and
//! `session_window()`.
//!
//! | from | is read as |
//! | --- | --- |
//! | Flink's `TUMBLE(ts, size)` | `window(ts, size)` |
//! | Flink's `HOP(ts, slide, size)` | `window(ts, size, slide)` |
//! | `TUMBLE_START(ts, size)`, `HOP_END(…)` | `get_field(window(…), 'start')`, `… 'end'` |
//! | `TUMBLE_ROWTIME(ts, size)` | `window_time(window(ts, size))` |
//! | Arroyo's `tumble(size)`, `hop(slide, size)` | `window(window_event_time(), …)` |
//! | Flink's `SESSION(ts, gap)`, Arroyo's `session(gap)` | `session_window(…, gap)` |
//! | arguments by name | by place |

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, SelectItem, Spanned, UnaryOperator, Value, VisitMut, VisitorMut,
};
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;

/// Rewrites the calls in an expression; subqueries are worlds of their own.
pub(super) fn canonicalize(expr: &mut Expr) -> Result<()> {
    let mut rewriter = GroupWindows { queries: 0 };
    match expr.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Rewrites the calls in a selected item. An item that is nothing but a part of a window is named
/// after the function.
pub(super) fn canonicalize_item(item: &mut SelectItem) -> Result<()> {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let name = part_name(expr);
            canonicalize(expr)?;
            if let Some(name) = name {
                let expr = expr.clone();
                let alias = Ident::with_quote('"', name);
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
            Ok(())
        }
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::ExprWithAliases { expr, .. } => {
            canonicalize(expr)
        }
        SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => Ok(()),
    }
}

struct GroupWindows {
    queries: usize,
}

impl VisitorMut for GroupWindows {
    type Break = Error;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.queries > 0 {
            return ControlFlow::Continue(());
        }
        let Expr::Function(function) = &*expr else {
            return ControlFlow::Continue(());
        };
        match canonical(function) {
            Ok(Some(found)) => *expr = found,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// The functions that give windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tumble,
    Hop,
    Session,
    Window,
}

/// What a function gives of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Field(&'static str),
    Time,
}

fn kind_of(function: &Function) -> Option<(Kind, Part)> {
    let [part] = function.name.0.as_slice() else {
        return None;
    };
    Some(match part.as_ident()?.value.to_ascii_lowercase().as_str() {
        "tumble" => (Kind::Tumble, Part::Whole),
        "tumble_start" => (Kind::Tumble, Part::Field("start")),
        "tumble_end" => (Kind::Tumble, Part::Field("end")),
        "tumble_rowtime" => (Kind::Tumble, Part::Time),
        "hop" => (Kind::Hop, Part::Whole),
        "hop_start" => (Kind::Hop, Part::Field("start")),
        "hop_end" => (Kind::Hop, Part::Field("end")),
        "hop_rowtime" => (Kind::Hop, Part::Time),
        "session" => (Kind::Session, Part::Whole),
        "session_start" => (Kind::Session, Part::Field("start")),
        "session_end" => (Kind::Session, Part::Field("end")),
        "session_rowtime" => (Kind::Session, Part::Time),
        "window" => (Kind::Window, Part::Whole),
        _ => return None,
    })
}

fn part_name(expr: &Expr) -> Option<String> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let (_, part) = kind_of(function)?;
    (part != Part::Whole).then(|| function.name.to_string().to_ascii_lowercase())
}

fn canonical(function: &Function) -> Result<Option<Expr>> {
    let Some((kind, part)) = kind_of(function) else {
        return Ok(None);
    };
    let FunctionArguments::List(list) = &function.args else {
        return Ok(None);
    };
    let is_named = |arg: &FunctionArg| !matches!(arg, FunctionArg::Unnamed(_));
    if kind == Kind::Window && !list.args.iter().any(is_named) {
        return Ok(None);
    }
    let arguments = Arguments::read(function, kind, &list.args)?;
    let window = arguments.window(kind);
    Ok(Some(match part {
        Part::Whole => window,
        Part::Field(name) => {
            let name = Value::SingleQuotedString(name.to_string());
            call(
                "get_field",
                vec![window, Expr::Value(name.with_empty_span())],
            )
        }
        Part::Time => call("window_time", vec![window]),
    }))
}

/// The arguments of a call by their names.
struct Arguments {
    time: Option<Expr>,
    size: Expr,
    slide: Option<Expr>,
    offset: Option<Expr>,
    zone: Option<Expr>,
}

impl Arguments {
    fn read(function: &Function, kind: Kind, args: &[FunctionArg]) -> Result<Self> {
        let mut places: Vec<&str> = match kind {
            Kind::Tumble => vec!["timecol", "size", "offset"],
            Kind::Hop => vec!["timecol", "slide", "size", "offset"],
            Kind::Session => vec!["timecol", "size"],
            Kind::Window => vec!["timecol", "size", "slide", "offset"],
        };
        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = args.first()
            && kind != Kind::Window
            && is_length(first)
        {
            places.remove(0);
        }
        let mut places = places.into_iter();
        let mut bound: Vec<(&str, Expr)> = Vec::new();
        for arg in args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(value) => {
                    let next = places.next();
                    (
                        next.ok_or_else(|| refusal(function, kind, "is given too many arguments"))?,
                        value,
                    )
                }
                FunctionArg::Named { name, arg, .. } => {
                    let found = parameter(&name.value);
                    let unknown = || {
                        let what = format!("has no argument \"{}\"", name.value);
                        refusal(function, kind, &what)
                    };
                    (found.ok_or_else(unknown)?, arg)
                }
                FunctionArg::ExprNamed { .. } => {
                    return Err(refusal(function, kind, "takes plain names of arguments"));
                }
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(refusal(function, kind, "does not take \"*\""));
            };
            if bound.iter().any(|(known, _)| *known == name) {
                let what = format!("is given the argument \"{name}\" twice");
                return Err(refusal(function, kind, &what));
            }
            bound.push((name, value.clone()));
        }
        let mut take = |name: &str| {
            let at = bound.iter().position(|(known, _)| *known == name);
            at.map(|at| bound.swap_remove(at).1)
        };
        let needs = |name: &str| refusal(function, kind, &format!("needs the argument \"{name}\""));
        let slide = take("slide");
        if kind == Kind::Hop && slide.is_none() {
            return Err(needs("slide"));
        }
        let (offset, zone) = (take("offset"), take("time_zone"));
        if kind == Kind::Session && (offset.is_some() || zone.is_some()) {
            return Err(refusal(function, kind, "has no offset and no time zone"));
        }
        if matches!(kind, Kind::Tumble | Kind::Session) && slide.is_some() {
            return Err(refusal(function, kind, "has no argument \"slide\""));
        }
        Ok(Arguments {
            time: take("timecol"),
            size: take("size").ok_or_else(|| needs("size"))?,
            slide,
            offset,
            zone,
        })
    }

    /// `window(time, size, slide, offset, zone)`, as long as it must be, or
    /// `session_window(time, gap)`.
    fn window(self, kind: Kind) -> Expr {
        let zero = || Expr::Value(Value::SingleQuotedString("0 seconds".into()).with_empty_span());
        let time = self
            .time
            .unwrap_or_else(|| call("window_event_time", vec![]));
        if kind == Kind::Session {
            return call("session_window", vec![time, self.size]);
        }
        let mut args = vec![time, self.size.clone()];
        if self.slide.is_some() || self.offset.is_some() || self.zone.is_some() {
            args.push(self.slide.unwrap_or(self.size));
        }
        if self.offset.is_some() || self.zone.is_some() {
            args.push(self.offset.unwrap_or_else(zero));
        }
        args.extend(self.zone);
        call("window", args)
    }
}

/// The argument that a name means; Spark's names are read, too.
fn parameter(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "timecol" | "time_column" | "ts" => "timecol",
        "size" | "width" | "window_duration" | "gap" | "gap_duration" => "size",
        "slide" | "slide_duration" => "slide",
        "offset" | "start_time" => "offset",
        "time_zone" | "timezone" => "time_zone",
        _ => return None,
    })
}

/// Whether an argument is a length of time, and so no column.
fn is_length(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Nested(inner) => is_length(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_length(expr),
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_)),
        _ => false,
    }
}

/// A call of a function by its arguments.
pub(in crate::parser) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(argument).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

fn refusal(function: &Function, kind: Kind, what: &str) -> Error {
    let span = span_from_tokens(function.name.span());
    let name = function.name.to_string().to_ascii_lowercase();
    let hint = match kind {
        Kind::Tumble => "Write tumble([time column, ]size[, offset][, time_zone => name]).",
        Kind::Hop => "Write hop([time column, ]slide, size[, offset][, time_zone => name]).",
        Kind::Session => "Write session([time column, ]gap).",
        Kind::Window => "Write window(time column, size[, slide[, offset]][, time_zone => name]).",
    };
    Error::plan(format!("window function \"{name}\" {what}"))
        .with_span((span.line > 0).then_some(span))
        .with_hint(hint)
}
