//! What several runs come to: the median, and how far apart the runs are.

/// The median of some numbers, the least and the greatest of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of some numbers; nothing if there are none.
    pub(super) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            1 => numbers[middle],
            _ => f64::midpoint(*numbers.get(middle.checked_sub(1)?)?, numbers[middle]),
        };
        Some(Spread {
            median,
            min: *numbers.first()?,
            max: *numbers.last()?,
        })
    }

    /// From the least to the greatest, as a part of the median.
    pub(super) fn relative(&self) -> f64 {
        match self.median == 0.0 {
            true => 0.0,
            false => (self.max - self.min) / self.median,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64]) -> Option<(f64, f64, f64)> {
        let spread = Spread::of(numbers.iter().copied())?;
        Some((spread.median, spread.min, spread.max))
    }

    #[test]
    fn the_median_is_in_the_middle_or_between_the_two_there() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some((3.0, 3.0, 3.0)));
        assert_eq!(of(&[4.0, 1.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some((2.0, 1.0, 9.0)));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some((2.5, 1.0, 4.0)));
    }

    #[test]
    fn the_spread_is_a_part_of_the_median() {
        let relative = |numbers: [f64; 3]| Spread::of(numbers).unwrap().relative();
        assert!((relative([90.0, 100.0, 120.0]) - 0.3).abs() < 1e-9);
        assert!(relative([7.0, 7.0, 7.0]).abs() < 1e-9);
        assert!(relative([0.0, 0.0, 0.0]).abs() < 1e-9);
    }
}
