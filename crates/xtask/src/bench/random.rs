//! Random numbers that are the same on every machine, for data that is generated.

/// `SplitMix64`: small, good enough, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) fn seeded(seed: u64) -> Self {
        SplitMix(seed)
    }

    /// A number from 0 to `end`, exclusive.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let scaled = (self.word() >> 32) * u64::from(end);
        u32::try_from(scaled >> 32).unwrap_or(0)
    }

    /// 64 bits.
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}
