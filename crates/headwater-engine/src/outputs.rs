//! The sinks of a query as one: that of its result, and that of its late rows if it has one.
//!
//! Both are written, prepared and committed with the same epoch, so that after a crash either both
//! show it or none does: the commit record holds what both need.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_checkpoint::{CommitRecord, EarlierEpoch, LateRowsCommit};
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkContext, Staged, Transactions};
use headwater_core::{Error, ErrorKind, Result};

use crate::outage::Outage;
use crate::query_spec::QuerySpec;
use crate::retry::retried;

/// What the sinks have taken of an epoch.
#[derive(Debug)]
pub(crate) struct StagedRows {
    pub(crate) result: Vec<Staged>,
    /// `None` if the query has no sink for late rows.
    pub(crate) late: Option<Staged>,
}

/// What the sinks need to make an epoch visible.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) result: CommitToken,
    pub(crate) late: Option<LateRowsCommit>,
}

impl Tokens {
    /// These of an epoch that a later one commits.
    pub(crate) fn of_earlier(self, epoch: EpochId) -> EarlierEpoch {
        EarlierEpoch {
            epoch,
            sink_token: self.result,
            late_rows: self.late,
        }
    }
}

/// Opens the sink for late rows, if there is one, with what the sink of the result was told. What
/// that sink has decided must be settled: this one forgets what was not committed.
pub(crate) async fn open_late(spec: &QuerySpec, context: SinkContext) -> Result<()> {
    let Some(late) = &spec.late_rows else {
        return Ok(());
    };
    let context = SinkContext {
        // Two writers are never one, even if they write to the same place.
        query: QueryId::new(format!("{}-late-rows", context.query)),
        schema: Arc::clone(late.schema()),
        mode: OutputMode::Append,
        has_ops: false,
        transactions: match context.transactions {
            Transactions::Allowed => Transactions::LateRows,
            denied => denied,
        },
        ..context
    };
    late.sink().open(&context).await
}

/// Makes what both have staged durable.
pub(crate) async fn prepare(
    spec: &QuerySpec,
    epoch: EpochId,
    staged: StagedRows,
) -> Result<Tokens> {
    let result = spec.sink.prepare(epoch, staged.result).await?;
    let late = match (&spec.late_rows, staged.late) {
        (Some(late), Some(staged)) => Some(LateRowsCommit {
            sink: late.identity(),
            sink_token: late.sink().prepare(epoch, vec![staged]).await?,
        }),
        _ => None,
    };
    Ok(Tokens { result, late })
}

/// Lets both put together what several epochs have staged, before one record commits them.
///
/// # Errors
/// If a sink failed, again and again; what was staged is as it was.
pub(crate) async fn gather(
    spec: &QuerySpec,
    epochs: &mut [(EpochId, Tokens)],
    outage: &Outage,
) -> Result<()> {
    if epochs.len() < 2 {
        return Ok(());
    }
    if !decides_by_transaction(spec) {
        let each = epochs.iter_mut().map(|(epoch, t)| (*epoch, &mut t.result));
        gather_in(&*spec.sink, each.collect(), outage).await?;
    }
    if let Some(late) = &spec.late_rows {
        let each = epochs.iter_mut();
        let each = each.filter_map(|(epoch, t)| Some((*epoch, &mut t.late.as_mut()?.sink_token)));
        gather_in(&**late.sink(), each.collect(), outage).await?;
    }
    Ok(())
}

async fn gather_in(
    sink: &dyn Sink,
    mut tokens: Vec<(EpochId, &mut CommitToken)>,
    outage: &Outage,
) -> Result<()> {
    let prepared = tokens
        .iter()
        .map(|(epoch, token)| (*epoch, (*token).clone()));
    let prepared: Vec<(EpochId, CommitToken)> = prepared.collect();
    let what = "putting together what several epochs have written";
    let gathered = retried(what, outage, || sink.gather(prepared.clone())).await?;
    if gathered.len() != tokens.len() {
        return Err(Error::internal("a sink has lost a token"));
    }
    for ((_, token), new) in tokens.iter_mut().zip(gathered) {
        **token = new;
    }
    Ok(())
}

/// Whether the sink of the result decides by a transaction what has happened.
pub(crate) fn decides_by_transaction(spec: &QuerySpec) -> bool {
    spec.sink.publication() == Publication::Transaction
}

/// Commits the transaction that holds everything prepared since the last one.
///
/// # Errors
/// If it was not committed, or nobody can say.
pub(crate) async fn commit_transaction(
    spec: &QuerySpec,
    epoch: EpochId,
    token: &CommitToken,
    outage: &Outage,
) -> Result<()> {
    CrashPoint::BeforeTransactionCommit.reach();
    let committed = spec.sink.commit(epoch, token.clone()).await;
    let outcome = match committed {
        Ok(()) => Ok(()),
        // Who has been replaced must not ask: the question itself would replace the other.
        Err(error) if error.kind() == ErrorKind::Conflict => Err(error),
        Err(error) => match last_published(spec, outage).await? {
            Some(published) if published == epoch => Ok(()),
            _ => Err(error),
        },
    };
    if outcome.is_ok() {
        CrashPoint::TransactionCommittedNotRecorded.reach();
    }
    outcome
}

