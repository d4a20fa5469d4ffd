//! Random numbers that are a function of a seed and a row's number, so that any row can be made
//! again alone. They are the same on every machine and in every version: checkpoints count on it.
//!
//! Source: `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The draws of one row, for one purpose.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    state: u64,
}

impl Draws {
    /// The draws of row `row` for the purpose `stream`.
    pub(crate) fn new(seed: u64, stream: u64, row: u64) -> Self {
        let seed = mix(seed ^ mix(stream.wrapping_add(GOLDEN)));
        Draws {
            state: mix(seed.wrapping_add(row.wrapping_mul(GOLDEN))),
        }
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.number()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `true` for this share of the draws.
    pub(crate) fn chance(&mut self, fraction: f64) -> bool {
        self.unit() < fraction
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_and_stay_the_same() {
        let buckets = (0..10_000).fold([0_u32; 10], |mut buckets, row| {
            buckets[Draws::new(42, 0, row).below(10) as usize] += 1;
            buckets
        });
        assert!(
            buckets.iter().all(|n| (900..1100).contains(n)),
            "{buckets:?}"
        );
        let late = (0..10_000).filter(|row| Draws::new(7, 1, *row).chance(0.25));
        assert!((2300..2700).contains(&late.count()));
        assert_eq!(Draws::new(42, 0, 0).number(), Draws::new(42, 0, 0).number());
        assert_ne!(Draws::new(42, 0, 0).number(), Draws::new(42, 1, 0).number());
    }
}
