//! What every command needs: the outputs, time, and how much is said.

use std::sync::Arc;

use headwater::{Clock, Error, SystemClock};

use crate::args::MessageArgs;
use crate::exit_code::{Exit, is_closed_pipe};
use crate::screen::Screen;

/// What every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) screen: Screen,
    pub(crate) clock: Arc<dyn Clock>,
    says: Says,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Errors,
    Notes,
    Details,
}

impl Context {
    pub(crate) fn new(messages: &MessageArgs) -> Self {
        let says = match (messages.quiet, messages.verbose) {
            (true, _) => Says::Errors,
            (false, 0) => Says::Notes,
            (false, _) => Says::Details,
        };
        Context {
            screen: Screen::new(),
            clock: Arc::new(SystemClock::new()),
            says,
        }
    }

    /// Says something, unless it is to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if self.says >= Says::Notes {
            self.screen.tell(text);
        }
    }

    /// Says something that only the curious want to know.
    pub(crate) fn detail(&self, text: &str) {
        if self.says >= Says::Details {
            self.screen.tell(text);
        }
    }

    /// Whether anything but errors is said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.says == Says::Errors
    }

    /// Reports an error with its place in a text; nothing if standard output was closed.
    pub(crate) fn report(&self, file: &str, text: Option<&str>, error: &Error) {
        if !is_closed_pipe(error) {
            self.screen.tell(&error.report(file, text));
        }
    }

    /// Reports the error of a statement, and says how the process ends.
    pub(crate) fn fail(&self, file: &str, text: Option<&str>, error: &Error) -> Exit {
        self.report(file, text, error);
        Exit::of_statement(error)
    }
}
