//! What the next epoch is: asks the sources, decides slices, idle partitions and the end.

use headwater_checkpoint::{EpochRecord, HEADWATER_VERSION, WatermarkState};
use headwater_core::Result;
use headwater_core::event_time::EventTime;
use headwater_core::id::SourceIndex;
use headwater_core::offset::{Offsets, Slice};
use headwater_core::source::EpochLimits;
use headwater_core::trigger::Trigger;
use headwater_core::watermark::Watermark;
use headwater_exec::watermark::WatermarkObserver;

use super::EpochLoop;
use crate::activity::Step;
use crate::next_epoch::{Decision, Planned, SourceFacts, plan_slices, seed_of};
use crate::query_spec::{Durability, EndOfInput};
use crate::retry::Retries;
use crate::watermark_tracker::{InputEnd, before_epoch, event_time_of};

impl EpochLoop {
    /// Decides the next epoch: everything a replay must not decide again.
    pub(super) async fn plan_epoch(&mut self) -> Result<Planned> {
        let facts = self.source_facts_with_retries().await?;
        let (slices, end_of_input) = match plan_slices(&facts) {
            Decision::Run(slices) => (slices, false),
            Decision::Finished if self.flushes_at_end() => (self.empty_slices(), true),
            Decision::Finished => return Ok(Planned::Finished),
            Decision::Wait => (self.empty_slices(), false),
        };
        let now = self.clock.now();
        let watermarks = self.decide_watermarks(&slices, now).await;
        let has_rows = slices.iter().any(|s| !s.is_empty());
        let record = EpochRecord {
            epoch: self.next,
            last_committed: self.checkpoint.last_committed(),
            slices,
            watermarks,
            processing_time: now,
            seed: seed_of(self.query_id().as_str(), self.next),
            end_of_input,
            plan_fingerprint: self.spec.plan.fingerprint.clone(),
            version: HEADWATER_VERSION.to_string(),
            earlier: vec![],
        };
        if !has_rows && !end_of_input && !self.advances_without_rows(&record) {
            // Without an epoch there is no record; but since when a partition is silent, and
            // which ones are known to be idle, counts on.
            self.watermarks = record.watermarks;
            return Ok(Planned::Nothing);
        }
        Ok(Planned::Epoch(record))
    }

    /// Which partitions are idle in the next epoch. Before one is called idle for its silence, the
    /// log is asked whether it holds records that have not been fetched yet.
    async fn decide_watermarks(&self, slices: &[Slice], now: EventTime) -> Vec<WatermarkState> {
        let mut decided = Vec::with_capacity(slices.len());
        for (index, slice) in slices.iter().enumerate() {
            let definition = self.spec.plan.sources.get(index);
            let spec = definition.and_then(|s| s.watermark.as_ref());
            let known = self.watermarks.get(index).cloned().unwrap_or_default();
            let end = self.bound(index).map_or(InputEnd::Unknown, InputEnd::Bound);
            let mut before = before_epoch(spec, &known, slice, now, end);
            let newly_idle = before.idle.difference(&known.idle).next().is_some();
            if newly_idle && end == InputEnd::Unknown {
                before = match self.latest_of(index).await {
                    Some(log) => before_epoch(spec, &known, slice, now, InputEnd::Log(&log)),
                    // Who cannot say how far the log goes is not called idle.
                    None => WatermarkState {
                        idle: known.idle,
                        ..before
                    },
                };
            }
            decided.push(before);
        }
        decided
    }

    pub(super) fn bound(&self, index: usize) -> Option<&Offsets> {
        self.bounds.as_ref()?.get(index)?.as_ref()
    }

    pub(super) async fn latest_of(&self, index: usize) -> Option<Offsets> {
        let latest = self.sources.get(index)?.latest().await;
        let unknown = "the end of a source is unknown";
        latest
            .inspect_err(|error| {
                self.activity.outage().note(unknown, error);
            })
            .ok()
    }

