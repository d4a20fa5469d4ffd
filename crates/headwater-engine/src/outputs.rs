//! The sinks of a query as one: that of its result, and those of late rows and dead letters if it
//! has any.
//!
//! All are written, prepared and committed with the same epoch, so that after a crash either all
//! show it or none does: the commit record holds what each needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use headwater_checkpoint::{CommitRecord, EarlierEpoch, SideCommit, SideCommits, SideOutput};
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkContext, Staged, Transactions};
use headwater_core::{Error, ErrorKind, Result};

use crate::outage::Outage;
use crate::query_spec::QuerySpec;
use crate::retry::retried;

/// What the sinks for late rows and dead letters say of themselves.
pub type SideIdentities = BTreeMap<SideOutput, BTreeMap<String, String>>;

/// A sink beside that of the result.
pub(crate) struct Side<'a> {
    pub(crate) output: SideOutput,
    pub(crate) sink: &'a Arc<dyn Sink>,
    pub(crate) schema: &'a SchemaRef,
}

impl Side<'_> {
    /// What a resumed query must find again.
    fn identity(&self) -> BTreeMap<String, String> {
        let parts = self.sink.identity().into_iter();
        parts
            .map(|(part, value)| (part.to_string(), value))
            .collect()
    }
}

impl QuerySpec {
    /// The sinks for late rows and dead letters.
    pub(crate) fn sides(&self) -> Vec<Side<'_>> {
        let late = self.late_rows.iter().map(|late| Side {
            output: SideOutput::LateRows,
            sink: late.sink(),
            schema: late.schema(),
        });
        let dead = self.dead_letters.iter().map(|dead| Side {
            output: SideOutput::DeadLetters(dead.name().to_string()),
            sink: dead.sink(),
            schema: dead.schema(),
        });
        late.chain(dead).collect()
    }

    /// The sink of the result and those beside it.
    pub(crate) fn all_sinks(&self) -> impl Iterator<Item = &Arc<dyn Sink>> {
        let beside = self.sides().into_iter().map(|side| side.sink);
        std::iter::once(&self.sink).chain(beside)
    }
}

/// What the sinks have taken of an epoch.
#[derive(Debug)]
pub(crate) struct StagedRows {
    pub(crate) result: Vec<Staged>,
    /// What the sinks beside have, in the order of [`QuerySpec::sides`].
    pub(crate) beside: Vec<Staged>,
}

/// What the sinks need to make an epoch visible.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) result: CommitToken,
    pub(crate) beside: SideCommits,
}

impl Tokens {
    /// These of an epoch that a later one commits.
    pub(crate) fn of_earlier(self, epoch: EpochId) -> EarlierEpoch {
        EarlierEpoch {
            epoch,
            sink_token: self.result,
            beside: self.beside,
        }
    }
}

/// Opens the sinks for late rows and dead letters, if there are any, with what the sink of the
/// result was told. What that sink has decided must be settled: these forget what was not committed.
pub(crate) async fn open_beside(spec: &QuerySpec, context: SinkContext) -> Result<()> {
    for side in spec.sides() {
        let context = SinkContext {
            // Two writers are never one, even if they write to the same place.
            query: QueryId::new(format!("{}-{}", context.query, name_of(&side.output))),
            schema: Arc::clone(side.schema),
            mode: OutputMode::Append,
            has_ops: false,
            transactions: match context.transactions {
                Transactions::Allowed => Transactions::Beside,
                denied => denied,
            },
            ..context.clone()
        };
        side.sink.open(&context).await?;
    }
    Ok(())
}

/// Names a sink beside in the name of its writer.
fn name_of(output: &SideOutput) -> String {
    match output {
        SideOutput::LateRows => "late-rows".to_string(),
        SideOutput::DeadLetters(sink) => format!("dead-letters-{sink}"),
    }
}

/// Makes what all have staged durable.
pub(crate) async fn prepare(
    spec: &QuerySpec,
    epoch: EpochId,
    staged: StagedRows,
) -> Result<Tokens> {
    let result = spec.sink.prepare(epoch, staged.result).await?;
    let mut beside = SideCommits::default();
    for (side, staged) in spec.sides().into_iter().zip(staged.beside) {
        let commit = SideCommit {
            sink: side.identity(),
            sink_token: side.sink.prepare(epoch, vec![staged]).await?,
        };
        beside.insert(side.output, commit);
    }
    Ok(Tokens { result, beside })
}

