//! How the records an epoch may read are shared among partitions.

/// How many records to take of each partition: all of its backlog, or if that is more than
/// `budget` in sum, an even share, with what small partitions leave going to the larger ones.
pub(crate) fn share(backlogs: &[u64], budget: Option<u64>) -> Vec<u64> {
    let total: u64 = backlogs.iter().sum();
    let Some(mut left) = budget.filter(|budget| *budget < total) else {
        return backlogs.to_vec();
    };
    let mut taken = vec![0; backlogs.len()];
    while left > 0 {
        let open: Vec<usize> = (0..backlogs.len())
            .filter(|i| taken[*i] < backlogs[*i])
            .collect();
        let even = (left / open.len().max(1) as u64).max(1);
        for i in open {
            let part = even.min(backlogs[i] - taken[i]).min(left);
            taken[i] += part;
            left -= part;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let cases: [(&[u64], Option<u64>, &[u64]); 6] = [
            (&[5, 7], None, &[5, 7]),
            (&[5, 7], Some(12), &[5, 7]),
            (&[5, 7], Some(6), &[3, 3]),
            (&[1, 100, 100], Some(21), &[1, 10, 10]),
            (&[9, 9, 9], Some(2), &[1, 1, 0]),
            (&[], Some(2), &[]),
        ];
        for (backlogs, budget, expected) in cases {
            assert_eq!(share(backlogs, budget), expected, "{backlogs:?} {budget:?}");
        }
    }
}
