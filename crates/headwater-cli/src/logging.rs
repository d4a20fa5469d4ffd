//! Log lines of the libraries, on standard error.
//!
//! Warnings are shown unless told otherwise, and recoveries that take a while. The failure of a query is left out: the command
//! prints the whole error itself.

use headwater::{Error, Result};
use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::MessageArgs;
use crate::screen::Screen;

/// Starts to show log lines.
///
/// # Errors
/// If the filter cannot be read.
pub(crate) fn start(messages: &MessageArgs, screen: &Screen) -> Result<()> {
    let directives = match (&messages.log_level, messages.quiet, messages.verbose) {
        (Some(filter), _, _) => filter.as_str(),
        (None, true, _) => "error",
        (None, false, 0) => "headwater_engine::slow_recovery=info,warn",
        (None, false, 1) => "headwater=info,headwater_engine=info,headwater_kafka=info,warn",
        (None, false, _) => "debug",
    };
    let filter = EnvFilter::builder().parse(directives).map_err(|error| {
        Error::configuration(format!("\"{directives}\" is not a filter of log lines"))
            .with_source(error)
            .with_hint("Write a level (error, warn, info, debug, trace), or target=level,….")
    })?;
    let is_reported_anyway = |target: &str, level: Level| {
        target.starts_with("headwater_engine::query") && level == Level::ERROR
    };
    let filter = filter.and(filter_fn(move |metadata| {
        !is_reported_anyway(metadata.target(), *metadata.level())
    }));
    let screen = screen.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || screen.log())
        .with_ansi(false)
        .with_target(messages.verbose > 0 || messages.log_level.is_some())
        .without_time()
        .with_filter(filter);
    tracing_subscriber::registry().with(lines).init();
    Ok(())
}
