//! Plans a streaming query for a sink and starts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;

use headwater_checkpoint::{FileStore, MemoryFiles, query_metadata};
use headwater_core::connector::DeclaredSink;
use headwater_core::error::Span;
use headwater_core::id::SourceIndex;
use headwater_core::sink::{Sink, SinkCapabilities};
use headwater_core::{Error, Result};
use headwater_engine::dead_letter_sink::{LetterLimit, LetterSources};
use headwater_engine::{
    DeadLetterSink, Durability, LateSink, QueryEnvironment, QuerySpec, StreamingQuery,
};
use headwater_plan::stream_plan::{Emit, LateRowsRequest};
use headwater_plan::{ModeRequest, StreamPlan, compile_stream};
use headwater_sql::ast::{Name, Statement};
use headwater_sql::catalog::SinkEntry;
use headwater_sql::dead_letters::dead_letter_schema;
use headwater_sql::late_rows::late_schema;
use headwater_sql::parser::parse_script;

use crate::session::Headwater;
use crate::settings::Settings;
use crate::statements::placed;

const NO_QUERY: &str = "one CREATE STREAMING QUERY or INSERT INTO was expected";

/// What a statement says of a streaming query beside its SELECT.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// The folder or URL of its checkpoint, if it is to have one.
    pub(crate) checkpoint: Option<String>,
}

/// The sink of a query. Opening one can leave a trace outside, so who only looks does not.
#[derive(Debug, Clone)]
pub(crate) enum RequestedSink {
    Declared(Arc<dyn DeclaredSink>),
    Open(Arc<dyn Sink>),
}

impl RequestedSink {
    pub(crate) fn open(&self) -> Result<Arc<dyn Sink>> {
        match self {
            RequestedSink::Declared(declared) => declared.open(),
            RequestedSink::Open(sink) => Ok(Arc::clone(sink)),
        }
    }

    pub(crate) fn capabilities(&self) -> Result<SinkCapabilities> {
        match self {
            RequestedSink::Declared(declared) => declared.capabilities(),
            RequestedSink::Open(sink) => Ok(sink.capabilities()),
        }
    }

    pub(crate) fn identity(&self) -> Result<Vec<(&'static str, String)>> {
        match self {
            RequestedSink::Declared(declared) => declared.identity(),
            RequestedSink::Open(sink) => Ok(sink.identity()),
        }
    }
}

/// A streaming query that was asked for.
pub(crate) struct StartRequest {
    pub(crate) name: String,
    /// Whether the user gave it that name.
    pub(crate) is_named: bool,
    pub(crate) sink_name: String,
    pub(crate) text: String,
    /// Where its SELECT stands, for errors that know no better place.
    pub(crate) span: Option<Span>,
    pub(crate) plan: LogicalPlan,
    pub(crate) emit: Emit,
    pub(crate) sink: RequestedSink,
    /// The sink of `LATE ROWS INTO`.
    pub(crate) late_rows_into: Option<LateRowsInto>,
    pub(crate) settings: Settings,
    pub(crate) checkpoint: Option<String>,
}

/// `LATE ROWS INTO name`.
#[derive(Debug, Clone)]
pub(crate) struct LateRowsInto {
    pub(crate) name: String,
    /// Where the name stands, if it was written in SQL.
    pub(crate) span: Option<Span>,
}

impl From<&Name> for LateRowsInto {
    fn from(name: &Name) -> Self {
        LateRowsInto {
            name: name.value.clone(),
            span: Some(name.span),
        }
    }
}

impl Headwater {
    /// Plans and starts.
    pub(crate) async fn start_query(&self, request: StartRequest) -> Result<StreamingQuery> {
        check_name(&request.name)?;
        if self.queries.is_running(&request.name) {
            return Err(
                Error::plan(format!("query \"{}\" is running already", request.name))
                    .with_hint("Stop it first, or choose another name."),
            );
        }
        self.check_own_checkpoint(&request)?;
        let query = StreamingQuery::start(self.plan_query(request, None).await?).await?;
        self.queries.add(query.clone())?;
        Ok(query)
    }

