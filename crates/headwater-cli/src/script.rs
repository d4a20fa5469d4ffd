//! Statements in order, and the queries they start until all have ended: what `run`, `sql` and
//! the demos have in common.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};

use headwater::{Headwater, Options, Outcome, Result, StreamingQuery};

use crate::args::{RowFormat, SessionArgs, SettingArgs};
use crate::context::Context;
use crate::exit_code::Exit;
use crate::print::{Showing, print_rows};
use crate::progress::{self, PROGRESS_EVERY, shows_progress};
use crate::signals::Signals;

/// A text of statements, and what messages call it.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A session whose console is standard output, with the settings of the command line.
///
/// # Errors
/// If a setting is unknown or its value is bad.
pub(crate) async fn open_session(args: &SettingArgs, context: &Context) -> Result<Headwater> {
    let builder = Headwater::builder()
        .console_to(context.screen.data())
        .select_stream_options(stream_options(args.format, io::stdout().is_terminal()));
    let builder = match args.takeover {
        true => builder.take_over(),
        false => builder,
    };
    let session = builder.build()?;
    if args.allow_state_drop {
        session
            .sql("SET 'checkpoint.allow-state-drop' = 'true'")
            .await?;
    }
    for (key, value) in &args.set {
        set(&session, key, value).await?;
    }
    Ok(session)
}

/// [`open_session`] with what only running queries need.
///
/// # Errors
/// As those of [`open_session`].
pub(crate) async fn open_running(args: &SessionArgs, context: &Context) -> Result<Headwater> {
    let session = open_session(&args.settings, context).await?;
    if let Some(timeout) = &args.drain_timeout {
        set(&session, "drain-timeout", timeout).await?;
    }
    Ok(session)
}

async fn set(session: &Headwater, key: &str, value: &str) -> Result<()> {
    let (key, value) = (quoted(key), quoted(value));
    session.sql(&format!("SET {key} = {value}")).await?;
    Ok(())
}

/// How the console prints a `SELECT STREAM`: to a person the beginning of every epoch, to a file or
/// a program all of it.
fn stream_options(format: RowFormat, is_terminal: bool) -> Options {
    let options: &[(&str, &str)] = match format {
        RowFormat::Table if is_terminal => &[],
        RowFormat::Table => &[("num.rows", "all"), ("truncate", "false")],
        RowFormat::Json => &[("format", "json")],
        RowFormat::Csv => &[("format", "csv"), ("csv.header", "true")],
    };
    options.iter().copied().collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Runs scripts one after the other, then waits until their queries have ended.
///
/// ```text
/// statements ─ done ──────────────▶ wait for the queries ─ all ended ─▶ summary
///     │ failed: report                 │ first signal: ask them to stop
///     └ first signal: leave the rest ──┴▶ ask them to stop, and wait
/// ```
pub(crate) async fn run_to_end(
    session: &Headwater,
    scripts: &[Script],
    args: &SessionArgs,
    context: &Context,
    signals: &Signals,
) -> Exit {
    let statements = async {
        for script in scripts {
            let done = run_statements(session, script, args.showing(), context).await;
            if let Err(error) = done {
                return context.fail(&script.name, Some(&script.text), &error);
            }
        }
        Exit::Done
    };
    let exit = tokio::select! {
        exit = statements => exit,
        exit = signals.first() => exit,
    };
    if exit != Exit::Done {
        session.queries().request_stop_all();
    }
    let queries = Waiting::new(session, args, context).wait(signals).await;
    exit.or(queries)
}

async fn run_statements(
    session: &Headwater,
    script: &Script,
    showing: Showing,
    context: &Context,
) -> Result<()> {
    let each = async |outcome| show(outcome, showing, context).await;
    session.run_script(&script.text, each).await
}

/// Shows what a statement gave: rows are data, all else is a message.
///
/// # Errors
/// If rows cannot be read or printed.
pub(crate) async fn show(outcome: Outcome, showing: Showing, context: &Context) -> Result<()> {
    match outcome {
        Outcome::Rows(rows) => print_rows(rows, showing, context).await?,
        Outcome::Query(query) => context.note(&progress::started(&query)),
        Outcome::Done(text) => context.detail(&text),
    }
    Ok(())
}

/// Waits for the queries of a session, and tells how each one ended.
pub(crate) struct Waiting<'a> {
    session: &'a Headwater,
    context: &'a Context,
    shows_progress: bool,
    told: BTreeSet<String>,
    exit: Exit,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(session: &'a Headwater, args: &SessionArgs, context: &'a Context) -> Self {
        Waiting {
            session,
            context,
            shows_progress: shows_progress(args.progress, context),
            told: BTreeSet::new(),
            exit: Exit::Done,
        }
    }

    /// Waits until all queries have ended; the first signal asks them to.
    pub(crate) async fn wait(mut self, signals: &Signals) -> Exit {
        let queries = self.session.queries();
        let mut asked_to_stop = false;
        while !queries.active().is_empty() {
            tokio::select! {
                _ = queries.await_any_termination() => {}
                _ = signals.first(), if !asked_to_stop => {
                    asked_to_stop = true;
                    queries.request_stop_all();
                    self.context.note("stopping after the running epochs; once more to stop at once");
                }
                () = self.context.clock.sleep(PROGRESS_EVERY), if self.shows_progress => {
                    if let Some(line) = progress::line(self.session) {
                        self.context.screen.show_progress(&line);
                    }
                }
            }
            self.tell_ends();
        }
        self.tell_ends();
        self.context.screen.end_progress();
        self.exit
    }

    fn tell_ends(&mut self) {
        for query in self.session.queries().all() {
            if !query.is_active() && self.told.insert(query.name().to_string()) {
                let exit = tell_end(&query, self.context);
                self.exit = self.exit.or(exit);
            }
        }
    }
}

/// Tells how a query ended.
pub(crate) fn tell_end(query: &StreamingQuery, context: &Context) -> Exit {
    context.note(&progress::summary(query));
    let Some(error) = query.exception() else {
        return Exit::Done;
    };
    context.report("", None, &error);
    Exit::of_query(&error)
}
