//! A declaration becomes a catalog entry: types are resolved, options read, the connector asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr as LogicalExpr, ExprSchemable};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use headwater_core::connector::{MetadataColumn, SinkDefinition, SourceDefinition};
use headwater_core::duration::parse_duration;
use headwater_core::format::BadDataPolicy;
use headwater_core::options::{OptionReader, Options};
use headwater_core::watermark::{WatermarkCombine, WatermarkSpec};
use headwater_core::{Error, Result};
use headwater_plan::event_time_field::mark_event_time;
use headwater_plan::{StreamDefinition, TableColumn};

use crate::ast::{ColumnDefinition, ColumnKind, Name, TableDeclaration};
use crate::catalog::{Catalog, SinkEntry, SourceEntry};
use crate::dialect::HeadwaterDialect;
use crate::folded_names::warn_of_folded_names;
use crate::format_clauses::{format_of, key_format_of};
use crate::parser::{rewrite_field_access, rewrite_json_arrows, signed_micros_of};
use crate::type_planner::arrow_type;

/// Makes a source out of its declaration.
///
/// # Errors
/// What is wrong with it, before anything outside is touched.
pub(crate) fn declare_source(
    declaration: &TableDeclaration,
    catalog: &Catalog,
    session: &SessionState,
    text: &str,
) -> Result<SourceEntry> {
    let name = declaration.name.value.clone();
    if let Some(infer) = declaration.infer {
        return Err(Error::unsupported(format!(
            "the columns of source \"{name}\" cannot be inferred here"
        ))
        .with_hint("Run CREATE SOURCE … INFER as a statement, or declare the columns.")
        .with_span(Some(infer.span)));
    }
    let mut reader = reader("source", declaration);
    let connector = catalog.connector(&reader.require("connector", &[], "kafka")?)?;
    if let Some(key) = declaration.primary_key.first() {
        return Err(
            Error::unsupported(format!("source \"{name}\" cannot have a PRIMARY KEY yet"))
                .with_hint("Leave it out: rows of a source are appended.")
                .with_span(Some(key.span)),
        );
    }
    if let Some(column) = declaration.partitioned_by.first() {
        return Err(Error::unsupported(format!(
            "source \"{name}\" cannot be PARTITIONED BY columns"
        ))
        .with_hint("Leave it out: it says how a sink deals its rows to folders.")
        .with_span(Some(column.span)));
    }
    let format = format_of(declaration, &mut reader)?;
    warn_of_folded_names(reader.owner(), declaration, format.as_ref());
    let key_format = key_format_of(declaration, connector.as_ref(), &mut reader)?;
    let (bad_data, dead_letter_sink) = bad_data(&mut reader)?;
    let watermark = watermark(declaration, &mut reader)?;
    let payload = payload(declaration, session)?;
    let definition = SourceDefinition {
        name: name.clone(),
        payload,
        metadata: metadata(declaration, session)?,
        format,
        key_format,
        bad_data,
    };
    let declared = connector.declare_source(definition, &mut reader)?;
    let owner = reader.owner().to_string();
    reader.finish()?;
    check_letter_sink(&owner, bad_data, dead_letter_sink.as_deref())?;
    let source_schema = declared.schema();
    let (schema, columns) = table_columns(declaration, &source_schema, session)?;
    let schema = mark_watermark(&name, schema, watermark.as_ref(), declaration)?;
    let definition = StreamDefinition {
        name,
        connector: connector.name().to_string(),
        declared,
        schema,
        columns,
        watermark,
        bad_data,
        dead_letter_sink,
    };
    Ok(SourceEntry {
        definition: Arc::new(definition),
        text: text.to_string(),
    })
}

