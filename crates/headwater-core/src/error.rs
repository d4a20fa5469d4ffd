//! The one error type of headwater, chosen by what the user must do next.
//!
//! A message is lower case without a full stop and names the object by kind and quoted name;
//! `detail` and `hint` are sentences. `Display` prints the message alone; [`Error::report`] prints
//! everything, with the place in the SQL when there is one.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;

use crate::reword::{is_wrong_argument, reword};
use crate::secret::HiddenSql;

/// `Result` with headwater's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the user must do about an [`Error`]. A new kind needs a decision record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not SQL: mend the text. A retry cannot help.
    Syntax,
    /// The statement cannot be right as it stands: change the query. A retry cannot help.
    Plan,
    /// The statement is right and headwater cannot do it: rewrite it. A retry cannot help.
    Unsupported,
    /// An option or setting is unknown or has a bad value: change it. A retry cannot help.
    Configuration,
    /// A source could not be read: look at the outside system. A retry may help.
    Source,
    /// A record could not be decoded: mend the producer or choose a `bad_data` policy.
    BadData,
    /// Rows that the checkpoint counts on are gone from the source: decide about the loss.
    DataLoss,
    /// A sink could not be written: look at the outside system. A retry may help.
    Sink,
    /// A recovery file is damaged or does not fit the query: restore it or start anew.
    Checkpoint,
    /// Another instance owns the checkpoint or the transactional id: stop one of the two.
    Conflict,
    /// A limit of memory, disk or time was reached: give more or ask for less.
    Resource,
    /// A bug in headwater: report it.
    Internal,
}

impl ErrorKind {
    /// Whether running the same thing again may succeed without a change by the user.
    pub fn is_retryable(self) -> bool {
        match self {
            ErrorKind::Source | ErrorKind::Sink => true,
            ErrorKind::Syntax
            | ErrorKind::Plan
            | ErrorKind::Unsupported
            | ErrorKind::Configuration
            | ErrorKind::BadData
            | ErrorKind::DataLoss
            | ErrorKind::Checkpoint
            | ErrorKind::Conflict
            | ErrorKind::Resource
            | ErrorKind::Internal => false,
        }
    }
}

/// A place in a SQL text; lines and columns count from 1, `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Line of the first character.
    pub line: u64,
    /// Column of the first character.
    pub column: u64,
    /// Line of the character after the last.
    pub end_line: u64,
    /// Column of the character after the last.
    pub end_column: u64,
}

/// Everything headwater can say about what went wrong.
#[derive(Debug, Clone)]
pub struct Error(Box<ErrorParts>);

#[derive(Debug, Clone)]
struct ErrorParts {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    span: Option<Span>,
    may_pass: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),+ $(,)?) => {
        $( $(#[$doc])* pub fn $name(message: impl Into<String>) -> Self { Self::new(ErrorKind::$kind, message) } )+
    };
}

impl Error {
    /// An error of the given kind; the message is lower case without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(ErrorParts {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            span: None,
            may_pass: kind.is_retryable(),
            source: None,
        }))
    }

    constructors! {
        /// The text is not SQL.
        syntax => Syntax,
        /// The query cannot be right as it stands.
        plan => Plan,
        /// The query is right but beyond what headwater does.
        unsupported => Unsupported,
        /// An option or setting is wrong.
        configuration => Configuration,
        /// A source could not be read.
        source_failed => Source,
        /// A record could not be decoded.
        bad_data => BadData,
        /// Rows the checkpoint counts on are gone.
        data_loss => DataLoss,
        /// A sink could not be written.
        sink_failed => Sink,
        /// A recovery file is damaged or does not fit.
        checkpoint => Checkpoint,
        /// Another instance is in the way.
        conflict => Conflict,
        /// A limit was reached.
        resource => Resource,
        /// A broken invariant of headwater itself.
        internal => Internal,
    }

    /// Adds a sentence that explains the message.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a sentence that says what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the place in the SQL text, unless one is known already.
    pub fn with_span(mut self, span: Option<Span>) -> Self {
        self.0.span = self.0.span.or(span);
        self
    }

    /// Adds the error that caused this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Says that what failed may work later without a change to the query, whatever the kind: a disk
    /// may be full now and not in a minute. Such a failure is worth a restart, but no quick retry.
    pub fn that_may_pass(mut self) -> Self {
        self.0.may_pass = true;
        self
    }

    /// Whether what failed may work later without a change by the user.
    pub fn may_pass(&self) -> bool {
        self.0.may_pass
    }

    /// What the user must do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The sentence that explains, if there is one.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The sentence that says what to do, if there is one.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The place in the SQL text, if it is known.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// Takes headwater's own error out of DataFusion's, or classifies DataFusion's by its root.
    pub fn from_datafusion(error: &DataFusionError) -> Self {
        own_error(error).unwrap_or_else(|| classify(error))
    }

    /// The whole text for a person: message, the place in `sql` (named `file`) with a caret,
    /// causes, detail and hint. Ends without a line feed. Passwords in `sql` are hidden.
    pub fn report(&self, file: &str, sql: Option<&str>) -> String {
        let mut out = format!("error: {}", self.0.message);
        if let (Some(span), Some(sql)) = (self.0.span, sql) {
            let sql = HiddenSql::new(sql);
            write_place(&mut out, span, file, &sql, self.0.detail.as_deref());
        } else if let Some(detail) = &self.0.detail {
            let _ = write!(out, "\ndetail: {detail}");
        }
        let mut cause = self.0.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = cause {
            let _ = write!(out, "\ncaused by: {error}");
            cause = error.source();
        }
        if let Some(hint) = &self.0.hint {
            let _ = write!(out, "\nhint: {hint}");
        }
        out
    }
}

