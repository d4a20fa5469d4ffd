//! Settings of a session: the defaults of the queries that are started after a `SET`.

use std::time::Duration;

use headwater_checkpoint::OnStateChange;
use headwater_checkpoint::checkpoint::KEPT_COMMITS;
use headwater_core::duration::parse_positive_duration;
use headwater_core::mode::OutputMode;
use headwater_core::options::{OptionReader, Options};
use headwater_core::trigger::Trigger;
use headwater_core::{Error, Result};
use headwater_engine::{
    Backpressure, DRAIN_TIMEOUT, EndOfInput, RestartPolicy, StallAction, StallPolicy,
};
use headwater_exec::kept::Refresh;
use headwater_plan::retention::{Asked, AskedBy, Retention};

/// What `SET 'key' = value` sets, and what `WITH (…)` of a query may set for that query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When epochs start; default as soon as there is data.
    pub trigger: Trigger,
    /// Whether epochs take in less when they take too long; default by the trigger.
    pub backpressure: Backpressure,
    /// Which rows are emitted; default what fits the query and the sink.
    pub output_mode: Option<OutputMode>,
    /// Folder under which queries keep their checkpoints; default none: a restart starts anew.
    pub checkpoint: Option<String>,
    /// Whether queries are taken from a process that runs them; default never. Not for `SET`: a
    /// script would say it every time.
    pub takeover: bool,
    /// How long epochs may wait for a commit of them all; default: every epoch is committed by
    /// itself.
    pub checkpoint_interval: Option<Duration>,
    /// How many of the newest commits are kept with all their files; default 2.
    pub retained_commits: Option<usize>,
    /// What happens when a query goes on and its state does not fit any more; default: it is
    /// refused.
    pub on_state_change: OnStateChange,
    /// What happens when a query failed for a reason that may pass; default: it stays failed.
    pub restarts: RestartPolicy,
    /// A key that means nothing without a checkpoint: one that the query set for itself, or
    /// `restart.attempts`.
    pub(crate) needs_checkpoint: Option<&'static str>,
    /// Whether a wait before restarts was asked for.
    pub(crate) has_restart_delay: bool,
    /// How long a query may be without progress, and what is done then; default a warning after a
    /// minute.
    pub stalls: StallPolicy,
    /// How long a query may go on after it was asked to stop; default 5 seconds.
    pub drain_timeout: Duration,
    /// What happens to open windows when the input ends; default: they are finished if the source
    /// has ended by itself, and held if a bounded run ends before the source.
    pub end_of_input: Option<EndOfInput>,
    /// When the tables that a streaming query reads are read again; default never.
    pub table_refresh: Refresh,
    /// How long state is kept that nothing ends; default for ever.
    pub retention: Retention,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            trigger: Trigger::default(),
            backpressure: Backpressure::default(),
            output_mode: None,
            checkpoint: None,
            checkpoint_interval: None,
            retained_commits: None,
            on_state_change: OnStateChange::default(),
            restarts: RestartPolicy::default(),
            needs_checkpoint: None,
            has_restart_delay: false,
            takeover: false,
            stalls: StallPolicy::default(),
            drain_timeout: DRAIN_TIMEOUT,
            end_of_input: None,
            table_refresh: Refresh::default(),
            retention: Retention::default(),
        }
    }
}

/// The key of restarts, which need a checkpoint.
const RESTARTS: Option<&str> = Some("restart.attempts");

/// Numbers of commits that can be kept.
const RETAINED: std::ops::RangeInclusive<usize> = KEPT_COMMITS..=1000;

/// Keys that are known and not there yet, so that nobody takes silence for success.
const NOT_YET: [&str; 3] = ["shards", "time-zone", "dialect.functions"];

/// Keys of the session as a whole, which no query can have for itself.
const SESSION_KEYS: [&str; 2] = ["target-partitions", "memory-limit"];

