//! Sharing the records of an epoch among partitions when they have more than it may read.

use std::cmp::Reverse;

use headwater_core::source::EpochLimits;

use crate::buffer::Reach;

/// What an epoch may read besides [`EpochLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReadLimits {
    /// Of every partition at most so many records.
    pub(crate) records_per_partition: Option<u64>,
    /// Of all together about so many bytes in memory, and one record at least.
    pub(crate) bytes: Option<u64>,
}

impl ReadLimits {
    /// Whether every epoch is bounded by more than a number of records.
    pub(crate) fn is_any(&self) -> bool {
        *self != ReadLimits::default()
    }

    /// The records that partitions may give, and how many may be given of all.
    pub(crate) fn applied(&self, reached: &[Reach], limits: &EpochLimits) -> (Vec<u64>, u64) {
        let of_each = self.records_per_partition.unwrap_or(u64::MAX);
        let records: Vec<u64> = reached.iter().map(|r| r.records.min(of_each)).collect();
        let mut max = limits.max_records.unwrap_or(u64::MAX);
        if let Some(bytes_max) = self.bytes {
            let shares = reached.iter().zip(&records);
            let bytes: u128 = shares
                .map(|(reach, share)| {
                    u128::from(reach.bytes) * u128::from(*share) / u128::from(reach.records.max(1))
                })
                .sum();
            if bytes > u128::from(bytes_max) {
                let total: u128 = records.iter().map(|r| u128::from(*r)).sum();
                let fitting = total * u128::from(bytes_max) / bytes;
                max = max.min(u64::try_from(fitting).unwrap_or(u64::MAX).max(1));
            }
        }
        (records, max)
    }
}

/// Shares out at most `max` records: one to every partition that has any, the rest in proportion.
///
/// The shares depend on the numbers alone, add up to `max` when there is more, and never exceed
/// what a partition has. A partition that got nothing would hold the watermark of all others, so
/// a share of none is given only if there are more partitions than records to give; then those
/// with the most records come first, which a partition left out sooner or later is.
pub(crate) fn share_records(records: &[u64], max: u64) -> Vec<u64> {
    let total: u128 = records.iter().map(|r| u128::from(*r)).sum();
    if total <= u128::from(max) {
        return records.to_vec();
    }
    let waiting = records.iter().filter(|r| **r > 0).count() as u64;
    if max < waiting {
        let weights: Vec<u128> = records.iter().map(|r| u128::from(*r)).collect();
        return one_each(&weights, max);
    }
    let rest: Vec<u64> = records.iter().map(|r| r.saturating_sub(1)).collect();
    let rest = in_proportion(&rest, max - waiting);
    records
        .iter()
        .zip(rest)
        .map(|(r, share)| share + u64::from(*r > 0))
        .collect()
}

/// `max` shares of one, to the largest weights, first partitions first.
fn one_each(weights: &[u128], max: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| (Reverse(weights[*i]), *i));
    let mut shares = vec![0; weights.len()];
    for index in order
        .into_iter()
        .take(usize::try_from(max).unwrap_or(usize::MAX))
    {
        shares[index] = 1;
    }
    shares
}

/// `max` shares in proportion; what rounding leaves goes to the largest remainders.
fn in_proportion(records: &[u64], max: u64) -> Vec<u64> {
    let total = records.iter().map(|r| u128::from(*r)).sum::<u128>().max(1);
    let exact = |r: &u64| u128::from(*r) * u128::from(max);
    let whole: Vec<u64> = records
        .iter()
        .map(|r| u64::try_from(exact(r) / total).unwrap_or(*r))
        .collect();
    let left = max - whole.iter().sum::<u64>();
    let remainders: Vec<u128> = records.iter().map(|r| exact(r) % total).collect();
    let extra = one_each(&remainders, left);
    whole
        .iter()
        .zip(extra)
        .map(|(whole, extra)| whole + extra)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_partitions_limit_what_is_shared() {
        let reach = |records, bytes| Reach {
            position: 0,
            records,
            bytes,
        };
        let reached = [reach(100, 1_000), reach(10, 9_000), reach(0, 0)];
        let none = EpochLimits::default();
        let limits = |records_per_partition, bytes| ReadLimits {
            records_per_partition,
            bytes,
        };
        let applied = |limits: ReadLimits| limits.applied(&reached, &none);
        assert_eq!(applied(limits(None, None)), (vec![100, 10, 0], u64::MAX));
        assert_eq!(applied(limits(Some(20), None)), (vec![20, 10, 0], u64::MAX));
        assert_eq!(applied(limits(None, Some(5_000))), (vec![100, 10, 0], 55));
        // 200 and 9,000 bytes for 30 records.
        assert_eq!(
            applied(limits(Some(20), Some(4_600))),
            (vec![20, 10, 0], 15)
        );
        assert_eq!(applied(limits(None, Some(1))), (vec![100, 10, 0], 1));
        let few = EpochLimits {
            max_records: Some(7),
        };
        assert_eq!(limits(None, Some(5_000)).applied(&reached, &few).1, 7);
    }

    #[test]
    fn shares_follow_what_there_is() {
        let cases: [(&[u64], u64, &[u64]); 8] = [
            (&[], 5, &[]),
            (&[3, 4], 7, &[3, 4]),
            (&[3, 4], u64::MAX, &[3, 4]),
            (&[100, 100], 10, &[5, 5]),
            (&[300, 100, 0], 10, &[7, 3, 0]),
            (&[1, 5, 1], 1, &[0, 1, 0]),
            (&[1_000_000, 1], 2, &[1, 1]),
            (&[1_000_000, 1], 7, &[6, 1]),
        ];
        for (records, max, expected) in cases {
            let shares = share_records(records, max);
            assert_eq!(shares, expected, "{records:?} at most {max}");
            let total: u64 = records.iter().sum();
            assert_eq!(shares.iter().sum::<u64>(), total.min(max));
        }
    }
}
