//! The prompt of `headwater sql`: statements by hand, with a history.
//!
//! A statement may take several lines and ends with `;`. Queries that a statement starts run in
//! the background of the prompt; `SELECT STREAM` alone holds it, until Ctrl-C. Lines are read on a
//! thread of their own, so that queries go on meanwhile.

use std::cell::Cell;
use std::collections::BTreeSet;

use headwater::{Error, Headwater, Outcome, Result, StreamingQuery, is_complete};

use crate::args::SessionArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::line_reader::{LineReader, Typed};
use crate::script::{show, tell_end};
use crate::signals::Signals;

const PROMPT: &str = "headwater> ";
const PROMPT_MORE: &str = "       ... ";

const HELP: &str = "\
A statement may take several lines and ends with `;`. Among them:
  CREATE SOURCE t (…) WITH (connector = 'kafka', …) FORMAT JSON;   declare an input
  SELECT … FROM t;                  read what is there now
  SELECT STREAM … FROM t;           watch it, until Ctrl-C
  CREATE STREAMING QUERY q AS INSERT INTO s SELECT …;   run in the background
  SHOW SOURCES; SHOW SINKS; SHOW QUERIES; STOP STREAMING QUERY q;
  EXPLAIN SELECT …;                 how it would run
Commands, without `;`:
  \\?         this text (also help)
  \\d         sources, sinks and queries
  \\d NAME    the columns of a source or sink
  \\q         leave (also exit, quit, Ctrl-D)";

/// A session at a prompt.
pub(crate) struct Repl<'a> {
    session: Headwater,
    args: &'a SessionArgs,
    context: &'a Context,
    signals: &'a Signals,
    /// Whether what a statement gave is being shown, which looks at signals itself.
    is_showing: Cell<bool>,
    /// Background queries whose end has been told.
    told: BTreeSet<String>,
}

/// What a line means, after the lines of an unfinished statement.
#[derive(Debug, PartialEq, Eq)]
enum Input<'a> {
    Nothing,
    Quit,
    Help,
    List,
    Describe(&'a str),
    Unknown(&'a str),
    Statements,
    Unfinished,
}

impl<'a> Repl<'a> {
    pub(crate) fn new(
        session: Headwater,
        args: &'a SessionArgs,
        context: &'a Context,
        signals: &'a Signals,
    ) -> Self {
        Repl {
            session,
            args,
            context,
            signals,
            is_showing: Cell::new(false),
            told: BTreeSet::new(),
        }
    }

    /// Asks for statements until the end of input.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(crate) async fn run(mut self, mut reader: LineReader) -> Result<Exit> {
        let version = env!("CARGO_PKG_VERSION");
        self.context
            .note(&format!("headwater {version} · \\? for help, \\q to leave"));
        let mut text = String::new();
        loop {
            let typed = self.read(&mut reader, text.is_empty()).await?;
            match typed {
                Typed::End => break,
                Typed::Interrupt => text.clear(),
                Typed::Line(line) => match self.take(&text, &line).await {
                    Taken::Quit => break,
                    Taken::Aside => {}
                    Taken::NeedsMore => {
                        text.push_str(&line);
                        text.push('\n');
                    }
                    Taken::Done => {
                        text.push_str(&line);
                        reader.remember(&text).await;
                        text.clear();
                    }
                },
            }
            self.tell_ends();
        }
        Ok(self.leave().await)
    }

    /// What is typed next. Ctrl-C at the prompt is typed too; a signal from outside is the end.
    async fn read(&self, reader: &mut LineReader, is_first: bool) -> Result<Typed> {
        self.signals.rearm();
        let prompt = if is_first { PROMPT } else { PROMPT_MORE };
        tokio::select! {
            typed = reader.read(prompt) => typed,
            _ = self.signals.first() => Ok(Typed::End),
        }
    }

    async fn take(&mut self, unfinished: &str, line: &str) -> Taken {
        match input_of(unfinished, line) {
            Input::Nothing => {}
            Input::Unfinished => return Taken::NeedsMore,
            Input::Quit => return Taken::Quit,
            Input::Help => {
                self.context.screen.tell(HELP);
                return Taken::Aside;
            }
            Input::List => self.statements("SHOW TABLES; SHOW QUERIES;").await,
            Input::Describe(name) => self.statements(&format!("DESCRIBE {name};")).await,
            Input::Unknown(command) => {
                let text = format!("error: there is no command {command}; \\? lists them");
                self.context.screen.tell(&text);
            }
            Input::Statements => self.statements(&format!("{unfinished}{line}")).await,
        }
        Taken::Done
    }

    /// Runs statements until they are through, or one fails, or Ctrl-C.
    async fn statements(&self, text: &str) {
        self.signals.rearm();
        let each = async |outcome| {
            self.is_showing.set(true);
            let shown = self.outcome(outcome).await;
            self.is_showing.set(false);
            shown
        };
        let done = tokio::select! {
            done = self.session.run_script(text, each) => done,
            error = self.given_up() => Err(error),
        };
        match done {
            Err(_) if self.signals.has_come() => self.context.note("stopped"),
            Err(error) => self.context.report("line", Some(text), &error),
            Ok(()) => {}
        }
    }

    /// Waits for Ctrl-C while a statement runs, such as an INSERT whose sink hangs.
    async fn given_up(&self) -> Error {
        self.signals.first().await;
        if self.is_showing.get() {
            std::future::pending::<()>().await;
        }
        Error::resource("stopped by Ctrl-C")
    }

    async fn outcome(&self, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Done(text) => {
                self.context.note(&text);
                Ok(())
            }
            Outcome::Query(query) if is_select(&query) => {
                self.context.note("Ctrl-C stops it");
                tokio::select! {
                    ended = query.await_termination() => ended,
                    // The running epoch is finished.
                    _ = self.signals.first() => query.stop().await,
                }
            }
            other => tokio::select! {
                shown = show(other, self.args.showing(), self.context) => shown,
                _ = self.signals.first() => Err(Error::resource("stopped by Ctrl-C")),
            },
        }
    }

    /// Tells of queries that have ended since the last prompt.
    fn tell_ends(&mut self) {
        for query in self.session.queries().all() {
            if is_select(&query) {
                // Whoever started it saw it end.
            } else if query.is_active() {
                self.told.remove(query.name());
            } else if self.told.insert(query.name().to_string()) {
                tell_end(&query, self.context);
            }
        }
    }

    /// Stops what runs in the background; a signal does not wait for it.
    async fn leave(mut self) -> Exit {
        let queries = self.session.queries().clone();
        queries.request_stop_all();
        if !queries.active().is_empty() {
            self.context.note("stopping after the running epochs");
        }
        // Failures are told below, one by one.
        let _ = queries.await_all().await;
        self.tell_ends();
        Exit::Done
    }
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It belongs to a statement that goes on.
    NeedsMore,
    /// It is no part of a statement; one that is unfinished stays so.
    Aside,
    Done,
    Quit,
}

