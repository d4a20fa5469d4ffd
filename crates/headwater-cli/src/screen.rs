//! Standard output and standard error, shared by everything that writes to them.
//!
//! At most one line of progress stands at the end of a terminal. Whoever writes takes it away
//! first, so that tables, log lines and progress never run into each other.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater::{Error, Result};

/// To the start of the line, without what stands there.
const ERASE: &str = "\r\x1b[K";
/// Lines that are too long are cut at the edge of the terminal, and not wrapped.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Both outputs of the process. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    shows_progress: Arc<Mutex<bool>>,
    is_terminal: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Screen {
            shows_progress: Arc::default(),
            is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Whether a person sees standard error.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes whole lines to standard error. What cannot be written there cannot be told.
    pub(crate) fn tell(&self, text: &str) {
        let _guard = self.erased();
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Shows a line of progress in place of the one before.
    pub(crate) fn show_progress(&self, line: &str) {
        if !self.is_terminal {
            return self.tell(line);
        }
        let mut shows = self.erased();
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{NO_WRAP}{line}{WRAP}");
        let _ = stderr.flush();
        *shows = true;
    }

    /// Takes the line of progress away.
    pub(crate) fn end_progress(&self) {
        drop(self.erased());
    }

    /// Standard output as a writer.
    pub(crate) fn data(&self) -> DataWriter {
        DataWriter {
            screen: self.clone(),
        }
    }

    /// Standard error as a writer of log lines.
    pub(crate) fn log(&self) -> LogWriter {
        LogWriter {
            screen: self.clone(),
        }
    }

    /// Takes the line of progress away and keeps others from writing meanwhile.
    fn erased(&self) -> MutexGuard<'_, bool> {
        let lock = self.shows_progress.lock();
        let mut shows = lock.unwrap_or_else(PoisonError::into_inner);
        if *shows {
            let _ = write!(io::stderr().lock(), "{ERASE}");
            *shows = false;
        }
        shows
    }
}

/// Writes to standard output.
#[derive(Debug)]
pub(crate) struct DataWriter {
    screen: Screen,
}

impl Write for DataWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _guard = self.screen.erased();
        io::stdout().lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// Writes to standard error.
#[derive(Debug)]
pub(crate) struct LogWriter {
    screen: Screen,
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _guard = self.screen.erased();
        io::stderr().lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// What went wrong with standard output.
pub(crate) fn output_failed(error: io::Error) -> Error {
    Error::sink_failed("could not write to standard output").with_source(error)
}

/// Writes one line to standard output.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn print_line(screen: &Screen, line: &str) -> Result<()> {
    let mut out = screen.data();
    let written = out.write_all(format!("{line}\n").as_bytes());
    written.and_then(|()| out.flush()).map_err(output_failed)
}
