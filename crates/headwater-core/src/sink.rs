//! The contract of sinks.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::changes::without_ops;
use crate::id::{EpochId, QueryId};
use crate::mode::OutputMode;

/// What a sink can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkCapabilities {
    /// The output modes it accepts.
    pub modes: Vec<OutputMode>,
    /// The columns that identify a row, needed for updates; empty if rows have no identity.
    pub key: Vec<String>,
    /// Whether a row of which the key is NULL has none there: it replaces no row and is replaced by
    /// none.
    pub loses_null_keys: bool,
    /// Whether it can take rows back: it looks at [`SinkContext::has_ops`].
    pub takes_deletes: bool,
    /// Whether an epoch written twice has the effect of once, because nothing of it is seen before it
    /// is committed. After a crash its rows may then be cut into other epochs. A sink that shows rows
    /// before, or that remembers which epochs it has been told, says no: it is told the same epochs
    /// again, each with the same rows. What depends on the query is known once the sink is open;
    /// before that, this is what holds for every query.
    pub is_idempotent: bool,
    /// Whether an epoch may be prepared and committed while later ones are written, so that those do
    /// not wait for it. Several are prepared at once then, and are done in any order; one may be
    /// aborted meanwhile. For sinks of [`Publication::AfterRecord`] that show rows as they are written,
    /// of any other nobody would see rows sooner, and that tell nobody which epoch a row is of: rows
    /// that are functions of one record each may be cut into other epochs after a crash, although
    /// the sink is not idempotent. Known once the sink is open.
    pub overlaps: bool,
}

/// What decides whether an epoch has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Publication {
    /// The commit record of the checkpoint. What was prepared survives a crash, and `commit` shows
    /// it, as often as it is asked to.
    #[default]
    AfterRecord,
    /// A transaction of the sink, which does not outlive the process. `commit` ends it together
    /// with a note of the epoch; [`Sink::last_published`] reads the note.
    Transaction,
}

/// Whether a sink may answer [`Publication::Transaction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transactions {
    /// It may: it takes the result of a query that keeps a checkpoint.
    Allowed,
    /// It may not: nothing of the query outlives its process, so nobody could go on after the
    /// noted epoch.
    NoCheckpoint,
    /// It may not: it takes late rows or dead letters of a query, and the sink of the result decides.
    Beside,
}

/// What a sink is told when a query starts.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The query that writes.
    pub query: QueryId,
    /// The user's name of the query.
    pub query_name: String,
    /// Columns of the rows.
    pub schema: SchemaRef,
    /// How the rows are meant.
    pub mode: OutputMode,
    /// Whether the last column says what a row does to the result: see [`crate::changes`].
    pub has_ops: bool,
    /// The last committed epoch, if the query is resumed.
    pub last_committed: Option<EpochId>,
    /// How long epochs may wait for a commit of them all; `None` if each is committed by itself.
    pub commit_interval: Option<Duration>,
    /// Whether a transaction of the sink may decide what has happened.
    pub transactions: Transactions,
    /// Whether another process may still be writing for the query: what it holds is taken from it.
    pub is_takeover: bool,
}

impl SinkContext {
    /// Columns of the rows, without that of the operations.
    pub fn row_schema(&self) -> SchemaRef {
        match self.has_ops {
            true => without_ops(&self.schema),
            false => Arc::clone(&self.schema),
        }
    }
}

/// What one partition of an epoch wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Staged {
    /// Rows written.
    pub rows: u64,
    /// The sink's own note, such as the names of its hidden files.
    pub note: serde_json::Value,
}

/// What a sink needs to commit an epoch, kept in the commit record so that a new process can
/// finish what an old one decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitToken(pub serde_json::Value);

/// The answer of a sink to [`Sink::gather`] that leaves epochs as they were prepared.
pub fn as_prepared(prepared: Vec<(EpochId, CommitToken)>) -> Vec<CommitToken> {
    prepared.into_iter().map(|(_, token)| token).collect()
}

/// Where rows go. A sink around another one is a [`crate::around::SinkAround`].
///
/// An epoch is `write` for every partition, then `prepare`, then the engine's commit record, then
/// `commit`. A crash after the commit record is followed by `commit` again in a new process; a
/// crash before it, by its rows again from `write`: in the same epoch, or, if the sink
/// [shows nothing before](SinkCapabilities::is_idempotent), in others. Several epochs may be written and
/// prepared before the record that commits them all; then each is committed, in order.
///
/// # Contract
/// 1. After `prepare` returns, what was staged survives a crash (or the sink says in its
///    capabilities that it is not idempotent).
/// 2. `commit` is idempotent and needs nothing but the token.
/// 3. `write` for an epoch that was staged before replaces what was staged.
/// 4. `abort` leaves no trace of an epoch that was not committed, and `open` none of what was staged
///    after the last committed epoch and of which no commit will tell.
///
/// # Contract of transactions
/// A sink of [`Publication::Transaction`] is committed before the record is written, and once for
/// all epochs prepared since the last commit, with the number of the newest.
/// 1. After `prepare` returns, everything staged is in the open transaction and will be visible
///    if that commits; after a crash it is gone.
/// 2. `open` ends whatever transaction a dead process had open, and keeps that process, should it
///    be alive, from ending it.
/// 3. After `commit` failed, `last_published` says whether it had its effect: it settles what was
///    open, so that the answer cannot change afterwards.
/// 4. `abort` ends the open transaction without effect, with all epochs in it.
#[async_trait]
pub trait Sink: Debug + Send + Sync + 'static {
    /// What it can take.
    fn capabilities(&self) -> SinkCapabilities;

    /// What a query that is resumed must find again, as names and values that a person
    /// understands: the folder of files that name their epochs. Empty if rows may go elsewhere.
    fn identity(&self) -> Vec<(&'static str, String)>;

    /// What decides whether an epoch of this sink has happened; known once it is open.
    fn publication(&self) -> Publication;

    /// The newest epoch whose transaction was committed, after settling any that is open; `None`
    /// of a sink that is not of [`Publication::Transaction`].
    ///
    /// # Errors
    /// If the outside system does not say; asking again may help.
    async fn last_published(&self) -> Result<Option<EpochId>>;

    /// Called once, before the first epoch. Fails if the sink cannot be reached, so that a query
    /// does not start in vain.
    async fn open(&self, context: &SinkContext) -> Result<()>;

    /// Takes the rows of one partition of an epoch.
    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged>;

    /// Makes what was staged durable, but not yet visible. `staged` is in partition order.
    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken>;

    /// Told before the record that commits several epochs together is written: what they have
    /// staged may be put together. Gives a token for each, in their order, which take the place of
    /// those from `prepare`; what they need is durable. Asked again if it failed. Only for sinks of
    /// [`Publication::AfterRecord`]. A sink that puts nothing together answers [`as_prepared`].
    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>>;

    /// Makes the epoch visible.
    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()>;

    /// Forgets an epoch that failed.
    async fn abort(&self, epoch: EpochId) -> Result<()>;

    /// Told when a query has read everything it ever will and all of it is visible; never when it
    /// was stopped before. Told again if a process dies here and the query is started once more,
    /// and by every later run of the query that finds nothing to add.
    ///
    /// # Errors
    /// If that could not be noted where readers look for it.
    async fn ended(&self) -> Result<()>;
}