    /// Refuses a checkpoint that another query of this session has: which of the two it belongs to
    /// would depend on who comes first. A query without a name of its own is the one before again, if
    /// that has ended.
    fn check_own_checkpoint(&self, request: &StartRequest) -> Result<()> {
        let Some(url) = request.checkpoint.as_deref() else {
            return Ok(());
        };
        let folder = absolute(headwater_checkpoint::folder_of(url)?);
        let queries = self.queries.all();
        let other = queries.iter().find(|query| {
            let theirs = query.checkpoint().map(Path::new);
            let is_another = query.name() != request.name;
            let has_it = query.is_active() || request.is_named;
            is_another && has_it && theirs == Some(folder.as_path())
        });
        match other {
            Some(other) => Err(shared_checkpoint(&request.name, other.name(), &folder)),
            None => Ok(()),
        }
    }

    /// Plans a streaming query without starting it: what [`StreamingQuery::start`] would run, for
    /// those who drive its epochs themselves, as tests do. `store` is where it is kept; without
    /// one, what its options say.
    ///
    /// # Errors
    /// If the text is not one `CREATE STREAMING QUERY` or `INSERT INTO`, or what is wrong with it.
    pub async fn prepare(
        &self,
        text: &str,
        store: Option<Arc<dyn FileStore>>,
    ) -> Result<QuerySpec> {
        let statements = parse_script(text)?;
        let [only] = statements.as_slice() else {
            return Err(Error::plan(NO_QUERY));
        };
        let planned = Box::pin(self.prepare_statement(&only.statement, store)).await;
        planned.map_err(|e| placed(e, only))
    }

    async fn prepare_statement(
        &self,
        statement: &Statement,
        store: Option<Arc<dyn FileStore>>,
    ) -> Result<QuerySpec> {
        let request = match statement {
            Statement::CreateStreamingQuery(create) => self.defined(create).await?,
            Statement::Insert(insert) => self.inserted(insert).await?,
            _ => return Err(Error::plan(NO_QUERY)),
        };
        self.plan_query(request, store).await
    }

    async fn plan_query(
        &self,
        request: StartRequest,
        store: Option<Arc<dyn FileStore>>,
    ) -> Result<QuerySpec> {
        let (store, durability) = match (store, request.checkpoint.as_deref()) {
            (Some(store), _) => (store, Durability::Checkpoint),
            (None, Some(url)) => (
                headwater_checkpoint::open_store(url)?,
                Durability::Checkpoint,
            ),
            (None, None) => {
                let memory: Arc<dyn FileStore> = Arc::new(MemoryFiles::new());
                (memory, Durability::InMemory)
            }
        };
        check_restarts(&request.name, &request.settings)?;
        if durability == Durability::InMemory {
            check_without_checkpoint(&request.name, &request.settings)?;
        }
        let environment = self.environment_for(&*store)?;
        let state = state_with(self.binder.state(), environment.target_partitions());
        let capabilities = request.sink.capabilities()?;
        let (name, into) = (&request.sink_name, request.late_rows_into.as_ref());
        let modes = mode_request(request.emit, &request.settings, name, capabilities);
        let planned = self.compile(&state, request.plan, modes, into).await;
        let planned = planned.map_err(|e| e.with_span(request.span))?;
        let plan = planned.plan;
        let sink = request.sink.open()?;
        let late_rows = match planned.late_rows {
            Some((late, schema)) => {
                let sink = late.declared.open()?;
                Some(LateSink::try_new(sink, schema, &plan.late_inputs)?)
            }
            None => None,
        };
        let dead_letters = planned.dead_letters.into_iter();
        let dead_letters = dead_letters.map(|dead| dead.open(&request.name));
        Ok(QuerySpec {
            dead_letters: dead_letters.collect::<Result<_>>()?,
            on_state_change: request.settings.on_state_change,
            overlaps: true,
            kept_commits: request.settings.kept_commits(),
            name: request.name,
            sql: request.text,
            plan,
            sink,
            late_rows,
            store,
            durability,
            is_takeover: request.settings.takeover,
            trigger: request.settings.trigger,
            backpressure: request.settings.backpressure,
            checkpoint_interval: match durability {
                Durability::Checkpoint => request.settings.checkpoint_interval,
                Durability::InMemory => None,
            },
            restarts: request.settings.restarts,
            stalls: request.settings.stalls,
            drain_timeout: request.settings.drain_timeout,
            end_of_input: request.settings.end_of_input,
            environment,
        })
    }

