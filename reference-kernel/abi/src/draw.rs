//! The random numbers that test programs draw from a seed.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// Five lines in any language, so a driver in C draws the same numbers.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// The sequence that belongs to a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The sequence of one of several clients that share a seed; no two are alike.
    pub const fn for_client(seed: u64, client: u8) -> Self {
        // Whole steps of the generator's own increment would make clients replay each other one step late.
        let mut draw = Self(seed ^ (client as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93));
        draw.next();
        draw
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    ///
    /// Multiply-and-shift on the upper half: the bias is below 2^-32 for the bounds that tests use.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() >> 32) * bound) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // First outputs for seed 1234567, as in the test vectors of the reference implementation in C.
        let mut draw = Draw::new(1_234_567);
        assert_eq!(draw.next(), 6_457_827_717_110_365_317);
        assert_eq!(draw.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut draw = Draw::new(7);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[draw.below(10) as usize] = true;
        }
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn clients_draw_different_numbers() {
        assert_ne!(Draw::for_client(9, 0).next(), Draw::for_client(9, 1).next());
    }
}
