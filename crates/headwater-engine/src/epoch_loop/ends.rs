//! How far the sources go, beside how far the query has read them.

use headwater_core::offset::Offsets;

use super::EpochLoop;
use crate::activity::Step;

impl EpochLoop {
    /// How far everything goes that is there now; `None` for a source that cannot say.
    pub(crate) async fn ends(&self) -> Vec<Option<Offsets>> {
        let mut ends = Vec::with_capacity(self.sources.len());
        for index in 0..self.sources.len() {
            self.activity.begin(self.next, Step::Asking(index));
            ends.push(match self.is_endless(index) {
                true => self.ready_of(index).await,
                false => self.latest_of(index).await,
            });
        }
        ends
    }

    /// Whether the query has read up to the ends that are known, or as far as it will ever read.
    pub(crate) fn has_read(&self, ends: &[Option<Offsets>]) -> bool {
        let mut known = ends.iter().zip(&self.positions).enumerate();
        known.all(|(index, (end, position))| match end {
            Some(end) => !is_behind(position, end) || self.is_done(index),
            None => true,
        })
    }

    /// A source that has held records after `positions` all along and hands none out.
    pub(crate) async fn silent_source(&self) -> Option<usize> {
        for (index, (source, position)) in self.sources.iter().zip(&self.positions).enumerate() {
            if self.is_done(index) {
                continue;
            }
            let Ok(latest) = source.latest().await else {
                continue;
            };
            if is_behind(position, &latest) {
                return Some(index);
            }
        }
        None
    }

    /// Whether the query reads nothing more of a source.
    pub(super) fn is_done(&self, index: usize) -> bool {
        let pair = self.sources.get(index).zip(self.positions.get(index));
        pair.is_some_and(|(source, position)| {
            let bound = self.bound(index);
            source.has_ended(position) || bound.is_some_and(|b| position.has_reached(b))
        })
    }

    /// The end of such a source is as far away as one likes.
    fn is_endless(&self, index: usize) -> bool {
        let definition = self.spec.plan.sources.get(index);
        definition.is_some_and(|source| source.declared.is_endless())
    }

    /// How far a source can be read without waiting.
    async fn ready_of(&self, index: usize) -> Option<Offsets> {
        let (source, position) = self.sources.get(index).zip(self.positions.get(index))?;
        let ready = source.available(position, &self.limits(index)).await;
        ready
            .inspect_err(|error| tracing::debug!(%error, "how far a source goes is unknown"))
            .ok()
    }
}

/// Whether an end is after a position. Of a partition that is not known yet, nothing has been read.
fn is_behind(position: &Offsets, end: &Offsets) -> bool {
    let mut ends = end.iter();
    ends.any(|(partition, end)| position.get(partition).unwrap_or(0) < end)
}
