//! What is written into the pages of a test program's block: whoever reads a page can tell whether it still holds that.

/// The words of a page that are written: those that an allocator would use for links, others on the way, the last.
pub const WORDS: [u64; 8] = [0, 1, 2, 3, 128, 255, 384, 511];

/// What is written at an address: a different word for every block and place in it (the finaliser of MurmurHash3, by
/// Austin Appleby). `generation`: which block this is, of all that were ever handed out.
pub const fn word(address: u64, generation: u32) -> u64 {
    let mut word = address ^ (generation as u64) << 40;
    word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}