impl Settings {
    /// Sets one key.
    ///
    /// # Errors
    /// If the key is unknown (names the nearest), not there yet, or the value is bad.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        if NOT_YET.iter().any(|k| k.eq_ignore_ascii_case(key)) {
            return Err(Error::unsupported(format!(
                "setting \"{key}\" is not there yet"
            )));
        }
        let mut options = Options::new();
        options.set(key, value);
        let mut reader = OptionReader::new("the session", &options);
        let mut changed = self.overridden(&mut reader)?;
        let asked = [
            &mut changed.retention.state_ttl,
            &mut changed.retention.dedup,
        ];
        for asked in asked.into_iter().flatten() {
            asked.by = AskedBy::Session;
        }
        // Queries without a checkpoint do without what a session asks for, but for a promise to try
        // again, which they would break.
        changed.needs_checkpoint = changed.restart_key();
        // Known to the façade, which handles them before they come here.
        for key in SESSION_KEYS {
            reader.take(key, &[])?;
        }
        reader.finish().map_err(|e| {
            let error = Error::configuration(format!("there is no setting \"{key}\""));
            match (elsewhere(key), e.hint()) {
                (Some(hint), _) => error.with_hint(hint),
                (None, Some(hint)) => error.with_hint(hint),
                (None, None) => error,
            }
        })?;
        *self = changed;
        Ok(())
    }

    fn take_pace(&mut self, reader: &mut OptionReader) -> Result<()> {
        if let Some(trigger) = reader.take("trigger", &[])? {
            self.trigger = trigger.parse()?;
        }
        if let Some(text) = reader.take("backpressure", &[])? {
            self.backpressure = backpressure(&text)?;
        }
        Ok(())
    }

    fn take_restarts(&mut self, reader: &mut OptionReader) -> Result<()> {
        if let Some(attempts) = reader.take_parsed("restart.attempts", &[], "a whole number")? {
            self.restarts.attempts = attempts;
            // What the session says of restarts is about other queries then.
            self.has_restart_delay &= attempts > 0;
            if self.needs_checkpoint.is_none() || self.needs_checkpoint == RESTARTS {
                self.needs_checkpoint = self.restart_key();
            }
        }
        if let Some(delay) = reader.take_duration("restart.delay", &[])? {
            self.restarts.delay = delay;
            self.has_restart_delay = true;
        }
        Ok(())
    }

    fn restart_key(&self) -> Option<&'static str> {
        RESTARTS.filter(|_| self.restarts.attempts > 0)
    }

    /// These settings for a query that is only looked at, and never kept.
    pub(crate) fn unkept(mut self) -> Settings {
        self.needs_checkpoint = None;
        self.has_restart_delay = false;
        self
    }

    /// How many commits a query keeps.
    pub(crate) fn kept_commits(&self) -> usize {
        self.retained_commits.unwrap_or(KEPT_COMMITS)
    }

    /// These settings with the options of one query.
    ///
    /// # Errors
    /// If a value is bad.
    pub(crate) fn overridden(&self, reader: &mut OptionReader) -> Result<Settings> {
        let mut settings = self.clone();
        settings.take_pace(reader)?;
        if let Some(mode) = reader.take("output-mode", &["outputMode"])? {
            settings.output_mode = Some(mode.parse()?);
        }
        if let Some(checkpoint) = reader.take("checkpoint", &["checkpointLocation"])? {
            settings.checkpoint = (checkpoint != "none").then_some(checkpoint);
        }
        if let Some(interval) = reader.take("checkpoint.interval", &[])? {
            settings.checkpoint_interval = checkpoint_interval(&interval)?;
            settings.needs_checkpoint = Some("checkpoint.interval");
        }
        let expected = "a whole number from 2 to 1000";
        if let Some(commits) = reader.take_parsed("checkpoint.retain", &[], expected)? {
            if !RETAINED.contains(&commits) {
                let text = commits.to_string();
                return Err(reader.bad_value("checkpoint.retain", &text, expected));
            }
            settings.retained_commits = Some(commits);
            settings.needs_checkpoint = Some("checkpoint.retain");
        }
        match reader.take_bool("checkpoint.allow-state-drop", &[])? {
            Some(true) => {
                settings.on_state_change = OnStateChange::Drop;
                settings.needs_checkpoint = Some("checkpoint.allow-state-drop");
            }
            Some(false) => settings.on_state_change = OnStateChange::Refuse,
            None => {}
        }
        settings.take_restarts(reader)?;
        if let Some(timeout) = reader.take("stall-timeout", &[])? {
            settings.stalls.timeout = stall_timeout(&timeout)?;
        }
        let actions = [("warn", StallAction::Warn), ("fail", StallAction::Fail)];
        if let Some(action) = reader.take_choice("stall-action", &[], &actions)? {
            settings.stalls.action = action;
        }
        if let Some(timeout) = reader.take_duration("drain-timeout", &[])? {
            settings.drain_timeout = timeout;
        }
        if let Some(refresh) = reader.take("table.refresh", &[])? {
            settings.table_refresh = table_refresh(&refresh)?;
        }
        if let Some(ttl) = reader.take("state.ttl", &[])? {
            settings.retention.state_ttl = retention("state.ttl", &ttl)?;
        }
        if let Some(time) = reader.take("dedup.retention", &[])? {
            settings.retention.dedup = retention("dedup.retention", &time)?;
        }
        let ends = [("hold", EndOfInput::Hold), ("flush", EndOfInput::Flush)];
        let told = reader.take_choice("end-of-input", &[], &ends)?;
        settings.end_of_input = told.or(settings.end_of_input);
        let flags = [("true", EndOfInput::Flush), ("false", EndOfInput::Hold)];
        if let Some(end) = reader.take_choice("watermark.flush-at-end", &[], &flags)? {
            if told.is_some_and(|told| told != end) {
                return Err(Error::configuration(format!(
                    "{} says two things about the end of the input",
                    reader.owner()
                ))
                .with_hint("Keep \"end-of-input\" alone."));
            }
            settings.end_of_input = Some(end);
        }
        Ok(settings)
    }
}

