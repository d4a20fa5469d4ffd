//! The session: the one object users hold.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;
use parking_lot::Mutex;

use headwater_connectors::{MemoryRegistry, MemorySink, MemoryStream};
use headwater_core::byte_size::parse_byte_size;
use headwater_core::options::{self, Options};
use headwater_core::{Error, Result};
use headwater_engine::{QueryEnvironment, QueryManager};
use headwater_exec::session_memory::SessionMemory;
use headwater_plan::compile_batch;
use headwater_sql::ast::{CreateStreamingQuery, SelectQuery, Statement};
use headwater_sql::binder::{Binder, emit_of};
use headwater_sql::parser::parse_script;

use crate::builder::HeadwaterBuilder;
use crate::frame::{Frame, StreamFrame};
use crate::outcome::{Outcome, Rows};
use crate::reader::{Reader, StreamReader};
use crate::settings::Settings;
use crate::statements::refuse_streaming_clauses;

/// How many parts bounded reads and stateful operators are cut into.
const TARGET_PARTITIONS: &str = "target-partitions";
/// The setting of what all queries of the session may hold together.
const MEMORY_LIMIT: &str = "memory-limit";

/// A session: sources, sinks, settings and running queries. Clones are the same session.
#[derive(Clone)]
pub struct Headwater {
    pub(crate) context: SessionContext,
    pub(crate) binder: Binder,
    pub(crate) environment: QueryEnvironment,
    pub(crate) memory: Arc<MemoryRegistry>,
    pub(crate) queries: QueryManager,
    pub(crate) shared: Arc<Shared>,
}

/// A streaming query as it was declared.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) create: CreateStreamingQuery,
    pub(crate) text: String,
}

/// What clones of a session share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) settings: Mutex<Settings>,
    /// Streaming queries by name, to be started again.
    pub(crate) definitions: Mutex<BTreeMap<String, Definition>>,
    /// Options of the console sink that `SELECT STREAM` prints to.
    pub(crate) select_stream: Options,
    names: AtomicU64,
}

