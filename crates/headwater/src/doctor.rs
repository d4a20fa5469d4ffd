//! Looks at everything that a script needs, before it is run, and changes nothing.
//!
//! Statements that declare something are run in this session, but a table that is made from others
//! stays empty; queries are planned, compared with
//! their checkpoints and not started. Sources are opened and asked where they begin and end; sinks
//! are not opened, as that can leave a trace.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use headwater_checkpoint::{CHECKPOINT_FORMAT_VERSION, FileStore, HEADWATER_VERSION, MemoryFiles};
use headwater_core::clock::Clock;
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::secret::hide_in_sql;
use headwater_core::{Error, ErrorKind, Result};
use headwater_engine::{LeftToRead, Preview};
use headwater_plan::{compile_batch, on_large_stack, reads_sources};
use headwater_sql::ast::{InsertQuery, ParsedStatement, Statement, TableDeclaration};
use headwater_sql::binder::dropped_table;
use headwater_sql::catalog::SourceEntry;
use headwater_sql::parser::parse_script;

use crate::insert_rows::refuse_clauses;
use crate::session::Headwater;

mod folder;
mod query;
mod topic;

use topic::Use;

/// How long anything outside may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
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
            checkpoints: BTreeMap::new(),
            readers: BTreeMap::new(),
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
            let object = format!("sink \"{}\"", sink.name);
            doctor.place(&object, &sink.name, Use::Write).await;
            doctor.claim(&object, &sink);
        }
        Ok(doctor.findings)
    }
}

struct Doctor<'a> {
    session: &'a Headwater,
    /// The options of sources and sinks, by name.
    declarations: BTreeMap<String, Vec<(String, String)>>,
    /// The queries by the folders of their checkpoints.
    checkpoints: BTreeMap<PathBuf, String>,
    /// The queries that read a source, by its name.
    readers: BTreeMap<String, Vec<Reader>>,
    findings: Vec<Finding>,
}

/// A query that reads a source.
struct Reader {
    query: String,
    /// The place of the source among those of the query.
    index: usize,
    /// Where the query goes on, if it does.
    preview: Option<Arc<Preview>>,
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
            format!("statement \"{}\"", hide_in_sql(first))
        };
        let done = match &parsed.statement {
            Statement::CreateSource(declaration)
            | Statement::CreateSink(declaration)
            | Statement::CreateConnectorTable(declaration) => {
                self.remember(declaration);
                self.session.run_statement(parsed).await.map(|_| ())
            }
            Statement::Set(_) => self.session.run_statement(parsed).await.map(|_| ()),
            Statement::DataFusion(statement) if self.only_declares(statement) => {
                self.session.declare(statement).await
            }
            Statement::CreateStreamingQuery(create) => {
                let asked = self.session.asked(create);
                self.query(asked, &create.query).await
            }
            Statement::Insert(insert) => match self.session.binder.bind_insert(insert).await {
                Ok(bound) if !reads_sources(&bound.plan) => {
                    self.rows(&object(), insert, bound.plan).await
                }
                _ => {
                    let known = |name: &str| self.checkpoints.values().any(|other| other == name);
                    let asked = self.session.asked_by_insert(insert, known);
                    self.query(asked, insert).await
                }
            },
            // They are answered when the script runs, or mean nothing before it does.
            _ => Ok(()),
        };
        if let Err(error) = done {
            self.fail(&object(), "statement", &error);
        }
    }

    /// Plans an INSERT of rows that are there.
    async fn rows(&mut self, object: &str, insert: &InsertQuery, plan: LogicalPlan) -> Result<()> {
        refuse_clauses(insert)?;
        compile_batch(&self.session.binder.state(), plan).await?;
        let found = "its rows are written once".to_string();
        self.tell(object, "plan", Verdict::Ok, found);
        Ok(())
    }

    /// Whether a statement of DataFusion only makes names known, or forgets them. A table with a
    /// connector is looked at as a source and a sink, so it is not forgotten.
    fn only_declares(&self, statement: &DFStatement) -> bool {
        let sql = match statement {
            DFStatement::Statement(sql) => sql.as_ref(),
            DFStatement::CreateExternalTable(_) | DFStatement::Reset(_) => return true,
            DFStatement::CopyTo(_) | DFStatement::Explain(_) => return false,
        };
        match sql {
            SqlStatement::CreateTable { .. }
            | SqlStatement::CreateView { .. }
            | SqlStatement::CreateSchema { .. }
            | SqlStatement::Set { .. } => true,
            SqlStatement::Drop { .. } => {
                let connected = dropped_table(statement);
                !connected.is_some_and(|name| self.session.binder.catalog().contains(&name))
            }
            _ => false,
        }
    }

    fn remember(&mut self, declaration: &TableDeclaration) {
        let (name, options) = (&declaration.name.value, &declaration.options);
        self.declarations.insert(name.clone(), options.clone());
    }

    /// Asks a source what it has for every query that reads it.
    async fn source(&mut self, entry: &SourceEntry) {
        let name = &entry.definition.name;
        let object = format!("source \"{name}\"");
        let readers = self.readers.remove(name).unwrap_or_default();
        let is_streamed = !readers.is_empty();
        let begins_anew = readers.iter().any(|reader| reader.preview.is_none());
        for reader in &readers {
            let Some(preview) = &reader.preview else {
                continue;
            };
            let (definition, clock) = (&entry.definition, self.clock());
            let looked = preview.left_to_read(reader.index, definition, clock);
            let after = format!("after the checkpoint of query \"{}\"", reader.query);
            let left = self.in_time(looked).await;
            self.tell_left(&object, entry, left, &after);
        }
        if begins_anew || !is_streamed {
            let left = self.in_time(self.new_query_reads(entry, is_streamed)).await;
            self.tell_left(&object, entry, left, "to read");
        }
        self.place(&object, name, Use::Read).await;
    }

    /// Tells what a source has for a query.
    fn tell_left(
        &mut self,
        object: &str,
        entry: &SourceEntry,
        left: Result<Option<LeftToRead>>,
        what: &str,
    ) {
        let found = match left {
            Err(error) => return self.fail(object, "offsets", &error),
            Ok(None) => "heard live: it begins when the query does".to_string(),
            Ok(Some(left)) if entry.definition.declared.is_endless() => {
                format!("{} partitions without an end", left.partitions)
            }
            Ok(Some(left)) => format!(
                "{} partitions, {} offsets {what}",
                left.partitions, left.offsets
            ),
        };
        self.tell(object, "offsets", Verdict::Ok, found);
    }

    /// Opens a source as a query that begins anew does, and asks it where it begins and ends.
    async fn new_query_reads(
        &self,
        entry: &SourceEntry,
        is_streamed: bool,
    ) -> Result<Option<LeftToRead>> {
        let declared = &entry.definition.declared;
        let files: Arc<dyn FileStore> = Arc::new(MemoryFiles::new());
        let context = SourceContext {
            clock: self.clock(),
            journal: headwater_checkpoint::journal(files, "doctor"),
            // What is read by no streaming query may be made for bounded reads only.
            use_of: match is_streamed || declared.is_endless() {
                true => SourceUse::Stream,
                false => SourceUse::BoundedRead,
            },
            read_before: None,
        };
        let source = declared.open(context).await?;
        if !source.is_replayable() {
            return Ok(None);
        }
        let (from, to) = (source.initial().await?, source.latest().await?);
        Ok(Some(LeftToRead::between(&from, &to)))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.session.environment.clock)
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
