//! Looks at everything that a script needs, before it is run, and changes nothing.
//!
//! Statements that declare something are run in this session; queries are planned and not started.
//! Sources are opened as for a bounded read, and asked where they begin and end.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::{
    CHECKPOINT_FORMAT_VERSION, FileStore, HEADWATER_VERSION, Holder, MemoryFiles, probe_folder,
};
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::event_time::{EventTime, micros};
use headwater_core::{Error, ErrorKind, Result};
use headwater_kafka::{KafkaConnection, TailEnd, TailStart, TopicInfo, list_topics, tail};
use headwater_plan::on_large_stack;
use headwater_sql::ast::{ParsedStatement, Statement, TableDeclaration};
use headwater_sql::catalog::SourceEntry;
use headwater_sql::parser::parse_script;

use crate::session::Headwater;
use crate::start::{StartRequest, mode_request, state_with};

/// How long anything outside may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Less room than this is told.
const LITTLE_ROOM: u64 = 1 << 30;
/// A small file that takes longer than this to become durable slows every epoch.
const SLOW_SYNC: Duration = Duration::from_millis(100);
/// Records may be ahead of the local clock by this much.
const SMALL_SKEW: Duration = Duration::from_secs(30);

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// The script can run, and may not do what is wanted.
    Warn,
    /// The script cannot run.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: `source "orders"`.
    pub object: String,
    /// What was looked at: `topic`, `rights`, `clock`.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it, if there is something to do.
    pub advice: Option<String>,
}

impl Headwater {
    /// Looks at what the statements of a script need: topics and their records, rights, clocks,
    /// disks, checkpoints and versions. The session should be a new one, as the script's
    /// declarations stay in it.
    ///
    /// # Errors
    /// If the text is not SQL. Whatever else is wrong is a finding.
    pub async fn examine(&self, script: &str) -> Result<Vec<Finding>> {
        let statements = parse_script(script)?;
        let mut doctor = Doctor {
            session: self,
            declarations: BTreeMap::new(),
            findings: vec![],
        };
        doctor.versions();
        for parsed in &statements {
            on_large_stack(doctor.statement(parsed)).await;
        }
        for source in self.binder.catalog().sources() {
            doctor.source(&source).await;
        }
        for sink in self.binder.catalog().sinks() {
            doctor
                .place(&format!("sink \"{}\"", sink.name), &sink.name, Use::Write)
                .await;
        }
        Ok(doctor.findings)
    }
}

/// What a script does with an outside object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

struct Doctor<'a> {
    session: &'a Headwater,
    /// The options of sources and sinks, by name.
    declarations: BTreeMap<String, Vec<(String, String)>>,
    findings: Vec<Finding>,
}