impl std::fmt::Debug for Headwater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headwater")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Headwater {
    /// Starts to build a session.
    pub fn builder() -> HeadwaterBuilder {
        HeadwaterBuilder::default()
    }

    pub(crate) fn new(
        context: SessionContext,
        binder: Binder,
        environment: QueryEnvironment,
        memory: Arc<MemoryRegistry>,
        select_stream: Options,
    ) -> Self {
        let shared = Shared {
            select_stream,
            ..Shared::default()
        };
        Headwater {
            context,
            binder,
            environment,
            memory,
            queries: QueryManager::default(),
            shared: Arc::new(shared),
        }
    }

    /// Runs the statements of a text in order and gives what the last one gives. Queries that
    /// earlier ones start go on running; rows that earlier ones give are not read.
    ///
    /// # Errors
    /// The first statement that fails, with its place in the text.
    pub async fn sql(&self, text: &str) -> Result<Outcome> {
        let mut last = Outcome::Done("nothing to do".to_string());
        for statement in parse_script(text)? {
            last = self.run_statement(&statement).await?;
        }
        Ok(last)
    }

    /// Runs the statements of a text in order, handing each result to `each` before the next
    /// statement runs.
    ///
    /// # Errors
    /// The first statement, or call of `each`, that fails.
    pub async fn run_script<F, Fut>(&self, text: &str, mut each: F) -> Result<()>
    where
        F: FnMut(Outcome) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        for statement in parse_script(text)? {
            each(self.run_statement(&statement).await?).await?;
        }
        Ok(())
    }

    /// A bounded query: what is there at the moment it is read.
    ///
    /// # Errors
    /// If the text is not one query.
    pub async fn query(&self, text: &str) -> Result<Frame> {
        let select = only_select(text)?;
        refuse_streaming_clauses(&select)?;
        let plan = self.binder.bind_query(&select.query).await?;
        Ok(Frame::new(self.clone(), plan))
    }

    /// A streaming query, to be started by [`StreamFrame::write_stream`].
    ///
    /// # Errors
    /// If the text is not one query.
    pub async fn stream(&self, text: &str) -> Result<StreamFrame> {
        let select = only_select(text)?;
        let plan = self.binder.bind_query(&select.query).await?;
        let emit = emit_of(select.emit.as_ref())?;
        let mut frame = StreamFrame::new(self.clone(), plan, emit, text.to_string());
        frame.late_rows_into = select.late_rows_into.as_ref().map(Into::into);
        Ok(frame)
    }

    /// Reads a source as it is now, by format and options.
    pub fn read(&self) -> Reader {
        Reader::new(self.clone())
    }

    /// Reads a source as a stream, by format and options.
    pub fn read_stream(&self) -> StreamReader {
        StreamReader::new(self.clone())
    }

    /// The queries of this session.
    pub fn queries(&self) -> &QueryManager {
        &self.queries
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.shared.settings.lock().clone()
    }

    /// `SET key = value`: the default of the queries started after it.
    ///
    /// # Errors
    /// If the key is unknown or the value is bad.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        if options::fold(key) == options::fold(TARGET_PARTITIONS) {
            return self.set_target_partitions(value);
        }
        if options::fold(key) == options::fold(MEMORY_LIMIT) {
            return self.set_memory_limit(value);
        }
        self.shared.settings.lock().set(key, value)
    }

    fn set_target_partitions(&self, value: &str) -> Result<()> {
        let partitions = value.parse().ok().filter(|n| (1..=1024).contains(n));
        let partitions = partitions.ok_or_else(|| {
            Error::configuration(format!(
                "setting \"{TARGET_PARTITIONS}\" is \"{value}\", not a number from 1 to 1024"
            ))
        })?;
        let state = self.context.state_ref();
        let mut state = state.write();
        let options = state.config_mut().options_mut();
        options.execution.target_partitions = partitions;
        Ok(())
    }

    fn set_memory_limit(&self, value: &str) -> Result<()> {
        let bytes = match value.eq_ignore_ascii_case("none") {
            true => None,
            false => Some(memory_limit(value)?),
        };
        let pool: &dyn Any = &*self.environment.runtime.memory_pool;
        let memory = pool.downcast_ref::<SessionMemory>();
        let memory = memory.ok_or_else(|| Error::internal("the session has no account"))?;
        memory.set_limit(bytes);
        Ok(())
    }

    /// The sink of connector `memory` with this name, or of the query that was written to memory
    /// under this name.
    pub fn memory_sink(&self, name: &str) -> Option<MemorySink> {
        self.memory.sink(name)
    }

    /// The source of connector `memory` with this name, to push rows into.
    pub fn memory_stream(&self, name: &str) -> Option<MemoryStream> {
        self.memory.stream(name)
    }

    /// Makes a scalar function known to SQL.
    pub fn register_udf(&self, function: ScalarUDF) {
        self.context.register_udf(function);
    }

    /// Makes an aggregate function known to SQL.
    pub fn register_udaf(&self, function: AggregateUDF) {
        self.context.register_udaf(function);
    }

    /// Runs a plan as a bounded read.
    pub(crate) async fn read_plan(
        &self,
        plan: datafusion::logical_expr::LogicalPlan,
    ) -> Result<Rows> {
        let compiled = compile_batch(&self.binder.state(), plan).await?;
        let run = headwater_engine::run_batch(&compiled, &self.environment_now()).await?;
        Ok(Rows::new(run.rows, run.counters))
    }

    /// The surroundings of a query that starts now, with the settings as they are.
    pub(crate) fn environment_now(&self) -> QueryEnvironment {
        QueryEnvironment {
            config: self.context.copied_config(),
            ..self.environment.clone()
        }
    }

    /// A name nobody has used in this session.
    pub(crate) fn fresh_name(&self, prefix: &str) -> String {
        format!(
            "{prefix}-{}",
            self.shared.names.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// The one SELECT that a text is.
fn only_select(text: &str) -> Result<SelectQuery> {
    let mut statements = parse_script(text)?;
    match (statements.pop().map(|s| s.statement), statements.is_empty()) {
        (Some(Statement::Select(select)), true) => Ok(select),
        _ => Err(Error::plan("one SELECT was expected")),
    }
}

/// A size in bytes that a session may be limited to.
fn memory_limit(value: &str) -> Result<usize> {
    let bytes = parse_byte_size(value).ok().filter(|bytes| *bytes > 0);
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        Error::configuration(format!(
            "setting \"{MEMORY_LIMIT}\" is \"{value}\", not a size"
        ))
        .with_hint("Write a size such as '256 MB', or 'none'.")
    })
}

#[cfg(test)]
mod tests;
