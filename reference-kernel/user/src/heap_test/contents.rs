//! What is written to a block, to see later that nobody else wrote there.

/// The words of a block of that key (the finaliser of MurmurHash3, by Austin Appleby, over a counter).
fn word(key: u64, index: usize) -> u64 {
    let word = (key ^ index as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^ word >> 33
}

/// Writes all of a block.
///
/// # Safety
/// The memory is there, and is used by nobody else but through the heap.
pub unsafe fn write(block: *mut u8, bytes: usize, key: u64) {
    let words = bytes / 8;
    for index in 0..words {
        // SAFETY: see above. The heap under test may not align it.
        unsafe { block.add(8 * index).cast::<u64>().write_unaligned(word(key, index)) };
    }
    for (offset, byte) in (8 * words..bytes).zip(word(key, words).to_le_bytes()) {
        // SAFETY: see above.
        unsafe { block.add(offset).write(byte) };
    }
}

/// The offset of the first byte of a block that is not as it was written, if any.
///
/// # Safety
/// As for [`write`].
pub unsafe fn damage(block: *const u8, bytes: usize, key: u64) -> Option<usize> {
    let words = bytes / 8;
    for index in 0..words {
        // SAFETY: see above.
        let seen = unsafe { block.add(8 * index).cast::<u64>().read_unaligned() };
        let wrong = seen ^ word(key, index);
        if wrong != 0 {
            return Some(8 * index + wrong.trailing_zeros() as usize / 8);
        }
    }
    (8 * words..bytes).zip(word(key, words).to_le_bytes()).find_map(|(offset, byte)| {
        // SAFETY: see above.
        let seen = unsafe { block.add(offset).read() };
        (seen != byte).then_some(offset)
    })
}