/// The newest epoch that a transaction of the sink committed.
pub(crate) async fn last_published(spec: &QuerySpec, outage: &Outage) -> Result<Option<EpochId>> {
    let what = "asking the sink for its last epoch";
    retried(what, outage, || spec.sink.last_published()).await
}

/// Makes the rows of committed epochs visible, now or after a crash. They have happened, so there
/// is no way back.
pub(crate) async fn publish(
    spec: &QuerySpec,
    commit: &CommitRecord,
    outage: &Outage,
) -> Result<()> {
    // A sink that has come to write in transactions has nothing left to show of before.
    let is_transaction = commit.is_transaction || decides_by_transaction(spec);
    for earlier in &commit.earlier {
        let late = earlier.late_rows.as_ref();
        let result = (!is_transaction).then_some(&earlier.sink_token);
        publish_epoch(spec, earlier.epoch, result, late, outage).await?;
    }
    let result = (!is_transaction).then_some(&commit.sink_token);
    let late = commit.late_rows.as_ref();
    publish_epoch(spec, commit.epoch, result, late, outage).await
}

async fn publish_epoch(
    spec: &QuerySpec,
    epoch: EpochId,
    result: Option<&CommitToken>,
    late: Option<&LateRowsCommit>,
    outage: &Outage,
) -> Result<()> {
    if let Some(token) = result {
        publish_to(&*spec.sink, epoch, token, outage).await?;
    }
    match (&spec.late_rows, late) {
        (Some(sink), Some(commit)) => {
            publish_to(&**sink.sink(), epoch, &commit.sink_token, outage).await
        }
        (None, Some(_)) => Err(Error::internal(format!(
            "epoch {epoch} has late rows and there is no sink for them"
        ))),
        (_, None) => Ok(()),
    }
}

async fn publish_to(
    sink: &dyn Sink,
    epoch: EpochId,
    token: &CommitToken,
    outage: &Outage,
) -> Result<()> {
    let what = format!("making epoch {epoch} visible");
    retried(&what, outage, || sink.commit(epoch, token.clone())).await
}

/// Tells both that the query has read everything and that all of it is visible.
///
/// # Errors
/// If one of them could not note it.
pub(crate) async fn ended(spec: &QuerySpec, outage: &Outage) -> Result<()> {
    CrashPoint::BeforeEnded.reach();
    let late = spec.late_rows.as_ref().map(|late| late.sink());
    for sink in std::iter::once(&spec.sink).chain(late) {
        let what = "telling a sink that the query has ended";
        retried(what, outage, || sink.ended()).await?;
    }
    Ok(())
}

/// Lets both forget an epoch that failed. What they keep is replaced when it runs again.
pub(crate) async fn abort(spec: &QuerySpec, epoch: EpochId) {
    let late = spec.late_rows.as_ref().map(|late| late.sink());
    for sink in std::iter::once(&spec.sink).chain(late) {
        if let Err(abort) = sink.abort(epoch).await {
            tracing::warn!(%epoch, error = %abort, "a sink could not forget a failed epoch");
        }
    }
}

/// Ends the transaction that may be open, with everything in it. What other sinks have staged is
/// replaced when the epochs run again.
pub(crate) async fn abort_open(spec: &QuerySpec) {
    if !decides_by_transaction(spec) {
        return;
    }
    // The epoch is of no matter to a transaction: it ends with all that are in it.
    if let Err(error) = spec.sink.abort(EpochId(0)).await {
        tracing::warn!(%error, "an open transaction could not be ended");
    }
}

/// Refuses a query that cannot publish the late rows of the last commit, because it has no sink for
/// them or another one. The dead process may not have come to that.
pub(crate) fn check_late_rows(spec: &QuerySpec, commit: &CommitRecord) -> Result<()> {
    let late = spec.late_rows.as_ref().map(|late| late.identity());
    check_late_identity(&spec.name, late.as_ref(), commit)
}

/// The same for what the sink of a query's late rows says of itself.
pub(crate) fn check_late_identity(
    name: &str,
    late: Option<&BTreeMap<String, String>>,
    commit: &CommitRecord,
) -> Result<()> {
    let earlier = commit.earlier.iter().map(|e| &e.late_rows);
    let mut committed = earlier.chain([&commit.late_rows]).flatten();
    let Some(committed) = committed.next() else {
        return Ok(());
    };
    let hint = "Use a new checkpoint folder or restore the old query.";
    let Some(now) = late else {
        return Err(Error::checkpoint(format!(
            "query \"{name}\" is not the one that wrote this checkpoint: LATE ROWS INTO is gone"
        ))
        .with_detail(format!(
            "Late rows of epoch {} may not have been handed to their sink yet.",
            commit.epoch
        ))
        .with_hint(hint));
    };
    let changed = |(part, was): (&String, &String)| {
        let is = now.get(part).filter(|is| *is != was)?;
        Some(format!(
            "the {part} of the sink for late rows (was {was}, is {is})"
        ))
    };
    match committed.sink.iter().find_map(changed) {
        None => Ok(()),
        Some(change) => Err(Error::checkpoint(format!(
            "query \"{name}\" is not the one that wrote this checkpoint: it differs in {change}"
        ))
        .with_hint(hint)),
    }
}