/// Makes a sink out of its declaration.
///
/// # Errors
/// What is wrong with it, before anything outside is touched.
pub(crate) fn declare_sink(
    declaration: &TableDeclaration,
    catalog: &Catalog,
    session: &SessionState,
    text: &str,
) -> Result<SinkEntry> {
    let name = declaration.name.value.clone();
    let mut reader = reader("sink", declaration);
    let connector = catalog.connector(&reader.require("connector", &[], "kafka")?)?;
    if let Some(watermark) = &declaration.watermark {
        return Err(
            Error::plan(format!("sink \"{name}\" cannot have a WATERMARK"))
                .with_span(Some(watermark.span)),
        );
    }
    let mut fields = Vec::with_capacity(declaration.columns.len());
    for column in &declaration.columns {
        let ColumnKind::Payload { not_null } = &column.kind else {
            return Err(Error::plan(format!(
                "column \"{}\" of sink \"{name}\" cannot be metadata or generated",
                column.name.value
            ))
            .with_span(Some(column.span)));
        };
        let data_type =
            arrow_type(session, &column.data_type).map_err(|e| e.with_span(Some(column.span)))?;
        fields.push(Field::new(&column.name.value, data_type, !not_null));
    }
    let schema = (!fields.is_empty()).then(|| Arc::new(Schema::new(fields)));
    check_key(&name, &declaration.primary_key, schema.as_ref())?;
    if let (Some(column), false) = (
        declaration.partitioned_by.first(),
        connector.has_partition_folders(),
    ) {
        return Err(Error::unsupported(format!(
            "sink \"{name}\" cannot be PARTITIONED BY columns: connector \"{}\" has no folders",
            connector.name()
        ))
        .with_hint("Leave it out, or use the connector \"filesystem\".")
        .with_span(Some(column.span)));
    }
    let format = format_of(declaration, &mut reader)?;
    warn_of_folded_names(reader.owner(), declaration, format.as_ref());
    let values = |names: &[Name]| names.iter().map(|name| name.value.clone()).collect();
    let definition = SinkDefinition {
        name: name.clone(),
        schema: schema.clone(),
        primary_key: values(&declaration.primary_key),
        partitioned_by: values(&declaration.partitioned_by),
        format,
        key_format: key_format_of(declaration, connector.as_ref(), &mut reader)?,
    };
    let declared = connector.declare_sink(definition, &mut reader)?;
    reader.finish()?;
    let connector = connector.name().to_string();
    Ok(SinkEntry {
        name,
        declared,
        schema,
        connector,
        text: text.to_string(),
    })
}

/// The options of a declaration.
pub(crate) fn reader(kind: &str, declaration: &TableDeclaration) -> OptionReader {
    let options: Options = declaration.options.iter().cloned().collect();
    OptionReader::new(format!("{kind} \"{}\"", declaration.name.value), &options)
}

fn check_key(sink: &str, key: &[Name], schema: Option<&SchemaRef>) -> Result<()> {
    let Some(schema) = schema else { return Ok(()) };
    for column in key {
        let problem = match schema.column_with_name(&column.value) {
            None => "is not a column",
            Some((_, field)) if matches!(field.data_type(), ArrowType::Map(..)) => "is a MAP",
            Some(_) => continue,
        };
        return Err(Error::plan(format!(
            "PRIMARY KEY of sink \"{sink}\" names \"{}\", which {problem}",
            column.value
        ))
        .with_span(Some(column.span)));
    }
    Ok(())
}

/// What becomes of bad records, and the sink that is to take dead letters.
pub(crate) fn bad_data(reader: &mut OptionReader) -> Result<(BadDataPolicy, Option<String>)> {
    let choices = [
        ("fail", BadDataPolicy::Fail),
        ("drop", BadDataPolicy::Drop),
        ("null", BadDataPolicy::Null),
        ("dead_letter", BadDataPolicy::DeadLetter),
    ];
    let policy = reader.take_choice("bad_data", &[], &choices)?;
    let sink = reader.take("dead_letter.sink", &[])?;
    Ok((policy.unwrap_or_default(), sink))
}

/// Whether there is a sink for dead letters, if there are any; asked when no option is unknown, which
/// may be the misspelt one.
pub(crate) fn check_letter_sink(
    owner: &str,
    policy: BadDataPolicy,
    sink: Option<&str>,
) -> Result<()> {
    match (policy, sink) {
        (BadDataPolicy::DeadLetter, None) => Err(Error::configuration(format!(
            "{owner} has bad_data = 'dead_letter' and no sink for dead letters"
        ))
        .with_hint("Name one: 'dead_letter.sink' = 'orders_bad', and CREATE SINK orders_bad.")),
        (BadDataPolicy::DeadLetter, Some(_)) | (_, None) => Ok(()),
        (_, Some(sink)) => Err(Error::configuration(format!(
            "{owner} names the sink \"{sink}\" for dead letters and has no bad_data = 'dead_letter'"
        ))
        .with_hint("Add bad_data = 'dead_letter', or leave 'dead_letter.sink' out.")),
    }
}