/// Words alone are commands in place of a statement only: within one they may be names.
fn input_of<'a>(unfinished: &str, line: &'a str) -> Input<'a> {
    let is_first = unfinished.is_empty();
    let trimmed = line.trim();
    let command = trimmed.trim_end_matches(';').trim_end();
    match command.to_ascii_lowercase().as_str() {
        "\\q" => return Input::Quit,
        "\\?" => return Input::Help,
        "exit" | "quit" if is_first => return Input::Quit,
        "help" if is_first => return Input::Help,
        "" if is_first && trimmed.is_empty() => return Input::Nothing,
        _ => {}
    }
    let backslash = command.strip_prefix('\\').filter(|_| is_first);
    match backslash.map(|command| (command, command.split_once(char::is_whitespace))) {
        Some(("d", None)) => Input::List,
        Some((_, Some(("d", name)))) => Input::Describe(name.trim()),
        Some(_) => Input::Unknown(trimmed),
        None if is_complete(&format!("{unfinished}{line}")) => Input::Statements,
        None => Input::Unfinished,
    }
}

/// Whether a query is a `SELECT STREAM`: the session names those itself.
fn is_select(query: &StreamingQuery) -> bool {
    query.name().starts_with("select-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let cases = [
            ("  ", Input::Nothing),
            ("\\q", Input::Quit),
            (" \\q ;", Input::Quit),
            ("exit", Input::Quit),
            ("Quit ;", Input::Quit),
            ("\\?", Input::Help),
            ("HELP;", Input::Help),
            ("help me", Input::Unfinished),
            ("exit; SELECT 1;", Input::Statements),
            ("\\d", Input::List),
            ("\\d orders;", Input::Describe("orders")),
            ("\\x", Input::Unknown("\\x")),
            ("SELECT 1", Input::Unfinished),
            ("SELECT\n1;", Input::Statements),
            ("SELECT ';", Input::Unfinished),
        ];
        for (line, input) in cases {
            assert_eq!(input_of("", line), input, "{line:?}");
        }
    }

    #[test]
    fn a_statement_goes_on_after_a_command_among_its_lines() {
        let cases = [
            ("\\q", Input::Quit),
            (" \\?;", Input::Help),
            ("", Input::Unfinished),
            ("exit", Input::Unfinished),
            ("help;", Input::Statements),
            ("\\d", Input::Unfinished),
            ("FROM t;", Input::Statements),
        ];
        for (line, input) in cases {
            assert_eq!(input_of("SELECT a\n", line), input, "{line:?}");
        }
    }
}
