//! The statements of headwater, as written: nothing is resolved, defaulted or checked against a
//! catalog here. What headwater does not know itself is carried as DataFusion's statement.

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, ObjectName, Query};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use headwater_core::error::Span;
use headwater_core::format::FormatSpec;

/// One statement of a script, with where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedStatement {
    /// What was read.
    pub statement: Statement,
    /// The statement's text in the script, from its first word to its last, without `;`.
    pub text: String,
    /// Where the text stands in the script.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `CREATE SOURCE …`, and `CREATE EXTERNAL TABLE … STORED AS KAFKA`.
    CreateSource(TableDeclaration),
    /// `CREATE SINK …`.
    CreateSink(TableDeclaration),
    /// `CREATE TABLE … WITH ('connector' = …)`: a source or a sink, by what it is used for.
    CreateConnectorTable(TableDeclaration),
    /// `CREATE STREAMING QUERY … AS INSERT INTO …`.
    CreateStreamingQuery(CreateStreamingQuery),
    /// `INSERT INTO … SELECT …`.
    Insert(InsertQuery),
    /// `SELECT [STREAM] …`, `WITH …`, `VALUES …`.
    Select(SelectQuery),
    /// `EXPLAIN [ANALYZE] [VERBOSE] …`.
    Explain(ExplainStatement),
    /// `SHOW SOURCES` and its like.
    Show(ObjectKind),
    /// `SHOW CREATE SOURCE s` and its like.
    ShowCreate {
        /// What kind of object the statement names.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
    },
    /// `DESCRIBE t`.
    Describe(ObjectName),
    /// `SET 'key' = value`.
    Set(SetOption),
    /// `START STREAMING QUERY q`.
    StartStreamingQuery(Name),
    /// `STOP STREAMING QUERY q`.
    StopStreamingQuery(Name),
    /// `DROP SOURCE | SINK | STREAMING QUERY [IF EXISTS] x`.
    Drop {
        /// What kind of object the statement names.
        kind: ObjectKind,
        /// Its name.
        name: Name,
        /// Whether its absence is fine.
        if_exists: bool,
    },
    /// Anything DataFusion does itself.
    DataFusion(Box<DFStatement>),
}

/// The kinds of object that statements name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A source.
    Source,
    /// A sink.
    Sink,
    /// A table of either kind, or one of DataFusion's.
    Table,
    /// A streaming query.
    StreamingQuery,
}

/// A name with its place; folded to lower case unless it was quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, without quotes.
    pub value: String,
    /// How it was written, if that was without quotes and in another case.
    pub folded_from: Option<String>,
    /// Where it is written.
    pub span: Span,
}

impl Name {
    /// Folds an identifier as DataFusion does.
    pub fn from_ident(ident: &Ident) -> Self {
        let value = match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        };
        Name {
            folded_from: (value != ident.value).then(|| ident.value.clone()),
            value,
            span: span_from_tokens(ident.span),
        }
    }
}

/// sqlparser's span as headwater's.
pub fn span_from_tokens(span: TokenSpan) -> Span {
    Span {
        line: span.start.line,
        column: span.start.column,
        end_line: span.end.line,
        end_column: span.end.column,
    }
}

/// What `CREATE SOURCE`, `CREATE SINK` and `CREATE TABLE … WITH ('connector' = …)` say.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDeclaration {
    /// Name of the table.
    pub name: Name,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Columns in order; empty if there is no list.
    pub columns: Vec<ColumnDefinition>,
    /// `WATERMARK FOR …`.
    pub watermark: Option<WatermarkClause>,
    /// Columns of `PRIMARY KEY`; empty if there is none.
    pub primary_key: Vec<Name>,
    /// Columns of `PARTITIONED BY`; empty if it is not there.
    pub partitioned_by: Vec<Name>,
    /// The pairs of `WITH` or `OPTIONS`, as written and in order; no key is there twice.
    pub options: Vec<(String, String)>,
    /// `FORMAT …`, the format of values.
    pub format: Option<FormatSpec>,
    /// `KEY FORMAT …`.
    pub key_format: Option<FormatSpec>,
    /// `INFER`; there are no columns then.
    pub infer: Option<InferClause>,
}

