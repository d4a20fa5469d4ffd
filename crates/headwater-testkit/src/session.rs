//! A session whose streaming queries run an epoch when they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use headwater::{EventTime, Headwater, ManualClock, Outcome};
use headwater_checkpoint::MemoryFiles;
use headwater_core::sink::Publication;
use headwater_core::{Error, Result};
use headwater_plan::on_large_stack;
use headwater_sql::ast::{CreateStreamingQuery, ParsedStatement, Statement};
use headwater_sql::parser::parse_script;
use parking_lot::Mutex;

use crate::feed::rows_of;
use crate::query::{Ran, TestQuery};
use crate::recording_sink::Ledger;
use crate::statement::TestStatement;

/// 2026-01-02T00:00:00Z: a day after the times that [`FEED`](crate::feed) gives rows without a
/// date, so that they are not too far ahead of the clock.
pub const CLOCK_START: EventTime = EventTime(1_767_312_000_000_000);

/// Epochs that are run when everything fed is to be processed; more are a query that never ends.
const MAX_EPOCHS: usize = 10_000;

/// What happens around every `EPOCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// Nothing: one process runs all epochs.
    Straight,
    /// The process ends after each epoch, and another goes on.
    Restarted,
    /// The process dies before each commit record, and another runs the epoch again.
    Crashed,
}

impl RunMode {
    /// All of them.
    pub const ALL: [RunMode; 3] = [RunMode::Straight, RunMode::Restarted, RunMode::Crashed];

    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            RunMode::Straight => "straight",
            RunMode::Restarted => "restarted",
            RunMode::Crashed => "crashed",
        }
    }
}

/// A session under test.
#[derive(Debug)]
pub struct TestSession {
    headwater: Headwater,
    clock: ManualClock,
    mode: RunMode,
    publication: Publication,
    queries: BTreeMap<String, TestQuery>,
}

/// What a statement gives.
#[derive(Debug)]
pub enum Answer {
    /// It was done.
    Done,
    /// Rows, with their columns.
    Rows(arrow::datatypes::SchemaRef, Vec<RecordBatch>),
    /// Lines of text.
    Lines(Vec<String>),
}

impl TestSession {
    /// A session with a clock at [`CLOCK_START`].
    ///
    /// # Errors
    /// If the session cannot be built.
    pub fn try_new(mode: RunMode, target_partitions: usize) -> Result<Self> {
        let clock = ManualClock::new(CLOCK_START);
        let headwater = Headwater::builder()
            .clock(Arc::new(clock.clone()))
            .console(Arc::new(Mutex::new(std::io::sink())))
            .target_partitions(target_partitions)
            .build()?;
        Ok(TestSession {
            headwater,
            clock,
            mode,
            publication: Publication::AfterRecord,
            queries: BTreeMap::new(),
        })
    }

    /// Lets the sinks of queries that are created from now on decide in this way what has happened.
    pub fn set_publication(&mut self, publication: Publication) {
        self.publication = publication;
    }

    /// The session under test.
    pub fn headwater(&self) -> &Headwater {
        &self.headwater
    }

    /// A query that was created.
    ///
    /// # Errors
    /// If none has this name.
    pub fn query(&mut self, name: &str) -> Result<&mut TestQuery> {
        let known = self.queries.get_mut(name);
        known.ok_or_else(|| Error::plan(format!("streaming query \"{name}\" does not exist")))
    }

    /// The names of the queries.
    pub fn query_names(&self) -> Vec<String> {
        self.queries.keys().cloned().collect()
    }

