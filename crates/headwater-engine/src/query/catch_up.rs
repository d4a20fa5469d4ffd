//! Those who wait until what was there has been processed.
//!
//! ```text
//! asked ──▶ the ends are looked up ──▶ epochs up to them ──▶ one more turn ──▶ commit ──▶ answered
//! ```
//! The turn after them is for what follows from their rows: a watermark that they have moved ends
//! windows in the next epoch. It need not find the sources at rest, so that a query whose input
//! never rests answers too. Whoever asks meanwhile is answered after a look of their own, so one look
//! is under way at most, and nobody is put off by others who keep asking.

use headwater_core::offset::Offsets;

use crate::epoch_loop::EpochLoop;

/// Who is waited for, and how far it is.
#[derive(Debug)]
pub(super) struct CatchUp {
    answered: u64,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    /// The newest of those who are answered by it.
    asked: u64,
    /// `None` for a source that cannot say: what it gives without waiting is all there is.
    ends: Vec<Option<Offsets>>,
    is_settled: bool,
}

impl CatchUp {
    /// Everybody up to this number has been answered.
    pub(super) fn after(answered: u64) -> Self {
        CatchUp {
            answered,
            under_way: None,
        }
    }

    /// Whether the ends of the sources are to be looked up.
    pub(super) fn is_due(&self, asked: u64) -> bool {
        self.under_way.is_none() && asked > self.answered
    }

    /// The ends have been looked up after so many had asked.
    pub(super) fn begin(&mut self, asked: u64, ends: Vec<Option<Offsets>>) {
        self.under_way = Some(UnderWay {
            asked,
            ends,
            is_settled: false,
        });
    }

    /// Whether the query has read up to the ends that are known.
    pub(super) fn has_read(&self, epoch_loop: &EpochLoop) -> bool {
        let under_way = self.under_way.as_ref();
        under_way.is_some_and(|u| epoch_loop.has_read(&u.ends))
    }

    /// A turn is over before which the query had read up to the ends, or not.
    pub(super) fn turned(&mut self, had_read: bool, found_nothing: bool) {
        if let Some(under_way) = &mut self.under_way {
            let are_known = under_way.ends.iter().all(Option::is_some);
            under_way.is_settled |= had_read && (are_known || found_nothing);
        }
    }

    /// Whether somebody is to be answered as soon as nothing waits for its commit.
    pub(super) fn is_settled(&self) -> bool {
        self.under_way.as_ref().is_some_and(|u| u.is_settled)
    }

    /// Up to which number everybody is answered, if that has changed. Nothing may wait for its
    /// commit.
    pub(super) fn answer(&mut self) -> Option<u64> {
        let settled = self.under_way.take_if(|u| u.is_settled)?;
        self.answered = settled.asked;
        Some(settled.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_is_under_way_and_those_who_come_later_have_their_own() {
        let mut catch_up = CatchUp::after(0);
        assert!(!catch_up.is_due(0));
        assert!(catch_up.is_due(2));
        catch_up.begin(2, vec![Some(Offsets::new())]);
        assert!(!catch_up.is_due(3));
        catch_up.turned(false, true);
        assert_eq!(catch_up.answer(), None);
        catch_up.turned(true, false);
        assert_eq!(catch_up.answer(), Some(2));
        assert_eq!(catch_up.answer(), None);
        assert!(catch_up.is_due(3));
        assert!(!catch_up.is_due(2));
    }

    #[test]
    fn a_source_that_cannot_say_is_read_until_it_has_nothing() {
        let mut catch_up = CatchUp::after(7);
        catch_up.begin(8, vec![Some(Offsets::new()), None]);
        catch_up.turned(true, false);
        assert_eq!(catch_up.answer(), None);
        catch_up.turned(true, true);
        assert_eq!(catch_up.answer(), Some(8));
    }
}