/// What to write for a key that is known by another name or in another place.
pub(crate) fn elsewhere(key: &str) -> Option<String> {
    let folded = key.to_ascii_lowercase().replace(['_', '.'], "-");
    if SESSION_KEYS.contains(&folded.as_str()) || folded.starts_with("datafusion-") {
        return Some(format!(
            "It is the session's: write `SET '{key}' = …` before the query."
        ));
    }
    let full = match folded.as_str() {
        "allow-state-drop" => "checkpoint.allow-state-drop",
        "retain" => "checkpoint.retain",
        "ttl" => "state.ttl",
        _ => return None,
    };
    Some(format!("Write '{full}'."))
}

/// `epoch`, or an interval.
fn checkpoint_interval(text: &str) -> Result<Option<Duration>> {
    if text.eq_ignore_ascii_case("epoch") {
        return Ok(None);
    }
    let hint =
        "Write 'epoch', which commits every epoch by itself, or an interval such as '1 second'.";
    interval("checkpoint.interval", text, hint).map(Some)
}

/// `auto`, `off`, or the time an epoch should take at most.
fn backpressure(text: &str) -> Result<Backpressure> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Backpressure::Auto);
    }
    if text.eq_ignore_ascii_case("off") {
        return Ok(Backpressure::Off);
    }
    let hint =
        "Write 'auto', 'off', or how long an epoch should take at most, such as '2 seconds'.";
    interval("backpressure", text, hint).map(Backpressure::Target)
}

/// `never`, or an interval.
fn stall_timeout(text: &str) -> Result<Option<Duration>> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let hint = "Write 'never', or an interval such as '1 minute'.";
    interval("stall-timeout", text, hint).map(Some)
}

/// `never`, or an interval.
fn table_refresh(text: &str) -> Result<Refresh> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(Refresh::Never);
    }
    let hint = "Write 'never', or an interval such as '1 minute'.";
    interval("table.refresh", text, hint).map(Refresh::Every)
}

/// `never`, or an interval, as a query asks for it.
fn retention(key: &str, text: &str) -> Result<Option<Asked>> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let hint = "Write 'never', or an interval such as '1 day'.";
    let by = AskedBy::Query;
    interval(key, text, hint).map(|time| Some(Asked { time, by }))
}