    /// A query keeps the number of shards that it was first started with: its state is dealt to
    /// them by key.
    fn environment_for(&self, store: &dyn FileStore) -> Result<QueryEnvironment> {
        let mut environment = self.environment_now();
        if let Some(stored) = query_metadata::load(store)? {
            environment.config = environment
                .config
                .with_target_partitions(stored.shard_count as usize);
        }
        Ok(environment)
    }

    /// Plans for the modes that a sink takes, and finds the sinks for late rows and dead letters.
    pub(crate) async fn compile(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
        mut request: ModeRequest,
        into: Option<&LateRowsInto>,
    ) -> Result<Planned> {
        let main = request.sink.clone();
        let Some(into) = into else {
            let mut plan = compile_stream(state, plan, &request).await?;
            self.warn_of_circles(&mut plan, &[&main]);
            return Ok(Planned {
                dead_letters: self.dead_letters(&plan, &main, None)?,
                late_rows: None,
                plan,
            });
        };
        let found = self.binder.catalog().sink(&into.name);
        let late = found.map_err(|e| e.with_span(into.span))?;
        request.late_rows = LateRowsRequest::Keep;
        let mut plan = compile_stream(state, plan, &request).await?;
        self.warn_of_circles(&mut plan, &[&main, &into.name]);
        let every = LateSink::default_schema();
        let schema = late_schema(&late, &main, &every, &plan.late_inputs, into.span)?;
        Ok(Planned {
            dead_letters: self.dead_letters(&plan, &main, Some(&late.name))?,
            late_rows: Some((late, schema)),
            plan,
        })
    }

    /// Warns of what a query writes and reads again. It may end by a WHERE that leaves its own rows
    /// out, so it is no error.
    fn warn_of_circles(&self, plan: &mut StreamPlan, sinks: &[&str]) {
        for name in sinks {
            let sink = self.binder.catalog().sink(name);
            let Some(place) = sink.ok().and_then(|sink| read_again(plan, &sink)) else {
                continue;
            };
            plan.warnings.push(format!(
                "the query reads \"{place}\" and sink \"{name}\" writes it: what is written comes \
                 back as input, again and again, unless WHERE leaves it out; write to another topic"
            ));
        }
    }

    /// The sinks that the sources of a plan write bad records to.
    fn dead_letters(
        &self,
        plan: &StreamPlan,
        main: &str,
        late: Option<&str>,
    ) -> Result<Vec<PlannedLetters>> {
        let every = DeadLetterSink::default_schema();
        let mut planned: Vec<PlannedLetters> = Vec::new();
        for (index, source) in plan.sources.iter().enumerate() {
            let Some(name) = &source.dead_letter_sink else {
                continue;
            };
            let of = (SourceIndex(index), source.name.clone());
            if let Some(known) = planned.iter_mut().find(|known| known.sink.name == *name) {
                known.sources.push(of);
                continue;
            }
            let sink = self.binder.catalog().sink(name);
            let sink = sink.map_err(|error| no_letter_sink(&source.name, error))?;
            if late == Some(name) {
                return Err(Error::plan(format!(
                    "dead letters and late rows cannot go to one sink, \"{name}\""
                ))
                .with_hint("Declare a sink for each."));
            }
            if let Some(place) = read_again(plan, &sink) {
                return Err(Error::plan(format!(
                    "dead letters of source \"{}\" would go to \"{place}\", which the query reads",
                    source.name
                ))
                .with_detail("They would be bad records again, and be written for ever.")
                .with_hint("Write them to another topic, which no pattern of the query matches."));
            }
            planned.push(PlannedLetters {
                schema: dead_letter_schema(&sink, main, &every)?,
                sources: vec![of],
                sink,
            });
        }
        Ok(planned)
    }
}

/// The place of a sink, if a source of a plan reads it.
fn read_again(plan: &StreamPlan, sink: &SinkEntry) -> Option<String> {
    let place = sink.declared.place()?;
    let mut sources = plan.sources.iter();
    sources
        .any(|source| source.declared.reads(&place))
        .then_some(place.name)
}