/// Draws `--> file:line:column`, the line and a caret run, as compilers do.
fn write_place(out: &mut String, span: Span, file: &str, sql: &HiddenSql, detail: Option<&str>) {
    let _ = write!(out, "\n  --> {file}:{}:{}", span.line, span.column);
    let line_index = usize::try_from(span.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let place = |column: u64| usize::try_from(column.saturating_sub(1));
    let mut places = [
        place(span.column).unwrap_or(0),
        place(span.end_column).unwrap_or(0),
    ];
    let Some(text) = sql.shown_line(line_index, &mut places) else {
        if let Some(detail) = detail {
            let _ = write!(out, "\ndetail: {detail}");
        }
        return;
    };
    let width = span.line.to_string().len();
    let [column, end_column] = places;
    let end = if span.end_line == span.line {
        end_column
    } else {
        text.chars().count()
    };
    let shown = ShownLine::of(&text, column, end);
    let carets = "^".repeat(shown.carets);
    let blank = " ".repeat(width);
    let pad = " ".repeat(shown.before_carets);
    let note = detail.map(|d| format!(" {d}")).unwrap_or_default();
    let _ = write!(
        out,
        "\n{blank} |\n{} | {}\n{blank} | {pad}{carets}{note}",
        span.line, shown.text
    );
}

/// A line of more characters is shown in part.
const LONGEST: usize = 120;
/// Characters of it that are shown, and those of them before a place far right.
const SHOWN: usize = 100;
const SHOWN_BEFORE: usize = 40;

/// A line of SQL, or the part of it around a place.
struct ShownLine {
    text: String,
    before_carets: usize,
    carets: usize,
}

impl ShownLine {
    /// The line, or a part if it is long; the place is from character `column` to `end`.
    fn of(line: &str, column: usize, end: usize) -> Self {
        let length = line.chars().count();
        let from = match length > LONGEST && end > SHOWN {
            true => column.saturating_sub(SHOWN_BEFORE).min(length - SHOWN),
            false => 0,
        };
        let to = match length > LONGEST {
            true => length.min(from + SHOWN),
            false => length,
        };
        let before = if from > 0 { "… " } else { "" };
        let after = if to < length { " …" } else { "" };
        let mut part: String = line.chars().skip(from).take(to - from).collect();
        if to < length {
            part.truncate(part.trim_end().len());
        }
        ShownLine {
            text: format!("{before}{part}{after}"),
            before_carets: column - from + before.chars().count(),
            carets: end.min(to.max(column)).saturating_sub(column).max(1),
        }
    }
}

/// Finds headwater's error anywhere in the wrappers that DataFusion puts around one. They are
/// looked through, not opened: an error of a repartition is shared by all its outputs.
fn own_error(error: &DataFusionError) -> Option<Error> {
    let boxed = |inner: &(dyn StdError + Send + Sync + 'static)| {
        if let Some(own) = inner.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        if let Some(nested) = inner.downcast_ref::<DataFusionError>() {
            return own_error(nested);
        }
        inner
            .downcast_ref::<Arc<DataFusionError>>()
            .and_then(|e| own_error(e))
    };
    match error {
        DataFusionError::External(inner) => boxed(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => boxed(inner.as_ref()),
            _ => None,
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            own_error(inner)
        }
        DataFusionError::Shared(inner) => own_error(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(own_error),
        _ => None,
    }
}

fn classify(error: &DataFusionError) -> Error {
    let span = error.diagnostic().and_then(|d| d.span).map(|s| Span {
        line: s.start.line,
        column: s.start.column,
        end_line: s.end.line,
        end_column: s.end.column,
    });
    let text = error.strip_backtrace();
    let kind = match error.find_root() {
        _ if is_wrong_argument(&text) => ErrorKind::Plan,
        DataFusionError::SQL(..) => ErrorKind::Syntax,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => ErrorKind::Plan,
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::Configuration(_) => ErrorKind::Configuration,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Resource,
        // A cast or an arithmetic overflow in the user's expression surfaces at run time.
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => ErrorKind::Plan,
        _ => ErrorKind::Internal,
    };
    let reworded = reword(&text);
    let error = Error::new(kind, reworded.message).with_span(span);
    match reworded.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}

/// The one way headwater's errors travel through DataFusion's traits.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Error::from_datafusion(&error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Error::from_datafusion(&DataFusionError::ArrowError(Box::new(error), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_errors_survive_datafusion_wrappers() {
        let own = Error::data_loss("partition 3 of topic \"t\" starts at 7").with_hint("Decide.");
        let wrapped = DataFusionError::from(own).context("while reading");
        let back = Error::from_datafusion(&wrapped);
        assert_eq!(back.kind(), ErrorKind::DataLoss);
        assert_eq!(back.hint(), Some("Decide."));
    }

    #[test]
    fn an_error_that_several_hold_is_still_headwaters_own() {
        let own = Error::new(ErrorKind::Source, "the broker is away");
        let shared = Arc::new(DataFusionError::from(own));
        let _another = Arc::clone(&shared);
        let back = Error::from_datafusion(&DataFusionError::Shared(Arc::clone(&shared)));
        assert_eq!(back.kind(), ErrorKind::Source);
        let external = DataFusionError::External(Box::new(shared));
        assert_eq!(
            Error::from_datafusion(&external).message(),
            "the broker is away"
        );
    }

    #[test]
    fn datafusion_errors_are_classified_by_their_root() {
        let cases = [
            (DataFusionError::Plan("No field".into()), ErrorKind::Plan),
            (
                DataFusionError::NotImplemented("x".into()),
                ErrorKind::Unsupported,
            ),
            (
                DataFusionError::Configuration("x".into()),
                ErrorKind::Configuration,
            ),
            (
                DataFusionError::ResourcesExhausted("x".into()),
                ErrorKind::Resource,
            ),
            (DataFusionError::Internal("x".into()), ErrorKind::Internal),
        ];
        for (error, kind) in cases {
            assert_eq!(Error::from_datafusion(&error.context("outer")).kind(), kind);
        }
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!(
            "SELECT {} FROM t WHERE {}",
            "a, ".repeat(40),
            "b + ".repeat(40)
        );
        let shown = |column: usize, end: usize| {
            let span = Span {
                line: 1,
                column: column as u64,
                end_line: 1,
                end_column: end as u64,
            };
            let error = Error::plan("no").with_detail("Here.").with_span(Some(span));
            error.report("a.sql", Some(&line))
        };
        assert_eq!(
            shown(8, 9),
            format!(
                "error: no\n  --> a.sql:1:8\n  |\n1 | SELECT {}a, …\n  |        ^ Here.",
                "a, ".repeat(30)
            )
        );
        assert_eq!(
            shown(144, 149),
            format!(
                "error: no\n  --> a.sql:1:144\n  |\n1 | … {} FROM t WHERE {}b …\n  | {}^^^^^ Here.",
                "a, ".repeat(8),
                "b + ".repeat(15),
                " ".repeat(42)
            )
        );
        // From the first character to the last.
        let end = line.chars().count() + 1;
        let all = shown(1, end);
        assert!(
            all.ends_with(&format!("| {} Here.", "^".repeat(100))),
            "{all}"
        );
        // The end of the text.
        let last = shown(end, end);
        assert!(
            last.ends_with(&format!("| {}^ Here.", " ".repeat(102))),
            "{last}"
        );
    }

    #[test]
    fn report_draws_the_place() {
        let error = Error::plan("source \"orders\" has no watermark")
            .with_detail("rows could arrive for ever")
            .with_hint("Add one.")
            .with_span(Some(Span {
                line: 2,
                column: 10,
                end_line: 2,
                end_column: 22,
            }));
        let text = error.report("a.sql", Some("SELECT 1\nGROUP BY window_start"));
        assert_eq!(
            text,
            "error: source \"orders\" has no watermark\n  --> a.sql:2:10\n  |\n2 | GROUP BY window_start\n  |          ^^^^^^^^^^^^ rows could arrive for ever\nhint: Add one."
        );
    }
}
