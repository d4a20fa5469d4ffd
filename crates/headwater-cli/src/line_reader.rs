//! Lines typed at a terminal, with a history, read on a thread of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use headwater::datafusion::common::runtime::SpawnedTask;
use headwater::secret::hide_in_sql;
use headwater::{Error, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

/// What the thread is asked.
#[derive(Debug)]
enum Ask {
    Line(&'static str),
    Remember(String),
}

/// What a person typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Line(String),
    Interrupt,
    End,
}

/// Asks a person for lines.
#[derive(Debug)]
pub(crate) struct LineReader {
    asks: mpsc::Sender<Ask>,
    lines: mpsc::Receiver<Result<Typed>>,
    _thread: SpawnedTask<()>,
}

impl LineReader {
    /// Starts the thread and loads the history.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(crate) fn start() -> Result<LineReader> {
        let mut editor = DefaultEditor::new().map_err(|error| terminal_failed(&error))?;
        let history = history_file();
        if let Some(file) = &history {
            // The first time there is none.
            let _ = editor.load_history(file);
        }
        let (asks, asked) = mpsc::channel(2);
        let (answers, lines) = mpsc::channel(1);
        let thread =
            SpawnedTask::spawn_blocking(move || serve(editor, history.as_deref(), asked, &answers));
        Ok(LineReader {
            asks,
            lines,
            _thread: thread,
        })
    }

    /// The next line.
    ///
    /// # Errors
    /// If the terminal cannot be read.
    pub(crate) async fn read(&mut self, prompt: &'static str) -> Result<Typed> {
        // A thread that is gone answers nothing below.
        let _ = self.asks.send(Ask::Line(prompt)).await;
        self.lines.recv().await.unwrap_or(Ok(Typed::End))
    }

    /// Adds a text to the history, without the passwords in it.
    pub(crate) async fn remember(&self, text: &str) {
        // Without the thread there is no history to add to.
        let _ = self
            .asks
            .send(Ask::Remember(hide_in_sql(text.trim())))
            .await;
    }
}

fn serve(
    mut editor: DefaultEditor,
    history: Option<&Path>,
    mut asked: mpsc::Receiver<Ask>,
    answers: &mpsc::Sender<Result<Typed>>,
) {
    while let Some(ask) = asked.blocking_recv() {
        match ask {
            Ask::Line(prompt) => {
                let typed = match editor.readline(prompt) {
                    Ok(line) => Ok(Typed::Line(line)),
                    Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
                    Err(ReadlineError::Eof) => Ok(Typed::End),
                    Err(error) => Err(terminal_failed(&error)),
                };
                if answers.blocking_send(typed).is_err() {
                    return;
                }
            }
            Ask::Remember(text) => {
                let is_new = editor.add_history_entry(text.as_str()).unwrap_or(false);
                if let Some(file) = history.filter(|_| is_new) {
                    save(&mut editor, file);
                }
            }
        }
    }
}

/// A history that cannot be kept is no reason to stop.
#[expect(
    clippy::disallowed_methods,
    reason = "the history is no recovery file: losing it loses no rows"
)]
fn save(editor: &mut DefaultEditor, file: &Path) {
    let folder = file.parent().map(std::fs::create_dir_all);
    let saved = match folder {
        Some(Err(error)) => Err(ReadlineError::Io(error)),
        _ => editor.append_history(file),
    };
    if let Err(error) = saved {
        tracing::debug!(file = %file.display(), %error, "could not keep the history");
    }
}

/// `headwater/history` in the user's data folder.
fn history_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|v: &OsString| !v.is_empty());
    let data = match folder("XDG_DATA_HOME") {
        Some(data) => PathBuf::from(data),
        None => PathBuf::from(folder("HOME")?).join(".local/share"),
    };
    Some(data.join("headwater").join("history"))
}

fn terminal_failed(error: &ReadlineError) -> Error {
    Error::resource(format!("could not read from the terminal: {error}"))
}
