//! Where the rows of a streaming query go, without SQL text.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;

use headwater_connectors::{ForeachBatchSink, MemorySink};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::Sink;
use headwater_core::trigger::Trigger;
use headwater_core::{Error, Result};
use headwater_engine::{Backpressure, EndOfInput, RestartPolicy, StallPolicy, StreamingQuery};
use headwater_exec::kept::Refresh;
use headwater_plan::retention::{Asked, AskedBy};
use headwater_plan::stream_plan::Emit;
use headwater_sql::ast::Statement;
use headwater_sql::parser::parse_script;

use crate::frame::StreamFrame;
use crate::quote::{identifier, with_clause};
use crate::start::{LateRowsInto, RequestedSink, StartRequest};

/// Says where the rows go, and starts the query.
#[derive(Debug)]
pub struct StreamWriter {
    frame: StreamFrame,
    format: Option<String>,
    options: Vec<(String, String)>,
    key: Vec<String>,
    value_format: Option<String>,
    sink: Option<Arc<dyn Sink>>,
    mode: Option<OutputMode>,
    trigger: Option<Trigger>,
    backpressure: Option<Backpressure>,
    name: Option<String>,
    checkpoint: Option<String>,
    checkpoint_interval: Option<Duration>,
    takeover: bool,
    restarts: Option<RestartPolicy>,
    stalls: Option<StallPolicy>,
    drain_timeout: Option<Duration>,
    end_of_input: Option<EndOfInput>,
    late_rows_into: Option<String>,
    table_refresh: Option<Refresh>,
    state_ttl: Option<Duration>,
    dedup_retention: Option<Duration>,
}

impl StreamWriter {
    pub(crate) fn new(frame: StreamFrame) -> Self {
        StreamWriter {
            frame,
            format: None,
            options: vec![],
            key: vec![],
            value_format: None,
            sink: None,
            mode: None,
            trigger: None,
            backpressure: None,
            name: None,
            checkpoint: None,
            checkpoint_interval: None,
            takeover: false,
            restarts: None,
            stalls: None,
            drain_timeout: None,
            end_of_input: None,
            late_rows_into: None,
            table_refresh: None,
            state_ttl: None,
            dedup_retention: None,
        }
    }

    /// The connector: `console`, `memory`, `kafka`, `filesystem`, `blackhole`.
    pub fn format(mut self, connector: &str) -> Self {
        self.format = Some(connector.to_string());
        self
    }

