//! What the next epoch reads: pure decisions from positions to slices.

use headwater_checkpoint::EpochRecord;
use headwater_core::id::EpochId;
use headwater_core::offset::{Offsets, Slice};

/// Facts about one source before an epoch.
#[derive(Debug, Clone)]
pub(crate) struct SourceFacts {
    /// Where the query stands.
    pub(crate) position: Offsets,
    /// What can be read without waiting.
    pub(crate) available: Offsets,
    /// Where a bounded query stops.
    pub(crate) bound: Option<Offsets>,
    /// Whether nothing will ever follow `position`.
    pub(crate) has_ended: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Run an epoch over these slices.
    Run(Vec<Slice>),
    /// Everything there will ever be has been read.
    Finished,
    /// Nothing to read now.
    Wait,
}

/// What the loop does with a decision.
pub(crate) enum Planned {
    /// It runs this epoch.
    Epoch(EpochRecord),
    /// It waits.
    Nothing,
    /// It ends.
    Finished,
}

/// Chooses the slices of the next epoch.
pub(crate) fn plan_slices(sources: &[SourceFacts]) -> Decision {
    let slices: Vec<Slice> = sources.iter().map(slice).collect();
    if slices.iter().any(|slice| !slice.is_empty()) {
        return Decision::Run(slices);
    }
    if sources.iter().all(is_finished) {
        Decision::Finished
    } else {
        Decision::Wait
    }
}

fn slice(facts: &SourceFacts) -> Slice {
    let end = match &facts.bound {
        Some(bound) => facts.available.clipped_to(bound),
        None => facts.available.clone(),
    };
    // A position never moves back, whatever a source reports.
    let end = end
        .iter()
        .map(|(p, o)| (p.clone(), o.max(facts.position.get(p).unwrap_or(o))))
        .collect();
    Slice::between(&facts.position, &end)
}

fn is_finished(facts: &SourceFacts) -> bool {
    facts.has_ended
        || facts
            .bound
            .as_ref()
            .is_some_and(|bound| facts.position.has_reached(bound))
}

/// A seed that differs between queries and epochs and is the same on a replay.
pub(crate) fn seed_of(query: &str, epoch: EpochId) -> u64 {
    let hash = query.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ epoch.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use headwater_core::offset::Partition;

    use super::*;

    fn at(offsets: &[i64]) -> Offsets {
        let each = offsets.iter().enumerate();
        each.map(|(i, o)| (Partition::new("t", i as i32), *o))
            .collect()
    }

    fn facts(position: &[i64], available: &[i64], bound: Option<&[i64]>) -> SourceFacts {
        SourceFacts {
            position: at(position),
            available: at(available),
            bound: bound.map(at),
            has_ended: false,
        }
    }

    #[test]
    fn slices_go_from_the_position_to_what_is_available() {
        let decision = plan_slices(&[facts(&[3, 5], &[7, 5], None)]);
        assert_eq!(
            decision,
            Decision::Run(vec![Slice {
                start: at(&[3, 5]),
                end: at(&[7, 5])
            }])
        );
    }

    #[test]
    fn a_bound_is_never_passed() {
        let decision = plan_slices(&[facts(&[3], &[9], Some(&[6]))]);
        assert_eq!(
            decision,
            Decision::Run(vec![Slice {
                start: at(&[3]),
                end: at(&[6])
            }])
        );
        assert_eq!(
            plan_slices(&[facts(&[6], &[9], Some(&[6]))]),
            Decision::Finished
        );
        assert_eq!(
            plan_slices(&[facts(&[5], &[5], Some(&[6]))]),
            Decision::Wait
        );
    }

    #[test]
    fn one_source_with_rows_is_enough_and_all_must_finish() {
        let done = facts(&[6], &[6], Some(&[6]));
        let open = facts(&[1], &[1], Some(&[2]));
        let ready = facts(&[1], &[2], Some(&[2]));
        assert!(matches!(
            plan_slices(&[done.clone(), ready]),
            Decision::Run(_)
        ));
        assert_eq!(plan_slices(&[done, open]), Decision::Wait);
    }

    #[test]
    fn positions_never_move_back() {
        let decision = plan_slices(&[facts(&[9], &[4], None)]);
        assert_eq!(decision, Decision::Wait);
    }
}