fn no_letter_sink(source: &str, error: Error) -> Error {
    let detail = format!("Option \"dead_letter.sink\" of source \"{source}\" names it.");
    error.with_detail(detail)
}

/// A streaming query with the sinks for its late rows and dead letters, and the columns they have
/// there.
pub(crate) struct Planned {
    pub(crate) plan: StreamPlan,
    pub(crate) late_rows: Option<(SinkEntry, SchemaRef)>,
    pub(crate) dead_letters: Vec<PlannedLetters>,
}

/// A sink for dead letters, and the sources that write to it.
pub(crate) struct PlannedLetters {
    pub(crate) sink: SinkEntry,
    schema: SchemaRef,
    sources: LetterSources,
}

impl PlannedLetters {
    fn open(self, query: &str) -> Result<DeadLetterSink> {
        let declared = &self.sink.declared;
        let (sink, is_encoded) = (declared.open()?, declared.record_schema().is_none());
        let limit = declared.max_row_bytes();
        let limit = limit.map(|bytes| LetterLimit { bytes, is_encoded });
        let (name, query) = (self.sink.name, query.to_string());
        let letters = DeadLetterSink::new(name, query, sink, self.schema, self.sources);
        Ok(letters.with_limit(limit))
    }
}

/// The modes to plan for: what was asked for, and what the sink takes.
pub(crate) fn mode_request(
    emit: Emit,
    settings: &Settings,
    sink_name: &str,
    capabilities: SinkCapabilities,
) -> ModeRequest {
    let emit = match (emit, settings.output_mode) {
        (Emit::Default, Some(mode)) => Emit::Mode(mode),
        (emit, _) => emit,
    };
    ModeRequest {
        emit,
        sink: sink_name.to_string(),
        accepted: capabilities.modes,
        key: capabilities.key,
        loses_null_keys: capabilities.loses_null_keys,
        takes_deletes: capabilities.takes_deletes,
        late_rows: LateRowsRequest::Count,
        table_refresh: settings.table_refresh,
        retention: settings.retention,
    }
}

/// Refuses a name that cannot be that of a folder.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(
            Error::plan(format!("\"{name}\" cannot be the name of a query"))
                .with_detail("A query's checkpoint is a folder of its name.")
                .with_hint("Leave out slashes, and dots at the start."),
        );
    }
    Ok(())
}

/// Refuses what means nothing to a query that keeps no checkpoint.
pub(crate) fn check_without_checkpoint(name: &str, settings: &Settings) -> Result<()> {
    let Some(key) = settings.needs_checkpoint else {
        return Ok(());
    };
    let hint = match key {
        "restart.attempts" => {
            "Name a folder with `checkpoint`, from which the query is opened again, or set \
             'restart.attempts' = '0'."
        }
        _ => "Name a folder with `checkpoint`, or leave the option out.",
    };
    Err(Error::configuration(format!(
        "streaming query \"{name}\" has \"{key}\" and no checkpoint"
    ))
    .with_hint(hint))
}

/// Refuses a wait before restarts that never happen.
pub(crate) fn check_restarts(name: &str, settings: &Settings) -> Result<()> {
    if !settings.has_restart_delay || settings.restarts.attempts > 0 {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "streaming query \"{name}\" has \"restart.delay\" and no \"restart.attempts\""
    ))
    .with_hint("Say how often: 'restart.attempts' = '5', or leave the delay out."))
}

/// The error of two queries with one checkpoint.
pub(crate) fn shared_checkpoint(name: &str, other: &str, folder: &Path) -> Error {
    Error::plan(format!(
        "streaming queries \"{other}\" and \"{name}\" have the same checkpoint"
    ))
    .with_detail(format!(
        "The folder \"{}\" holds the offsets and the state of one query.",
        folder.display()
    ))
    .with_hint(
        "Give each a folder of its own; SET 'checkpoint' names a folder in which every query has \
         one.",
    )
}

/// A folder without what depends on the current one, as stores name it.
pub(crate) fn absolute(folder: PathBuf) -> PathBuf {
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The session's state with another number of partitions.
pub(crate) fn state_with(mut state: SessionState, target_partitions: usize) -> SessionState {
    state.config_mut().options_mut().execution.target_partitions = target_partitions;
    state
}

#[cfg(test)]
mod tests;