impl Doctor<'_> {
    fn tell(&mut self, object: &str, check: &'static str, verdict: Verdict, found: String) {
        self.findings.push(Finding {
            object: object.to_string(),
            check,
            verdict,
            found,
            advice: None,
        });
    }

    fn advise(&mut self, advice: impl Into<String>) {
        if let Some(last) = self.findings.last_mut() {
            last.advice = Some(advice.into());
        }
    }

    fn fail(&mut self, object: &str, check: &'static str, error: &Error) {
        let mut found = error.message().to_string();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if let Some(cause) = cause.filter(|cause| !found.contains(cause.as_str())) {
            found.push_str(&format!(": {cause}"));
        }
        self.tell(object, check, Verdict::Fail, found);
        if let Some(hint) = error.hint() {
            self.advise(hint);
        }
    }

    fn versions(&mut self) {
        let found = format!(
            "headwater {HEADWATER_VERSION}, checkpoint format {CHECKPOINT_FORMAT_VERSION}, \
             librdkafka {}",
            headwater_kafka::librdkafka_version()
        );
        self.tell("headwater", "versions", Verdict::Ok, found);
    }

    async fn statement(&mut self, parsed: &ParsedStatement) {
        let object = || {
            let first = parsed.text.lines().next().unwrap_or_default();
            format!("statement \"{first}\"")
        };
        let done = match &parsed.statement {
            Statement::CreateSource(declaration)
            | Statement::CreateSink(declaration)
            | Statement::CreateConnectorTable(declaration) => {
                self.remember(declaration);
                self.session.run_statement(parsed).await.map(|_| ())
            }
            Statement::Set(_) => self.session.run_statement(parsed).await.map(|_| ()),
            Statement::DataFusion(_) if only_declares(&parsed.text) => {
                self.session.run_statement(parsed).await.map(|_| ())
            }
            Statement::CreateStreamingQuery(create) => {
                self.query(self.session.defined(create).await).await
            }
            Statement::Insert(insert) => self.query(self.session.inserted(insert).await).await,
            // They are answered when the script runs, or mean nothing before it does.
            _ => Ok(()),
        };
        if let Err(error) = done {
            self.fail(&object(), "statement", &error);
        }
    }

    fn remember(&mut self, declaration: &TableDeclaration) {
        let (name, options) = (&declaration.name.value, &declaration.options);
        self.declarations.insert(name.clone(), options.clone());
    }

    /// Plans a query, and looks at its checkpoint.
    async fn query(&mut self, request: Result<StartRequest>) -> Result<()> {
        let request = request?;
        let object = format!("query \"{}\"", request.name);
        let partitions = self.session.environment_now().target_partitions();
        let state = state_with(self.session.binder.state(), partitions);
        let capabilities = request.sink.capabilities();
        let sink = &request.sink_name;
        let modes = mode_request(request.emit, &request.settings, sink, capabilities);
        let into = request.late_rows_into.as_ref();
        let planned = self
            .session
            .compile(&state, request.plan, modes, into)
            .await?;
        let mode = planned.plan.mode;
        self.tell(&object, "plan", Verdict::Ok, format!("{mode} mode"));
        for warning in &planned.plan.warnings {
            self.tell(&object, "plan", Verdict::Warn, warning.clone());
        }
        match request.checkpoint.as_deref() {
            Some(url) => {
                let folder = url.strip_prefix("file://").unwrap_or(url);
                self.folder(&object, folder);
            }
            None => {
                let found = "none: a restart begins anew".to_string();
                self.tell(&object, "checkpoint", Verdict::Warn, found);
                self.advise(
                    "Name a folder with `checkpoint` if the result must survive a restart.",
                );
            }
        }
        Ok(())
    }

    /// Looks at a folder that something is kept in.
    fn folder(&mut self, object: &str, folder: &str) {
        let clock = &*self.session.environment.clock;
        let probe = match probe_folder(Path::new(folder), clock) {
            Ok(probe) => probe,
            Err(error) => {
                self.fail(object, "disk", &error);
                self.advise(
                    "Give this user the right to write there, make room, or choose another folder.",
                );
                return;
            }
        };
        let place = match probe.exists {
            true => format!("\"{folder}\" can be written"),
            false => format!("\"{folder}\" is not there yet and can be made"),
        };
        self.tell(object, "disk", Verdict::Ok, place);
        let sync = format!("4 kB are durable after {:.1?}", probe.sync);
        let is_slow = probe.sync > SLOW_SYNC;
        self.tell(object, "fsync", warn_if(is_slow), sync);
        if is_slow {
            self.advise("Every epoch waits for several of these: use a faster disk, or `checkpoint.interval`.");
        }
        if let Some(free) = probe.free_bytes {
            let room = format!("{} MiB are free", free >> 20);
            self.tell(object, "room", warn_if(free < LITTLE_ROOM), room);
            if free < LITTLE_ROOM {
                self.advise("Make room: a full disk stops the query.");
            }
        }
        match probe.holder {
            None => self.tell(object, "lock", Verdict::Ok, "free".to_string()),
            Some(holder) => {
                let by = match holder {
                    Holder::Process(owner) => format!(
                        "held by process {} on host \"{}\" since {}",
                        owner.pid, owner.host, owner.started_at
                    ),
                    Holder::Unknown => "held by another process".to_string(),
                };
                self.tell(object, "lock", Verdict::Fail, by);
                self.advise(
                    "Stop that process, or give this query a checkpoint folder of its own.",
                );
            }
        }
    }

    /// Opens a source and asks it where it begins and ends.
    async fn source(&mut self, entry: &SourceEntry) {
        let definition = &entry.definition;
        let object = format!("source \"{}\"", definition.name);
        let clock = Arc::clone(&self.session.environment.clock);
        let files: Arc<dyn FileStore> = Arc::new(MemoryFiles::new());
        let context = SourceContext {
            clock,
            journal: headwater_checkpoint::journal(files, "doctor"),
            use_of: SourceUse::BoundedRead,
            is_resumed: false,
        };
        let looked = async {
            let source = definition.declared.open(context).await?;
            if !source.is_replayable() {
                return Ok(None);
            }
            let (from, to) = (source.initial().await?, source.latest().await?);
            let unread = |(partition, end): (_, i64)| end - from.get(partition).unwrap_or(0);
            let records: i64 = to.iter().map(unread).sum();
            Ok(Some((to.iter().count(), records)))
        };
        match self.in_time(looked).await {
            Err(error) => {
                self.fail(&object, "offsets", &error);
                return;
            }
            Ok(None) => {
                let found = "heard live: it begins when the query does".to_string();
                self.tell(&object, "offsets", Verdict::Ok, found);
            }
            Ok(Some((partitions, records))) => {
                let found = format!("{partitions} partitions, {records} offsets to read");
                self.tell(&object, "offsets", Verdict::Ok, found);
            }
        }
        let name = definition.name.clone();
        self.place(&object, &name, Use::Read).await;
    }

    /// Looks at where an object of the script is, as far as its options say.
    async fn place(&mut self, object: &str, name: &str, use_of: Use) {
        let Some(options) = self.declarations.get(name).cloned() else {
            return;
        };
        let option = |names: &[&str]| {
            let found = options
                .iter()
                .find(|(key, _)| names.contains(&key.as_str()));
            found.map(|(_, value)| value.clone())
        };
        match (option(&["path"]), option(&["topic", "subscribe"])) {
            (Some(path), _) if use_of == Use::Write => self.folder(object, &path),
            (_, Some(topics)) => {
                let Some(connection) = connection(&options) else {
                    return;
                };
                self.topics(object, &connection, &topics, use_of).await;
            }
            _ => {}
        }
    }

    async fn topics(
        &mut self,
        object: &str,
        connection: &KafkaConnection,
        topics: &str,
        use_of: Use,
    ) {
        let known = match self.in_time(list_topics(connection)).await {
            Ok(known) => known,
            Err(error) => {
                self.fail(object, "broker", &error);
                return;
            }
        };
        for topic in topics.split(',').map(str::trim) {
            let Some(info) = known.iter().find(|info| info.name == topic) else {
                self.missing(object, topic, &known, use_of);
                continue;
            };
            let found = format!("\"{topic}\" has {} partitions", info.partitions.len());
            self.tell(object, "topic", Verdict::Ok, found);
            self.newest(object, connection, info).await;
        }
    }

    fn missing(&mut self, object: &str, topic: &str, known: &[TopicInfo], use_of: Use) {
        let found = format!("\"{topic}\" is not there");
        self.tell(object, "topic", Verdict::Fail, found);
        let names = known.iter().map(|info| info.name.as_str());
        let nearest = headwater_core::options::nearest(topic, names);
        let created = match use_of {
            Use::Read => "or this user may not see it",
            Use::Write => "create it before the start: writing does not",
        };
        match nearest {
            Some(name) => self.advise(format!("Did you mean \"{name}\"? If not, {created}.")),
            None => self.advise(format!("Look at `headwater kafka topics`; {created}.")),
        }
    }

    /// Reads the newest record of every partition: whether it may be read, and by which clock it
    /// was made.
    async fn newest(&mut self, object: &str, connection: &KafkaConnection, topic: &TopicInfo) {
        if topic.partitions.iter().all(|p| p.start >= p.end) {
            self.tell(object, "records", Verdict::Ok, "none yet".to_string());
            return;
        }
        let mut newest: Option<EventTime> = None;
        let mut records = 0;
        let clock = Arc::clone(&self.session.environment.clock);
        let read = tail(
            connection,
            &topic.name,
            TailStart::Last(1),
            TailEnd::Now,
            Arc::clone(&clock),
            |record| {
                records += 1;
                newest = newest.max(record.timestamp);
                ControlFlow::Continue(())
            },
        );
        if let Err(error) = self.in_time(read).await {
            self.fail(object, "records", &error);
            return;
        }
        let found = format!("the newest of {records} partitions can be read");
        self.tell(object, "records", Verdict::Ok, found);
        let Some(newest) = newest else {
            return;
        };
        let ahead = newest.0 - clock.now().0;
        let is_ahead = ahead > micros(SMALL_SKEW);
        let found = match is_ahead {
            true => format!(
                "the newest record is {} s ahead of the local clock",
                ahead / 1_000_000
            ),
            false => format!("the newest record is of {newest}, not ahead of the local clock"),
        };
        self.tell(object, "clock", warn_if(is_ahead), found);
        if is_ahead {
            self.advise(
                "Compare the clocks of this machine, the broker and the producers: rows too far \
                 ahead do not move the watermark.",
            );
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let clock = &self.session.environment.clock;
        tokio::select! {
            done = work => done,
            () = clock.sleep(PATIENCE) => Err(Error::new(
                ErrorKind::Source,
                format!("no answer within {PATIENCE:?}"),
            )
            .with_hint("Is the address right, and does a firewall let it through?")),
        }
    }
}

fn warn_if(is_bad: bool) -> Verdict {
    if is_bad { Verdict::Warn } else { Verdict::Ok }
}

/// Whether a statement of DataFusion only makes a name known.
fn only_declares(text: &str) -> bool {
    let words: Vec<String> = text
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["CREATE", "VIEW", ..]
            | ["CREATE", "OR", "REPLACE", "VIEW", ..]
            | ["CREATE", "EXTERNAL", "TABLE", ..]
            | ["SET", ..]
    )
}

/// How the cluster of a source or a sink is reached.
fn connection(options: &[(String, String)]) -> Option<KafkaConnection> {
    let mut servers = None;
    let mut properties = vec![];
    for (key, value) in options {
        let property = key
            .strip_prefix("properties.")
            .or_else(|| key.strip_prefix("kafka."));
        match property.unwrap_or(key) {
            "bootstrap.servers" | "bootstrap.server" => servers = Some(value.clone()),
            name if property.is_some() => properties.push((name.to_string(), value.clone())),
            _ => {}
        }
    }
    let start = KafkaConnection::new(servers?);
    let properties = properties.into_iter();
    Some(properties.fold(start, |connection, (name, value)| {
        connection.with_property(name, value)
    }))
}