    /// Moves the clock.
    pub fn advance_clock(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs one statement, of headwater or of the test language.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn run(&mut self, text: &str) -> Result<Answer> {
        on_large_stack(self.run_here(text)).await
    }

    async fn run_here(&mut self, text: &str) -> Result<Answer> {
        let Some(statement) = TestStatement::parse(text)? else {
            return self.sql(text).await;
        };
        match statement {
            TestStatement::Refused(statement) => self.refused(&statement).await,
            TestStatement::Feed {
                source,
                values,
                partition,
            } => self.feed(&source, &values, partition).await,
            TestStatement::Epoch(name) => self.epoch(&name).await,
            TestStatement::Clock(by) => {
                self.advance_clock(by);
                Ok(Answer::Done)
            }
            TestStatement::Restart(name) => {
                self.restart(&name).await?;
                Ok(Answer::Done)
            }
            TestStatement::Progress(name) => self.progress(&name),
            TestStatement::Late(name) => self.beside(&name, TestQuery::late),
            TestStatement::Dead(name) => self.beside(&name, TestQuery::dead),
        }
    }

    /// Runs a statement that must fail, and gives the whole report.
    async fn refused(&mut self, text: &str) -> Result<Answer> {
        let result = match TestStatement::parse(text)? {
            Some(TestStatement::Epoch(name)) => self.epoch(&name).await,
            Some(TestStatement::Restart(name)) => self.restart(&name).await.map(|()| Answer::Done),
            _ => self.sql(text).await,
        };
        match result {
            Ok(_) => Err(Error::plan("the statement was not refused")),
            Err(error) => {
                let report = error.report("test.sql", Some(text));
                Ok(Answer::Lines(report.lines().map(str::to_string).collect()))
            }
        }
    }

    /// Runs headwater's statements; streaming queries are opened and wait for [`Self::epoch`].
    async fn sql(&mut self, text: &str) -> Result<Answer> {
        let mut answer = Answer::Done;
        let statements = parse_script(text)?;
        for parsed in &statements {
            // Alone, a statement keeps its place in the text.
            let text = if statements.len() == 1 {
                text
            } else {
                &parsed.text
            };
            answer = match &parsed.statement {
                Statement::CreateStreamingQuery(create) => self.create(create, parsed).await?,
                Statement::Insert(_) => {
                    return Err(Error::plan("INSERT INTO would run by itself")
                        .with_hint("Write CREATE STREAMING QUERY in tests."));
                }
                _ => match Box::pin(self.headwater.sql(text)).await? {
                    Outcome::Rows(rows) => Answer::Rows(rows.schema(), rows.collect().await?),
                    Outcome::Done(_) => Answer::Done,
                    Outcome::Query(_) => {
                        return Err(Error::plan("SELECT STREAM would run by itself")
                            .with_hint("Write CREATE STREAMING QUERY in tests."));
                    }
                },
            };
        }
        Ok(answer)
    }

    async fn create(
        &mut self,
        create: &CreateStreamingQuery,
        parsed: &ParsedStatement,
    ) -> Result<Answer> {
        let name = create.name.value.clone();
        let (disk, ledger) = match self.queries.get_mut(&name) {
            Some(known) if create.or_replace => {
                known.close();
                (known.disk(), known.ledger().clone())
            }
            Some(_) => {
                return Err(Error::plan(format!(
                    "streaming query \"{name}\" exists already"
                )));
            }
            None => (MemoryFiles::new(), Ledger::default()),
        };
        let select = create.query.query.to_string();
        let mut query = TestQuery::new(
            parsed.text.clone(),
            select,
            disk,
            ledger,
            self.clock.clone(),
            self.publication,
        );
        query.open(&self.headwater).await?;
        self.queries.insert(name, query);
        Ok(Answer::Done)
    }

    async fn feed(&mut self, source: &str, values: &str, partition: usize) -> Result<Answer> {
        let stream = self.headwater.memory_stream(source).ok_or_else(|| {
            Error::plan(format!(
                "there is no source \"{source}\" of connector memory"
            ))
        })?;
        let rows = rows_of(&self.headwater, values, &stream.schema()).await?;
        stream.push(partition, rows)?;
        Ok(Answer::Done)
    }

    /// Ends the process of a query and starts another.
    ///
    /// # Errors
    /// What keeps the query from starting.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let headwater = self.headwater.clone();
        let query = self.query(name)?;
        query.close();
        query.open(&headwater).await
    }

    async fn epoch(&mut self, name: &str) -> Result<Answer> {
        let (headwater, mode) = (self.headwater.clone(), self.mode);
        let query = self.query(name)?;
        query.open(&headwater).await?;
        if mode == RunMode::Crashed {
            query.crash_before_commit();
        }
        let mut ran = query.step().await;
        if mode == RunMode::Crashed && matches!(ran, Ok(Ran::Epoch(_))) {
            return Err(Error::internal("the epoch was committed without a crash"));
        }
        if ran.is_err() && query.has_crashed() {
            self.restart(name).await?;
            ran = self.query(name)?.step().await;
        }
        if ran.is_err() {
            // As in an engine: a failed query stops, and starting it again runs the epoch again.
            self.query(name)?.close();
        } else if mode == RunMode::Restarted {
            self.restart(name).await?;
        }
        let schema = self.query(name)?.ledger().schema();
        let schema = schema.ok_or_else(|| Error::internal("the sink was not opened"))?;
        match ran? {
            Ran::Epoch(rows) => Ok(Answer::Rows(schema, rows)),
            Ran::Nothing | Ran::Finished => Ok(Answer::Rows(schema, vec![])),
            Ran::Lost(error) => Err(error),
        }
    }

    /// Runs epochs until nothing is left to read, through any deaths that were arranged.
    ///
    /// # Errors
    /// If an epoch fails by itself.
    pub async fn run_to_end(&mut self, name: &str) -> Result<()> {
        let headwater = self.headwater.clone();
        let query = self.query(name)?;
        for _ in 0..MAX_EPOCHS {
            query.open(&headwater).await?;
            match query.step().await {
                Ok(Ran::Epoch(_)) => {}
                Ok(Ran::Nothing | Ran::Finished) => return Ok(()),
                Ok(Ran::Lost(_)) => query.close(),
                Err(_) if query.has_crashed() => query.close(),
                Err(error) => return Err(error),
            }
        }
        Err(Error::internal(format!(
            "query \"{name}\" never catches up"
        )))
    }

    /// What the last epoch handed to a sink beside that of the result.
    fn beside(&mut self, name: &str, ledger_of: fn(&TestQuery) -> &Ledger) -> Result<Answer> {
        let query = self.query(name)?;
        let epoch = query.last_progress().map(|progress| progress.epoch);
        let epoch = epoch.ok_or_else(|| Error::plan("no epoch has run"))?;
        let ledger = ledger_of(query);
        let schema = ledger.schema();
        let schema = schema.ok_or_else(|| Error::plan("these rows go nowhere"))?;
        let rows = ledger.epoch(epoch).unwrap_or_default();
        Ok(Answer::Rows(schema, rows))
    }

    fn progress(&mut self, name: &str) -> Result<Answer> {
        let progress = self.query(name)?.last_progress();
        let progress = progress.ok_or_else(|| Error::plan("no epoch has run"))?;
        let expired = match progress.expired() {
            0 => String::new(),
            keys => format!(" expired={keys}"),
        };
        Ok(Answer::Lines(vec![format!(
            "epoch={} in={} out={} late={} ahead={}{expired} watermark={}",
            progress.epoch,
            progress.rows_in,
            progress.rows_out,
            progress.late(),
            progress.rows_ahead,
            progress.watermark
        )]))
    }
}
