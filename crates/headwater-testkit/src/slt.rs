//! sqllogictest files over a [`TestSession`].
//!
//! Every file runs straight, restarted and crashed, with the same answers. A file with the line
//! `# oracle` is then compared with the bounded read of its queries; one with `# straight` runs
//! only once, because it holds no epoch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;
use headwater_core::Error;
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Runner};
use tokio::sync::Mutex;

use crate::oracle::check_oracle;
use crate::session::{Answer, RunMode, TestSession};
use crate::text_rows::text_rows;

/// Readers and shards of the queries in `.slt` files: more than one, so that the files see rows
/// being dealt out.
const TARGET_PARTITIONS: usize = 2;

/// A type of column, as the letters after `query` have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SltType {
    /// `I`: whole numbers.
    Integer,
    /// `R`: floating-point and decimal numbers.
    Real,
    /// `T`: texts.
    Text,
    /// `P`: points in time.
    Time,
    /// `B`: truth values.
    Boolean,
    /// `?`: everything else.
    Other,
}

impl ColumnType for SltType {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'I' => SltType::Integer,
            'R' => SltType::Real,
            'T' => SltType::Text,
            'P' => SltType::Time,
            'B' => SltType::Boolean,
            '?' => SltType::Other,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            SltType::Integer => 'I',
            SltType::Real => 'R',
            SltType::Text => 'T',
            SltType::Time => 'P',
            SltType::Boolean => 'B',
            SltType::Other => '?',
        }
    }
}

fn type_of(data_type: &DataType) -> SltType {
    match data_type {
        t if t.is_integer() => SltType::Integer,
        t if t.is_floating() || t.is_decimal() => SltType::Real,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => SltType::Text,
        DataType::Timestamp(..) => SltType::Time,
        DataType::Boolean => SltType::Boolean,
        _ => SltType::Other,
    }
}

/// An error as sqllogictest shows it: the whole report.
#[derive(Debug, Clone)]
pub struct SltError(String);

impl std::fmt::Display for SltError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SltError {}

/// A [`TestSession`] as a database of sqllogictest. Clones are the same session.
#[derive(Debug, Clone)]
pub struct SltSession {
    session: Arc<Mutex<TestSession>>,
}

impl SltSession {
    /// A new session.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn try_new(mode: RunMode) -> headwater_core::Result<Self> {
        let session = TestSession::try_new(mode, TARGET_PARTITIONS)?;
        Ok(SltSession {
            session: Arc::new(Mutex::new(session)),
        })
    }
}

#[async_trait]
impl AsyncDB for SltSession {
    type Error = SltError;
    type ColumnType = SltType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<SltType>, SltError> {
        let report = |e: Error| SltError(e.report("test.sql", Some(sql)));
        let mut session = self.session.lock().await;
        Ok(match session.run(sql).await.map_err(report)? {
            Answer::Done => DBOutput::StatementComplete(0),
            Answer::Rows(schema, rows) => DBOutput::Rows {
                types: types_of(&schema),
                rows: text_rows(&rows).map_err(report)?,
            },
            Answer::Lines(lines) => DBOutput::Rows {
                types: vec![SltType::Text],
                rows: lines.into_iter().map(|line| vec![line]).collect(),
            },
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "headwater"
    }
}

fn types_of(schema: &Schema) -> Vec<SltType> {
    let fields = schema.fields().iter();
    fields.map(|f| type_of(f.data_type())).collect()
}

/// Blanks at the end of a line do not count; all others do, so that carets are pinned.
#[expect(clippy::ptr_arg, reason = "the signature is sqllogictest's")]
fn normalize(text: &String) -> String {
    text.trim_end().to_string()
}

/// How a file went.
#[derive(Debug)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// What went wrong, by the mode it went wrong in.
    pub failures: Vec<(&'static str, String)>,
}

/// Runs a file in all its modes.
pub async fn run_file(path: &Path) -> FileReport {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let is_marked = |mark: &str| text.lines().any(|line| line.trim() == mark);
    let modes = if is_marked("# straight") {
        &RunMode::ALL[..1]
    } else {
        &RunMode::ALL[..]
    };
    let mut failures = Vec::new();
    for mode in modes {
        if let Err(failure) = run_once(path, *mode, is_marked("# oracle")).await {
            failures.push((mode.name(), failure));
        }
    }
    FileReport {
        path: path.to_path_buf(),
        failures,
    }
}

async fn run_once(path: &Path, mode: RunMode, has_oracle: bool) -> Result<(), String> {
    let session = SltSession::try_new(mode).map_err(|e| e.report("test.sql", None))?;
    let mut runner = runner(&session);
    let ran = Box::pin(runner.run_file_async(path)).await;
    ran.map_err(|e| e.display(false).to_string())?;
    if has_oracle {
        let mut session = session.session.lock().await;
        let checked = Box::pin(check_oracle(&mut session)).await;
        checked.map_err(|e| e.report("oracle", None))?;
    }
    Ok(())
}

fn runner(
    session: &SltSession,
) -> Runner<SltSession, impl sqllogictest::MakeConnection<Conn = SltSession>> {
    let session = session.clone();
    let mut runner = Runner::new(move || {
        let session = session.clone();
        async move { Ok(session) }
    });
    runner.with_normalizer(normalize);
    runner.with_column_validator(sqllogictest::strict_column_validator);
    runner
}

/// Runs a file straight and writes the answers it gets into it.
///
/// # Errors
/// If the file cannot be read or written.
pub async fn complete_file(path: &Path) -> Result<(), String> {
    let session = SltSession::try_new(RunMode::Straight).map_err(|e| e.to_string())?;
    let mut runner = runner(&session);
    let validator = sqllogictest::default_validator;
    let columns = sqllogictest::strict_column_validator;
    let updated = runner.update_test_file(path, " ", validator, normalize, columns);
    Box::pin(updated).await.map_err(|e| e.to_string())
}
