//! Statements as people of several engines write them, and what is read; what is refused, with
//! the whole report; and that no text makes the parser panic.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use headwater_core::format::FormatSpec;

use crate::ast::*;

use super::*;

mod declarations;
mod errors;
mod queries;
mod soup;

/// Reads a script and compares one line or more for each statement.
fn check(sql: &str, expected: &Expect) {
    let mut out = String::new();
    match parse_script(sql) {
        Ok(statements) => statements.iter().for_each(|s| show(&mut out, &s.statement)),
        Err(error) => {
            let _ = writeln!(
                out,
                "{:?}\n{}",
                error.kind(),
                error.report("job.sql", Some(sql))
            );
        }
    }
    expected.assert_eq(&out);
}

fn show(out: &mut String, statement: &Statement) {
    let _ = match statement {
        Statement::CreateSource(d) => show_declaration(out, "source", d),
        Statement::CreateSink(d) => show_declaration(out, "sink", d),
        Statement::CreateConnectorTable(d) => show_declaration(out, "table", d),
        Statement::CreateStreamingQuery(q) => {
            let _ = writeln!(
                out,
                "streaming query {} replace={} if_not_exists={} {:?}",
                q.name.value, q.or_replace, q.if_not_exists, q.options
            );
            show_insert(out, &q.query)
        }
        Statement::Insert(insert) => show_insert(out, insert),
        Statement::Select(select) => {
            let _ = writeln!(out, "select stream={}: {}", select.stream, select.query);
            show_tail(out, select.emit, select.late_rows_into.as_ref())
        }
        Statement::Explain(e) => {
            let _ = writeln!(out, "explain analyze={} verbose={}", e.analyze, e.verbose);
            show(out, &e.statement);
            Ok(())
        }
        Statement::DataFusion(statement) => writeln!(out, "datafusion: {statement}"),
        Statement::ShowCreate { kind, name } => writeln!(out, "show create {kind:?} {name}"),
        Statement::Describe(name) => writeln!(out, "describe {name}"),
        Statement::Set(set) => writeln!(out, "set {:?} = {:?}", set.key, set.value),
        Statement::Show(kind) => writeln!(out, "show {kind:?}"),
        Statement::StartStreamingQuery(name) => writeln!(out, "start {}", name.value),
        Statement::StopStreamingQuery(name) => writeln!(out, "stop {}", name.value),
        Statement::Drop {
            kind,
            name,
            if_exists,
        } => writeln!(out, "drop {kind:?} {} if_exists={if_exists}", name.value),
    };
}

fn show_insert(out: &mut String, insert: &InsertQuery) -> std::fmt::Result {
    let columns: Vec<_> = insert.columns.iter().map(|c| &c.value).collect();
    writeln!(
        out,
        "insert into {} {columns:?}: {}",
        insert.sink, insert.query
    )?;
    show_tail(out, insert.emit, insert.late_rows_into.as_ref())
}

fn show_tail(out: &mut String, emit: Option<EmitClause>, late: Option<&Name>) -> std::fmt::Result {
    if let Some(emit) = emit {
        let s = emit.span;
        let place = format!("{}:{}-{}:{}", s.line, s.column, s.end_line, s.end_column);
        writeln!(out, "  emit {:?} at {place}", emit.mode)?;
    }
    if let Some(late) = late {
        writeln!(out, "  late rows into {}", late.value)?;
    }
    Ok(())
}

fn show_declaration(out: &mut String, kind: &str, d: &TableDeclaration) -> std::fmt::Result {
    writeln!(
        out,
        "{kind} {} replace={} if_not_exists={}",
        d.name.value, d.or_replace, d.if_not_exists
    )?;
    for c in &d.columns {
        let kind = match &c.kind {
            ColumnKind::Payload { not_null: false } => "payload".to_string(),
            ColumnKind::Payload { not_null: true } => "payload not null".to_string(),
            ColumnKind::Metadata { from } => format!("metadata {from:?}"),
            ColumnKind::Generated { expr } => format!("generated {expr}"),
        };
        let place = format!("{}:{}", c.span.line, c.span.column);
        writeln!(out, "  {} {}: {kind} at {place}", c.name.value, c.data_type)?;
    }
    if let Some(w) = &d.watermark {
        let place = format!("{}:{}", w.span.line, w.span.column);
        writeln!(
            out,
            "  watermark {} as {} at {place}",
            w.column.value, w.expr
        )?;
    }
    if !d.primary_key.is_empty() {
        let key: Vec<_> = d.primary_key.iter().map(|n| &n.value).collect();
        writeln!(out, "  primary key {key:?}")?;
    }
    if !d.partitioned_by.is_empty() {
        let columns: Vec<_> = d.partitioned_by.iter().map(|n| &n.value).collect();
        writeln!(out, "  partitioned by {columns:?}")?;
    }
    for (key, value) in &d.options {
        writeln!(out, "  {key:?} = {value:?}")?;
    }
    for (what, format) in [("format", &d.format), ("key format", &d.key_format)] {
        if let Some(FormatSpec { name, options }) = format {
            let options: Vec<_> = options.iter().collect();
            writeln!(out, "  {what} {name} {options:?}")?;
        }
    }
    Ok(())
}

#[test]
fn a_script_keeps_texts_and_places() {
    let sql = "-- sources; first\nSELECT 1;\n;; /* ü; */ SELECT 'a;b' -- c\n  ; SET \"x;y\" = 2";
    let statements = parse_script(sql).unwrap();
    let places: Vec<_> = statements
        .iter()
        .map(|s| (s.text.as_str(), s.span.line, s.span.column))
        .collect();
    assert_eq!(
        places,
        [
            ("SELECT 1", 2, 1),
            ("SELECT 'a;b'", 3, 13),
            ("SET \"x;y\" = 2", 4, 5)
        ]
    );
    assert_eq!(parse_script(" -- nothing\n;").unwrap(), []);
}

#[test]
fn texts_of_inner_queries_start_at_the_query() {
    let sql = "CREATE STREAMING QUERY q\nAS INSERT INTO s SELECT ü FROM t EMIT FINAL ;";
    let statements = parse_script(sql).unwrap();
    let Statement::CreateStreamingQuery(query) = &statements[0].statement else {
        panic!("{statements:?}");
    };
    assert_eq!(query.query.text, "INSERT INTO s SELECT ü FROM t EMIT FINAL");
    assert_eq!((query.query.span.line, query.query.span.column), (2, 4));
}

#[test]
fn a_typed_text_is_complete_at_a_semicolon() {
    let cases = [
        ("SELECT 1;", true),
        ("SELECT 1; -- done\n", true),
        ("SELECT 1; /* done */ ", true),
        ("SELECT 1", false),
        ("SELECT 1; SELECT", false),
        ("SELECT ';", false),
        ("SELECT ';'", false),
        ("SELECT \"a;", false),
        ("SELECT 1 -- ;", false),
        ("SELECT 1 /* ;", false),
        ("SELECT 1; /* /* */ ", false),
        ("SELECT 'it''s;'\n;", true),
        ("", false),
        ("  ", false),
    ];
    for (sql, complete) in cases {
        assert_eq!(is_complete(sql), complete, "{sql}");
    }
}
