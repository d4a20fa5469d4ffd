//! A commit: everything that it needs, so that it can also be made while later epochs run.

use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;
use parking_lot::Mutex;

use headwater_checkpoint::{
    Checkpoint, CommitRecord, EarlierEpoch, EpochRecord, HEADWATER_VERSION, WatermarkState,
};
use headwater_core::Result;
use headwater_core::crash_point::CrashPoint;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::id::EpochId;
use headwater_core::offset::Offsets;
use headwater_core::state::ChunkKind;
use headwater_exec::state_registry::ShardChunk;

use super::logging;
use crate::activity::{Activity, Step};
use crate::execute::{blocking, joined};
use crate::outputs::{self, Tokens};
use crate::query_spec::QuerySpec;
use crate::state_chain::StateChain;

/// What the sinks need to make an epoch visible.
#[derive(Debug)]
pub(super) enum Preparing {
    /// They have said it.
    Done(Tokens),
    /// They will say it when what they have written is durable.
    Beside(SpawnedTask<Result<Tokens>>),
}

/// Who is told what a commit does.
#[derive(Debug)]
pub(super) enum Steps {
    /// The query, which waits for it.
    Of(Arc<Activity>),
    /// Whoever asks, while the query may run later epochs.
    Beside(Arc<Doing>),
}

impl Steps {
    fn activity(&self) -> &Activity {
        match self {
            Steps::Of(activity) => activity,
            Steps::Beside(doing) => &doing.activity,
        }
    }

    fn begin(&self, epoch: EpochId, step: Step) {
        match self {
            Steps::Of(activity) => activity.begin(epoch, step),
            Steps::Beside(doing) => doing.begin(epoch, step),
        }
    }
}

/// What a commit does that is made while later epochs run. It is what the query does as long as that
/// has nothing else to do.
#[derive(Debug)]
pub(super) struct Doing {
    activity: Arc<Activity>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    epoch: EpochId,
    step: Step,
    waiting: Option<Waiting>,
}

/// When a query waits for a commit beside its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// In an epoch, which takes longer by that.
    InEpoch,
    /// When there is nothing to run.
    Idle,
}

impl Doing {
    pub(super) fn new(activity: &Arc<Activity>, epoch: EpochId) -> Arc<Self> {
        Arc::new(Doing {
            activity: Arc::clone(activity),
            now: Mutex::new(Now {
                epoch,
                step: Step::Preparing,
                waiting: None,
            }),
        })
    }

    fn begin(&self, epoch: EpochId, step: Step) {
        let mut now = self.now.lock();
        (now.epoch, now.step) = (epoch, step);
        self.tell(&now);
    }

    /// The query waits for it.
    pub(super) fn is_waited_for(&self, waiting: Waiting) {
        let mut now = self.now.lock();
        now.waiting = Some(waiting);
        self.tell(&now);
    }

    fn tell(&self, now: &Now) {
        match now.waiting {
            Some(Waiting::InEpoch) => self.activity.begin(now.epoch, now.step),
            Some(Waiting::Idle) => self.activity.waits_for(now.epoch, now.step),
            None => {}
        }
    }

    /// The query does something else.
    pub(super) fn is_alone(&self) {
        self.now.lock().waiting = None;
    }
}

/// Epochs that are about to be committed together.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) spec: Arc<QuerySpec>,
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) steps: Steps,
    /// The newest of them.
    pub(super) last: EpochId,
    /// The records of those that have none in the log.
    pub(super) unlogged: Option<EpochRecord>,
    pub(super) epochs: Vec<(EpochId, Preparing)>,
    /// Bytes of the state to be written.
    pub(super) bytes: usize,
    /// What is written of the state, if anything of it has changed.
    pub(super) state: Option<(ChunkKind, Vec<ShardChunk>)>,
    /// The files before that.
    pub(super) chain: StateChain,
    /// How far the sources were read.
    pub(super) offsets: Vec<Offsets>,
    pub(super) last_records: Vec<Fingerprints>,
    pub(super) watermarks: Vec<WatermarkState>,
    /// Whether files that no commit needs any more are deleted afterwards.
    pub(super) cleans_up: bool,
}

/// What a commit leaves to go on from.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) last: EpochId,
    pub(super) chain: StateChain,
    pub(super) offsets: Vec<Offsets>,
}