/// An interval that is longer than nothing, or why it is none.
fn interval(key: &str, text: &str, hint: &str) -> Result<Duration> {
    parse_positive_duration(text).map_err(|error| {
        let refused =
            Error::configuration(format!("\"{key}\" cannot be \"{text}\"")).with_hint(hint);
        match error.detail() {
            Some(why) => refused.with_detail(why),
            None => refused,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_name_the_nearest() {
        let mut settings = Settings::default();
        let error = settings.set("triger", "once").unwrap_err();
        assert_eq!(error.message(), "there is no setting \"triger\"");
        assert_eq!(error.hint(), Some("Did you mean \"trigger\"?"));
        settings.set("trigger", "5 seconds").unwrap();
        assert_eq!(settings.trigger.to_string(), "5 seconds");
        assert!(settings.set("shards", "4").is_err());
    }

    #[test]
    fn tables_are_read_again_after_an_interval_or_never() {
        let mut settings = Settings::default();
        settings.set("table.refresh", "1 minute").unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(settings.table_refresh, Refresh::Every(minute));
        settings.set("table.refresh", "never").unwrap();
        assert_eq!(settings.table_refresh, Refresh::Never);
        for wrong in ["sometimes", "0 seconds"] {
            let error = settings.set("table.refresh", wrong).unwrap_err();
            let message = format!("\"table.refresh\" cannot be \"{wrong}\"");
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn commits_are_grouped_by_an_interval_or_not_at_all() {
        let mut settings = Settings::default();
        settings.set("checkpoint.interval", "1 second").unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(settings.checkpoint_interval, Some(second));
        settings.set("checkpoint.interval", "epoch").unwrap();
        assert_eq!(settings.checkpoint_interval, None);
        for wrong in ["sometimes", "0 seconds"] {
            let error = settings.set("checkpoint.interval", wrong).unwrap_err();
            let message = format!("\"checkpoint.interval\" cannot be \"{wrong}\"");
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn commits_are_kept_for_going_back() {
        let mut settings = Settings::default();
        assert_eq!(settings.kept_commits(), 2);
        settings.set("checkpoint.retain", "50").unwrap();
        assert_eq!(settings.kept_commits(), 50);
        for wrong in ["1", "0", "all", "1001"] {
            let error = settings.set("checkpoint.retain", wrong).unwrap_err();
            assert!(error.message().contains("from 2 to 1000"), "{error}");
        }
    }

    #[test]
    fn state_is_dropped_if_that_is_asked_for() {
        let mut settings = Settings::default();
        assert_eq!(settings.on_state_change, OnStateChange::Refuse);
        settings.set("checkpoint.allow-state-drop", "true").unwrap();
        assert_eq!(settings.on_state_change, OnStateChange::Drop);
        settings
            .set("checkpoint.allow-state-drop", "false")
            .unwrap();
        assert_eq!(settings.on_state_change, OnStateChange::Refuse);
        assert!(settings.set("checkpoint.allow-state-drop", "yes").is_err());
    }

    #[test]
    fn what_nothing_ends_is_kept_for_a_time_or_for_ever() {
        let mut settings = Settings::default();
        settings.set("state.ttl", "1 day").unwrap();
        settings.set("dedup.retention", "10 minutes").unwrap();
        let by_session = |seconds: u64| {
            Some(Asked {
                time: Duration::from_secs(seconds),
                by: AskedBy::Session,
            })
        };
        assert_eq!(settings.retention.state_ttl, by_session(86_400));
        assert_eq!(settings.retention.dedup, by_session(600));
        let of_query = [("state.ttl", "never"), ("dedup.retention", "1 hour")];
        let options = of_query.into_iter().collect();
        let mut reader = OptionReader::new("streaming query \"q\"", &options);
        let query = settings.overridden(&mut reader).unwrap();
        assert_eq!(query.retention.state_ttl, None);
        assert_eq!(query.retention.dedup.unwrap().by, AskedBy::Query);
        for wrong in ["sometimes", "0 seconds"] {
            let error = settings.set("state.ttl", wrong).unwrap_err();
            let message = format!("\"state.ttl\" cannot be \"{wrong}\"");
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn backpressure_is_by_the_trigger_or_by_a_time_or_off() {
        let mut settings = Settings::default();
        let two = Backpressure::Target(Duration::from_secs(2));
        let cases = [
            ("2 seconds", two),
            ("OFF", Backpressure::Off),
            ("auto", Backpressure::Auto),
        ];
        for (text, expected) in cases {
            settings.set("backpressure", text).unwrap();
            assert_eq!(settings.backpressure, expected);
        }
        for wrong in ["sometimes", "0 seconds", "true"] {
            let error = settings.set("backpressure", wrong).unwrap_err();
            let message = format!("\"backpressure\" cannot be \"{wrong}\"");
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn restarts_have_a_number_and_a_delay() {
        let mut settings = Settings::default();
        settings.set("restart.attempts", "5").unwrap();
        settings.set("restart.delay", "10 seconds").unwrap();
        let delay = Duration::from_secs(10);
        assert_eq!(settings.restarts, RestartPolicy { attempts: 5, delay });
        assert!(settings.set("restart.attempts", "-1").is_err());
    }

    #[test]
    fn stalls_have_a_timeout_and_an_action() {
        let mut settings = Settings::default();
        settings.set("stall-timeout", "10 seconds").unwrap();
        settings.set("stall-action", "fail").unwrap();
        let expected = StallPolicy {
            timeout: Some(Duration::from_secs(10)),
            action: StallAction::Fail,
        };
        assert_eq!(settings.stalls, expected);
        settings.set("stall-timeout", "never").unwrap();
        assert_eq!(settings.stalls.timeout, None);
        assert!(settings.set("stall-timeout", "0 seconds").is_err());
        assert!(settings.set("stall-action", "panic").is_err());
    }

    #[test]
    fn the_end_of_the_input_is_told_once() {
        let mut settings = Settings::default();
        settings.set("watermark.flush-at-end", "false").unwrap();
        assert_eq!(settings.end_of_input, Some(EndOfInput::Hold));
        settings.set("end-of-input", "flush").unwrap();
        assert_eq!(settings.end_of_input, Some(EndOfInput::Flush));
        let both = [
            ("end-of-input", "flush"),
            ("watermark.flush-at-end", "false"),
        ];
        let mut reader = OptionReader::new("streaming query \"q\"", &both.into_iter().collect());
        let error = settings.overridden(&mut reader).unwrap_err();
        assert!(error.message().contains("says two things"), "{error}");
    }
}