/// `INFER [(sample = n)]`: the columns are found in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InferClause {
    /// How many records are looked at, if it is said.
    pub sample: Option<usize>,
    /// The byte of the statement's text at which a list of columns can stand.
    pub columns_at: usize,
    /// The byte at which the clause begins.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// The clause.
    pub span: Span,
}

/// One column of a declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDefinition {
    /// Name of the column.
    pub name: Name,
    /// Its type; [`DataType::Unspecified`] for a generated column that leaves it to its
    /// expression.
    pub data_type: DataType,
    /// Where its values come from.
    pub kind: ColumnKind,
    /// The whole definition.
    pub span: Span,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnKind {
    /// From the record's value.
    Payload {
        /// `NOT NULL`.
        not_null: bool,
    },
    /// `METADATA [FROM 'key']`: from the connector.
    Metadata {
        /// Name of the metadata; without `FROM`, the name of the column.
        from: String,
    },
    /// `AS expr`: from other columns of the row.
    Generated {
        /// The expression.
        expr: Box<Expr>,
    },
}

/// `WATERMARK FOR column AS expr`.
#[derive(Debug, Clone, PartialEq)]
pub struct WatermarkClause {
    /// The event-time column.
    pub column: Name,
    /// The watermark of a row, such as `ts - INTERVAL '10 seconds'`.
    pub expr: Expr,
    /// The whole clause.
    pub span: Span,
}

/// `CREATE STREAMING QUERY q WITH (…) AS INSERT INTO …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateStreamingQuery {
    /// Name of the query.
    pub name: Name,
    /// `OR REPLACE`.
    pub or_replace: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// The pairs of `WITH`, as written and in order; no key is there twice.
    pub options: Vec<(String, String)>,
    /// What runs.
    pub query: InsertQuery,
}

/// `INSERT INTO sink SELECT … [EMIT …] [LATE ROWS INTO t]`.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertQuery {
    /// The sink, or a table of DataFusion's.
    pub sink: ObjectName,
    /// Columns named after the sink; empty if there is no list.
    pub columns: Vec<Name>,
    /// The rows.
    pub query: Box<Query>,
    /// `EMIT …`.
    pub emit: Option<EmitClause>,
    /// `LATE ROWS INTO t`.
    pub late_rows_into: Option<Name>,
    /// The text from `INSERT` to the end.
    pub text: String,
    /// Where the text stands in the script.
    pub span: Span,
}

/// `SELECT [STREAM] … [EMIT …] [LATE ROWS INTO t]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectQuery {
    /// The rows, without the word `STREAM`.
    pub query: Box<Query>,
    /// Whether `STREAM` asks for the unbounded reading.
    pub stream: bool,
    /// `EMIT …`.
    pub emit: Option<EmitClause>,
    /// `LATE ROWS INTO t`.
    pub late_rows_into: Option<Name>,
    /// The text from the first word to the end.
    pub text: String,
    /// Where the text stands in the script.
    pub span: Span,
}

/// `EMIT …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmitClause {
    /// What is emitted, and when.
    pub mode: EmitMode,
    /// The whole clause.
    pub span: Span,
}

/// What `EMIT` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitMode {
    /// `ON WINDOW CLOSE`: a row once, when it can no longer change.
    OnWindowClose,
    /// `FINAL`: another word for `ON WINDOW CLOSE`.
    Final,
    /// `ON UPDATE`: rows that changed.
    OnUpdate,
    /// `CHANGES`: rows that changed, with what happened to them.
    Changes,
    /// `COMPLETE`: the whole result, every epoch.
    Complete,
    /// `PER EPOCH`: the result of each epoch alone.
    PerEpoch,
}

/// `EXPLAIN [ANALYZE] [VERBOSE] statement`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainStatement {
    /// Whether the statement is run and measured.
    pub analyze: bool,
    /// Whether more is shown.
    pub verbose: bool,
    /// What is explained: a query, or a statement of DataFusion's.
    pub statement: Box<Statement>,
}

/// `SET key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOption {
    /// The key as written, without quotes.
    pub key: String,
    /// The value as written, without quotes.
    pub value: String,
    /// The whole statement.
    pub span: Span,
}
