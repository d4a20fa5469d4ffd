//! The prompt of `headwater sql`: statements by hand, with a history.
//!
//! A statement may take several lines and ends with `;`. Queries that a statement starts run in
//! the background of the prompt; `SELECT STREAM` alone holds it, until Ctrl-C. Lines are read on a
//! thread of their own, so that queries go on meanwhile.

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
  \\?         this text
  \\d         sources, sinks and queries
  \\d NAME    the columns of a source or sink
  \\q         leave (also Ctrl-D)";

/// A session at a prompt.
pub(crate) struct Repl<'a> {
    session: Headwater,
    args: &'a SessionArgs,
    context: &'a Context,
    signals: &'a Signals,
    /// Background queries whose end has been told.
    told: BTreeSet<String>,
}

/// What a line means.
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
                Typed::Line(line) => {
                    text.push_str(&line);
                    match self.take(&text).await {
                        Taken::NeedsMore => text.push('\n'),
                        Taken::Quit => break,
                        Taken::Done => {
                            reader.remember(&text).await;
                            text.clear();
                        }
                    }
                }
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

    async fn take(&mut self, text: &str) -> Taken {
        match input_of(text) {
            Input::Nothing => {}
            Input::Unfinished => return Taken::NeedsMore,
            Input::Quit => return Taken::Quit,
            Input::Help => self.context.screen.tell(HELP),
            Input::List => self.statements("SHOW TABLES; SHOW QUERIES;").await,
            Input::Describe(name) => self.statements(&format!("DESCRIBE {name};")).await,
            Input::Unknown(command) => {
                let text = format!("error: there is no command {command}; \\? lists them");
                self.context.screen.tell(&text);
            }
            Input::Statements => self.statements(text).await,
        }
        Taken::Done
    }

    /// Runs statements until they are through, or one fails, or Ctrl-C.
    async fn statements(&self, text: &str) {
        self.signals.rearm();
        let each = async |outcome| self.outcome(outcome).await;
        let done = self.session.run_script(text, each).await;
        match done {
            Err(_) if self.signals.has_come() => self.context.note("stopped"),
            Err(error) => self.context.report("line", Some(text), &error),
            Ok(()) => {}
        }
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
                shown = show(other, self.args.format, self.context) => shown,
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

/// What became of the lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    NeedsMore,
    Done,
    Quit,
}

fn input_of(text: &str) -> Input<'_> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Input::Nothing;
    }
    let Some(command) = trimmed.strip_prefix('\\') else {
        return if is_complete(text) {
            Input::Statements
        } else {
            Input::Unfinished
        };
    };
    let command = command.trim_end_matches(';').trim();
    match command.split_once(char::is_whitespace) {
        None if command == "q" => Input::Quit,
        None if command == "?" => Input::Help,
        None if command == "d" => Input::List,
        Some(("d", name)) => Input::Describe(name.trim()),
        _ => Input::Unknown(trimmed),
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
            ("\\?", Input::Help),
            ("\\d", Input::List),
            ("\\d orders;", Input::Describe("orders")),
            ("\\x", Input::Unknown("\\x")),
            ("SELECT 1", Input::Unfinished),
            ("SELECT\n1;", Input::Statements),
            ("SELECT ';", Input::Unfinished),
        ];
        for (text, input) in cases {
            assert_eq!(input_of(text), input, "{text:?}");
        }
    }
}