    /// One option, as in `WITH (…)` of `CREATE SINK`.
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.to_string(), value.to_string()));
        self
    }

    /// How values are encoded, as after `FORMAT`.
    pub fn value_format(mut self, format: &str) -> Self {
        self.value_format = Some(format.to_string());
        self
    }

    /// The columns that identify a row, for updates.
    pub fn key(mut self, columns: &[&str]) -> Self {
        self.key = columns.iter().map(ToString::to_string).collect();
        self
    }

    /// Hands the rows of every epoch to a function, with the epoch's number: an epoch that is run
    /// again after a crash comes again under the same number.
    pub fn foreach_batch<F>(mut self, each: F) -> Self
    where
        F: Fn(EpochId, Vec<RecordBatch>) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    {
        self.sink = Some(Arc::new(ForeachBatchSink::new(each)));
        self
    }

    /// Writes to a sink of one's own.
    pub fn sink(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Which rows are emitted; default what fits the query and the sink.
    pub fn output_mode(mut self, mode: OutputMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// When epochs start; default the session's.
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = Some(trigger);
        self
    }

    /// Name of the query, and of the table in memory for format `memory`.
    pub fn query_name(mut self, name: &str) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Where the query is kept across restarts: a folder, or a `file://` URL.
    pub fn checkpoint(mut self, url: &str) -> Self {
        self.checkpoint = Some(url.to_string());
        self
    }

    /// Takes the checkpoint from a process that runs the query. That process is fenced: it stops
    /// with a conflict before it changes the next file.
    pub fn take_over(mut self) -> Self {
        self.takeover = true;
        self
    }

    /// How long epochs may wait for one commit of them all; default the session's. Fewer commits
    /// cost less; rows of sinks that publish with the commit are seen later.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoint_interval = Some(interval);
        self
    }

    /// Whether epochs take in less when they take too long; default the session's.
    pub fn backpressure(mut self, backpressure: Backpressure) -> Self {
        self.backpressure = Some(backpressure);
        self
    }

    /// What happens when the query failed for a reason that may pass; default the session's.
    pub fn restarts(mut self, policy: RestartPolicy) -> Self {
        self.restarts = Some(policy);
        self
    }

    /// How long the query may be without progress, and what is done then; default the session's.
    pub fn stalls(mut self, policy: StallPolicy) -> Self {
        self.stalls = Some(policy);
        self
    }

    /// How long the query may go on after it was asked to stop; default the session's.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = Some(timeout);
        self
    }

    /// What happens to open windows when the input ends.
    pub fn end_of_input(mut self, end: EndOfInput) -> Self {
        self.end_of_input = Some(end);
        self
    }

    /// The sink for late rows, as `CREATE SINK` declared it: the same as `LATE ROWS INTO`.
    pub fn late_rows_into(mut self, sink: &str) -> Self {
        self.late_rows_into = Some(sink.to_string());
        self
    }

    /// When the tables that the query reads are read again; default the session's.
    pub fn table_refresh(mut self, refresh: Refresh) -> Self {
        self.table_refresh = Some(refresh);
        self
    }

    /// How long state by key is kept that no row touches, in processing time: `state.ttl`; default
    /// the session's. Refused if the query has no state that nothing else ends.
    pub fn state_ttl(mut self, ttl: Duration) -> Self {
        self.state_ttl = Some(ttl);
        self
    }

    /// How long the key of a first row is remembered, in event time: `dedup.retention`; default the
    /// session's. Refused if the query keeps no first rows.
    pub fn dedup_retention(mut self, time: Duration) -> Self {
        self.dedup_retention = Some(time);
        self
    }

    /// Starts the query on the current Tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the query or the options, or what keeps it from starting.
    pub async fn start(mut self) -> Result<StreamingQuery> {
        let session = self.frame.session.clone();
        let is_named = self.name.is_some();
        let name = self
            .name
            .take()
            .unwrap_or_else(|| session.fresh_name("query"));
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => self.declared_sink(&name)?,
        };
        let emit = match self.mode {
            Some(mode) => Emit::Mode(mode),
            None => self.frame.emit,
        };
        let mut settings = session.settings();
        settings.trigger = self.trigger.unwrap_or(settings.trigger);
        settings.backpressure = self.backpressure.unwrap_or(settings.backpressure);
        if let Some(restarts) = self.restarts {
            settings.restarts = restarts;
            settings.has_restart_delay = false;
            settings.needs_checkpoint = (restarts.attempts > 0).then_some("restarts");
        }
        if let Some(interval) = self.checkpoint_interval {
            settings.checkpoint_interval = Some(interval);
            settings.needs_checkpoint = Some("checkpoint_interval");
        }
        settings.takeover |= self.takeover;
        settings.stalls = self.stalls.unwrap_or(settings.stalls);
        settings.drain_timeout = self.drain_timeout.unwrap_or(settings.drain_timeout);
        settings.end_of_input = self.end_of_input.or(settings.end_of_input);
        settings.table_refresh = self.table_refresh.unwrap_or(settings.table_refresh);
        let asked = |time: Option<Duration>| {
            let by = AskedBy::Query;
            time.map(|time| Asked { time, by })
        };
        let retention = &mut settings.retention;
        retention.state_ttl = asked(self.state_ttl).or(retention.state_ttl);
        retention.dedup = asked(self.dedup_retention).or(retention.dedup);
        let checkpoint = match self.checkpoint {
            Some(url) => Some(url),
            None => settings
                .checkpoint
                .as_ref()
                .map(|base| format!("{base}/{name}")),
        };
        let request = StartRequest {
            name: name.clone(),
            is_named,
            sink_name: name,
            text: self.frame.text,
            span: None,
            plan: self.frame.plan,
            emit,
            sink: RequestedSink::Open(sink),
            late_rows_into: match self.late_rows_into {
                Some(name) => Some(LateRowsInto { name, span: None }),
                None => self.frame.late_rows_into,
            },
            settings,
            checkpoint,
        };
        session.start_query(request).await
    }

    fn declared_sink(&self, name: &str) -> Result<Arc<dyn Sink>> {
        let session = &self.frame.session;
        let Some(format) = &self.format else {
            return Err(Error::configuration("the query has nowhere to write")
                .with_hint("Call format(\"console\"), foreach_batch(…) or sink(…)."));
        };
        if format == "memory" && self.options.is_empty() {
            let sink = MemorySink::with_key(self.key.clone());
            session.memory.add_sink(name, sink.clone());
            return sink.declared().open();
        }
        let mut options = vec![("connector".to_string(), format.clone())];
        options.extend(self.options.iter().cloned());
        let mut text = format!("CREATE SINK {}", identifier(name));
        if !self.key.is_empty() {
            let key: Vec<_> = self.key.iter().map(|k| identifier(k)).collect();
            text.push_str(&format!(" (PRIMARY KEY ({}))", key.join(", ")));
        }
        text.push(' ');
        text.push_str(&with_clause(&options));
        if let Some(format) = &self.value_format {
            text.push_str(&format!(" FORMAT {format}"));
        }
        match parse_script(&text)?.pop().map(|s| s.statement) {
            Some(Statement::CreateSink(declaration)) => {
                // The sink is this query's own: it takes no name in the catalog.
                session
                    .binder
                    .declare_sink(&declaration, &text)?
                    .declared
                    .open()
            }
            _ => Err(Error::internal("a sink was not declared as one")),
        }
    }
}
