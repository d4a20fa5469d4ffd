//! Everything an operator may know about the running epoch.
//!
//! The plan of a query is made once and executed again in every epoch; what differs between two
//! epochs is here and nowhere else. It travels as an extension of the `SessionConfig` inside the
//! `TaskContext`, so that a plan can be shipped to another process and find its context there.

use std::sync::Arc;

use datafusion_common::{Result, internal_datafusion_err};
use datafusion_execution::TaskContext;

use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, QueryId, SourceIndex};
use headwater_core::mode::OutputMode;
use headwater_core::offset::Slice;
use headwater_core::source::{ReadCounters, Source};

use crate::metrics::EpochMetrics;
use crate::state_registry::StateRegistry;
use crate::watermark::WatermarkObserver;

/// What one source gives in one epoch.
#[derive(Debug, Clone)]
pub struct EpochInput {
    /// The source.
    pub source: Arc<dyn Source>,
    /// What to read of it.
    pub slice: Slice,
    /// Where to count what is read.
    pub counters: Arc<ReadCounters>,
}

/// The facts of one epoch. Read-only, but for the counters and the watermark observer.
#[derive(Debug)]
pub struct EpochContext {
    /// The query.
    pub query: QueryId,
    /// The epoch.
    pub epoch: EpochId,
    /// The slices, by [`SourceIndex`].
    pub inputs: Vec<EpochInput>,
    /// `W(n − 1)` and the event times seen so far.
    pub watermarks: Arc<WatermarkObserver>,
    /// The wall clock of this epoch, the same on a replay.
    pub processing_time: EventTime,
    /// Seed of everything random in this epoch, the same on a replay.
    pub seed: u64,
    /// Which rows are emitted.
    pub mode: OutputMode,
    /// Keyed state.
    pub state: Arc<StateRegistry>,
    /// What the operators count.
    pub metrics: Arc<EpochMetrics>,
}

impl EpochContext {
    /// Finds the context of the epoch a task belongs to.
    ///
    /// # Errors
    /// An internal error if a plan with epoch operators is run outside an epoch.
    pub fn of(task: &TaskContext) -> Result<Arc<EpochContext>> {
        task.session_config()
            .get_extension::<EpochContext>()
            .ok_or_else(|| {
                internal_datafusion_err!("an epoch operator was executed outside an epoch")
            })
    }

    /// What a source gives in this epoch.
    ///
    /// # Errors
    /// An internal error if the plan names a source the epoch does not have.
    pub fn input(&self, source: SourceIndex) -> Result<&EpochInput> {
        self.inputs
            .get(source.0)
            .ok_or_else(|| internal_datafusion_err!("epoch without source {}", source.0))
    }
}
