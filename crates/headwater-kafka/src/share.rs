//! Sharing the records of an epoch among partitions when they have more than it may read.

use std::cmp::Reverse;

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
