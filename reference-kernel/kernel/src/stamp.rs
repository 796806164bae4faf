//! What the kernel writes into the pages of a test program's block, to see later that nobody else wrote there.

use core::ptr;

use base::sv39::PAGE;

use crate::notes::Block;

/// The words of a page that are written: those that an allocator would use for links, others on the way, the last.
const WORDS: [usize; 8] = [0, 1, 2, 3, 128, 255, 384, 511];

/// A different word for every block and place in it (the finaliser of MurmurHash3, by Austin Appleby).
fn word(address: usize, generation: u32) -> u64 {
    let mut word = address as u64 ^ u64::from(generation) << 40;
    word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

fn pages(block: &Block) -> impl Iterator<Item = usize> + use<> {
    (block.address..block.address + block.pages * PAGE).step_by(PAGE)
}

fn places(page: usize) -> impl Iterator<Item = *mut u64> {
    WORDS.into_iter().map(move |word| ptr::with_exposed_provenance_mut(page + word * size_of::<u64>()))
}

/// Stamps every page of a block.
///
/// # Safety
/// The block lies in memory that is mapped, and in no page that anyone but its client holds.
pub unsafe fn stamp(block: &Block) {
    for place in pages(block).flat_map(places) {
        // SAFETY: see above.
        unsafe { place.write_volatile(word(place.addr(), block.generation)) };
    }
}

/// Counts the pages of a block whose stamps are damaged, and stamps those again, so that none is counted twice.
///
/// # Safety
/// As for [`stamp`].
pub unsafe fn damaged(block: &Block) -> u64 {
    let mut damaged = 0;
    for page in pages(block) {
        // SAFETY: see above.
        let intact = places(page).all(|place| unsafe { place.read_volatile() } == word(place.addr(), block.generation));
        if !intact {
            damaged += 1;
            abi::grader_mark!(abi::mark::DAMAGED);
            // SAFETY: see above.
            unsafe { stamp(&Block { address: page, pages: 1, ..*block }) };
        }
    }
    damaged
}
