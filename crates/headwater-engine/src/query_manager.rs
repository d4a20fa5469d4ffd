//! The queries of one session.

use std::sync::Arc;

use futures::future;
use parking_lot::Mutex;

use headwater_core::id::QueryId;
use headwater_core::{Error, Result};

use crate::query::StreamingQuery;

/// How many queries that have ended are remembered.
const ENDED_KEPT: usize = 100;

/// Owns the set of queries that were started.
#[derive(Debug, Clone, Default)]
pub struct QueryManager {
    queries: Arc<Mutex<Vec<StreamingQuery>>>,
}

impl QueryManager {
    /// Adds a query that was started.
    ///
    /// # Errors
    /// If an active query has the same name.
    pub fn add(&self, query: StreamingQuery) -> Result<()> {
        let mut queries = self.queries.lock();
        if queries
            .iter()
            .any(|q| q.is_active() && q.name() == query.name())
        {
            return Err(
                Error::plan(format!("query \"{}\" is running already", query.name()))
                    .with_hint("Stop it first, or choose another name."),
            );
        }
        queries.retain(|q| q.is_active() || q.name() != query.name());
        let ended = queries.iter().filter(|q| !q.is_active()).count();
        let mut surplus = (ended + 1).saturating_sub(ENDED_KEPT);
        queries.retain(|q| {
            let goes = surplus > 0 && !q.is_active();
            surplus -= usize::from(goes);
            !goes
        });
        queries.push(query);
        Ok(())
    }

    /// Whether an active query has this name.
    pub fn is_running(&self, name: &str) -> bool {
        self.queries
            .lock()
            .iter()
            .any(|q| q.is_active() && q.name() == name)
    }

    /// All queries, in the order they were started.
    pub fn all(&self) -> Vec<StreamingQuery> {
        self.queries.lock().clone()
    }

    /// Those that are running.
    pub fn active(&self) -> Vec<StreamingQuery> {
        self.queries
            .lock()
            .iter()
            .filter(|q| q.is_active())
            .cloned()
            .collect()
    }

    /// A query by its id.
    pub fn get(&self, id: &QueryId) -> Option<StreamingQuery> {
        self.queries.lock().iter().find(|q| q.id() == id).cloned()
    }

    /// A query by its name.
    pub fn by_name(&self, name: &str) -> Option<StreamingQuery> {
        self.queries
            .lock()
            .iter()
            .rev()
            .find(|q| q.name() == name)
            .cloned()
    }

    /// Forgets one query, whether it has ended or not.
    pub fn leave_out(&self, query: &StreamingQuery) {
        self.queries.lock().retain(|q| q.id() != query.id());
    }

    /// Forgets the queries of a name that have ended.
    pub fn forget(&self, name: &str) {
        let mut queries = self.queries.lock();
        queries.retain(|q| q.is_active() || q.name() != name);
    }

    /// Waits until one of the active queries has ended.
    ///
    /// # Errors
    /// If that one failed.
    pub async fn await_any_termination(&self) -> Result<()> {
        let active = self.active();
        if active.is_empty() {
            return Ok(());
        }
        let waits = active.iter().map(|q| Box::pin(q.await_termination()));
        future::select_all(waits).await.0
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// The first failure, in the order the queries were started.
    pub async fn await_all(&self) -> Result<()> {
        let all = self.all();
        let ends = future::join_all(all.iter().map(|q| q.await_termination())).await;
        ends.into_iter().collect()
    }

    /// Asks all to stop after their running epochs.
    pub fn request_stop_all(&self) {
        self.active().iter().for_each(StreamingQuery::request_stop);
    }
}