/// The watermark, by its clause or by options.
pub(crate) fn watermark(
    declaration: &TableDeclaration,
    reader: &mut OptionReader,
) -> Result<Option<WatermarkSpec>> {
    let text = reader.take("watermark", &[])?;
    let idle_timeout = reader.take_duration("idle-timeout", &[])?;
    let max_ahead = reader.take("watermark.max-ahead", &[])?;
    let combines = [
        ("min", WatermarkCombine::Min),
        ("max", WatermarkCombine::Max),
    ];
    let combine = reader.take_choice("watermark.combine", &[], &combines)?;
    let (column, delay) = match (&declaration.watermark, text) {
        (Some(_), Some(_)) => {
            return Err(Error::configuration(format!(
                "{} has a WATERMARK clause and an option \"watermark\"",
                reader.owner()
            ))
            .with_hint("Keep one of the two."));
        }
        (Some(clause), None) => {
            let delay = delay_of(&clause.expr, &clause.column.value);
            let delay = delay.map_err(|e| e.with_span(Some(clause.span)))?;
            (clause.column.value.clone(), delay)
        }
        (None, Some(text)) => watermark_text(&text)?,
        (None, None) => {
            if idle_timeout.is_some() || max_ahead.is_some() || combine.is_some() {
                return Err(Error::configuration(format!(
                    "{} has watermark options and no WATERMARK",
                    reader.owner()
                ))
                .with_hint("Add `WATERMARK FOR ts AS ts - INTERVAL '10 seconds'`."));
            }
            return Ok(None);
        }
    };
    let max_ahead = match max_ahead.as_deref() {
        None => Some(WatermarkSpec::DEFAULT_MAX_AHEAD),
        Some("off") => None,
        Some(text) => Some(parse_duration(text).map_err(|_| {
            let expected = "a duration such as '5 minutes', or 'off'";
            reader.bad_value("watermark.max-ahead", text, expected)
        })?),
    };
    Ok(Some(WatermarkSpec {
        column,
        delay,
        combine: combine.unwrap_or_default(),
        idle_timeout: idle_timeout.unwrap_or(WatermarkSpec::DEFAULT_IDLE_TIMEOUT),
        max_ahead,
    }))
}

/// `ts - INTERVAL '10 seconds'` as an option.
fn watermark_text(text: &str) -> Result<(String, Duration)> {
    let refuse = |_| {
        Error::configuration(format!(
            "option \"watermark\" is \"{text}\", not a watermark"
        ))
        .with_hint("Write it as in `WATERMARK FOR`: 'ts - INTERVAL ''10 seconds'''.")
    };
    let dialect = HeadwaterDialect;
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(refuse)?;
    let expr = parser.parse_expr().map_err(refuse)?;
    if parser.peek_token().token != Token::EOF {
        return Err(refuse(not_a_watermark()));
    }
    let column = match &expr {
        Expr::Identifier(ident) => Name::from_ident(ident).value,
        Expr::BinaryOp { left, .. } => match left.as_ref() {
            Expr::Identifier(ident) => Name::from_ident(ident).value,
            _ => return Err(refuse(not_a_watermark())),
        },
        _ => return Err(refuse(not_a_watermark())),
    };
    let delay = delay_of(&expr, &column)?;
    Ok((column, delay))
}

fn not_a_watermark() -> datafusion::sql::sqlparser::parser::ParserError {
    datafusion::sql::sqlparser::parser::ParserError::ParserError("not a watermark".to_string())
}

/// The delay in `column - INTERVAL …`, or zero for `column`.
fn delay_of(expr: &Expr, column: &str) -> Result<Duration> {
    let is_column =
        |e: &Expr| matches!(e, Expr::Identifier(ident) if Name::from_ident(ident).value == column);
    let refuse = || {
        Error::plan(format!(
            "the watermark of column \"{column}\" must be that column less a delay"
        ))
        .with_hint(format!(
            "Write `WATERMARK FOR {column} AS {column} - INTERVAL '10 seconds'`."
        ))
    };
    match expr {
        column if is_column(column) => Ok(Duration::ZERO),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Minus,
            right,
        } if is_column(left) => {
            let micros = u64::try_from(signed_micros_of(right)?).map_err(|_| refuse())?;
            Ok(Duration::from_micros(micros))
        }
        _ => Err(refuse()),
    }
}

fn payload(declaration: &TableDeclaration, session: &SessionState) -> Result<Option<SchemaRef>> {
    let mut fields = Vec::new();
    for column in &declaration.columns {
        if let ColumnKind::Payload { not_null } = &column.kind {
            let data_type = arrow_type(session, &column.data_type)
                .map_err(|e| e.with_span(Some(column.span)))?;
            fields.push(Field::new(&column.name.value, data_type, !not_null));
        }
    }
    Ok((!declaration.columns.is_empty()).then(|| Arc::new(Schema::new(fields))))
}

