//! The columns of an INSERT's query as those of its sink: by place, or by the names after the sink.
//!
//! ```text
//! INSERT INTO s (b, a) SELECT x, y   ─►   y AS a, x AS b, NULL AS c
//! ```

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, SelectItem, SetExpr, Spanned};

use headwater_core::error::Span;
use headwater_core::options::nearest;
use headwater_core::type_name::{a_type_name, type_name};
use headwater_core::{Error, Result};

use crate::assignment::{are_numbers, can_be_stored, holds, written_values};
use crate::ast::{InsertQuery, Name, span_from_tokens};
use crate::catalog::SinkEntry;

/// An expression is written in a hint up to this length.
const WRITTEN_CHARS: usize = 40;

/// The query's columns under the sink's names and types.
///
/// # Errors
/// If they do not fit.
pub(crate) fn fit(
    plan: LogicalPlan,
    sink: &SinkEntry,
    insert: &InsertQuery,
) -> Result<LogicalPlan> {
    let Some(schema) = &sink.schema else {
        return match insert.columns.first() {
            None => Ok(plan),
            Some(first) => Err(Error::plan(format!(
                "sink \"{}\" declares no columns to name",
                sink.name
            ))
            .with_span(Some(first.span))),
        };
    };
    let targets = targets(sink, schema, &insert.columns)?;
    let found = plan.schema().fields().len();
    if targets.len() != found {
        return Err(miscounted(sink, schema, insert, found));
    }
    let mut given: Vec<Option<Expr>> = vec![None; schema.fields().len()];
    for (place, target) in targets.into_iter().enumerate() {
        let (qualifier, field) = plan.schema().qualified_field(place);
        let column = Given {
            place,
            qualifier,
            field,
            wanted: schema.field(target),
        };
        given[target] = Some(column.stored(&plan, sink, &insert.query)?);
    }
    let columns = schema.fields().iter().zip(given);
    let columns = columns.map(|(wanted, given)| match given {
        Some(given) => Ok(given),
        None => left_out(sink, wanted, &insert.columns),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// The place in the sink of every column of the query.
fn targets(sink: &SinkEntry, schema: &Schema, named: &[Name]) -> Result<Vec<usize>> {
    if named.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let mut places = Vec::with_capacity(named.len());
    for name in named {
        let Some((place, _)) = schema.column_with_name(&name.value) else {
            return Err(no_column(sink, schema, name));
        };
        if places.contains(&place) {
            return Err(Error::plan(format!(
                "column \"{}\" of sink \"{}\" is named twice",
                name.value, sink.name
            ))
            .with_hint("Name every column once.")
            .with_span(Some(name.span)));
        }
        places.push(place);
    }
    Ok(places)
}

fn no_column(sink: &SinkEntry, schema: &Schema, name: &Name) -> Error {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let error = Error::plan(format!(
        "sink \"{}\" has no column \"{}\"",
        sink.name, name.value
    ))
    .with_span(Some(name.span));
    error.with_hint(match nearest(&name.value, names()) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!(
            "Its columns are {}.",
            names().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn miscounted(sink: &SinkEntry, schema: &Schema, insert: &InsertQuery, found: usize) -> Error {
    if insert.columns.is_empty() {
        let count = schema.fields().len();
        return Error::plan(format!(
            "sink \"{}\" has {count} columns and the query gives {found}",
            sink.name
        ))
        .with_hint(
            "Name as many columns in SELECT, in the order of the sink, or write after the sink's \
             name which of its columns they are.",
        );
    }
    Error::plan(format!(
        "INSERT names {} of the columns of sink \"{}\" and the query gives {found}",
        insert.columns.len(),
        sink.name
    ))
    .with_span(insert.columns.first().map(|name| name.span))
    .with_hint("Name as many columns as the query gives, in the order of SELECT.")
}

/// What a column of the sink takes that INSERT does not name.
fn left_out(sink: &SinkEntry, wanted: &Field, named: &[Name]) -> Result<Expr> {
    if !wanted.is_nullable() {
        return Err(Error::plan(format!(
            "column \"{}\" of sink \"{}\" is NOT NULL, and INSERT does not name it",
            wanted.name(),
            sink.name
        ))
        .with_span(named.first().map(|name| name.span))
        .with_hint("Name it and give it a value, or declare it without NOT NULL."));
    }
    let null = ScalarValue::try_new_null(wanted.data_type())?;
    Ok(Expr::Literal(null, None).alias(wanted.name()))
}

/// A column of the query, and that of the sink to which it goes.
struct Given<'a> {
    place: usize,
    qualifier: Option<&'a TableReference>,
    field: &'a Field,
    wanted: &'a Field,
}

impl Given<'_> {
    /// The column as it is stored.
    fn stored(&self, plan: &LogicalPlan, sink: &SinkEntry, query: &Query) -> Result<Expr> {
        let (wanted, from) = (self.wanted, self.field.data_type());
        if !wanted.is_nullable() && self.field.is_nullable() {
            return Err(Error::plan(format!(
                "column \"{}\" of sink \"{}\" is NOT NULL, and the query may give NULL",
                wanted.name(),
                sink.name
            ))
            .with_span(span_of(written(query, self.place, 0)))
            .with_hint(
                "Put coalesce() around it, or declare the sink's column without NOT NULL.",
            ));
        }
        let column = Expr::Column(Column::new(self.qualifier.cloned(), self.field.name()));
        let cast = column.cast_to(wanted.data_type(), plan.schema().as_ref());
        let values = match are_numbers(from, wanted.data_type()) {
            true => written_values(plan, self.place),
            false => None,
        };
        let fits = match &values {
            Some(values) => values.iter().all(|value| holds(wanted.data_type(), value)),
            None => can_be_stored(from, wanted.data_type()),
        };
        match cast {
            Ok(cast) if fits => Ok(cast.alias(wanted.name())),
            Ok(_) => Err(self.lossy(sink, query, values.as_deref())),
            Err(_) => Err(Error::plan(self.other_type(sink))
                .with_span(span_of(written(query, self.place, 0)))
                .with_hint(format!(
                    "Select another value, or declare the sink's column as {}.",
                    type_name(from)
                ))),
        }
    }

    /// The refusal of what only a CAST stores.
    fn lossy(&self, sink: &SinkEntry, query: &Query, values: Option<&[ScalarValue]>) -> Error {
        let (from, to) = (self.field.data_type(), self.wanted.data_type());
        let unheld = values.and_then(|values| {
            let mut rows = values.iter().enumerate();
            rows.find(|(_, value)| !holds(to, value))
        });
        let (message, row) = match unheld {
            Some((row, value)) => {
                let column = self.wanted.name();
                let message = format!(
                    "column \"{column}\" of sink \"{}\" is {} and cannot hold {value}",
                    sink.name,
                    a_type_name(to)
                );
                (message, row)
            }
            None => (self.other_type(sink), 0),
        };
        let expr = written(query, self.place, row);
        let text = expr.map(ToString::to_string);
        let text = text.filter(|text| text.chars().count() <= WRITTEN_CHARS);
        let is_too_large = unheld.is_some_and(|(_, value)| value.cast_to(to).is_err());
        let first = match is_too_large {
            true => "Write another value".to_string(),
            false => {
                let text = text.as_deref().unwrap_or("…");
                format!("Write CAST({text} AS {}) in the query", type_name(to))
            }
        };
        let hint = format!(
            "{first}, or declare the sink's column as {}.",
            type_name(from)
        );
        let error = Error::plan(message)
            .with_span(span_of(expr))
            .with_hint(hint);
        match unheld.is_none() && are_numbers(from, to) {
            true => error.with_detail("Digits would be lost."),
            false => error,
        }
    }

    fn other_type(&self, sink: &SinkEntry) -> String {
        let (from, to) = (self.field.data_type(), self.wanted.data_type());
        let (mut given, mut taken) = (a_type_name(from), a_type_name(to));
        if given == taken {
            (given, taken) = (type_name(from), type_name(to));
        }
        format!(
            "column \"{}\" of sink \"{}\" is {taken}, and the query gives {given}",
            self.wanted.name(),
            sink.name
        )
    }
}

/// How a column of a query is written: in SELECT, or in a row of VALUES.
fn written(query: &Query, place: usize, row: usize) -> Option<&SqlExpr> {
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Query(query) => query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            SetExpr::Values(values) => return values.rows.get(row)?.content.get(place),
            SetExpr::Select(select) => {
                let items: Option<Vec<_>> = select.projection.iter().map(expr_of).collect();
                return items?.get(place).copied();
            }
            _ => return None,
        };
    }
}

/// The expression of an item that is one column.
fn expr_of(item: &SelectItem) -> Option<&SqlExpr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_) => None,
    }
}

fn span_of(expr: Option<&SqlExpr>) -> Option<Span> {
    let span = span_from_tokens(expr?.span());
    (span.line > 0).then_some(span)
}
