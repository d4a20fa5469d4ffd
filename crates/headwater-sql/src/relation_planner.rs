//! Window table functions in FROM: `tumble(t, ts, …)`, `HOP(TABLE t, DESCRIPTOR(ts), …)`.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Spanned, TableFactor, Value};

use headwater_core::Error;
use headwater_exec::window::{WindowLengths, WindowSpec, Zone};
use headwater_exec::window_assign::Assign;
use headwater_plan::node::{SessionNode, WindowNode};
use headwater_plan::session_gap;

use crate::ast::{Name, span_from_tokens};
use crate::parser::{
    WindowKind, WindowTableFunction, length_of, signed_length_of, window_table_function,
};

/// Plans window table functions; leaves every other relation to DataFusion.
#[derive(Debug)]
pub struct WindowRelationPlanner;

impl RelationPlanner for WindowRelationPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(function) = window_table_function(&relation)? else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let span = function.span;
        let window = match function.kind {
            WindowKind::Session => None,
            _ => Some(window_of(&function).map_err(|e| e.with_span(Some(span)))?),
        };
        let input = context.plan(function.input)?;
        let name = Name::from_ident(&function.time_column);
        let (qualifier, field) = input
            .schema()
            .qualified_field_with_unqualified_name(&name.value)
            .map_err(|_| no_time_column(&name, &input))?;
        let time = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let schema = input.schema();
        let node: Result<Arc<dyn UserDefinedLogicalNode>> = match window {
            Some(window) => WindowNode::try_new(input.clone(), time, window, Assign::Windows)
                .map(|node| Arc::new(node) as _),
            None => {
                let gap = match length_of(&function.size) {
                    Ok(gap) if gap.months == 0 => lit(format!("{} microseconds", gap.micros)),
                    _ => context.sql_to_expr(function.size, schema)?,
                };
                let gap =
                    session_gap(gap, schema).map_err(|e| Error::from(e).with_span(Some(span)))?;
                let keys = function.partition_by.into_iter();
                let keys = keys.map(|key| context.sql_to_expr(key, schema));
                let keys = keys.collect::<Result<_>>()?;
                SessionNode::try_new(input.clone(), time, gap, keys).map(|node| Arc::new(node) as _)
            }
        };
        let node = node.map_err(|e| Error::from(e).with_span(Some(name.span)))?;
        let plan = LogicalPlan::Extension(Extension { node });
        let planned = PlannedRelation::new(plan, function.alias);
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

fn window_of(function: &WindowTableFunction) -> headwater_core::Result<WindowSpec> {
    let size = length_of(&function.size)?;
    let offset = function.offset.as_ref().map(signed_length_of).transpose()?;
    let unit = function.slide.as_ref().map(length_of).transpose()?;
    let unit = unit.unwrap_or(size);
    let lengths = match function.kind {
        WindowKind::Tumble => WindowLengths::Tumble { size },
        WindowKind::Hop => WindowLengths::Hop { slide: unit, size },
        WindowKind::Cumulate => WindowLengths::Cumulate {
            step: unit,
            max: size,
        },
        WindowKind::Session => return Err(Error::internal("a session has no fixed windows")),
    };
    let zone = function.time_zone.as_ref().map(zone_of).transpose()?;
    WindowSpec::try_new(lengths, offset.unwrap_or_default(), zone)
}

fn zone_of(expr: &SqlExpr) -> headwater_core::Result<Zone> {
    let span = span_from_tokens(expr.span());
    let name = match expr {
        SqlExpr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => Some(name),
            _ => None,
        },
        _ => None,
    };
    let found = match name {
        Some(name) => Zone::named(name),
        None => Err(
            Error::plan(format!("a time zone must be a name in quotes, not {expr}"))
                .with_hint("Write time_zone => 'Europe/Berlin', for example."),
        ),
    };
    found.map_err(|e| e.with_span((span.line > 0).then_some(span)))
}

fn no_time_column(name: &Name, input: &LogicalPlan) -> Error {
    let columns: Vec<_> = input
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    let error = Error::plan(format!(
        "the window's input has no column \"{}\"",
        name.value
    ))
    .with_span(Some(name.span));
    match headwater_core::options::nearest(&name.value, columns.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint(format!("Its columns are {}.", columns.join(", "))),
    }
}