fn metadata(declaration: &TableDeclaration, session: &SessionState) -> Result<Vec<MetadataColumn>> {
    let mut columns = Vec::new();
    for column in &declaration.columns {
        if let ColumnKind::Metadata { from } = &column.kind {
            let data_type = arrow_type(session, &column.data_type)
                .map_err(|e| e.with_span(Some(column.span)))?;
            let field = Arc::new(Field::new(&column.name.value, data_type, true));
            columns.push(MetadataColumn {
                field,
                from: from.clone(),
            });
        }
    }
    Ok(columns)
}

/// The columns users see, in the order they were declared.
fn table_columns(
    declaration: &TableDeclaration,
    source: &SchemaRef,
    session: &SessionState,
) -> Result<(Vec<Field>, Vec<TableColumn>)> {
    if declaration.columns.is_empty() {
        let fields = source.fields().iter().map(|f| f.as_ref().clone()).collect();
        return Ok((
            fields,
            (0..source.fields().len())
                .map(TableColumn::Source)
                .collect(),
        ));
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let places = source.fields().iter().map(|field| field.name().as_str());
    let places: HashMap<&str, usize> = places.zip(0..).collect();
    for column in &declaration.columns {
        let name = &column.name.value;
        match &column.kind {
            ColumnKind::Generated { expr } => {
                let (field, expr) = generated(column, expr, source, session)
                    .map_err(|e| e.with_span(Some(column.span)))?;
                fields.push(field);
                columns.push(TableColumn::Generated(expr));
            }
            ColumnKind::Payload { .. } | ColumnKind::Metadata { .. } => {
                let index = match places.get(name.as_str()) {
                    Some(index) => *index,
                    None => source.index_of(name)?,
                };
                fields.push(source.field(index).clone());
                columns.push(TableColumn::Source(index));
            }
        }
    }
    Ok((fields, columns))
}

fn generated(
    column: &ColumnDefinition,
    expr: &Expr,
    source: &SchemaRef,
    session: &SessionState,
) -> Result<(Field, LogicalExpr)> {
    let schema = DFSchema::try_from(Arc::clone(source))?;
    let mut expr = expr.clone();
    rewrite_json_arrows(&mut expr);
    rewrite_field_access(&mut expr);
    let expr = session.create_logical_expr_from_sql_expr(
        datafusion::sql::sqlparser::ast::ExprWithAlias { expr, alias: None },
        &schema,
    )?;
    headwater_plan::check_repeatable(&expr)?;
    let expr = match &column.data_type {
        DataType::Unspecified => expr,
        declared => expr.cast_to(&arrow_type(session, declared)?, &schema)?,
    };
    let expr = simplified(expr, &schema, session)?;
    let data_type: ArrowType = expr.get_type(&schema)?;
    Ok((Field::new(&column.name.value, data_type, true), expr))
}

/// The expression in the form that can be run: `coalesce` and its like exist only as what they are
/// simplified to, and a scan is below the optimizer.
fn simplified(expr: LogicalExpr, schema: &DFSchema, session: &SessionState) -> Result<LogicalExpr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(session.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = simplifier.coerce(expr, schema)?;
    Ok(simplifier.simplify(expr)?)
}

/// Marks the event-time column.
fn mark_watermark(
    source: &str,
    fields: Vec<Field>,
    watermark: Option<&WatermarkSpec>,
    declaration: &TableDeclaration,
) -> Result<SchemaRef> {
    let Some(watermark) = watermark else {
        return Ok(Arc::new(Schema::new(fields)));
    };
    let span = declaration.watermark.as_ref().map(|w| w.column.span);
    let column = fields
        .iter()
        .find(|f| f.name() == &watermark.column)
        .ok_or_else(|| {
            Error::plan(format!(
                "WATERMARK of source \"{source}\" names \"{}\", which is not a column",
                watermark.column
            ))
            .with_span(span)
        })?;
    if !headwater_plan::stream_table::is_event_time_type(column.data_type()) {
        return Err(Error::plan(format!(
            "column \"{}\" of source \"{source}\" cannot have a WATERMARK: it is no TIMESTAMP",
            watermark.column
        ))
        .with_hint(
            "Declare it as TIMESTAMP, or generate one: `ts TIMESTAMP AS to_timestamp_millis(ms)`.",
        )
        .with_span(span));
    }
    let marked = fields.into_iter().map(|field| {
        if field.name() == &watermark.column {
            mark_event_time(field, source)
        } else {
            field
        }
    });
    Ok(Arc::new(Schema::new(marked.collect::<Vec<_>>())))
}
