//! What the kernel writes into the pages of a test program's block, to see later that nobody else wrote there.

use core::ptr;

use abi::stamp;
use base::sv39::PAGE;

use crate::notes::Block;

fn word(address: usize, generation: u32) -> u64 {
    stamp::word(address as u64, generation)
}

fn pages(block: &Block) -> impl Iterator<Item = usize> + use<> {
    (block.address..block.address + block.pages * PAGE).step_by(PAGE)
}

fn places(page: usize) -> impl Iterator<Item = *mut u64> {
    stamp::WORDS.into_iter().map(move |word| ptr::with_exposed_provenance_mut(page + word as usize * size_of::<u64>()))
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
