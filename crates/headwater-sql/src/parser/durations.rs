//! Lengths of time in arguments: `'10 minutes'`, `INTERVAL '10' MINUTE`, `INTERVAL '1 month'`.

use datafusion::sql::sqlparser::ast::{Expr, Interval, Spanned, UnaryOperator, Value};
use headwater_core::{Error, Result};
use headwater_exec::window::Length;

use crate::ast::span_from_tokens;

/// The length of time an argument means, in months or not, which must not be negative.
///
/// # Errors
/// If it is no constant, no length of time, or negative.
pub fn length_of(expr: &Expr) -> Result<Length> {
    let length = signed_length_of(expr)?;
    if length.months < 0 || length.micros < 0 {
        return Err(refusal(expr, "is negative"));
    }
    Ok(length)
}

/// The length of time an argument means, in microseconds, negative ones included.
///
/// # Errors
/// If it is no constant, no length of time, or has no fixed length, as months have.
pub fn signed_micros_of(expr: &Expr) -> Result<i64> {
    let length = signed_length_of(expr)?;
    if length.months != 0 {
        return Err(refusal(expr, "has no fixed length")
            .with_detail("Months and years are not all equally long."));
    }
    Ok(length.micros)
}

/// The length of time an argument means, negative ones included.
///
/// # Errors
/// If it is no constant, or no length of time.
pub fn signed_length_of(expr: &Expr) -> Result<Length> {
    match expr {
        Expr::Nested(inner) => signed_length_of(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => signed_length_of(expr).map(|length| -length),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => signed_length_of(expr),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => read(text, expr),
            _ => Err(refusal(expr, "is not a length of time")),
        },
        Expr::Interval(interval) => read(&interval_text(interval, expr)?, expr),
        _ => Err(refusal(expr, "is not a constant length of time")),
    }
}

/// The number and the unit of an interval.
fn interval_text(interval: &Interval, whole: &Expr) -> Result<String> {
    if interval.last_field.is_some() {
        return Err(refusal(whole, "is not a length of time in one unit"));
    }
    let (sign, number) = match interval.value.as_ref() {
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => ("-", expr.as_ref()),
        other => ("", other),
    };
    let number = match number {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text,
            _ => return Err(refusal(whole, "is not a length of time")),
        },
        _ => return Err(refusal(whole, "is not a constant length of time")),
    };
    Ok(match &interval.leading_field {
        Some(unit) => format!("{sign}{number} {unit}"),
        None => format!("{sign}{number}"),
    })
}

fn read(text: &str, expr: &Expr) -> Result<Length> {
    let length = Length::parse(text).map_err(|_| refusal(expr, "is not a length of time"))?;
    if length.micros == i64::MAX || length.micros == -i64::MAX {
        return Err(refusal(expr, "is too long"));
    }
    Ok(length)
}

fn refusal(expr: &Expr, what: &str) -> Error {
    let span = span_from_tokens(expr.span());
    Error::plan(format!("\"{expr}\" {what}"))
        .with_span((span.line > 0).then_some(span))
        .with_hint("Write INTERVAL '10 minutes' or '10 minutes', with weeks, days, hours, minutes, seconds or milliseconds.")
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::dialect::HeadwaterDialect;

    use super::*;

    fn expr(sql: &str) -> Expr {
        let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
        parser.parse_expr().unwrap()
    }

    #[test]
    fn reads_every_spelling() {
        let cases = [
            ("'10 minutes'", 600_000_000),
            ("'10m'", 600_000_000),
            ("INTERVAL '10' MINUTE", 600_000_000),
            ("INTERVAL '10 minutes'", 600_000_000),
            ("INTERVAL 10 MINUTES", 600_000_000),
            ("INTERVAL '1.5' HOUR", 5_400_000_000),
            ("INTERVAL '1 hour 30 min'", 5_400_000_000),
            ("('250 ms')", 250_000),
            ("INTERVAL '0' SECOND", 0),
            ("INTERVAL '2' DAY", 172_800_000_000),
        ];
        for (sql, micros) in cases {
            assert_eq!(signed_micros_of(&expr(sql)).unwrap(), micros, "{sql}");
            assert_eq!(
                length_of(&expr(sql)).unwrap(),
                Length::fixed(micros),
                "{sql}"
            );
        }
    }

    #[test]
    fn only_offsets_may_be_negative() {
        for sql in [
            "'-5 minutes'",
            "INTERVAL '-5' MINUTE",
            "INTERVAL -5 MINUTE",
            "-INTERVAL '5 minutes'",
            "INTERVAL '- 5 minutes'",
        ] {
            assert_eq!(signed_micros_of(&expr(sql)).unwrap(), -300_000_000, "{sql}");
            assert!(length_of(&expr(sql)).is_err(), "{sql}");
        }
    }

    #[test]
    fn refusals_say_why() {
        let cases = [
            ("INTERVAL '1' MONTH", "has no fixed length"),
            ("'2 years'", "has no fixed length"),
            ("INTERVAL '10'", "is not a length of time"),
            ("10", "is not a length of time"),
            ("'ten minutes'", "is not a length of time"),
            ("ts", "is not a constant length of time"),
            ("INTERVAL (1 + 1) DAY", "is not a constant length of time"),
            ("INTERVAL '1:30' HOUR TO MINUTE", "in one unit"),
            ("INTERVAL '9999999999' DAY", "is too long"),
        ];
        for (sql, why) in cases {
            let error = signed_micros_of(&expr(sql)).unwrap_err();
            assert!(error.message().contains(why), "{sql}: {error}");
            assert!(error.span().is_some_and(|s| s.line == 1), "{sql}");
        }
    }
}
