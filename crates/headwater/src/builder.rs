//! Builds a session.

use std::num::NonZeroUsize;
use std::sync::Arc;

use headwater_connectors::{MemoryRegistry, SharedWriter, all_connectors, stdout_writer};
use headwater_core::Result;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::Connector;
use headwater_core::options::Options;
use headwater_engine::QueryEnvironment;
use headwater_kafka::KafkaConnector;
use headwater_plan::session::session;
use headwater_sql::binder::Binder;
use headwater_sql::catalog::Catalog;
use headwater_sql::type_planner::HeadwaterTypePlanner;

use crate::session::Headwater;

/// Builds a [`Headwater`]: components here, settings by [`Headwater::set`].
#[derive(Debug, Default)]
pub struct HeadwaterBuilder {
    clock: Option<Arc<dyn Clock>>,
    console: Option<Console>,
    select_stream: Options,
    target_partitions: Option<usize>,
    takeover: bool,
    connectors: Vec<Arc<dyn Connector>>,
}

struct Console(SharedWriter);

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Console")
    }
}

impl HeadwaterBuilder {
    /// Takes time from another clock than the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Lets the console sink print elsewhere than to standard output.
    pub fn console(mut self, writer: SharedWriter) -> Self {
        self.console = Some(Console(writer));
        self
    }

    /// Lets the console sink print to a writer of one's own.
    pub fn console_to(self, writer: impl std::io::Write + Send + 'static) -> Self {
        self.console(Arc::new(parking_lot::Mutex::new(writer)))
    }

    /// How `SELECT STREAM` prints: options of the console sink, as `WITH (…)` of `CREATE SINK` gives
    /// them.
    pub fn select_stream_options(mut self, options: Options) -> Self {
        self.select_stream = options;
        self
    }

    /// Number of readers and of shards of a query; default the number of cores.
    pub fn target_partitions(mut self, partitions: usize) -> Self {
        self.target_partitions = Some(partitions.max(1));
        self
    }

    /// Lets the queries of the session take their checkpoints from processes that run them. Such a
    /// process is fenced: it stops with a conflict before it changes the next file.
    pub fn take_over(mut self) -> Self {
        self.takeover = true;
        self
    }

    /// Adds a connector of one's own.
    pub fn connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.push(connector);
        self
    }

    /// Makes the session. Queries run on the Tokio runtime they are started on.
    ///
    /// # Errors
    /// If DataFusion refuses headwater's extensions.
    pub fn build(self) -> Result<Headwater> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let target_partitions = self.target_partitions.unwrap_or_else(cores);
        let console = self.console.map_or_else(stdout_writer, |c| c.0);
        let memory = MemoryRegistry::new();
        let mut connectors = all_connectors(Arc::clone(&memory), console);
        connectors.push(Arc::new(KafkaConnector::default()));
        connectors.extend(self.connectors);
        let context = session(target_partitions, Arc::new(HeadwaterTypePlanner))?;
        let environment = QueryEnvironment {
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            config: context.copied_config(),
            runtime: context.runtime_env(),
        };
        let binder = Binder::try_new(context.clone(), Catalog::new(connectors))?;
        let headwater = Headwater::new(context, binder, environment, memory, self.select_stream);
        headwater.shared.settings.lock().takeover = self.takeover;
        Ok(headwater)
    }
}