/// Lets all put together what several epochs have staged, before one record commits them.
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
    for side in spec.sides() {
        let mut each = Vec::with_capacity(epochs.len());
        for (epoch, tokens) in epochs.iter_mut() {
            if let Some(commit) = tokens.beside.get_mut(&side.output) {
                each.push((*epoch, &mut commit.sink_token));
            }
        }
        gather_in(&**side.sink, each, outage).await?;
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
        let result = (!is_transaction).then_some(&earlier.sink_token);
        publish_epoch(spec, earlier.epoch, result, &earlier.beside, outage).await?;
    }
    let result = (!is_transaction).then_some(&commit.sink_token);
    publish_epoch(spec, commit.epoch, result, &commit.beside, outage).await
}

async fn publish_epoch(
    spec: &QuerySpec,
    epoch: EpochId,
    result: Option<&CommitToken>,
    beside: &SideCommits,
    outage: &Outage,
) -> Result<()> {
    if let Some(token) = result {
        publish_to(&*spec.sink, epoch, token, outage).await?;
    }
    let sides = spec.sides();
    for (output, commit) in beside.iter() {
        let Some(side) = sides.iter().find(|side| side.output == output) else {
            if commit.is_empty() {
                continue;
            }
            return Err(Error::internal(format!(
                "epoch {epoch} has {output} and there is no sink for them"
            )));
        };
        publish_to(&**side.sink, epoch, &commit.sink_token, outage).await?;
    }
    Ok(())
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

/// Tells all that the query has read everything and that all of it is visible.
///
/// # Errors
/// If one of them could not note it.
pub(crate) async fn ended(spec: &QuerySpec, outage: &Outage) -> Result<()> {
    CrashPoint::BeforeEnded.reach();
    for sink in spec.all_sinks() {
        let what = "telling a sink that the query has ended";
        retried(what, outage, || sink.ended()).await?;
    }
    Ok(())
}

/// Lets all forget an epoch that failed. What they keep is replaced when it runs again.
pub(crate) async fn abort(spec: &QuerySpec, epoch: EpochId) {
    for sink in spec.all_sinks() {
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

/// Refuses a query that cannot publish the late rows or dead letters of the last commit, because it
/// has no sink for them or another one. The dead process may not have come to that.
pub(crate) fn check_beside(spec: &QuerySpec, commit: &CommitRecord) -> Result<()> {
    let sides = spec.sides().into_iter();
    let sides = sides.map(|side| (side.output.clone(), side.identity()));
    check_identities(&spec.name, &sides.collect(), commit)
}

/// The same for what these sinks of a query say of themselves.
pub(crate) fn check_identities(
    name: &str,
    sides: &SideIdentities,
    commit: &CommitRecord,
) -> Result<()> {
    let earlier = commit.earlier.iter().map(|epoch| &epoch.beside);
    let all = earlier.chain([&commit.beside]).flat_map(SideCommits::iter);
    for (output, committed) in all {
        // What becomes of bad records may change; late rows are part of what was asked.
        let may_change = matches!(output, SideOutput::DeadLetters(_)) && committed.is_empty();
        if !may_change {
            let now = sides.get(&output);
            check_identity(name, &output, now, &committed.sink, commit.epoch)?;
        }
    }
    Ok(())
}

fn check_identity(
    name: &str,
    output: &SideOutput,
    now: Option<&BTreeMap<String, String>>,
    committed: &BTreeMap<String, String>,
    epoch: EpochId,
) -> Result<()> {
    let hint = "Use a new checkpoint folder or restore the old query.";
    let not_the_one = |how: &str| {
        Error::checkpoint(format!(
            "query \"{name}\" is not the one that wrote this checkpoint: {how}"
        ))
        .with_hint(hint)
    };
    let Some(now) = now else {
        let (gone, what) = match output {
            SideOutput::LateRows => ("LATE ROWS INTO is gone".to_string(), "Late rows"),
            SideOutput::DeadLetters(sink) => (
                format!("no source writes dead letters to sink \"{sink}\" any more"),
                "Dead letters",
            ),
        };
        return Err(not_the_one(&gone).with_detail(format!(
            "{what} of epoch {epoch} may not have been handed to their sink yet."
        )));
    };
    let changed = |(part, was): (&String, &String)| {
        let is = now.get(part).filter(|is| *is != was)?;
        Some(format!(
            "it differs in the {part} of the sink for {output} (was {was}, is {is})"
        ))
    };
    match committed.iter().find_map(changed) {
        None => Ok(()),
        Some(change) => Err(not_the_one(&change)),
    }
}