    async fn source_facts_with_retries(&self) -> Result<Vec<SourceFacts>> {
        let mut retries = Retries::new();
        loop {
            match self.source_facts().await {
                Ok(facts) => return Ok(facts),
                Err(error) => {
                    let what = "asking sources how far they can be read";
                    retries
                        .wait_after(error, what, self.activity.outage())
                        .await?;
                }
            }
        }
    }

    async fn source_facts(&self) -> Result<Vec<SourceFacts>> {
        let mut facts = Vec::with_capacity(self.sources.len());
        for (index, source) in self.sources.iter().enumerate() {
            self.activity.begin(self.next, Step::Asking(index));
            let position = self.positions.get(index).cloned().unwrap_or_default();
            let bound = self.bound(index).cloned();
            let available = match (&self.spec.trigger, &bound) {
                // One epoch over everything, whatever the limits say.
                (Trigger::Once, Some(bound)) => bound.clone(),
                (Trigger::AvailableNow, Some(bound)) => {
                    let limits = self.limits(index);
                    let available = source.available(&position, &limits).await?;
                    let worth = self.intake.worth();
                    let records = limits.max_records.map_or(worth, |max| max.min(worth));
                    let available = Slice::between(&position, &available);
                    source.stretched(available, bound, records).end
                }
                _ => source.available(&position, &self.limits(index)).await?,
            };
            let has_ended = source.has_ended(&position);
            facts.push(SourceFacts {
                position,
                available,
                bound,
                has_ended,
            });
        }
        Ok(facts)
    }

    /// What a source may give: what its options say, or less if epochs take too long.
    pub(super) fn limits(&self, index: usize) -> EpochLimits {
        let definition = self.spec.plan.sources.get(index);
        let declared = definition.map(|s| s.declared.limits()).unwrap_or_default();
        let limits = [declared.max_records, self.intake.limit()];
        EpochLimits {
            max_records: limits.into_iter().flatten().min(),
        }
    }

    fn empty_slices(&self) -> Vec<Slice> {
        self.positions
            .iter()
            .map(|p| Slice::between(p, p))
            .collect()
    }

    /// Whether the end of the input finishes all windows: it does for sources that ended by
    /// themselves and for queries that keep no checkpoint, where open windows would be lost; a
    /// bounded run with a checkpoint holds them for the next run. Only append mode holds anything
    /// back that could be finished.
    fn flushes_at_end(&self) -> bool {
        let mut sources = self.sources.iter().zip(&self.positions);
        let flushes = match self.spec.end_of_input {
            Some(EndOfInput::Flush) => true,
            Some(EndOfInput::Hold) => false,
            None => {
                self.spec.durability == Durability::InMemory
                    || sources.all(|(source, position)| source.has_ended(position))
            }
        };
        let plan = &self.spec.plan;
        let holds_back = plan.operators.iter().any(|o| o.holds_back);
        let already = self
            .watermarks
            .iter()
            .all(|w| w.source_watermark == Watermark::MAX);
        flushes && holds_back && !self.flushed && !already
    }

    /// Whether a partition that fell silent lets the watermark move although no row came.
    fn advances_without_rows(&self, record: &EpochRecord) -> bool {
        if self.spec.plan.operators.is_empty() {
            return false;
        }
        let observer = self.observer(record);
        let known = self.watermarks.iter().map(|w| w.source_watermark);
        known
            .enumerate()
            .any(|(index, before)| observer.after(SourceIndex(index)) > before)
    }

    pub(super) fn observer(&self, record: &EpochRecord) -> WatermarkObserver {
        let sources = self
            .spec
            .plan
            .sources
            .iter()
            .zip(&record.watermarks)
            .zip(&record.slices);
        let before = sources
            .map(|((source, state), slice)| {
                event_time_of(source.watermark.as_ref(), state, slice, record.end_of_input)
            })
            .collect();
        WatermarkObserver::new(before, record.processing_time)
    }
}
