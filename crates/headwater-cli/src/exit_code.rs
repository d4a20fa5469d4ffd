//! How the process ends, as a number for scripts.

use std::io;
use std::process::ExitCode;

use headwater::{Error, ErrorKind};

/// The table of `--help`.
pub(crate) const EXIT_CODES_HELP: &str = "\
Exit codes:
  0    done
  1    a query failed while it ran
  2    the arguments or the SQL are wrong
  3    another process holds the checkpoint or has taken the query over
  4    rows that the checkpoint counts on are gone from the source
  5    the checkpoint is damaged or does not fit the query
  75   temporary: a source or sink could not be reached, or a disk is full; try again
  130  interrupted before the statements were through (143 at SIGTERM)";

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// A query failed while it ran.
    QueryFailed,
    /// The arguments or the SQL are wrong.
    Usage,
    /// Somebody else holds the checkpoint.
    Conflict,
    /// Rows are gone.
    DataLoss,
    /// The checkpoint cannot be used.
    Checkpoint,
    /// It may work later.
    Temporary,
    /// A signal of this number ended it.
    Signal(u8),
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::QueryFailed => 1,
            Exit::Usage => 2,
            Exit::Conflict => 3,
            Exit::DataLoss => 4,
            Exit::Checkpoint => 5,
            Exit::Temporary => 75,
            Exit::Signal(number) => 128 | number,
        }
    }

    /// The end for a statement that failed.
    pub(crate) fn of_statement(error: &Error) -> Exit {
        if is_closed_pipe(error) {
            return Exit::Done;
        }
        match error.kind() {
            ErrorKind::Syntax
            | ErrorKind::Plan
            | ErrorKind::Unsupported
            | ErrorKind::Configuration => Exit::Usage,
            _ if error.may_pass() => Exit::Temporary,
            _ => Exit::of_query(error),
        }
    }

    /// The end for a query that failed while it ran.
    pub(crate) fn of_query(error: &Error) -> Exit {
        if is_closed_pipe(error) {
            return Exit::Done;
        }
        match error.kind() {
            ErrorKind::Conflict => Exit::Conflict,
            ErrorKind::DataLoss => Exit::DataLoss,
            ErrorKind::Checkpoint => Exit::Checkpoint,
            ErrorKind::Resource if error.may_pass() => Exit::Temporary,
            _ => Exit::QueryFailed,
        }
    }

    /// The first of two that is not [`Exit::Done`].
    pub(crate) fn or(self, other: Exit) -> Exit {
        if self == Exit::Done { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Whether nobody reads standard output any more, as after `| head`: no failure.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_kind_and_the_moment() {
        let cases = [
            (Error::syntax("x"), 2, 1),
            (Error::plan("x"), 2, 1),
            (Error::unsupported("x"), 2, 1),
            (Error::configuration("x"), 2, 1),
            (Error::source_failed("x"), 75, 1),
            (Error::sink_failed("x"), 75, 1),
            (Error::bad_data("x"), 1, 1),
            (Error::data_loss("x"), 4, 4),
            (Error::conflict("x"), 3, 3),
            (Error::checkpoint("x"), 5, 5),
            (Error::resource("x"), 1, 1),
            (Error::resource("x").that_may_pass(), 75, 75),
            (Error::internal("x"), 1, 1),
        ];
        for (error, statement, query) in cases {
            let kind = error.kind();
            assert_eq!(Exit::of_statement(&error).code(), statement, "{kind:?}");
            assert_eq!(Exit::of_query(&error).code(), query, "{kind:?}");
        }
        assert_eq!(Exit::Signal(2).code(), 130);
        assert_eq!(Exit::Signal(15).code(), 143);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = Error::sink_failed("x").with_source(pipe);
        assert_eq!(Exit::of_statement(&error), Exit::Done);
        assert_eq!(Exit::of_query(&error), Exit::Done);
    }
}