impl Commit {
    /// Lets the epochs have happened and their rows be visible.
    ///
    /// # Errors
    /// What the checkpoint or a sink says. Whether the epochs have happened, the checkpoint says.
    pub(super) async fn run(mut self) -> Result<Committed> {
        self.log().await?;
        let mut epochs = self.prepared().await?;
        self.steps.begin(self.last, Step::Saving);
        let outage = self.steps.activity().outage();
        outputs::gather(&self.spec, &mut epochs, outage).await?;
        CrashPoint::SinkGathered.reach();
        let chain = self.save_state().await?;
        let record = self.record(epochs, &chain);
        self.write(&record).await?;
        CrashPoint::BeforeFinish.reach();
        self.steps.begin(self.last, Step::Publishing);
        let outage = self.steps.activity().outage();
        outputs::publish(&self.spec, &record, outage).await?;
        self.clean_up().await;
        Ok(Committed {
            last: self.last,
            chain,
            offsets: record.offsets,
        })
    }

    /// Waits until the sinks have made all rows durable.
    async fn prepared(&mut self) -> Result<Vec<(EpochId, Tokens)>> {
        self.steps.begin(self.last, Step::Preparing);
        let mut prepared = Vec::with_capacity(self.epochs.len());
        for (epoch, tokens) in std::mem::take(&mut self.epochs) {
            let tokens = match tokens {
                Preparing::Done(tokens) => tokens,
                Preparing::Beside(task) => joined(task).await?,
            };
            prepared.push((epoch, tokens));
        }
        Ok(prepared)
    }

    async fn log(&mut self) -> Result<()> {
        let Some(record) = self.unlogged.take() else {
            return Ok(());
        };
        self.steps.begin(self.last, Step::Logging);
        let checkpoint = Arc::clone(&self.checkpoint);
        blocking(move || logging::write(&checkpoint, &record)).await
    }

    async fn save_state(&mut self) -> Result<StateChain> {
        let chain = std::mem::take(&mut self.chain);
        let Some((kind, chunks)) = self.state.take() else {
            return Ok(chain);
        };
        let (checkpoint, epoch) = (Arc::clone(&self.checkpoint), self.last);
        let file = blocking(move || checkpoint.write_state(epoch, kind, &chunks)).await?;
        Ok(chain.with(file))
    }

    fn record(&mut self, mut epochs: Vec<(EpochId, Tokens)>, chain: &StateChain) -> CommitRecord {
        let newest = epochs.pop().map(|(_, tokens)| tokens).unwrap_or_default();
        let earlier = epochs.into_iter();
        let earlier: Vec<EarlierEpoch> = earlier.map(|(e, tokens)| tokens.of_earlier(e)).collect();
        CommitRecord {
            epoch: self.last,
            offsets: std::mem::take(&mut self.offsets),
            last_records: std::mem::take(&mut self.last_records),
            watermarks: std::mem::take(&mut self.watermarks),
            state_files: chain.files().to_vec(),
            earlier,
            sink_token: newest.result,
            beside: newest.beside,
            is_transaction: outputs::decides_by_transaction(&self.spec),
            rewound_to: None,
            version: HEADWATER_VERSION.to_string(),
        }
    }

    /// Lets the epochs have happened.
    async fn write(&self, record: &CommitRecord) -> Result<()> {
        CrashPoint::BeforeCommitRecord.reach();
        let step = |step: fn(&Checkpoint, &CommitRecord) -> Result<()>| {
            let (checkpoint, record) = (Arc::clone(&self.checkpoint), record.clone());
            blocking(move || step(&checkpoint, &record))
        };
        if !record.is_transaction {
            return step(|checkpoint, record| checkpoint.commit(record)).await;
        }
        step(|checkpoint, record| checkpoint.prepare_commit(record)).await?;
        CrashPoint::CommitPrepared.reach();
        self.steps.begin(record.epoch, Step::Committing);
        let (token, outage) = (&record.sink_token, self.steps.activity().outage());
        outputs::commit_transaction(&self.spec, record.epoch, token, outage).await?;
        step(|checkpoint, record| checkpoint.finish_commit(record)).await
    }

    /// Deletes what no commit needs any more, if it is time for that.
    async fn clean_up(&self) {
        if !self.cleans_up {
            return;
        }
        CrashPoint::BeforeCleanup.reach();
        self.steps.begin(self.last, Step::Telling);
        let checkpoint = Arc::clone(&self.checkpoint);
        let kept = self.spec.kept_commits;
        // Files that are left over cost room, not correctness.
        if let Err(error) = blocking(move || checkpoint.clean_up_keeping(kept)).await {
            tracing::warn!(%error, "old checkpoint files could not be deleted");
        }
    }
}
