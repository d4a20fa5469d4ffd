//! Where the call stands that an error is about.
//!
//! A function that is asked for its type knows its arguments and not their place. Its errors name
//! it, so that the call is found again in the text if it is the only one of that function.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Spanned, Visit, visit_expressions};
use headwater_core::Error;
use headwater_core::error::Span;

use crate::ast::span_from_tokens;

/// The functions whose errors name them, as `name()` or as `function "name"`.
const FUNCTIONS: &[&str] = &[
    "decode",
    "encode",
    "from_avro",
    "from_csv",
    "from_json",
    "get_json_object",
    "json_as_text",
    "json_contains",
    "json_get",
    "json_get_array",
    "json_get_bool",
    "json_get_float",
    "json_get_int",
    "json_get_json",
    "json_get_str",
    "json_length",
    "json_object_keys",
    "parse_influx",
    "to_json",
];

/// The error with the place of the call in a query that it is about.
pub(crate) fn placed_at_call(error: Error, query: &impl Visit) -> Error {
    if error.span().is_some() {
        return error;
    }
    let message = error.message();
    let is_named = |name: &&&str| {
        let as_call = message.contains(&format!("{name}()"));
        as_call || message.starts_with(&format!("function \"{name}\""))
    };
    let Some(name) = FUNCTIONS.iter().find(is_named) else {
        return error;
    };
    let mut calls: Vec<Span> = Vec::new();
    let _ = visit_expressions(query, |expr| {
        if let Expr::Function(function) = expr
            && function.name.to_string().eq_ignore_ascii_case(name)
        {
            calls.push(span_from_tokens(function.span()));
        }
        ControlFlow::<()>::Continue(())
    });
    match calls.as_slice() {
        [call] => error.with_span(Some(*call)),
        _ => error,
    }
}
